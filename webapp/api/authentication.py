"""Authentication of requests by session or by token."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from webapp.models import Token, User

STALE = "This page is out of date, or your browser keeps no cookies for this site. Reload it and try again."


class SessionAuthentication(authentication.SessionAuthentication):
    """Sessions, with the CSRF check for visitors too, since their first upload creates an account."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """The session's user, or None. Raises PermissionDenied without a CSRF token."""
        self.enforce_csrf(request)
        user = request._request.user
        return (user, None) if user.is_active else None

    def enforce_csrf(self, request: Request) -> None:
        """Fail with a message that tells people what to do."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise PermissionDenied(STALE) from error


LAST_USED_PRECISION = timedelta(minutes=1)  # saves a write for every request


class TokenAuthentication(KnoxAuthentication):
    """The header `Authorization: Bearer` with a token."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, Token]:
        """The owner of the token and the token. Raises AuthenticationFailed."""
        try:
            found: tuple[User, Token] = super().authenticate_credentials(token)  # type: ignore[no-untyped-call]
        except UnicodeDecodeError as error:
            raise AuthenticationFailed from error
        return found

    def validate_user(self, auth_token: Token) -> Any:
        """Validate as usual, and record the time of use."""
        found, now = super().validate_user(auth_token), timezone.now()  # type: ignore[no-untyped-call]
        if auth_token.last_used is None or auth_token.last_used < now - LAST_USED_PRECISION:
            Token.objects.filter(pk=auth_token.pk).update(last_used=now)
        return found
