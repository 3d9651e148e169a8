"""Permissions of the API: the scopes of tokens, and the rows within reach of a user.

Other people's resources do not exist: 404, never 403. Staff may read everything, and change it only in the admin.
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

MISSING_SCOPE = "This token lacks the scope “{}”. Create another token on your account page."


def reach(user: AbstractBaseUser | AnonymousUser, method: str | None, owner: str = "track__owner") -> Q:
    """The rows within reach: one's own, and for staff all rows if the method only reads. owner: the lookup path.

    A reviewer's rerun of a job is not within reach of its owner until it is handed over.
    """
    if isinstance(user, User) and user.is_staff and method in SAFE_METHODS:
        return Q()
    job, of_a_job, _ = owner.partition("track__owner")
    return Q(**{owner: user.pk}, **({f"{job}rerun_of": None} if of_a_job else {}))


class WithinScope(BasePermission):
    """Limits tokens to their scopes. Visitors pass: nothing is within their reach."""

    code = "insufficient-scope"
    message = ""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Allows every request without a token."""
        scope = scope_of(request.method)
        self.message = MISSING_SCOPE.format(scope.value)
        return not isinstance(request.auth, Token) or scope in request.auth.scopes


class WithAccount(WithinScope):
    """Limits tokens to their scopes, and requires an account, a guest's or a member's."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user.is_authenticated and super().has_permission(request, view)


class LoggedIn(BasePermission):
    """Members who are logged in, but no tokens, so that a leaked token cannot create others."""

    message = "This is only for members who are logged in on the site, not for tokens or guests."

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        return isinstance(request.user, User) and not request.user.is_guest and request.auth is None


async def user_of(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    """The user who sent a request to a plain view, by token or session.

    Raises AuthenticationFailed for a bad token and PermissionDenied for one without the scope.
    """
    found = "Authorization" in request.headers and await sync_to_async(_user_of_token)(request)
    return found or await request.auser()


def _user_of_token(request: HttpRequest) -> User | None:
    user, token = TokenAuthentication().authenticate(request) or (None, None)  # type: ignore[no-untyped-call]
    scope = scope_of(request.method)
    if token and scope not in token.scopes:
        raise PermissionDenied(MISSING_SCOPE.format(scope.value), WithinScope.code)
    return user


def scope_of(method: str | None) -> Scope:
    """The scope that a method requires."""
    return Scope.READ if method in SAFE_METHODS else Scope.WRITE
