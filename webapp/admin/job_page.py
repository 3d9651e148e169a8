"""All that is known of one job, for its page in the admin; and the form that asks for another try."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from pipeline.options import DEFAULT_BLEED, STEMS, Options, bleeds, presets
from webapp.api.representations import in_order, job_json
from webapp.models import Job, State
from webapp.songs.transitions import MODERATION

SILENCE_DB = -150.0  # nothing but rounding


class RerunForm(forms.Form):
    """The settings of another try; no stems: as the song has them."""

    preset = forms.ChoiceField(choices=[(name, name) for name in presets()])
    bleed = forms.ChoiceField(choices=[(name, name) for name in bleeds()], initial=DEFAULT_BLEED)
    stems = forms.MultipleChoiceField(
        choices=[(name, name) for name in STEMS], required=False, widget=forms.CheckboxSelectMultiple
    )

    def options(self) -> Options:
        """As the pipeline takes them."""
        chosen = self.cleaned_data
        return Options(stems=tuple(in_order(chosen["stems"])), preset=chosen["preset"], bleed=chosen["bleed"])


def is_possible(action: str, job: Job) -> bool:
    """Whether an action of the list makes sense on a job's own page."""
    if action == "delete_selected" or (action == "hand_over" and job.rerun_of_id is None):
        return False
    return job.state in MODERATION.get(action, State.values)


def job_page(job: Job, beside: str = "") -> dict[str, Any]:
    """What the page shows of a job, and of another result of the same song if that is to be beside it."""
    same_song = Job.objects.filter(track=job.track).select_related("track").exclude(pk=job.pk).order_by("created_at")
    others = list(same_song)
    shown = [job, *(other for other in others if str(other.pk) == beside)]
    events = job.history.select_related("actor").order_by("-pk")
    return {
        "title": job.track.title,
        "job": job,
        "owner": job.track.owner,
        "results": [result(each) for each in shown],
        "others": others,
        "beside": beside,
        "events": [{"event": event, "words": _words(event.detail)} for event in events],
        "flags": list(job.flags.all()),
    }


def result(job: Job) -> dict[str, Any]:
    """What came out of one job and how."""
    report = job.report
    return {
        "job": job,
        "data": job_json(job),
        "data_id": f"job-{job.pk}",
        "options": {name: value for name, value in job.options.items() if value},
        "evidence": [_evidence(name, row) for name, row in report.get("evidence", {}).items()],
        "null_db": report.get("null_db"),
        "models": report.get("models", []),
        "provider": report.get("provider", ""),
        "seconds": report.get("seconds", {}).items(),
        "spent": time_spent(job),
        "warnings": report.get("warnings", []),
    }


def time_spent(job: Job) -> str:
    """By the worker that ended it, or so far."""
    if job.claimed_at is None:
        return ""
    end = timezone.now() if job.state == State.RUNNING else job.finished_at
    return "" if end is None else str(timedelta(seconds=int((end - job.claimed_at).total_seconds())))


def _evidence(name: str, row: dict[str, Any]) -> dict[str, str]:
    """A row of the table: decibels as people read them, and nothing where there is none."""
    levels = {key: _decibels(row[key]) for key in ("level_db", "peak_db", "bleed_db")}
    clipped = f"{100 * row['clipped']:.2f} %" if row["clipped"] else ""
    return {"name": name, "clipped": clipped} | levels


def _decibels(value: float | None) -> str:
    if value is None:
        return ""
    return "silent" if value <= SILENCE_DB else f"{value:.1f}"


def _words(detail: dict[str, Any]) -> str:
    said = [", ".join(value) if isinstance(value, list) else str(value) for value in detail.values()]
    return " · ".join(words for words in said if words)
