"""What happened to jobs: every change of state leaves a `JobEvent`, in the transaction that makes the change."""

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
    """Set fields of those rows, and note of each what happened to it. How many there were.

    It counts as one conditional UPDATE: the rows are locked as they are found, so that nobody changes them in between.
    (SQLite locks nothing, but lets only one transaction write, from its start.)
    """
    with transaction.atomic():
        found = list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
        if found:
            Job.objects.filter(pk__in=found).update(**fields, updated_at=timezone.now())
            record(found, kind, by, detail)
    return len(found)


def record(jobs: Iterable[UUID], kind: EventKind, by: User | None = None, detail: dict[str, Any] | None = None) -> None:
    """Write down what happened to jobs, and announce it. Call it in the transaction in which it happens."""
    pks, now = list(jobs), timezone.now()
    JobEvent.objects.bulk_create(JobEvent(job_id=pk, at=now, kind=kind, detail=detail or {}, actor=by) for pk in pks)
    announce(pks, kind, now)
