"""Flags that ask for a review of a job, derived from its own report.

They are set in the transaction that finishes the job, and mark it as pending review.
"""

from collections.abc import Iterator
from typing import Any

from webapp.models import EventKind, Flag, Job, Verdict
from webapp.songs.history import change

MAX_NULL_DB = -60.0  # of the difference between the song and the sum of its stems
MAX_CLIPPED = 1e-4  # fraction of samples in runs at full scale; more is audible
SILENT_DB = -60.0  # level of a stem relative to the song


def flag(job: Job, report: dict[str, Any], detected: dict[str, Any]) -> None:
    """Set the flags of a job. Call this in the transaction that finishes it."""
    found = dict(flags_of(report, detected))
    job.flags.all().delete()
    Flag.objects.bulk_create(Flag(job=job, kind=kind, detail=detail) for kind, detail in found.items())
    if found:
        reasons = {"verdict": Verdict.PENDING, "note": " ".join(found.values())}
        change(Job.objects.filter(pk=job.pk), EventKind.REVIEWED, None, reasons, review=Verdict.PENDING)


def flags_of(report: dict[str, Any], detected: dict[str, Any]) -> Iterator[tuple[Flag.Kind, str]]:
    """Yield each flag that a report and the detected instruments give rise to, with a sentence that explains it."""
    evidence, null_db = report.get("evidence", {}), report.get("null_db")
    if null_db is not None and null_db > MAX_NULL_DB:
        yield Flag.Kind.NULL, f"What the stems miss of the song is only {-null_db:.0f} dB below it."
    clipped = [name for name, row in evidence.items() if row["clipped"] > MAX_CLIPPED]
    if clipped:
        yield Flag.Kind.CLIPPED, f"Clipped: {', '.join(clipped)}."
    if evidence.get("vocals", {}).get("level_db", 0.0) < SILENT_DB:
        yield Flag.Kind.SILENT, "The vocals are silent."
    presence = {name: row["presence"] for name, row in detected.get("stems", {}).items()}
    unsure = [name for name in report.get("stems", []) if presence.get(name) == "uncertain"]
    if unsure:
        yield Flag.Kind.UNSURE, f"The detector is not sure of: {', '.join(unsure)}."
