"""Exports: mixes, stems and archives that are rendered from a finished job for download."""

from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from pipeline.options import InvalidOption
from webapp.api import schemas
from webapp.api.common import get_job
from webapp.api.openapi import EXPORT_REQUEST, schema_of
from webapp.api.representations import export_json
from webapp.api.requests import as_query
from webapp.exports import renderer
from webapp.exports.spec import export_spec
from webapp.http.problems import Busy, Conflict
from webapp.models import Export

EXPORT = schema_of(schemas.Export)
KARAOKE = OpenApiExample(
    "Karaoke", {"what": "mix", "mute": ["vocals"], "drums": -3.5, "format": "flac"}, request_only=True
)


class ExportViewSet(ViewSet):
    """Files rendered from a finished job for download."""

    @extend_schema(responses={200: EXPORT})
    def list(self, request: Request, pk: UUID) -> Response:
        """List a job's exports.

        Returns all exports of the job, newest first.
        """
        renderer.fail_lost()
        return Response([export_json(export) for export in get_job(request, pk).exports.order_by("-created_at", "pk")])

    @extend_schema(request={"application/json": EXPORT_REQUEST}, responses={201: EXPORT}, examples=[KARAOKE])
    def create(self, request: Request, pk: UUID) -> Response:
        """Create an export.

        Starts to render a file from a finished job. Follow its progress with the export's URL.
        """
        job = get_job(request, pk)
        names = [stem.name for stem in job.stems.all() if stem.file]
        if job.finished is None or not names:
            raise Conflict("There is nothing to export before the song is separated.")
        try:
            export = renderer.enqueue(job, export_spec(as_query(request.data), names))
        except InvalidOption as error:
            raise ValidationError(error.message) from error
        except renderer.Busy as error:
            raise Busy(str(error)) from error
        except FileNotFoundError as error:
            raise Conflict(renderer.GONE) from error
        data = export_json(_get_export(request, pk, export.pk))
        return Response(data, status=status.HTTP_201_CREATED, headers={"Location": data["url"]})

    @extend_schema(responses={200: EXPORT})
    def retrieve(self, request: Request, pk: UUID, export: UUID) -> Response:
        """Get an export.

        Returns the export with its progress and, once it is done, the URL of its file.
        """
        return Response(export_json(_get_export(request, pk, export)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID, export: UUID) -> Response:
        """Delete an export.

        Cancels the export if it is still being rendered, and removes its file otherwise.
        """
        _get_export(request, pk, export).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _get_export(request: Request, pk: UUID, export: UUID) -> Export:
    return get_object_or_404(get_job(request, pk).exports, pk=export)
