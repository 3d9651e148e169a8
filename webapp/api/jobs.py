"""Jobs: start, watch, rename, stop and delete separations, and choose other stems."""

from uuid import UUID

from django.conf import settings
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from pipeline.options import Options
from webapp import jobs
from webapp.api.common import own, person, require_may_upload, uploader
from webapp.models import Job
from webapp.problems import Conflict, Unavailable
from webapp.serializers import Choice, Title, Upload, in_order, job_json, jobs_json, jobs_of


class NoDemo(Unavailable):
    """The demo song was never made."""

    default_detail = "The demo song is not installed. Whoever runs this site can make it: python manage.py setup."


class JobViewSet(ViewSet):
    """My jobs."""

    def list(self, request: Request) -> Response:
        """All, newest first."""
        return Response(jobs_json(jobs_of(request.user)))

    def create(self, request: Request) -> Response:
        """Upload a song."""
        require_may_upload(request)
        upload = Upload(data=request.data)
        upload.is_valid(raise_exception=True)
        file = upload.validated_data["file"]
        wish = upload.validated_data | {"stems": tuple(in_order(upload.validated_data["stems"]))}
        options = Options(**{name: wish[name] for name in ("stems", "format", "bleed")})
        return _created(jobs.create(uploader(request), file, file.name, options))

    @action(detail=False, methods=["post"])
    def demo(self, request: Request) -> Response:
        """Separate the demo song."""
        require_may_upload(request)
        if not settings.DEMO_SONG.exists():
            raise NoDemo
        return _created(jobs.create_demo(uploader(request)))

    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One."""
        return Response(job_json(own(request, pk)))

    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename."""
        job, title = own(request, pk), Title(data=request.data)
        title.is_valid(raise_exception=True)
        jobs.rename(job, title.validated_data["title"], person(request))
        return Response(job_json(own(request, pk)))

    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete, with some minutes to think better of it."""
        jobs.delete(own(request, pk), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: UUID) -> Response:
        """Bring back what was deleted a moment ago."""
        job = get_object_or_404(Job.objects.filter(track__owner_id=request.user.pk), pk=pk)
        if not jobs.restore(job, person(request)):
            raise Conflict(f"Only a song deleted in the last {jobs.UNDO.seconds // 60} minutes can be brought back.")
        return Response(job_json(own(request, pk)))

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Stop."""
        if not jobs.cancel(own(request, pk), person(request)):
            raise Conflict("This song is not being separated any more, so there is nothing to cancel.")
        return Response(job_json(own(request, pk)))

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: UUID) -> Response:
        """Try again."""
        if not jobs.retry(own(request, pk), person(request)):
            raise Conflict("Only a failed or cancelled job can be tried again.")
        return Response(job_json(own(request, pk)))

    @action(detail=True, methods=["post"])
    def stems(self, request: Request, pk: UUID) -> Response:
        """Choose other stems of a finished job."""
        choice = Choice(data=request.data)
        choice.is_valid(raise_exception=True)
        if not jobs.choose(own(request, pk), in_order(choice.validated_data["stems"]), person(request)):
            raise Conflict("Stems can be chosen again once the song is separated.")
        return Response(job_json(own(request, pk)))


def _created(job: Job) -> Response:
    return Response(job_json(job), status=status.HTTP_201_CREATED, headers={"Location": job.get_absolute_url()})
