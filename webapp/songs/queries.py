"""Querysets of the tracks and jobs that people can see."""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Exists, OuterRef, QuerySet

from webapp.models import Job, Track


def all_tracks() -> QuerySet[Track]:
    """Return all tracks, newest first, except those all of whose jobs are deleted."""
    kept = Job.objects.filter(track=OuterRef("track"), deleted_at=None)
    deleted = Job.objects.filter(~Exists(kept), track=OuterRef("pk"), deleted_at__isnull=False)
    return Track.objects.filter(~Exists(deleted)).select_related("owner").order_by("-created_at", "pk")


def tracks_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Track]:
    return all_tracks().filter(owner_id=user.pk)


def all_jobs() -> QuerySet[Job]:
    """Return all jobs that are not deleted, newest first, with the related rows that their JSON needs."""
    visible = Job.objects.filter(deleted_at=None)
    return visible.select_related("track__owner").prefetch_related("stems").order_by("-created_at", "pk")


def jobs_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Job]:
    """Return a user's jobs, without reviewers' reruns. A visitor without an account has none."""
    return all_jobs().filter(track__owner_id=user.pk, rerun_of=None)
