"""Shared by the view sets: validation of requests, ownership, and permission to upload."""

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
from webapp.http.body_limit import content_length
from webapp.http.guests import become_guest
from webapp.http.problems import Checked, QuotaExceeded
from webapp.models import Job, User
from webapp.songs.queries import all_jobs

M = TypeVar("M", bound=Model)

ONLY_STAFF = "Only staff can list what belongs to everyone. Leave `everyone` out to list your own."
NO_GUESTS = "Please log in or sign up to separate songs: this site is for members only."


class ResourceViewSet(GenericViewSet[M]):
    """Views of one resource. request_serializers: by action; they also make the forms of the browsable pages."""

    request_serializers: ClassVar[Mapping[str, type[serializers.Serializer[Any]]]] = {}

    def get_serializer_class(self) -> type[serializers.Serializer[Any]]:
        return self.request_serializers.get(self.action, serializers.Serializer)

    def validated(self, *, partial: bool = False) -> dict[str, Any]:
        """The validated body of the request. partial: fields may be missing. Raises ValidationError."""
        serializer = self.get_serializer(data=self.request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        data: dict[str, Any] = serializer.validated_data
        return data


class ListQuery(Checked):
    """The query parameter of lists that staff can widen to all accounts."""

    everyone = serializers.BooleanField(
        default=False, help_text="Whether to list the resources of all accounts. Only for staff."
    )


def lists_everyone(request: Request) -> bool:
    """Whether a list includes other people's resources. Raises PermissionDenied if others than staff ask for it."""
    query = ListQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    everyone: bool = query.validated_data["everyone"]
    if everyone and not request.user.is_staff:
        raise PermissionDenied(ONLY_STAFF)
    return everyone


def get_job(request: Request, pk: UUID) -> Job:
    """The job, if it is within reach of whoever sent the request. Raises Http404 otherwise."""
    return get_object_or_404(all_jobs().filter(reach(request.user, request.method)), pk=pk)


def require_may_upload(request: Request, size: int | None = None) -> None:
    """Raise PermissionDenied for visitors of a members-only site, and QuotaExceeded if the quota is used up.

    size: bytes of the upload; None for those of the request itself.
    """
    if not (request.user.is_authenticated or settings.GUESTS):
        raise PermissionDenied(NO_GUESTS)
    coming = content_length(request.headers.get("Content-Length", "").encode()) if size is None else size
    if words := quotas.refusal(account_of(request), coming):
        raise QuotaExceeded(words)


def uploader(request: Request) -> User:
    """The account that an upload belongs to. A visitor becomes a guest here, once the request is known to be valid."""
    return account_of(request) or become_guest(request._request)


def account_of(request: Request) -> User | None:
    """The account that sent a request; None for visitors."""
    return request.user if isinstance(request.user, User) else None
