"""Tokens by which programs act for a member.

Only a token's hash is stored, so that whoever reads the database can do nothing with it.
"""

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone

from webapp.models import Scope, Token, User


def make(user: User, name: str, scopes: Iterable[str], expires_at: datetime | None) -> tuple[Token, str]:
    """A new token, and what it is: this is the only time that anybody sees it. expires_at: None for never."""
    kept_in_order = [scope.value for scope in Scope if scope in scopes]
    lasts = expires_at and expires_at - timezone.now()
    return Token.objects.create(user, expiry=lasts, name=name, scopes=kept_in_order)  # type: ignore[no-any-return,no-untyped-call]
