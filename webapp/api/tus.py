"""Resumable uploads by the tus protocol 1.0 (https://tus.io), which has clients for most languages.

The header Upload-Metadata carries filename and title, and the options of a job: preset, format, bits, bleed, and stems
separated by commas. A complete upload starts a job, which a GET of the upload names (an addition to tus). A file that
cannot be separated is rejected with its last chunk, and the upload is deleted.
"""

import hashlib
from base64 import b64decode
from functools import wraps
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ValidationError as Unusable
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.http import http_date
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, UnsupportedMediaType, ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from webapp.api import schemas
from webapp.api.common import require_may_upload, uploader
from webapp.api.openapi import schema_of
from webapp.api.permissions import reach
from webapp.api.requests import JobOptions
from webapp.http.problems import Conflict
from webapp.http.streamed_body import STREAMED, body
from webapp.models import Upload
from webapp.uploads import resumable
from webapp.uploads.limits import validate_size

VERSION = "1.0.0"
DIGESTS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
RESUME = "The upload stands at {} bytes. Ask for its Upload-Offset with HEAD and continue from there."


class UnsupportedVersion(APIException):
    """A request without the version of the protocol."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition-failed"
    default_detail = f"This address speaks the tus protocol. Send the header Tus-Resumable: {VERSION}."


class ChecksumMismatch(APIException):
    """The data received differs from the data sent."""

    status_code = 460  # defined by tus
    default_detail = "The data received does not match its checksum. Send this chunk again."


class Announcement(JobOptions):
    """The headers with which an upload begins."""

    length = serializers.IntegerField(
        validators=[validate_size],
        error_messages={"invalid": "Give the size of the file in bytes in the header Upload-Length."},
    )
    filename = serializers.CharField(max_length=255, default="")
    title = serializers.CharField(max_length=255, default="")


def _header(name: str, description: str, kind: type = str, *, required: bool = True) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, required=required)


UPLOAD = schema_of(schemas.Upload)
TUS = OpenApiParameter(
    "Tus-Resumable", str, OpenApiParameter.HEADER, description="Version of the protocol.", enum=[VERSION], required=True
)
OFFSET = _header("Upload-Offset", "Number of bytes received so far, at which the chunk begins.", int)
CHECKSUM = _header(
    "Upload-Checksum",
    f"Digest ({' or '.join(DIGESTS)}), a space, and the checksum of the chunk in base64.",
    required=False,
)
ANNOUNCED = (
    _header("Upload-Length", "Size of the file in bytes.", int),
    _header(
        "Upload-Metadata",
        "Pairs of a key and a value in base64: filename, title and the options of a job.",
        required=False,
    ),
)


class UploadViewSet(ViewSet):
    """Resumable uploads by the tus protocol. A visitor who begins one becomes a guest."""

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response["Tus-Resumable"] = response["Tus-Version"] = VERSION
        return super().finalize_response(request, response, *args, **kwargs)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:  # noqa: ARG002
        """Advertise the supported parts of the protocol."""
        abilities = {
            "Tus-Extension": "creation,expiration,checksum,termination",
            "Tus-Max-Size": str(settings.MAX_UPLOAD_BYTES),
            "Tus-Checksum-Algorithm": ",".join(DIGESTS),
        }
        return Response(status=status.HTTP_204_NO_CONTENT, headers=abilities)

    @extend_schema(request=None, responses={201: UPLOAD}, parameters=[TUS, *ANNOUNCED])
    def create(self, request: Request) -> Response:
        """Begin an upload.

        Creates an upload of the announced size. Send the file in chunks to the URL in the header Location.
        """
        _require_tus(request)
        metadata = request.headers.get("Upload-Metadata", "")
        announcement = Announcement(data=_metadata(metadata) | {"length": request.headers.get("Upload-Length", "")})
        announcement.is_valid(raise_exception=True)
        sent = announcement.validated_data
        require_may_upload(request, sent["length"])
        made = resumable.begin(
            uploader(request), sent["length"], sent["filename"], sent["title"], announcement.options, metadata
        )
        headers = _state_headers(made) | {"Location": reverse("api-upload", args=[made.pk])}
        return Response(_json(made), status=status.HTTP_201_CREATED, headers=headers)

    @extend_schema(responses={200: UPLOAD})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Get an upload.

        Returns the number of bytes received so far and, once the upload is complete, its job. HEAD returns the headers
        alone.
        """
        found = _get_upload(request, pk)
        about = {"Upload-Length": str(found.length), "Cache-Control": "no-store"}
        if found.metadata:
            about["Upload-Metadata"] = found.metadata
        return Response(_json(found), headers=_state_headers(found) | about)

    @extend_schema(request={STREAMED.decode(): bytes}, responses={204: None}, parameters=[TUS, OFFSET, CHECKSUM])
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Append a chunk.

        Appends the body to the upload at the given offset. The last chunk starts the job.
        """
        found = _get_upload(request, pk)
        _require_tus(request)
        if request.headers.get("Content-Type") != STREAMED.decode():
            raise UnsupportedMediaType(request.headers.get("Content-Type", ""))
        if request.headers.get("Upload-Offset", "") != str(found.offset):
            raise Conflict(RESUME.format(found.offset))
        _checksum(request)  # raises if it is malformed
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses={204: None}, parameters=[TUS])
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete an upload.

        Cancels the upload and discards what was received. A job that it has started remains.
        """
        found = _get_upload(request, pk)
        _require_tus(request)
        found.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


_item = UploadViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"})


@wraps(_item)
async def upload(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """One upload. The view set checks the request; the body is then stored as it arrives, which DRF cannot do."""
    if request.method == "POST":  # for networks that block other methods
        request.method = request.headers.get("X-HTTP-Method-Override", "POST").upper()
    response = await sync_to_async(_item)(request, pk=pk)
    if request.method == "PATCH" and response.status_code == status.HTTP_204_NO_CONTENT:
        for name, value in _state_headers(await _append(request, pk)).items():
            response[name] = value
    return response


async def _append(request: HttpRequest, pk: UUID) -> Upload:
    """Append the body of the request and return the upload."""
    chunk = int(request.headers["Upload-Offset"]), body(request), *_checksum(request)
    try:
        found = await Upload.objects.aget(pk=pk)
        await resumable.receive(found, *chunk)
        return await Upload.objects.aget(pk=pk)
    except resumable.OffsetConflict as error:
        raise Conflict(RESUME.format("a different number of")) from error
    except resumable.LengthExceeded as error:
        raise ValidationError(
            {"body": f"The upload was announced with {found.length} bytes, but more arrived."}
        ) from error
    except resumable.ChecksumMismatch as error:
        raise ChecksumMismatch from error
    except Unusable as error:
        raise ValidationError({"file": error.messages}) from error
    except (Upload.DoesNotExist, FileNotFoundError) as error:
        raise Http404 from error


def _require_tus(request: Request) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise UnsupportedVersion


def _get_upload(request: Request, pk: UUID) -> Upload:
    return get_object_or_404(Upload.objects.filter(reach(request.user, request.method, "owner")), pk=pk)


def _state_headers(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset), "Upload-Expires": http_date(upload.expires_at.timestamp())}


def _metadata(header: str) -> dict[str, Any]:
    """The pairs in the header, with stems as a list. Raises ValidationError."""
    pairs = [pair.split() for pair in header.split(",") if pair.strip()]
    try:
        values = {key: b64decode(value, validate=True).decode() for key, value in ((*pair, "")[:2] for pair in pairs)}
    except ValueError as error:
        raise ValidationError(
            {"Upload-Metadata": "Separate each key from its value, which is in base64, by a space."}
        ) from error
    stems = [stem for stem in values.pop("stems", "").split(",") if stem]
    return {key: value for key, value in values.items() if value} | {"stems": stems}


def _checksum(request: Any) -> tuple[Any, bytes]:
    """The digest that the request names, if any, and its expected value. Raises ValidationError."""
    if "Upload-Checksum" not in request.headers:
        return None, b""
    kind, _, value = request.headers["Upload-Checksum"].partition(" ")
    try:
        digest, expected = DIGESTS[kind](), b64decode(value, validate=True)
        if len(expected) == digest.digest_size:
            return digest, expected
    except (KeyError, ValueError):
        pass
    raise ValidationError(
        {"Upload-Checksum": f"Send one of {', '.join(DIGESTS)}, a space, and the checksum in base64."}
    )


def _json(upload: Upload) -> schemas.Upload:
    return {
        "id": str(upload.pk),
        "api_url": reverse("api-upload", args=[upload.pk]),
        "filename": upload.filename,
        "length": upload.length,
        "offset": upload.offset,
        "created_at": upload.created_at.isoformat(),
        "expires_at": upload.expires_at.isoformat(),
        "job": None if upload.job_id is None else str(upload.job_id),
        "job_url": None if upload.job_id is None else reverse("api-job", args=[upload.job_id]),
    }
