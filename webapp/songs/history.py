"""The history of jobs: each change of state stores a `JobEvent` in the transaction that makes the change."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webapp.models import EventKind, Job, JobEvent, User
from webapp.webhooks.outbox import announce


def change(
    rows: QuerySet[Job], kind: EventKind, by: User | None = None, detail: dict[str, Any] | None = None, **fields: Any
) -> int:
    """Set fields of the matching jobs and record an event for each. Returns the number of jobs.

    This is one conditional UPDATE in effect: the rows are locked as they are found, so that nobody changes them in
    between. (SQLite has no row locks, but admits only one writing transaction at a time.)
    """
    with transaction.atomic():
        found = list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
        if found:
            Job.objects.filter(pk__in=found).update(**fields, updated_at=timezone.now())
            record(found, kind, by, detail)
    return len(found)


def record(jobs: Iterable[UUID], kind: EventKind, by: User | None = None, detail: dict[str, Any] | None = None) -> None:
    """Record an event for each job and announce it to webhooks. Call this in the transaction of the change."""
    pks, now = list(jobs), timezone.now()
    JobEvent.objects.bulk_create(JobEvent(job_id=pk, at=now, kind=kind, detail=detail or {}, actor=by) for pk in pks)
    announce(pks, kind, now)
