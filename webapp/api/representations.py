"""Tracks, jobs and exports as JSON, identical in pages, API and events."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from pipeline.options import DEFAULT_BLEED, DRAFT, STEMS, experimental_stems, stem_choices
from webapp.api import schemas
from webapp.models import SAMPLE_RATE, Export, Job, State, Stem, Track, User
from webapp.songs.transitions import actions_of
from webapp.songs.wait_status import Queue


def track_json(track: Track) -> schemas.Track:
    """The JSON of a track."""
    return {
        "id": str(track.pk),
        "api_url": reverse("api-track", args=[track.pk]),
        "owner": _name_of(track.owner),
        "title": track.title,
        "artist": track.artist,
        "filename": track.filename,
        "size": track.size,
        "created_at": track.created_at.isoformat(),
        "file_url": reverse("track-file", args=[track.pk]),
        "jobs_url": f"{reverse('api-jobs')}?track={track.pk}",
    }


def job_json(job: Job, queue: Queue | None = None) -> schemas.Job:
    """The JSON of a job. Pass the same queue for several jobs, so that it is read once."""
    queue = queue or Queue()
    stems, preset = stems_json(job), job.options.get("preset", "default")
    return {
        "id": str(job.pk),
        "url": job.get_absolute_url(),
        "track": str(job.track_id),
        "track_url": reverse("api-track", args=[job.track_id]),
        "owner": _name_of(job.track.owner),
        "title": job.track.title,
        "artist": job.track.artist,
        "filename": job.track.filename,
        "state": job.state,
        "actions": actions_of(job),
        "notice": queue.notice(job) or (job.error if job.state in (State.DONE, State.CANCELLED) else ""),
        "position": queue.position(job),
        "stage": job.stage,
        "stage_progress": job.stage_progress,
        "progress": 1.0 if job.state == State.DONE else job.blocks_done / max(job.blocks_total, 1),
        "blocks_done": job.blocks_done,
        "blocks_total": job.blocks_total,
        "seconds_left": job.seconds_left,
        "error": job.error,
        "duration": job.duration,
        "created_at": job.created_at.isoformat(),
        "started_at": _isoformat(job.claimed_at),
        "finished_at": _isoformat(job.finished_at),
        "preset": preset,
        "format": job.options.get("format", "wav"),
        "bits": job.options.get("bits", "float"),
        "sample_rate": job.report.get("sample_rate"),
        "bleed": job.options.get("bleed", DEFAULT_BLEED),
        "stems_asked": in_order(_selected_stems(job)),
        "detected": job.detected or None,
        "detection_url": _url("job-detection", job) if job.detected else None,
        "choices": stem_choices(preset),
        "experimental": experimental_stems(preset),
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
        "stems": stems,
        "merged": [{"empty": False} | row for row in job.report.get("merged", [])],  # absent from older reports
        "warnings": job.report.get("warnings", []),
        "null_db": job.report.get("null_db"),
        "quality": job.report.get("evidence", {}),
        "models": job.report.get("models", []),
        "provider": job.report.get("provider", ""),
        "timings": job.report.get("seconds", {}),
    }


def jobs_json(jobs: "list[Job] | QuerySet[Job]") -> list[schemas.Job]:
    """The JSON of several jobs."""
    queue = Queue()
    return [job_json(job, queue) for job in jobs]


def export_json(export: Export) -> schemas.Export:
    """The JSON of an export."""
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


def _name_of(user: User) -> str | None:
    return None if user.is_guest else user.get_username()


def _isoformat(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _audio(job: Job) -> schemas.Audio:
    return {
        "rate": SAMPLE_RATE,
        "samples": job.samples,
        "segment": job.segment,
        "segments_done": job.segments_done,
        "draft_done": job.draft_done,
        "gain": job.segment_gain,
        "original_done": job.original_done,
        "original_url": _segments("original-segment", job.pk) if job.original_done else None,
        "original_peaks_url": _url("original-peaks", job) if job.original_done else None,
    }


def stems_json(job: Job) -> list[schemas.Stem]:
    """The JSON of the stems that can be played already, in canonical order."""
    stems = sorted(job.stems.all(), key=_canonical_position) if job.segments_done or job.draft_done else []
    return [stem_json(job, stem) for stem in stems]


def stem_json(job: Job, stem: Stem) -> schemas.Stem:
    """The JSON of a stem."""
    drafted = job.draft_done and stem.name in stem_choices(DRAFT)
    return {
        "name": stem.name,
        "peaks_url": reverse("stem-peaks", args=[job.pk, stem.name]),
        "segments_url": _segments("stem-segment", job.pk, stem.name),
        "draft_segments_url": _segments("stem-draft", job.pk, stem.name) if drafted else None,
        "spectrogram_url": reverse("stem-spectrogram", args=[job.pk, stem.name]) if job.finished else None,
        "download_url": reverse("stem-download", args=[job.pk, stem.name]) if stem.file else None,
    }


def _segments(name: str, *args: Any) -> str:
    """A URL template in which players replace "{index}"; reverse() would escape the braces."""
    return reverse(name, args=[*args, 0]).removesuffix("0.flac") + "{index}.flac"


def _url(name: str, job: Job) -> str:
    return reverse(name, args=[job.pk])


def _selected_stems(job: Job) -> list[str]:
    """The stems selected for the present result, or for the one in progress."""
    asked: list[str] = job.options.get("stems", [])
    return job.report.get("asked", asked) if job.state == State.DONE else asked


def in_order(stems: Iterable[str]) -> list[str]:
    """Names of stems in canonical order."""
    return [stem for stem in STEMS if stem in set(stems)]


def _canonical_position(stem: Stem) -> tuple[int, str]:
    return (STEMS.index(stem.name) if stem.name in STEMS else len(STEMS), stem.name)
