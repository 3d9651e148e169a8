"""Exports: mixes, stems and archives that are made of a finished job, to be taken along."""

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
from webapp.api.common import own
from webapp.api.openapi import MIX_ORDER, schema_of
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
    """Files that are made of one of my finished jobs."""

    @extend_schema(responses={200: EXPORT})
    def list(self, request: Request, pk: UUID) -> Response:
        """All, newest first."""
        renderer.fail_lost()
        return Response([export_json(export) for export in own(request, pk).exports.order_by("-created_at", "pk")])

    @extend_schema(request={"application/json": MIX_ORDER}, responses={201: EXPORT}, examples=[KARAOKE])
    def create(self, request: Request, pk: UUID) -> Response:
        """Begin to make one."""
        job = own(request, pk)
        names = [stem.name for stem in job.stems.all() if stem.file]
        if job.finished is None or not names:
            raise Conflict("There is nothing to take along before the song is separated.")
        try:
            export = renderer.enqueue(job, export_spec(as_query(request.data), names))
        except InvalidOption as error:
            raise ValidationError(error.message) from error
        except renderer.Busy as error:
            raise Busy(str(error)) from error
        except FileNotFoundError as error:
            raise Conflict(renderer.GONE) from error
        made = export_json(_own_export(request, pk, export.pk))
        return Response(made, status=status.HTTP_201_CREATED, headers={"Location": made["url"]})

    @extend_schema(responses={200: EXPORT})
    def retrieve(self, request: Request, pk: UUID, export: UUID) -> Response:
        """How far it is."""
        return Response(export_json(_own_export(request, pk, export)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID, export: UUID) -> Response:
        """Cancel it, or remove its file."""
        _own_export(request, pk, export).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _own_export(request: Request, pk: UUID, export: UUID) -> Export:
    return get_object_or_404(own(request, pk).exports, pk=export)
