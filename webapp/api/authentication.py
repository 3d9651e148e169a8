"""Tokens by which programs act for a member: how one is made, and how a request proves that it has one.

Kept is only a token's hash, so that whoever reads the database can do nothing with it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework.exceptions import AuthenticationFailed

from webapp.models import Scope, Token, User

NOTE_EVERY = timedelta(minutes=1)  # between two notes of a token's use


def make(user: User, name: str, scopes: Iterable[str], expires_at: datetime | None) -> tuple[Token, str]:
    """A new token, and what it is: this is the only time that anybody sees it. expires_at: None for never."""
    kept_in_order = [scope.value for scope in Scope if scope in scopes]
    lasts = expires_at and expires_at - timezone.now()
    return Token.objects.create(user, expiry=lasts, name=name, scopes=kept_in_order)  # type: ignore[no-any-return,no-untyped-call]


class TokenAuthentication(KnoxAuthentication):
    """The header `Authorization: Bearer` with a token."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, Token]:
        """The token's owner, and the token. Raises AuthenticationFailed."""
        try:
            found: tuple[User, Token] = super().authenticate_credentials(token)  # type: ignore[no-untyped-call]
        except UnicodeDecodeError as error:
            raise AuthenticationFailed from error
        return found

    def validate_user(self, auth_token: Token) -> Any:
        """The same; notes that the token was used."""
        found, now = super().validate_user(auth_token), timezone.now()  # type: ignore[no-untyped-call]
        if auth_token.last_used is None or auth_token.last_used < now - NOTE_EVERY:
            Token.objects.filter(pk=auth_token.pk).update(last_used=now)
        return found
