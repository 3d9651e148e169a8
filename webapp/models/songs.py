"""Tracks, the jobs that separate them, their stems and history, and the workers.

What people and workers do with these rows is in `webapp.songs`. A stem is a row rather than a column, so that any set
of instruments fits. Only a track has an owner.
"""

import uuid
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from webapp.models.accounts import User

LOST_AFTER = timedelta(seconds=20)  # workers without a heartbeat for that long count as dead
SAMPLE_RATE = 44_100
DETECTION = "detection.json"  # beside an attempt's stems: the detected instruments, second by second
ORIGINAL = "original"  # beside an attempt's stems: a folder with the mixture as segments, and in it
THUMBNAIL = "thumbnail.i8"  # its waveform, reduced to a few peaks
COVER = "cover"  # the picture that came with the upload
DRAFTED = "draft"  # beside an attempt's stems and laid out like them: a draft to play until they are separated


def track_path(track: "Track", filename: str) -> str:
    """Path of an upload in the media folder: its id, with a safe form of the extension as a hint for decoders."""
    suffix = "".join(c for c in Path(filename).suffix.lower() if c.isascii() and c.isalnum())[:8]
    return f"tracks/{track.pk}.{suffix or 'bin'}"


class Track(models.Model):
    """An uploaded file.

    named: a person chose the title, so the file's tags do not replace it.
    artist: read from the tags when the file is decoded.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tracks")
    title = models.CharField(max_length=255)
    named = models.BooleanField(default=False)
    artist = models.CharField(max_length=255, blank=True)
    filename = models.CharField(max_length=255)
    file = models.FileField(upload_to=track_path)
    size = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="track_newest"),
            models.Index(fields=["owner", "title"], name="track_title"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def path(self) -> Path:
        """Path of the uploaded file, as `storage` takes it."""
        return Path(settings.MEDIA_ROOT, str(self.file))


class State(models.TextChoices):
    """A job is queued, then running, and ends in one of three ways."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = (State.QUEUED, State.RUNNING)


class Cause(models.TextChoices):
    """Why a job failed. Statistics count failures by cause."""

    FILE = "file", "unreadable file"
    MODEL = "model", "model not available"
    DISK = "disk", "disk full"
    LOST = "lost", "worker died"
    STALLED = "stalled", "no progress"
    QUOTA = "quota", "over the quota"
    OTHER = "other", "anything else"


class Verdict(models.TextChoices):
    """A reviewer's opinion of a job. PENDING asks for one."""

    PENDING = "pending"
    APPROVED = "approved"
    NEEDS_WORK = "needs work", "Needs work"
    REJECTED = "rejected"


class Job(models.Model):
    """One separation of a track. The row is authoritative; messages in the queue are only hints.

    attempts: number of claims so far. It never decreases: together with the worker's name it identifies a claim.
    losses: workers that died on the job since a person last queued it.
    finished: the last successful attempt. Its stems stay available while other stems are being prepared, and if that
    fails.
    size: bytes of all files of the finished attempt.
    stage_progress: fraction of the stage that is done, 0 to 1; None if unknown.
    original_done, draft_done, segments_done: playable segments of the mixture, of the draft, and of the stems.
    tags: the upload's tags without its cover.
    detected: the detector's result without its timelines, which are in a file.
    review: the last verdict; "" if the job was never flagged or reviewed.
    rerun_of: the job that a reviewer ran again with other settings. The owner does not see reruns.
    deleted_at: a deleted job is hidden from everyone, but can be restored for a while.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="jobs")
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    options = models.JSONField(default=dict)
    worker = models.CharField(max_length=255, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0)
    finished = models.PositiveIntegerField(null=True, blank=True)
    size = models.PositiveBigIntegerField(default=0)

    stage = models.CharField(max_length=16, blank=True)
    stage_progress = models.FloatField(null=True, blank=True)
    blocks_done = models.PositiveIntegerField(default=0)
    blocks_total = models.PositiveIntegerField(default=0)
    seconds_left = models.FloatField(null=True, blank=True)
    samples = models.PositiveBigIntegerField(null=True, blank=True)
    original_done = models.PositiveIntegerField(default=0)
    draft_done = models.PositiveIntegerField(default=0)
    segments_done = models.PositiveIntegerField(default=0)
    segment = models.PositiveIntegerField(default=441_000)  # samples
    segment_gain = models.FloatField(default=4.0)

    error = models.TextField(blank=True)
    cause = models.CharField(max_length=16, choices=Cause.choices, blank=True)
    tags = models.JSONField(default=dict, blank=True)
    detected = models.JSONField(default=dict, blank=True)
    report = models.JSONField(default=dict, blank=True)

    review = models.CharField(max_length=16, choices=Verdict.choices, blank=True)
    rerun_of = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="reruns")

    created_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("review_job", "Can review jobs and run them again")]
        indexes = [
            models.Index(fields=["-created_at"], name="job_newest"),
            models.Index(fields=["state", "-created_at"], name="job_state"),
            models.Index(fields=["review", "-created_at"], name="job_review"),
            models.Index(fields=["-finished_at"], name="job_ended", condition=models.Q(finished_at__isnull=False)),
            models.Index(fields=["queued_at", "id"], name="job_queue", condition=models.Q(state=State.QUEUED)),
            models.Index(fields=["worker"], name="job_running", condition=models.Q(state=State.RUNNING)),
            models.Index(fields=["deleted_at"], name="job_deleted", condition=models.Q(deleted_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(name="job_state_known", condition=models.Q(state__in=State.values)),
            models.CheckConstraint(
                name="job_running_has_worker", condition=~models.Q(state=State.RUNNING) | ~models.Q(worker="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.track_id} ({self.state})"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.pk])

    @property
    def folder(self) -> Path:
        return Path(settings.MEDIA_ROOT) / "jobs" / str(self.pk)

    @property
    def directory(self) -> Path:
        """Folder of the current attempt. Each attempt writes to a folder of its own."""
        return self.folder / str(self.attempts)

    @property
    def finished_directory(self) -> Path | None:
        """Folder of the last successful attempt, if there was one."""
        return None if self.finished is None else self.folder / str(self.finished)

    @property
    def published(self) -> Path:
        """Folder of the files that people play: those of the finished attempt, or else of the current one."""
        return self.finished_directory or self.directory

    @property
    def original(self) -> Path:
        """Folder of the mixture's segments, with thumbnail and cover."""
        return self.published / ORIGINAL

    @property
    def draft(self) -> Path:
        """Folder of the draft that is played until the stems are separated."""
        return self.directory / DRAFTED

    @property
    def duration(self) -> float | None:
        """Length in seconds; None until the song is decoded."""
        return None if self.samples is None else self.samples / SAMPLE_RATE


class Idempotency(models.Model):
    """The job made by a request with an idempotency key, so that repeating the request makes no second job.

    request_digest: SHA-256 of the request, which tells a repetition from another request with the same key.
    """

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64)
    job = models.OneToOneField(Job, on_delete=models.CASCADE, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key


class EventKind(models.TextChoices):
    """What happened to a job. An event is not a state: cancelling a reselection of stems leaves the job done."""

    CREATED = "created"
    STARTED = "started"
    REQUEUED = "requeued", "Put back in the queue"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRIED = "retried", "Queued again"
    RESELECTED = "reselected", "Other stems selected"
    RENAMED = "renamed"
    DELETED = "deleted"
    RESTORED = "restored", "Brought back"
    REVIEWED = "reviewed"
    EMPTIED = "emptied", "Files removed"
    HANDED_OVER = "handed over", "Handed over to the owner"


class JobEvent(models.Model):
    """An entry in a job's history, written by `songs.history` in the transaction of the change itself.

    detail: particulars such as the worker or the error. actor: the person who did it; None for the system.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="history")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=16, choices=EventKind.choices)
    detail = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.get_kind_display()


class Stem(models.Model):
    """One separated instrument. Its segments can be played before the job is done; `file` is empty until then."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="stems")
    name = models.CharField(max_length=32)
    file = models.FileField(blank=True, max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="stem_once_per_job")]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> Path:
        """Path of the finished file, as `storage` takes it."""
        return Path(settings.MEDIA_ROOT, str(self.file))


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self) -> "WorkerQuerySet":
        """Workers with a recent heartbeat."""
        return self.filter(heartbeat_at__gt=timezone.now() - LOST_AFTER)


class Worker(models.Model):
    """One run of a worker process. A restarted worker gets a new row, so that the job it lost is noticed."""

    name = models.CharField(primary_key=True, max_length=255)
    heartbeat_at = models.DateTimeField(db_index=True)
    provider = models.CharField(max_length=64, blank=True)

    objects = WorkerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
