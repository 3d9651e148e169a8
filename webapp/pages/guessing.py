"""A brake on guessing passwords.

django-axes keeps an address out that guesses at an account. Whoever has many addresses meets a second lock, of the
account for everybody. It must not lock the member out, whom strangers could keep out by guessing on and on: a browser
in which the member has logged in before passes it, and so does one that chose another password by the link in an
e-mail. It takes far more guesses than a member makes, and ends within the hour.
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
KNOWN = "known"  # a cookie
TITLE = "Too many wrong passwords"
FROM_HERE = "So many were typed for this account here."
FROM_EVERYWHERE = (
    "Somebody guesses at this account's password. A browser in which you have logged in before lets you in."
)


class Guesses(AxesDatabaseHandler):  # type: ignore[misc]
    """The lock of django-axes, and the account's."""

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        """Whether not even the right password counts."""
        by_address: bool = super().is_locked(request, credentials)
        return by_address or locked_until(request, credentials) is not None

    def reset_attempts(self, **whose: Any) -> int:
        """What `manage.py axes_reset` and `axes_reset_username` free."""
        if not whose.get("ip_address"):
            only = {"username": whose["username"]} if whose.get("username") else {}
            AccessFailureLog.objects.filter(**only).delete()
        count: int = super().reset_attempts(**whose)
        return count

    def clean_expired_user_attempts(self, *args: Any, **kwargs: Any) -> int:
        """Called at each attempt: forget what counts no more."""
        AccessFailureLog.objects.filter(attempt_time__lt=timezone.now() - WITHIN).delete()
        count: int = super().clean_expired_user_attempts(*args, **kwargs)
        return count


def locked_until(request: HttpRequest, credentials: dict[str, Any] | None) -> datetime | None:
    """When the lock of the account ends for this browser, if there is one."""
    username = get_client_username(request, credentials) or ""
    if constant_time_compare(cookie(request, KNOWN), _mark(username)):
        return None
    guesses = AccessFailureLog.objects.filter(username=username, attempt_time__gt=timezone.now() - WITHIN)
    latest = guesses.order_by("-attempt_time").values_list("attempt_time", flat=True)[:LIMIT]
    return latest[LIMIT - 1] + WITHIN if len(latest) == LIMIT else None


def know(response: HttpResponse, username: str) -> None:
    """Remember that this browser is a member's."""
    keep(response, KNOWN, _mark(username))


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """Instead of the form, to whoever typed too many wrong passwords."""
    if end := locked_until(request, getattr(request, "axes_credentials", None)):
        return too_many(request, (end - timezone.now()).total_seconds(), TITLE, FROM_EVERYWHERE, forgotten=True)
    return too_many(request, settings.AXES_COOLOFF_TIME.total_seconds(), TITLE, FROM_HERE, forgotten=True)


def _mark(username: str) -> str:
    return salted_hmac("webapp.known", username, algorithm="sha256").hexdigest()
