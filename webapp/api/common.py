"""What resources share: what is sent to them, whose things they are, and who may upload."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.conf import settings
from django.db.models import Model
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from webapp.accounts import quotas
from webapp.api.permissions import reach
from webapp.http.body_limit import announced
from webapp.http.guests import become_guest
from webapp.http.problems import Checked, QuotaExceeded
from webapp.models import Job, User
from webapp.songs.queries import all_jobs

M = TypeVar("M", bound=Model)

ONLY_STAFF = "Only staff can list what belongs to everyone. Leave `everyone` out to list your own."
NO_GUESTS = "Please log in or sign up to separate songs: this site is for members only."


class Resource(GenericViewSet[M]):
    """Views of one kind of thing. sent: what each action takes, which also makes the forms of the browsable pages."""

    sent: ClassVar[Mapping[str, type[serializers.Serializer[Any]]]] = {}

    def get_serializer_class(self) -> type[serializers.Serializer[Any]]:
        """Of what the action takes; most take nothing."""
        return self.sent.get(self.action, serializers.Serializer)

    def wish(self, *, partial: bool = False) -> dict[str, Any]:
        """What was sent, checked. partial: what is left out is left as it is. Raises ValidationError."""
        sent = self.get_serializer(data=self.request.data, partial=partial)
        sent.is_valid(raise_exception=True)
        found: dict[str, Any] = sent.validated_data
        return found


class Whose(Checked):
    """Whose things a list holds."""

    everyone = serializers.BooleanField(default=False, help_text="For staff: those of all accounts, not only my own.")


def of_everyone(request: Request) -> bool:
    """Whether a list is to hold what belongs to others too. Raises PermissionDenied unless staff ask."""
    asked = Whose(data=request.query_params)
    asked.is_valid(raise_exception=True)
    everyone: bool = asked.validated_data["everyone"]
    if everyone and not request.user.is_staff:
        raise PermissionDenied(ONLY_STAFF)
    return everyone


def own(request: Request, pk: UUID) -> Job:
    """One of my jobs; to look at, any for staff. Or 404."""
    return get_object_or_404(all_jobs().filter(reach(request.user, request.method)), pk=pk)


def require_may_upload(request: Request, size: int | None = None) -> None:
    """Raise PermissionDenied for visitors of a site for members only, and QuotaExceeded where nothing is left.

    size: bytes that are to come; None: those of the request.
    """
    if not (request.user.is_authenticated or settings.GUESTS):
        raise PermissionDenied(NO_GUESTS)
    coming = announced(request.headers.get("Content-Length", "").encode()) if size is None else size
    if words := quotas.refusal(person(request), coming):
        raise QuotaExceeded(words)


def uploader(request: Request) -> User:
    """The account that the upload belongs to; a visitor's is made now that the upload is known to be good."""
    return person(request) or become_guest(request._request)


def person(request: Request) -> User | None:
    """Who asks, if it is somebody with an account."""
    return request.user if isinstance(request.user, User) else None
