"""Permanent deletion: of accounts on request, and of guests' songs and old sessions after a time."""

from datetime import datetime, timedelta

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webapp.models import Job, Track, User

BATCH = 5  # songs and guests for each heartbeat, so that the next one is not late


def delete_account(user: User) -> None:
    """Delete an account with its songs, stems, files, tokens and webhooks. Its running jobs stop."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # no uploads meanwhile
        _remove(Track.objects.filter(owner=user))
        AccessAttempt.objects.filter(username=user.get_username()).delete()
        User.objects.get(pk=user.pk).delete()


def delete_expired() -> None:
    """Delete a batch of expired guests' songs, guests, sessions and login attempts. It is called repeatedly."""
    now = timezone.now()
    _delete_guests(now - timedelta(days=settings.GUEST_DAYS))
    Session.objects.filter(expire_date__lt=now).delete()
    AccessAttempt.objects.filter(attempt_time__lt=now - settings.AXES_COOLOFF_TIME).delete()


def _delete_guests(limit: datetime) -> None:
    """Delete guests' songs from before that time, then the guests that have none left."""
    guests = User.objects.filter(is_guest=True, date_joined__lt=limit)
    old = Track.objects.filter(owner__in=guests, created_at__lt=limit).values_list("pk", flat=True)
    _remove(Track.objects.filter(pk__in=list(old[:BATCH])))
    gone = guests.filter(tracks=None).values_list("pk", flat=True)
    User.objects.filter(pk__in=list(gone[:BATCH])).delete()


def _remove(tracks: QuerySet[Track]) -> None:
    """Delete tracks. Their jobs are locked first, so that a worker adds no files; it finds its job gone and stops."""
    with transaction.atomic():
        list(Job.objects.select_for_update().filter(track__in=tracks).values_list("pk"))
        tracks.delete()
