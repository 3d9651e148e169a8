"""Jobs: start, watch, rename, stop and delete separations, and choose other stems."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api import schemas
from webapp.api.common import Resource, Whose, of_everyone, own, person, require_may_upload, uploader
from webapp.api.filters import JobFilters
from webapp.api.idempotency import KeyReused, known, once
from webapp.api.openapi import schema_of
from webapp.api.pagination import JobPages
from webapp.api.representations import in_order, job_json, jobs_json, stems_json
from webapp.api.requests import JobOptions, SongOrder, StemSelection, Title, TrackOrder
from webapp.http.problems import Conflict, Unavailable
from webapp.models import Job, State, User
from webapp.songs import actions, transitions
from webapp.songs.queries import all_jobs, jobs_of

LONGEST_KEY = 255
KEY = (
    "Any string of yours: a request that is sent again with it makes nothing twice, and is answered with the same job."
)
JOB, STEM = schema_of(schemas.Job), schema_of(schemas.Stem)
ORDER = OpenApiExample(
    "Vocals and drums of a track",
    {"track": "6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11", "stems": ["vocals", "drums"], "format": "flac", "bits": "24"},
    request_only=True,
)


class NoDemo(Unavailable):
    """The demo song was never made."""

    default_detail = "The demo song is not installed. Whoever runs this site can make it: python manage.py setup."


class OtherWish(APIException):
    """A key that came before with another wish."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key came before with another request. Send another key with another request."
    default_code = "key-reused"


class JobViewSet(Resource[Job]):
    """My jobs."""

    queryset = Job.objects.none()
    filter_backends = [DjangoFilterBackend]
    filterset_class = JobFilters
    pagination_class = JobPages
    sent = {"create": SongOrder, "partial_update": Title, "choose": StemSelection}

    @extend_schema(responses={200: JOB}, parameters=[Whose])
    def list(self, request: Request) -> Response:
        """All, newest first; narrowed down, searched and ordered as asked."""
        found = all_jobs() if of_everyone(request) else jobs_of(request.user)
        page = self.paginate_queryset(self.filter_queryset(found))
        return self.get_paginated_response(jobs_json(page or []))

    @extend_schema(
        request={"multipart/form-data": SongOrder, "application/json": TrackOrder},
        responses={201: JOB, 200: JOB},
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description=KEY)],
        examples=[ORDER],
    )
    def create(self, request: Request) -> Response:
        """Separate a song that comes along, or a track that is here."""
        key = _key(request)
        if not known(person(request), key):  # what was made before is told, whatever is left of a quota
            require_may_upload(request)
        here = isinstance(request.data, Mapping) and "track" in request.data
        order: JobOptions = (TrackOrder if here else SongOrder)(data=request.data, context={"request": request})
        order.is_valid(raise_exception=True)
        owner = uploader(request)
        try:
            job, new = once(owner, key, _mark(order), lambda: _start(owner, order))
        except KeyReused as error:
            raise OtherWish from error
        if job.deleted_at:
            raise Conflict("The job that this Idempotency-Key made is deleted. Send another key.")
        return _made(job) if new else Response(job_json(job))

    @extend_schema(request=None, responses={201: JOB})
    @action(detail=False, methods=["post"])
    def demo(self, request: Request) -> Response:
        """Separate the demo song."""
        require_may_upload(request)
        if not settings.DEMO_SONG.exists():
            raise NoDemo
        return _made(actions.enqueue_demo(uploader(request)))

    @extend_schema(responses={200: JOB})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One."""
        return Response(job_json(own(request, pk)))

    @extend_schema(responses={200: JOB})
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename."""
        track = own(request, pk).track
        actions.rename(track, self.wish()["title"], person(request))
        return Response(job_json(own(request, pk)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete, with some minutes to think better of it."""
        actions.delete(own(request, pk), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={200: JOB})
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: UUID) -> Response:
        """Bring back what was deleted a moment ago."""
        job = get_object_or_404(Job.objects.filter(track__owner_id=request.user.pk), pk=pk)
        if not actions.restore(job, person(request)):
            raise Conflict(
                f"Only a song deleted in the last {transitions.UNDO.seconds // 60} minutes can be brought back."
            )
        return Response(job_json(own(request, pk)))

    @extend_schema(request=None, responses={200: JOB})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Stop."""
        if not actions.cancel(own(request, pk), person(request)):
            raise Conflict("This song is not being separated any more, so there is nothing to cancel.")
        return Response(job_json(own(request, pk)))

    @extend_schema(request=None, responses={200: JOB})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: UUID) -> Response:
        """Try again."""
        job = own(request, pk)
        if job.state == State.FAILED and "retry" not in transitions.actions_of(job):
            raise Conflict("The file itself cannot be separated, so another try would fail too. Upload another one.")
        if not actions.retry(job, person(request)):
            raise Conflict("Only a failed or cancelled job can be tried again.")
        return Response(job_json(own(request, pk)))

    @extend_schema(responses={200: {"type": "array", "items": STEM}})
    @action(detail=True)
    def stems(self, request: Request, pk: UUID) -> Response:
        """Those that can be heard already."""
        return Response(stems_json(own(request, pk)))

    @extend_schema(responses={200: STEM})
    @action(detail=True)
    def stem(self, request: Request, pk: UUID, name: str) -> Response:
        """One of them."""
        found = [stem for stem in stems_json(own(request, pk)) if stem["name"] == name]
        if not found:
            raise Http404
        return Response(found[0])

    @extend_schema(responses={200: JOB})
    @action(detail=True, methods=["post"])
    def choose(self, request: Request, pk: UUID) -> Response:
        """Choose other stems of a finished job."""
        job = own(request, pk)
        if not actions.reselect_stems(job, in_order(self.wish()["stems"]), person(request)):
            raise Conflict("Stems can be chosen again once the song is separated.")
        return Response(job_json(own(request, pk)))


def _key(request: Request) -> str:
    key: str = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY:
        raise ValidationError({"Idempotency-Key": f"This key is longer than {LONGEST_KEY} characters."})
    return key


def _mark(order: JobOptions) -> dict[str, Any]:
    """What is asked for, to tell a repeated request from another one."""
    wish = order.validated_data
    song = {"track": wish["track"].pk} if "track" in wish else {"file": wish["file"].name, "size": wish["file"].size}
    return song | order.options.as_dict()


def _start(owner: User, order: JobOptions) -> Job:
    wish = order.validated_data
    if "track" in wish:
        return actions.enqueue(wish["track"], order.options, owner)
    return actions.upload_and_enqueue(owner, wish["file"], wish["file"].name, order.options, wish["title"])


def _made(job: Job) -> Response:
    made = job_json(job)
    return Response(made, status=status.HTTP_201_CREATED, headers={"Location": made["api_url"]})
