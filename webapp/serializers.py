"""A job as JSON, the same for pages, REST and events; and the form of an upload."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet
from django.urls import reverse
from rest_framework import serializers

from pipeline.options import DEFAULT_BLEED, FORMATS, STEMS, bleeds, stem_choices
from webapp.models import SAMPLE_RATE, Export, Job, State, Stem
from webapp.problems import Checked
from webapp.queue import Queue
from webapp.validators import validate_upload


class Title(Checked):
    """Another name for a song."""

    title = serializers.CharField(
        max_length=255, error_messages=dict.fromkeys(("required", "blank", "null", "invalid"), "Please give it a name.")
    )


class Choice(Checked):
    """Another choice of stems for a finished job; none: as the song has them."""

    stems = serializers.MultipleChoiceField(choices=STEMS, default=set[str]())


class Upload(Checked):
    """What one sends to start a job."""

    file = serializers.FileField(
        validators=[validate_upload],
        max_length=255,
        allow_empty_file=True,  # our validator says it in plainer words
        error_messages={"required": "Please choose a song.", "invalid": "Please choose a song."},
    )
    stems = serializers.MultipleChoiceField(choices=STEMS, default=set[str]())
    format = serializers.ChoiceField(choices=FORMATS, default="wav")
    bleed = serializers.ChoiceField(choices=[*bleeds()], default=DEFAULT_BLEED)


def all_jobs() -> QuerySet[Job]:
    """Jobs with all that their JSON needs, newest first. Deleted ones are gone."""
    kept = Job.objects.filter(deleted_at=None)
    return kept.select_related("track").prefetch_related("stems").order_by("-created_at", "pk")


def jobs_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Job]:
    """A person's jobs, without what reviewers try. A visitor without account has none."""
    return all_jobs().filter(track__owner_id=user.pk, trial_of=None)


def job_json(job: Job, queue: Queue | None = None) -> dict[str, Any]:
    """One job. Give the same queue for a batch, so that it is read once."""
    queue = queue or Queue()
    stems = sorted(job.stems.all(), key=_canonical) if job.segments_done else []
    return {
        "id": str(job.pk),
        "url": job.get_absolute_url(),
        "title": job.track.title,
        "filename": job.track.filename,
        "state": job.state,
        "notice": queue.notice(job) or (job.error if job.state in (State.DONE, State.CANCELLED) else ""),
        "position": queue.position(job),
        "stage": job.stage,
        "blocks_done": job.blocks_done,
        "blocks_total": job.blocks_total,
        "seconds_left": job.seconds_left,
        "error": job.error,
        "duration": job.duration,
        "created_at": job.created_at.isoformat(),
        "format": job.options.get("format", "wav"),
        "bleed": job.options.get("bleed", DEFAULT_BLEED),
        "stems_asked": in_order(_wish(job)),
        "heard": job.heard or None,
        "detection_url": _url("job-detection", job) if job.heard else None,
        "choices": stem_choices(),
        "stems_url": _url("api-job-stems", job),
        "thumbnail_url": _url("job-thumbnail", job) if job.original_done else None,
        "cover_url": _url("job-cover", job) if job.tags.get("cover_type") else None,
        "exports_url": _url("api-exports", job),
        "zip_url": _url("job-stems-zip", job) if job.finished else None,
        "mix_url": _url("job-mix", job) if job.finished else None,
        "events_url": _url("job-events", job),
        "cancel_url": _url("api-job-cancel", job),
        "retry_url": _url("api-job-retry", job),
        "restore_url": _url("api-job-restore", job),
        "api_url": _url("api-job", job),
        "audio": _audio(job) if stems or job.original_done else None,
        "stems": [_stem_json(job, stem) for stem in stems],
    } | _evidence(job)


def jobs_json(jobs: "list[Job] | QuerySet[Job]") -> list[dict[str, Any]]:
    """Several jobs."""
    queue = Queue()
    return [job_json(job, queue) for job in jobs]


def export_json(export: Export) -> dict[str, Any]:
    """A file that is made, or was made, to be taken along."""
    ids = [export.job_id, export.pk]
    return {
        "id": str(export.pk),
        "url": reverse("api-export", args=ids),
        "state": export.state,
        "progress": export.progress,
        "error": export.error,
        "filename": export.filename,
        "size": export.size,
        "lowered_db": export.lowered_db,
        "file_url": reverse("export-file", args=ids) if export.state == State.DONE else None,
    }


def _evidence(job: Job) -> dict[str, Any]:
    """What the report says about how the stems came to be."""
    report = job.report
    return {
        "folded": report.get("folded", []),
        "warnings": report.get("warnings", []),
        "null_db": report.get("null_db"),
        "models": report.get("models", []),
        "provider": report.get("provider", ""),
    }


def _audio(job: Job) -> dict[str, Any]:
    return {
        "rate": SAMPLE_RATE,
        "samples": job.samples,
        "segment": job.segment,
        "segments_done": job.segments_done,
        "gain": job.segment_gain,
        "original_done": job.original_done,
        "original_url": _segments("original-segment", job.pk) if job.original_done else None,
        "original_peaks_url": _url("original-peaks", job) if job.original_done else None,
    }


def _stem_json(job: Job, stem: Stem) -> dict[str, Any]:
    return {
        "name": stem.name,
        "peaks_url": reverse("stem-peaks", args=[job.pk, stem.name]),
        "segments_url": _segments("stem-segment", job.pk, stem.name),
        "spectrogram_url": reverse("stem-spectrogram", args=[job.pk, stem.name]) if job.finished else None,
        "download_url": reverse("stem-download", args=[job.pk, stem.name]) if stem.file else None,
    }


def _segments(name: str, *args: Any) -> str:
    """An address in which the player fills in "{index}"; reverse() would escape the braces."""
    return reverse(name, args=[*args, 0]).removesuffix("0.flac") + "{index}.flac"


def _url(name: str, job: Job) -> str:
    return reverse(name, args=[job.pk])


def _wish(job: Job) -> list[str]:
    """The stems asked for: those of what is there, or of what is being made."""
    asked: list[str] = job.options.get("stems", [])
    return job.report.get("asked", asked) if job.state == State.DONE else asked


def in_order(stems: Iterable[str]) -> list[str]:
    """Names in canonical order."""
    return [stem for stem in STEMS if stem in set(stems)]


def _canonical(stem: Stem) -> tuple[int, str]:
    return (STEMS.index(stem.name) if stem.name in STEMS else len(STEMS), stem.name)
