"""What goes for good: an account, if its owner wants that; guests' songs and old traces, once their time is over."""

from datetime import datetime, timedelta

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webapp.models import Job, Track, User

AT_ONCE = 5  # songs and guests at a beat of a worker, which must not wait long for its next


def delete_account(user: User) -> None:
    """Remove an account with all that is its own: songs, stems, their files, tokens, webhooks. What runs stops."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # nothing is uploaded meanwhile
        _remove(Track.objects.filter(owner=user))
        AccessAttempt.objects.filter(username=user.get_username()).delete()
        User.objects.get(pk=user.pk).delete()


def expire() -> None:
    """Remove what is not kept for ever, some of it: this is called again and again."""
    now = timezone.now()
    _expire_guests(now - timedelta(days=settings.GUEST_DAYS))
    Session.objects.filter(expire_date__lt=now).delete()
    AccessAttempt.objects.filter(attempt_time__lt=now - settings.AXES_COOLOFF_TIME).delete()


def _expire_guests(limit: datetime) -> None:
    """Guests' songs from before that time, and then the guests that have none."""
    guests = User.objects.filter(is_guest=True, date_joined__lt=limit)
    old = Track.objects.filter(owner__in=guests, created_at__lt=limit).values_list("pk", flat=True)
    _remove(Track.objects.filter(pk__in=list(old[:AT_ONCE])))
    gone = guests.filter(tracks=None).values_list("pk", flat=True)
    User.objects.filter(pk__in=list(gone[:AT_ONCE])).delete()


def _remove(tracks: QuerySet[Track]) -> None:
    """Their jobs are locked first, so that no worker adds to what is about to go. It finds its job gone, and stops."""
    with transaction.atomic():
        list(Job.objects.select_for_update().filter(track__in=tracks).values_list("pk"))
        tracks.delete()
