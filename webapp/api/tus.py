"""Uploads that go on after a break, by the tus protocol 1.0 (tus.io), which has clients for every language.

In the header Upload-Metadata go filename and title, and preset, format, bits, bleed, and stems (with commas between
them) as of a job. Once the upload is whole there is a job; a GET of the upload, which tus knows nothing of, tells it.
A file that can't be separated is refused with its last piece, and the upload is gone.
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
GO_ON = "The upload stands at {} bytes. Ask for its Upload-Offset by HEAD and go on from there."


class OtherVersion(APIException):
    """A client of another protocol, or of none."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition-failed"
    default_detail = f"This address speaks the tus protocol. Send the header Tus-Resumable: {VERSION}."


class Mismatch(APIException):
    """What came is not what was sent."""

    status_code = 460  # tus's own
    default_detail = "What arrived is not what its checksum says. Send this piece again."


class Announcement(JobOptions):
    """What a client says of a file before it sends it."""

    length = serializers.IntegerField(
        validators=[validate_size],
        error_messages={"invalid": "Say in the header Upload-Length how many bytes the file has."},
    )
    filename = serializers.CharField(max_length=255, default="")
    title = serializers.CharField(max_length=255, default="")


def _header(name: str, description: str, kind: type = str, *, required: bool = True) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, required=required)


UPLOAD = schema_of(schemas.Upload)
TUS = OpenApiParameter("Tus-Resumable", str, OpenApiParameter.HEADER, enum=[VERSION], required=True)
OFFSET = _header("Upload-Offset", "Where the upload stands, and the piece begins.", int)
CHECKSUM = _header(
    "Upload-Checksum", f"{' or '.join(DIGESTS)}, a space, and the piece's sum in base64.", required=False
)
ANNOUNCED = (
    _header("Upload-Length", "Bytes of the file.", int),
    _header("Upload-Metadata", "Keys and values in base64: filename, title and the options of a job.", required=False),
)


class UploadViewSet(ViewSet):
    """My uploads. A visitor may begin one, and so becomes a guest."""

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Say which language we speak."""
        response["Tus-Resumable"] = response["Tus-Version"] = VERSION
        return super().finalize_response(request, response, *args, **kwargs)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:  # noqa: ARG002
        """What can be done here."""
        abilities = {
            "Tus-Extension": "creation,expiration,checksum,termination",
            "Tus-Max-Size": str(settings.MAX_UPLOAD_BYTES),
            "Tus-Checksum-Algorithm": ",".join(DIGESTS),
        }
        return Response(status=status.HTTP_204_NO_CONTENT, headers=abilities)

    @extend_schema(request=None, responses={201: UPLOAD}, parameters=[TUS, *ANNOUNCED])
    def create(self, request: Request) -> Response:
        """Announce a file."""
        _require_tus(request)
        metadata = request.headers.get("Upload-Metadata", "")
        wish = Announcement(data=_metadata(metadata) | {"length": request.headers.get("Upload-Length", "")})
        wish.is_valid(raise_exception=True)
        known = wish.validated_data
        require_may_upload(request, known["length"])
        made = resumable.begin(
            uploader(request), known["length"], known["filename"], known["title"], wish.options, metadata
        )
        headers = _standing(made) | {"Location": reverse("api-upload", args=[made.pk])}
        return Response(_json(made), status=status.HTTP_201_CREATED, headers=headers)

    @extend_schema(responses={200: UPLOAD})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """How far it is; HEAD asks for the headers alone."""
        mine = _own(request, pk)
        about = {"Upload-Length": str(mine.length), "Cache-Control": "no-store"}
        if mine.metadata:
            about["Upload-Metadata"] = mine.metadata
        return Response(_json(mine), headers=_standing(mine) | about)

    @extend_schema(request={STREAMED.decode(): bytes}, responses={204: None}, parameters=[TUS, OFFSET, CHECKSUM])
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Whether a piece may come. `upload` then takes it."""
        mine = _own(request, pk)
        _require_tus(request)
        if request.headers.get("Content-Type") != STREAMED.decode():
            raise UnsupportedMediaType(request.headers.get("Content-Type", ""))
        if request.headers.get("Upload-Offset", "") != str(mine.offset):
            raise Conflict(GO_ON.format(mine.offset))
        _checksum(request)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses={204: None}, parameters=[TUS])
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Break it off. A job that it has become stays."""
        mine = _own(request, pk)
        _require_tus(request)
        mine.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


_item = UploadViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"})


@wraps(_item)
async def upload(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """One upload. REST framework says who may; a piece is then taken as it arrives, for which it has no way."""
    if request.method == "POST":  # for networks that let no other method pass
        request.method = request.headers.get("X-HTTP-Method-Override", "POST").upper()
    response = await sync_to_async(_item)(request, pk=pk)
    if request.method == "PATCH" and response.status_code == status.HTTP_204_NO_CONTENT:
        for name, value in _standing(await _take(request, pk)).items():
            response[name] = value
    return response


async def _take(request: HttpRequest, pk: UUID) -> Upload:
    """The upload as it is once the request's body has been added to it."""
    piece = int(request.headers["Upload-Offset"]), body(request), *_checksum(request)
    try:
        mine = await Upload.objects.aget(pk=pk)
        await resumable.receive(mine, *piece)
        return await Upload.objects.aget(pk=pk)
    except resumable.OffsetConflict as error:
        raise Conflict(GO_ON.format("other")) from error
    except resumable.LengthExceeded as error:
        raise ValidationError({"body": f"The upload was announced with {mine.length} bytes. More came."}) from error
    except resumable.ChecksumMismatch as error:
        raise Mismatch from error
    except Unusable as error:
        raise ValidationError({"file": error.messages}) from error
    except (Upload.DoesNotExist, FileNotFoundError) as error:
        raise Http404 from error


def _require_tus(request: Request) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise OtherVersion


def _own(request: Request, pk: UUID) -> Upload:
    return get_object_or_404(Upload.objects.filter(reach(request.user, request.method, "owner")), pk=pk)


def _standing(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset), "Upload-Expires": http_date(upload.expires_at.timestamp())}


def _metadata(header: str) -> dict[str, Any]:
    """The header's keys and values; stems as a list. Raises ValidationError."""
    pairs = [pair.split() for pair in header.split(",") if pair.strip()]
    try:
        told = {key: b64decode(value, validate=True).decode() for key, value in ((*pair, "")[:2] for pair in pairs)}
    except ValueError as error:
        raise ValidationError({"Upload-Metadata": "Each key takes a space and its value in base64."}) from error
    stems = [stem for stem in told.pop("stems", "").split(",") if stem]
    return {key: value for key, value in told.items() if value} | {"stems": stems}


def _checksum(request: Any) -> tuple[Any, bytes]:
    """A digest of the kind that the request names, if it does, and what it should be. Raises ValidationError."""
    if "Upload-Checksum" not in request.headers:
        return None, b""
    kind, _, value = request.headers["Upload-Checksum"].partition(" ")
    try:
        digest, expected = DIGESTS[kind](), b64decode(value, validate=True)
        if len(expected) == digest.digest_size:
            return digest, expected
    except (KeyError, ValueError):
        pass
    raise ValidationError({"Upload-Checksum": f"Send one of {', '.join(DIGESTS)}, a space, and the sum in base64."})


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
