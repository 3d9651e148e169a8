"""Quotas of each account: minutes of audio in 30 days, and storage. Staff have no quota.

Minutes are charged when a song is separated for the first time, and stay charged if it is deleted. Songs in progress
count as well. The length of a song is known only once the worker has decoded it, so the worker has the final check; an
upload is refused only if nothing is left.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Sum
from django.utils import timezone

from pipeline.options import SeparationError
from webapp.models import LIVE, SAMPLE_RATE, Export, Job, Track, Upload, Usage, User

MONTH = timedelta(days=30)
NO_MINUTES = (
    "You have used up your {:.0f} minutes of music for 30 days. They come back day by day; whoever runs this site can "
    "allow more."
)
NO_STORAGE = (
    "Your songs take up all of the {:.1f} GB that you have here. Delete some you no longer need, then try again."
)
TOO_LONG = (
    "This song is longer than the minutes you have left: of {:.0f} for 30 days, {:.0f} are used. They come back day by "
    "day; whoever runs this site can allow more."
)
SIGN_UP_HINT = "Sign up, and you may use more."


class QuotaUsedUp(SeparationError):
    """A song is longer than the minutes its owner has left."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Minutes of audio in the last 30 days, and bytes of files."""

    minutes: float
    bytes: int

    @property
    def gigabytes(self) -> float:
        """Storage in units of 10^9 bytes."""
        return self.bytes / 1e9


def quota_of(user: User | None) -> Amount | None:
    """Return the quota of a user, or None for no limit. Visitors without an account have a guest's quota."""
    if user is not None and user.is_staff:
        return None
    if user is None or user.is_guest:
        return Amount(settings.GUEST_MINUTES, settings.GUEST_BYTES)
    return Amount(settings.MINUTES, settings.BYTES)


def used_by(user: User) -> Amount:
    """Return what a user uses now. Deleted songs count until they can no longer be restored."""
    mine = Job.objects.filter(track__owner=user, rerun_of=None)
    in_work = mine.filter(state__in=LIVE, finished=None, deleted_at=None)
    charged = Usage.objects.filter(user=user, at__gt=timezone.now() - MONTH)
    seconds = _sum(charged, "seconds") + _sum(in_work, "samples") / SAMPLE_RATE
    exports = Export.objects.filter(job__track__owner=user)
    files = [_sum(rows, "size") for rows in (Track.objects.filter(owner=user), mine, exports)]
    coming = _sum(Upload.objects.filter(owner=user, offset__lt=F("length")), "length")
    return Amount(minutes=seconds / 60, bytes=int(sum(files) + coming))


def refusal(user: User | None, size: int = 0) -> str:
    """Explain why a user may not upload `size` bytes now; "" if they may."""
    quota = quota_of(user)
    if quota is None:
        return ""
    used = used_by(user) if user else Amount(0, 0)
    if used.bytes + size > quota.bytes:
        return _with_hint(NO_STORAGE.format(quota.bytes / 1e9), user)
    return _with_hint(NO_MINUTES.format(quota.minutes), user) if used.minutes >= quota.minutes else ""


def require_minutes(job: Job, seconds: float) -> None:
    """Raise QuotaUsedUp if a running job, whose length was just stored, exceeds the minutes its owner has left."""
    owner, counts = _owner(job), job.finished is None and job.rerun_of_id is None
    quota = quota_of(owner) if counts else None
    if quota and (used := used_by(owner).minutes) > quota.minutes:
        raise QuotaUsedUp(_with_hint(TOO_LONG.format(quota.minutes, used - seconds / 60), owner), permanent=True)


def charge(job: Job) -> None:
    """Charge a song to its owner. Call this in the transaction that finishes it for the first time."""
    if not job.rerun_of_id:
        samples = Job.objects.values_list("samples", flat=True).get(pk=job.pk) or 0
        Usage.objects.create(user=_owner(job), seconds=samples / SAMPLE_RATE)


def delete_old_usage() -> None:
    """Delete usage that no longer counts."""
    Usage.objects.filter(at__lt=timezone.now() - MONTH).delete()


def _owner(job: Job) -> User:
    """Read the owner anew: a guest may have logged in since the worker read the row."""
    return User.objects.get(tracks__jobs=job)


def _sum(rows: Any, column: str) -> float:
    return rows.aggregate(sum=Sum(column))["sum"] or 0


def _with_hint(text: str, user: User | None) -> str:
    return f"{text} {SIGN_UP_HINT}" if user is None or user.is_guest else text
