"""Tokens by which programs act for a member: how a request proves that it has one.

Kept is only a token's hash, so that whoever reads the database can do nothing with it.
"""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework.exceptions import AuthenticationFailed

from webapp.models import Token, User

NOTE_EVERY = timedelta(minutes=1)  # between two notes of a token's use
REFUSED = "This token is unknown, revoked or expired. Make another one on your account page."


class TokenAuthentication(KnoxAuthentication):
    """The header `Authorization: Bearer` with a token."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, Token]:
        """The token's owner, and the token. Raises AuthenticationFailed."""
        try:
            found: tuple[User, Token] = super().authenticate_credentials(token)  # type: ignore[no-untyped-call]
        except (AuthenticationFailed, UnicodeDecodeError) as error:
            raise AuthenticationFailed(REFUSED) from error
        return found

    def validate_user(self, auth_token: Token) -> Any:
        """The same; notes that the token was used."""
        found, now = super().validate_user(auth_token), timezone.now()  # type: ignore[no-untyped-call]
        if auth_token.last_used is None or auth_token.last_used < now - NOTE_EVERY:
            Token.objects.filter(pk=auth_token.pk).update(last_used=now)
        return found
