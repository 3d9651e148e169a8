"""Protection against guessing passwords.

django-axes locks out an address that guesses the password of an account. A second lock protects the account against
guesses from many addresses. It must not lock out the member, whom strangers could otherwise keep out by guessing on:
browsers in which the member has logged in before, or reset the password by e-mail, are exempt. The lock takes far more
wrong passwords than a member types, and ends within the hour.
"""

from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessFailureLog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from webapp.api.throttling import too_many
from webapp.http.guests import cookie, keep

LIMIT = 30  # wrong passwords for one account
WITHIN = timedelta(hours=1)
KNOWN = "known"  # name of the cookie
TITLE = "Too many wrong passwords"
FROM_HERE = "Too many wrong passwords were entered for this account here."
FROM_EVERYWHERE = (
    "Somebody is guessing the password of this account. A browser in which you have logged in before lets you in."
)


class GuessHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """The lock of django-axes combined with that of the account."""

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        """Whether even the right password is rejected."""
        by_address: bool = super().is_locked(request, credentials)
        return by_address or locked_until(request, credentials) is not None

    def reset_attempts(self, **whose: Any) -> int:
        """Called by `manage.py axes_reset` and `axes_reset_username`."""
        if not whose.get("ip_address"):
            only = {"username": whose["username"]} if whose.get("username") else {}
            AccessFailureLog.objects.filter(**only).delete()
        count: int = super().reset_attempts(**whose)
        return count

    def clean_expired_user_attempts(self, *args: Any, **kwargs: Any) -> int:
        """Called at each attempt: delete the failures that no longer count."""
        AccessFailureLog.objects.filter(attempt_time__lt=timezone.now() - WITHIN).delete()
        count: int = super().clean_expired_user_attempts(*args, **kwargs)
        return count


def locked_until(request: HttpRequest, credentials: dict[str, Any] | None) -> datetime | None:
    """The time at which the lock of the account ends for this browser; None if it is not locked."""
    username = get_client_username(request, credentials) or ""
    if constant_time_compare(cookie(request, KNOWN), _browser_mark(username)):
        return None
    failures = AccessFailureLog.objects.filter(username=username, attempt_time__gt=timezone.now() - WITHIN)
    latest = failures.order_by("-attempt_time").values_list("attempt_time", flat=True)[:LIMIT]
    return latest[LIMIT - 1] + WITHIN if len(latest) == LIMIT else None


def know(response: HttpResponse, username: str) -> None:
    """Remember that this browser belongs to a member."""
    keep(response, KNOWN, _browser_mark(username))


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """The page in place of the form after too many wrong passwords."""
    if end := locked_until(request, getattr(request, "axes_credentials", None)):
        return too_many(request, (end - timezone.now()).total_seconds(), TITLE, FROM_EVERYWHERE, forgotten=True)
    return too_many(request, settings.AXES_COOLOFF_TIME.total_seconds(), TITLE, FROM_HERE, forgotten=True)


def _browser_mark(username: str) -> str:
    return salted_hmac("webapp.known", username, algorithm="sha256").hexdigest()
