"""Who may do what by the API: how far a token goes, and whose things somebody reaches.

What belongs to others does not exist: 404, never 403. Staff look at everything; to change it they have the admin.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q
from django.http import HttpRequest
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from webapp.api.authentication import TokenAuthentication
from webapp.models import Scope, Token, User

TOO_SHORT = "This token has no scope “{}”, which this takes. Make another token on your account page."


def reach(user: AbstractBaseUser | AnonymousUser, method: str | None, owner: str = "track__owner") -> Q:
    """What somebody reaches by a method: to look at, staff everything; otherwise one's own. owner: the way to it.

    A job that a reviewer tries is not its owner's until it is handed over.
    """
    if isinstance(user, User) and user.is_staff and method in SAFE_METHODS:
        return Q()
    job, of_a_job, _ = owner.partition("track__owner")
    return Q(**{owner: user.pk}, **({f"{job}rerun_of": None} if of_a_job else {}))


class WithinScope(BasePermission):
    """Whoever has a token stays within its scopes. Visitors are let in: they have nothing to look at."""

    code = "insufficient-scope"
    message = ""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """True without a token."""
        scope = scope_of(request.method)
        self.message = TOO_SHORT.format(scope.value)
        return not isinstance(request.auth, Token) or scope in request.auth.scopes


class WithAccount(WithinScope):
    """The same, for guests and members only."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """False for visitors, who hear that they should log in."""
        return request.user.is_authenticated and super().has_permission(request, view)


class LoggedIn(BasePermission):
    """Members who logged in on the site: what a token must not do, lest one that leaked makes others."""

    message = "This is only for members who are logged in on the site, not for tokens or guests."

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """By session, and not a guest."""
        return isinstance(request.user, User) and not request.user.is_guest and request.auth is None


async def user_of(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    """Who sent a request to a view outside REST framework, by token or session.

    Raises AuthenticationFailed for a bad token and PermissionDenied for one without the scope.
    """
    found = "Authorization" in request.headers and await sync_to_async(_by_token)(request)
    return found or await request.auser()


def _by_token(request: HttpRequest) -> User | None:
    user, token = TokenAuthentication().authenticate(request) or (None, None)  # type: ignore[no-untyped-call]
    scope = scope_of(request.method)
    if token and scope not in token.scopes:
        raise PermissionDenied(TOO_SHORT.format(scope.value), WithinScope.code)
    return user


def scope_of(method: str | None) -> Scope:
    """The scope that a method takes."""
    return Scope.READ if method in SAFE_METHODS else Scope.WRITE
