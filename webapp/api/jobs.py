"""Jobs: create, list, rename, cancel and delete separations, and reselect their stems."""

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
from webapp.api.common import (
    ListQuery,
    ResourceViewSet,
    account_of,
    get_job,
    lists_everyone,
    require_may_upload,
    uploader,
)
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
    "Any string you choose. A request that is repeated with the same key returns the same job instead of a second one."
)
JOB, STEM = schema_of(schemas.Job), schema_of(schemas.Stem)
ORDER = OpenApiExample(
    "Vocals and drums of a track",
    {"track": "6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11", "stems": ["vocals", "drums"], "format": "flac", "bits": "24"},
    request_only=True,
)


class NoDemo(Unavailable):
    """The demo song has not been installed."""

    default_detail = "The demo song is not installed. Whoever runs this site can make it: python manage.py setup."


class ReusedKey(APIException):
    """An idempotency key that was used before with a different request."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key was used with a different request. Send another key with each request."
    default_code = "key-reused"


class JobViewSet(ResourceViewSet[Job]):
    """Separations of songs into stems."""

    queryset = Job.objects.none()
    filter_backends = [DjangoFilterBackend]
    filterset_class = JobFilters
    pagination_class = JobPages
    request_serializers = {"create": SongOrder, "partial_update": Title, "reselect": StemSelection}

    @extend_schema(responses={200: JOB}, parameters=[ListQuery])
    def list(self, request: Request) -> Response:
        """List your jobs.

        Returns a page of jobs, newest first. The query can filter, search and reorder them.
        """
        found = all_jobs() if lists_everyone(request) else jobs_of(request.user)
        page = self.paginate_queryset(self.filter_queryset(found))
        return self.get_paginated_response(jobs_json(page or []))

    @extend_schema(
        request={"multipart/form-data": SongOrder, "application/json": TrackOrder},
        responses={201: JOB, 200: JOB},
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description=KEY)],
        examples=[ORDER],
    )
    def create(self, request: Request) -> Response:
        """Create a separation job.

        Uploads a song as `multipart/form-data` and queues its separation. With JSON that names a track, queues a
        separation of a song that was uploaded before.
        """
        key = _key(request)
        if not known(account_of(request), key):  # a repeated request is answered even if the quota is used up
            require_may_upload(request)
        has_track = isinstance(request.data, Mapping) and "track" in request.data
        order: JobOptions = (TrackOrder if has_track else SongOrder)(data=request.data, context={"request": request})
        order.is_valid(raise_exception=True)
        owner = uploader(request)
        try:
            job, new = once(owner, key, _summary(order), lambda: _enqueue(owner, order))
        except KeyReused as error:
            raise ReusedKey from error
        if job.deleted_at:
            raise Conflict("The job created with this Idempotency-Key is deleted. Send another key.")
        return _created(job) if new else Response(job_json(job))

    @extend_schema(request=None, responses={201: JOB})
    @action(detail=False, methods=["post"])
    def demo(self, request: Request) -> Response:
        """Separate the demo song.

        Queues a separation of the song that comes with the site, without any upload.
        """
        require_may_upload(request)
        if not settings.DEMO_SONG.exists():
            raise NoDemo
        return _created(actions.enqueue_demo(uploader(request)))

    @extend_schema(responses={200: JOB})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Get a job.

        Returns the job with its state, progress and stems.
        """
        return Response(job_json(get_job(request, pk)))

    @extend_schema(responses={200: JOB})
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename a job's song.

        Changes the title of the track, and so of all its jobs.
        """
        track = get_job(request, pk).track
        actions.rename(track, self.validated()["title"], account_of(request))
        return Response(job_json(get_job(request, pk)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a job.

        Deletes the job and its stems; the job can be restored for ten minutes.
        """
        actions.delete(get_job(request, pk), account_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={200: JOB})
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: UUID) -> Response:
        """Restore a deleted job.

        Restores a job that was deleted less than ten minutes ago.
        """
        job = get_object_or_404(Job.objects.filter(track__owner_id=request.user.pk), pk=pk)
        if not actions.restore(job, account_of(request)):
            raise Conflict(f"Only a song deleted in the last {transitions.UNDO.seconds // 60} minutes can be restored.")
        return Response(job_json(get_job(request, pk)))

    @extend_schema(request=None, responses={200: JOB})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Cancel a job.

        Stops a job that is queued or running.
        """
        if not actions.cancel(get_job(request, pk), account_of(request)):
            raise Conflict("This song is not being separated any more, so there is nothing to cancel.")
        return Response(job_json(get_job(request, pk)))

    @extend_schema(request=None, responses={200: JOB})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: UUID) -> Response:
        """Retry a job.

        Queues a failed or cancelled job again with the same options.
        """
        job = get_job(request, pk)
        if job.state == State.FAILED and "retry" not in transitions.actions_of(job):
            raise Conflict("The file itself cannot be separated, so another try would fail too. Upload another one.")
        if not actions.retry(job, account_of(request)):
            raise Conflict("Only a failed or cancelled job can be tried again.")
        return Response(job_json(get_job(request, pk)))

    @extend_schema(operation_id="jobs_stems_list", responses={200: {"type": "array", "items": STEM}})
    @action(detail=True)
    def stems(self, request: Request, pk: UUID) -> Response:
        """List a job's stems.

        Returns the stems that can be played already, even while the job is running.
        """
        return Response(stems_json(get_job(request, pk)))

    @extend_schema(responses={200: STEM})
    @action(detail=True)
    def stem(self, request: Request, pk: UUID, name: str) -> Response:
        """Get a job's stem.

        Returns a stem that can be played already, with the URLs of its audio and waveform.
        """
        found = [stem for stem in stems_json(get_job(request, pk)) if stem["name"] == name]
        if not found:
            raise Http404
        return Response(found[0])

    @extend_schema(responses={200: JOB})
    @action(detail=True, methods=["post"])
    def reselect(self, request: Request, pk: UUID) -> Response:
        """Reselect a job's stems.

        Rebuilds the stems of a finished job with another selection. An empty selection lets the song decide.
        """
        job = get_job(request, pk)
        if not actions.reselect_stems(job, in_order(self.validated()["stems"]), account_of(request)):
            raise Conflict("Stems can be selected again once the song is separated.")
        return Response(job_json(get_job(request, pk)))


def _key(request: Request) -> str:
    key: str = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY:
        raise ValidationError({"Idempotency-Key": f"This key is longer than {LONGEST_KEY} characters."})
    return key


def _summary(order: JobOptions) -> dict[str, Any]:
    """What a request asks for, to tell a repeated request from a different one."""
    data = order.validated_data
    song = {"track": data["track"].pk} if "track" in data else {"file": data["file"].name, "size": data["file"].size}
    return song | order.options.as_dict()


def _enqueue(owner: User, order: JobOptions) -> Job:
    data = order.validated_data
    if "track" in data:
        return actions.enqueue(data["track"], order.options, owner)
    return actions.upload_and_enqueue(owner, data["file"], data["file"].name, order.options, data["title"])


def _created(job: Job) -> Response:
    data = job_json(job)
    return Response(data, status=status.HTTP_201_CREATED, headers={"Location": data["api_url"]})
