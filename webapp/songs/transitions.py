"""States of a job: what people may do in each, and what a change of state does to the row and its files."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webapp.models import LIVE, Cause, EventKind, Job, State, Stem, User
from webapp.songs.history import change
from webapp.storage.base import store

UNDO = timedelta(minutes=10)  # how long a deleted job can be restored

ACTIONS: dict[str, tuple[State, ...]] = {
    "cancel": LIVE,
    "retry": (State.FAILED, State.CANCELLED),
    "reselect": (State.DONE,),
    "delete": tuple(State),
}
"""What the owner of a job may do, and in which states."""

MODERATION: dict[str, tuple[State, ...]] = {
    "cancel": LIVE,
    "requeue": (State.RUNNING, State.FAILED, State.CANCELLED),
    "empty": (State.DONE, State.FAILED, State.CANCELLED),
    "hand_over": (State.DONE,),
}
"""What administrators may do beyond that, and in which states."""

# Fields of a job that are reset when it leaves the worker or the queue, and those reset as well without a result.
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


def actions_of(job: Job) -> list[str]:
    """List what the owner can do with a job now. Retrying is pointless if the file itself is the cause of a failure."""
    hopeless = job.state == State.FAILED and job.cause == Cause.FILE
    return [name for name, states in ACTIONS.items() if job.state in states and not (name == "retry" and hopeless)]


def end(rows: QuerySet[Job], kind: EventKind, by: User | None = None, **fields: Any) -> int:
    """End jobs early, as cancelled or failed. Jobs with an earlier result go back to it. Returns their number."""
    fields |= {"finished_at": timezone.now()}
    detail = {"error": fields["error"]} if "error" in fields else {}
    with transaction.atomic():
        Stem.objects.filter(job__in=rows, job__finished=None).delete()
        without_result = change(
            rows.filter(finished=None), kind, by, detail, **(FRESH | fields), state=State(kind.value)
        )
        return without_result + change(rows, kind, by, detail, **(IDLE | fields), state=State.DONE)


def clear(pk: UUID) -> None:
    """Remove the files of all attempts except the running one and the finished one."""
    job = Job.objects.filter(pk=pk).first()
    if job is None:
        return
    last = job.attempts - 1 if job.state == State.RUNNING else job.attempts  # later attempts may begin meanwhile
    for attempt in set(range(last + 1)) - {job.finished}:
        store().discard(job.folder / str(attempt))
    with suppress(OSError):  # not empty, or not there
        job.folder.rmdir()
