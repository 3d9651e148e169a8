"""REST: parse, one verb of `jobs`, answer. What belongs to others does not exist here: 404, never 403."""

from typing import Any
from uuid import UUID

from django.conf import settings
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from pipeline.options import InvalidOption, Options
from webapp import jobs, rendering
from webapp.accounts import become_guest
from webapp.models import Export, Job, User
from webapp.serializers import Choice, Title, Upload, export_json, in_order, job_json, jobs_json, jobs_of
from webapp.validators import TOO_LARGE
from webapp.wishes import as_query, wish

NO_GUESTS = "Please log in or sign up to separate songs: this site is for members only."


class Conflict(APIException):
    """The job is in a state in which this cannot be done."""

    status_code = status.HTTP_409_CONFLICT


class Busy(APIException):
    """Too much is being written at the moment."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    wait = 5  # seconds, in the header Retry-After


class NoDemo(APIException):
    """The demo song was never made."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The demo song is not installed. Whoever runs this site can make it: python manage.py setup."


class JobViewSet(ViewSet):
    """My jobs."""

    permission_classes = [AllowAny]  # a visitor simply has none, and may get a guest account by uploading

    def list(self, request: Request) -> Response:
        """All, newest first."""
        return Response(jobs_json(jobs_of(request.user)))

    def create(self, request: Request) -> Response:
        """Upload a song."""
        _require_may_upload(request)
        upload = Upload(data=request.data)
        if not upload.is_valid():
            return Response(upload.errors, status=_refusal(upload.errors))
        file = upload.validated_data["file"]
        wish = upload.validated_data | {"stems": tuple(in_order(upload.validated_data["stems"]))}
        options = Options(**{name: wish[name] for name in ("stems", "format", "bleed")})
        return _created(jobs.create(_uploader(request), file, file.name, options))

    @action(detail=False, methods=["post"])
    def demo(self, request: Request) -> Response:
        """Separate the demo song."""
        _require_may_upload(request)
        if not settings.DEMO_SONG.exists():
            raise NoDemo
        return _created(jobs.create_demo(_uploader(request)))

    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One."""
        return Response(job_json(_own(request, pk)))

    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename."""
        job, title = _own(request, pk), Title(data=request.data)
        title.is_valid(raise_exception=True)
        jobs.rename(job, title.validated_data["title"])
        return Response(job_json(_own(request, pk)))

    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete, with some minutes to think better of it."""
        jobs.delete(_own(request, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: UUID) -> Response:
        """Bring back what was deleted a moment ago."""
        job = get_object_or_404(Job.objects.filter(track__owner_id=request.user.pk), pk=pk)
        if not jobs.restore(job):
            raise Conflict(f"Only a song deleted in the last {jobs.UNDO.seconds // 60} minutes can be brought back.")
        return Response(job_json(_own(request, pk)))

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Stop."""
        if not jobs.cancel(_own(request, pk)):
            raise Conflict("This song is not being separated any more, so there is nothing to cancel.")
        return Response(job_json(_own(request, pk)))

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: UUID) -> Response:
        """Try again."""
        if not jobs.retry(_own(request, pk)):
            raise Conflict("Only a failed or cancelled job can be tried again.")
        return Response(job_json(_own(request, pk)))

    @action(detail=True, methods=["post"])
    def stems(self, request: Request, pk: UUID) -> Response:
        """Choose other stems of a finished job."""
        choice = Choice(data=request.data)
        choice.is_valid(raise_exception=True)
        if not jobs.choose(_own(request, pk), in_order(choice.validated_data["stems"])):
            raise Conflict("Stems can be chosen again once the song is separated.")
        return Response(job_json(_own(request, pk)))


class ExportViewSet(ViewSet):
    """Files that are made of one of my finished jobs."""

    permission_classes = [AllowAny]  # as above

    def list(self, request: Request, pk: UUID) -> Response:
        """All, newest first."""
        rendering.fail_lost()
        return Response([export_json(export) for export in _own(request, pk).exports.order_by("-created_at", "pk")])

    def create(self, request: Request, pk: UUID) -> Response:
        """Begin to make one."""
        job = _own(request, pk)
        names = [stem.name for stem in job.stems.all() if stem.file]
        if job.finished is None or not names:
            raise Conflict("There is nothing to take along before the song is separated.")
        try:
            export = rendering.start(job, wish(as_query(request.data), names))
        except InvalidOption as error:
            raise ValidationError({"detail": error.message}) from error
        except rendering.Busy as error:
            raise Busy(str(error)) from error
        except FileNotFoundError as error:
            raise Conflict(rendering.GONE) from error
        made = export_json(_own_export(request, pk, export.pk))
        return Response(made, status=status.HTTP_201_CREATED, headers={"Location": made["url"]})

    def retrieve(self, request: Request, pk: UUID, export: UUID) -> Response:
        """How far it is."""
        return Response(export_json(_own_export(request, pk, export)))

    def destroy(self, request: Request, pk: UUID, export: UUID) -> Response:
        """Cancel it, or remove its file."""
        _own_export(request, pk, export).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _own_export(request: Request, pk: UUID, export: UUID) -> Export:
    return get_object_or_404(_own(request, pk).exports, pk=export)


def _own(request: Request, pk: UUID) -> Job:
    return get_object_or_404(jobs_of(request.user), pk=pk)


def _require_may_upload(request: Request) -> None:
    if not (request.user.is_authenticated or settings.GUESTS):
        raise PermissionDenied(NO_GUESTS)


def _uploader(request: Request) -> User:
    """The account that the upload belongs to; a visitor's is made now that the upload is known to be good."""
    return request.user if isinstance(request.user, User) else become_guest(request._request)


def _refusal(errors: Any) -> int:
    too_large = any(error.code == TOO_LARGE for error in errors.get("file", []))
    return status.HTTP_413_REQUEST_ENTITY_TOO_LARGE if too_large else status.HTTP_400_BAD_REQUEST


def _created(job: Job) -> Response:
    return Response(job_json(job), status=status.HTTP_201_CREATED, headers={"Location": job.get_absolute_url()})
