"""Verdicts of reviewers, which are part of a job's history."""

from django.db.models import QuerySet

from webapp.models import EventKind, Job, User, Verdict
from webapp.songs.history import change


def decide(rows: QuerySet[Job], verdict: Verdict, note: str, reviewer: User) -> int:
    """Give jobs a verdict with a note. Returns the number of jobs."""
    return change(rows, EventKind.REVIEWED, reviewer, {"verdict": verdict, "note": note.strip()}, review=verdict)
