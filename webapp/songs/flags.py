"""Flags that ask for a review: what a job's own report says against its result.

They are set in the transaction that ends the job, which marks it as pending review.
"""

from collections.abc import Iterator
from typing import Any

from webapp.models import EventKind, Flag, Job, Verdict
from webapp.songs.history import change

WORST_NULL_DB = -60.0  # what the stems may miss of the song
MOST_CLIPPED = 1e-4  # share of samples at full scale, several in a row: more can be heard
SILENT_DB = -60.0  # of a stem to the song


def flag(job: Job, report: dict[str, Any], detected: dict[str, Any]) -> None:
    """Note what speaks against the result of a job, in the transaction that ends it."""
    found = dict(flags_of(report, detected))
    job.flags.all().delete()
    Flag.objects.bulk_create(Flag(job=job, kind=kind, detail=detail) for kind, detail in found.items())
    if found:
        reasons = {"verdict": Verdict.PENDING, "note": " ".join(found.values())}
        change(Job.objects.filter(pk=job.pk), EventKind.REVIEWED, None, reasons, review=Verdict.PENDING)


def flags_of(report: dict[str, Any], detected: dict[str, Any]) -> Iterator[tuple[Flag.Kind, str]]:
    """What a report and the detector's answer in short say against a result, each with a sentence."""
    evidence, null_db = report.get("evidence", {}), report.get("null_db")
    if null_db is not None and null_db > WORST_NULL_DB:
        yield Flag.Kind.NULL, f"What the stems miss of the song is only {-null_db:.0f} dB below it."
    clipped = [name for name, row in evidence.items() if row["clipped"] > MOST_CLIPPED]
    if clipped:
        yield Flag.Kind.CLIPPED, f"Clipped: {', '.join(clipped)}."
    if evidence.get("vocals", {}).get("level_db", 0.0) < SILENT_DB:
        yield Flag.Kind.SILENT, "Nothing is heard in vocals."
    presence = {name: row["presence"] for name, row in detected.get("stems", {}).items()}
    unsure = [name for name in report.get("stems", []) if presence.get(name) == "uncertain"]
    if unsure:
        yield Flag.Kind.UNSURE, f"The detector is not sure of: {', '.join(unsure)}."
