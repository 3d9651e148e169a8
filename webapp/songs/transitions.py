"""How a job's row changes its state, in whole or not at all."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webapp.models import EventKind, Job, State, Stem, User
from webapp.songs.history import change
from webapp.storage.base import store

UNDO = timedelta(minutes=10)  # how long a deleted job can be brought back
IDLE: dict[str, Any] = {
    "stage": "",
    "stage_progress": None,
    "blocks_done": 0,
    "blocks_total": 0,
    "seconds_left": None,
    "error": "",
    "cause": "",
    "finished_at": None,
}
FRESH: dict[str, Any] = IDLE | {
    "samples": None,
    "size": 0,
    "original_done": 0,
    "draft_done": 0,
    "segments_done": 0,
    "tags": {},
    "detected": {},
    "report": {},
}


def end(rows: QuerySet[Job], kind: EventKind, by: User | None = None, **fields: Any) -> int:
    """End jobs before their time. Those that had finished before are done with what they had."""
    end = fields | {"finished_at": timezone.now()}
    told: dict[str, Any] = {"kind": kind, "by": by, "detail": {"error": fields["error"]} if "error" in fields else {}}
    with transaction.atomic():
        Stem.objects.filter(job__in=rows, job__finished=None).delete()
        return change(rows.filter(finished=None), **told, **(FRESH | end), state=State(kind.value)) + change(
            rows, **told, **(IDLE | end), state=State.DONE
        )


def clear(pk: UUID) -> None:
    """Remove what attempts wrote, but for a running one's and for what people play."""
    job = Job.objects.filter(pk=pk).first()
    if job is None:
        return
    last = job.attempts - 1 if job.state == State.RUNNING else job.attempts  # later ones began while we looked
    for attempt in set(range(last + 1)) - {job.finished}:
        store().discard(job.folder / str(attempt))
    with suppress(OSError):  # it isn't empty, or isn't there
        job.folder.rmdir()
