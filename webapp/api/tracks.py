"""Tracks: songs as they were uploaded, each of which can be separated any number of times."""

from uuid import UUID

from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api import schemas
from webapp.api.common import ListQuery, ResourceViewSet, account_of, lists_everyone, require_may_upload, uploader
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


class TrackViewSet(ResourceViewSet[Track]):
    """Songs as they were uploaded."""

    queryset = Track.objects.none()
    filter_backends = [DjangoFilterBackend]
    filterset_class = TrackFilters
    pagination_class = TrackPages
    request_serializers = {"create": Upload, "partial_update": Title}

    @extend_schema(responses={200: TRACK}, parameters=[ListQuery])
    def list(self, request: Request) -> Response:
        """List your tracks.

        Returns a page of tracks, newest first. The query can filter, search and reorder them.
        """
        tracks = all_tracks() if lists_everyone(request) else tracks_of(request.user)
        page = self.paginate_queryset(self.filter_queryset(tracks))
        return self.get_paginated_response([track_json(track) for track in page or []])

    @extend_schema(request={"multipart/form-data": Upload}, responses={201: TRACK})
    def create(self, request: Request) -> Response:
        """Upload a track.

        Stores a song without separating it. Create a job to separate it.
        """
        require_may_upload(request)
        sent = self.validated()
        data = track_json(actions.add_track(uploader(request), sent["file"], sent["file"].name, sent["title"]))
        return Response(data, status=status.HTTP_201_CREATED, headers={"Location": data["api_url"]})

    @extend_schema(responses={200: TRACK})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Get a track.

        Returns the track with the URLs of its file and its jobs.
        """
        return Response(track_json(_get_track(request, pk)))

    @extend_schema(responses={200: TRACK})
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename a track.

        Changes the title of the track, and so of all its jobs.
        """
        track = _get_track(request, pk)
        actions.rename(track, self.validated()["title"], account_of(request))
        return Response(track_json(_get_track(request, pk)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a track.

        Deletes the uploaded file and all jobs of the track.
        """
        actions.delete_track(_get_track(request, pk), account_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _get_track(request: Request, pk: UUID) -> Track:
    mine = reach(request.user, request.method, "owner")
    return get_object_or_404(all_tracks().filter(mine), pk=pk)
