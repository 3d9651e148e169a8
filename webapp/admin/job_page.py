"""The page of one job in the admin: its context, and the form for a rerun."""

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
    """The options of a rerun. Without stems, the song decides."""

    preset = forms.ChoiceField(choices=[(name, name) for name in presets()])
    bleed = forms.ChoiceField(choices=[(name, name) for name in bleeds()], initial=DEFAULT_BLEED)
    stems = forms.MultipleChoiceField(
        choices=[(name, name) for name in STEMS], required=False, widget=forms.CheckboxSelectMultiple
    )

    def options(self) -> Options:
        """The options of the pipeline that were selected."""
        data = self.cleaned_data
        return Options(stems=tuple(in_order(data["stems"])), preset=data["preset"], bleed=data["bleed"])


def is_possible(action: str, job: Job) -> bool:
    """Whether an action of the list is possible on the page of this job."""
    if action == "delete_selected" or (action == "hand_over" and job.rerun_of_id is None):
        return False
    return job.state in MODERATION.get(action, State.values)


def job_page(job: Job, beside: str = "") -> dict[str, Any]:
    """The context of the page. beside: the id of another job of the same song to compare with, if any."""
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
        "events": [{"event": event, "words": _detail_text(event.detail)} for event in events],
        "flags": list(job.flags.all()),
    }


def result(job: Job) -> dict[str, Any]:
    """The outcome of one job, and how it was computed."""
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
    """The time that the job took, or has taken so far; empty if it has not started."""
    if job.claimed_at is None:
        return ""
    end = timezone.now() if job.state == State.RUNNING else job.finished_at
    return "" if end is None else str(timedelta(seconds=int((end - job.claimed_at).total_seconds())))


def _evidence(name: str, row: dict[str, Any]) -> dict[str, str]:
    """A row of the table of measurements, with decibels as text."""
    levels = {key: _decibel_text(row[key]) for key in ("level_db", "peak_db", "bleed_db")}
    clipped = f"{100 * row['clipped']:.2f} %" if row["clipped"] else ""
    return {"name": name, "clipped": clipped} | levels


def _decibel_text(value: float | None) -> str:
    if value is None:
        return ""
    return "silent" if value <= SILENCE_DB else f"{value:.1f}"


def _detail_text(detail: dict[str, Any]) -> str:
    texts = [", ".join(value) if isinstance(value, list) else str(value) for value in detail.values()]
    return " · ".join(text for text in texts if text)
