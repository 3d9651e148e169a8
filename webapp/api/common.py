"""What resources share: whose things they are, and who may upload."""

from uuid import UUID

from django.conf import settings
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request

from webapp import quotas
from webapp.accounts import become_guest
from webapp.models import Job, User
from webapp.permissions import reach
from webapp.problems import QuotaExceeded
from webapp.serializers import all_jobs

NO_GUESTS = "Please log in or sign up to separate songs: this site is for members only."


def own(request: Request, pk: UUID) -> Job:
    """One of my jobs; to look at, any for staff. Or 404."""
    return get_object_or_404(all_jobs().filter(reach(request.user, request.method)), pk=pk)


def require_may_upload(request: Request, size: int | None = None) -> None:
    """Raise PermissionDenied for visitors of a site for members only, and QuotaExceeded where nothing is left.

    size: bytes that are to come; None: those of the request.
    """
    if not (request.user.is_authenticated or settings.GUESTS):
        raise PermissionDenied(NO_GUESTS)
    announced = int(request.headers.get("Content-Length") or 0)
    if words := quotas.refusal(person(request), announced if size is None else size):
        raise QuotaExceeded(words)


def uploader(request: Request) -> User:
    """The account that the upload belongs to; a visitor's is made now that the upload is known to be good."""
    return person(request) or become_guest(request._request)


def person(request: Request) -> User | None:
    """Who asks, if it is somebody with an account."""
    return request.user if isinstance(request.user, User) else None
