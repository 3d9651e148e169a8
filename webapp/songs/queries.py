"""Which tracks and jobs there are, and whose."""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Exists, OuterRef, QuerySet

from webapp.models import Job, Track


def all_tracks() -> QuerySet[Track]:
    """Tracks, newest first. One all of whose jobs are deleted is gone with them."""
    kept = Job.objects.filter(track=OuterRef("track"), deleted_at=None)
    deleted = Job.objects.filter(~Exists(kept), track=OuterRef("pk"), deleted_at__isnull=False)
    return Track.objects.filter(~Exists(deleted)).select_related("owner").order_by("-created_at", "pk")


def tracks_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Track]:
    """A person's tracks."""
    return all_tracks().filter(owner_id=user.pk)


def all_jobs() -> QuerySet[Job]:
    """Jobs with all that their JSON needs, newest first. Deleted ones are gone."""
    kept = Job.objects.filter(deleted_at=None)
    return kept.select_related("track__owner").prefetch_related("stems").order_by("-created_at", "pk")


def jobs_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Job]:
    """A person's jobs, without what reviewers try. A visitor without account has none."""
    return all_jobs().filter(track__owner_id=user.pk, rerun_of=None)
