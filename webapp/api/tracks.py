"""Tracks: songs as they were uploaded, each of which can be separated as often and as differently as one likes."""

from uuid import UUID

from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api import schemas
from webapp.api.common import Resource, Whose, of_everyone, person, require_may_upload, uploader
from webapp.api.filters import TrackFilters
from webapp.api.openapi import schema_of
from webapp.api.pagination import TrackPages
from webapp.api.permissions import reach
from webapp.api.representations import track_json
from webapp.api.requests import Title, Upload
from webapp.models import Track
from webapp.songs import actions
from webapp.songs.queries import all_tracks, tracks_of

TRACK = schema_of(schemas.Track)


class TrackViewSet(Resource[Track]):
    """My tracks."""

    queryset = Track.objects.none()
    filter_backends = [DjangoFilterBackend]
    filterset_class = TrackFilters
    pagination_class = TrackPages
    sent = {"create": Upload, "partial_update": Title}

    @extend_schema(responses={200: TRACK}, parameters=[Whose])
    def list(self, request: Request) -> Response:
        """All, newest first; narrowed down, searched and ordered as asked."""
        tracks = all_tracks() if of_everyone(request) else tracks_of(request.user)
        page = self.paginate_queryset(self.filter_queryset(tracks))
        return self.get_paginated_response([track_json(track) for track in page or []])

    @extend_schema(request={"multipart/form-data": Upload}, responses={201: TRACK})
    def create(self, request: Request) -> Response:
        """Upload a song, without separating it yet."""
        require_may_upload(request)
        wish = self.wish()
        made = track_json(actions.add_track(uploader(request), wish["file"], wish["file"].name, wish["title"]))
        return Response(made, status=status.HTTP_201_CREATED, headers={"Location": made["api_url"]})

    @extend_schema(responses={200: TRACK})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One."""
        return Response(track_json(_own(request, pk)))

    @extend_schema(responses={200: TRACK})
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename."""
        track = _own(request, pk)
        actions.rename(track, self.wish()["title"], person(request))
        return Response(track_json(_own(request, pk)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete, with all its jobs."""
        actions.delete_track(_own(request, pk), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _own(request: Request, pk: UUID) -> Track:
    mine = reach(request.user, request.method, "owner")
    return get_object_or_404(all_tracks().filter(mine), pk=pk)
