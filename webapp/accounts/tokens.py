"""API tokens, with which programs act for a member.

Only the hash of a token is stored, so that a leaked database grants no access.
"""

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone

from webapp.models import Scope, Token, User


def make(user: User, name: str, scopes: Iterable[str], expires_at: datetime | None) -> tuple[Token, str]:
    """Create a token that expires at that time, or never. Returns it with its secret, which is shown this once."""
    ordered = [scope.value for scope in Scope if scope in scopes]
    lifetime = expires_at and expires_at - timezone.now()
    return Token.objects.create(user, expiry=lifetime, name=name, scopes=ordered)  # type: ignore[no-any-return,no-untyped-call]
