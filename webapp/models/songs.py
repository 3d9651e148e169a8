"""Tracks, the jobs that separate them, their history and stems, and the workers.

Rows only; what people and workers do with them is in `webapp.songs`. A stem is a row, never a column, so that any
set of instruments fits. Only a track has an owner.
"""

import uuid
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from webapp.models.accounts import User

LOST_AFTER = timedelta(seconds=20)  # a worker that has not beaten for so long is taken for dead
SAMPLE_RATE = 44_100
DETECTION = "detection.json"  # beside an attempt's stems: what was heard, second by second
ORIGINAL = "original"  # beside an attempt's stems: the song itself, as segments, and in it
THUMBNAIL = "thumbnail.i8"  # its waveform in few peaks
COVER = "cover"  # the picture that came with the upload
DRAFTED = "draft"  # beside an attempt's stems, and laid out like them: their draft, until they are there


def track_path(track: "Track", filename: str) -> str:
    """Where an upload is kept: under its id, with a tame form of the extension as a hint for decoders."""
    suffix = "".join(c for c in Path(filename).suffix.lower() if c.isascii() and c.isalnum())[:8]
    return f"tracks/{track.pk}.{suffix or 'bin'}"


class Track(models.Model):
    """A file as somebody uploaded it.

    named: a person gave it its title, which its tags do not replace. artist: from its tags, once it is decoded.
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
        """The upload, for `storage`."""
        return Path(settings.MEDIA_ROOT, str(self.file))


class State(models.TextChoices):
    """The life of a job: queued, running, then one of three ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = (State.QUEUED, State.RUNNING)


class Cause(models.TextChoices):
    """Why a job failed, in few words: what failures are counted by."""

    FILE = "file", "unreadable file"
    MODEL = "model", "model not available"
    DISK = "disk", "disk full"
    LOST = "lost", "worker died"
    STALLED = "stalled", "nothing moved"
    QUOTA = "quota", "over the quota"
    OTHER = "other", "anything else"


class Verdict(models.TextChoices):
    """What a reviewer says of a job; pending: somebody should look at it."""

    PENDING = "pending"
    APPROVED = "approved"
    NEEDS_WORK = "needs work", "Needs work"
    REJECTED = "rejected"


class Job(models.Model):
    """One separation of a track. The row is the truth about it; messages in the queue are only hints.

    attempts counts claims and never goes down: with the worker's name it tells one claim from every other.
    losses counts workers that died on the job since a person last asked for it. heard is the detector's answer, without
    its timelines, which are a file. finished is the last attempt that ended well: people keep its stems until another
    choice of stems is ready, and also if that fails. tags are what the upload says about itself, without its picture.
    A job with deleted_at is gone for everyone but its owner's undo. review is the last verdict, "" if nobody is asked
    for one. rerun_of is the job that a reviewer ran again with other settings: a trial is not shown to the owner.
    size: bytes of all files of the finished attempt. draft_done: segments that can be heard as a draft meanwhile.
    stage_progress: how far the stage is, 0 to 1; None if that is not known.
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
    segment = models.PositiveIntegerField(default=441_000)  # samples; songs from before it was noted have 10 s
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
        """The job's page."""
        return reverse("job", args=[self.pk])

    @property
    def folder(self) -> Path:
        """All files of the job."""
        return Path(settings.MEDIA_ROOT) / "jobs" / str(self.pk)

    @property
    def directory(self) -> Path:
        """The files of the current attempt: two attempts never write to the same place."""
        return self.folder / str(self.attempts)

    @property
    def finished_directory(self) -> Path | None:
        """The files of the last attempt that ended well, if there was one."""
        return None if self.finished is None else self.folder / str(self.finished)

    @property
    def published(self) -> Path:
        """The files that people play: finished ones, or else what there is so far."""
        return self.finished_directory or self.directory

    @property
    def original(self) -> Path:
        """The song itself as people play it, with its thumbnail and cover."""
        return self.published / ORIGINAL

    @property
    def draft(self) -> Path:
        """What is heard of the stems until they are there."""
        return self.directory / DRAFTED

    @property
    def duration(self) -> float | None:
        """Seconds, known once decoding is over."""
        return None if self.samples is None else self.samples / SAMPLE_RATE


class Idempotency(models.Model):
    """What a request with a key of its sender's choice made, so that sending it twice makes nothing twice."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64)
    job = models.OneToOneField(Job, on_delete=models.CASCADE, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key


class EventKind(models.TextChoices):
    """What can happen to a job. It is not its state: cancelling another choice of stems leaves a job done."""

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
    """Something that happened to a job. `songs.history` writes them, in the transaction of what they tell about.

    detail: more about it, such as the worker or the error. actor: who did it, None if no person did.
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
    """One separated instrument. `file` is empty until the job is done; its segments are there before."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="stems")
    name = models.CharField(max_length=32)
    file = models.FileField(blank=True, max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="stem_once_per_job")]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> Path:
        """The finished file, for `storage`."""
        return Path(settings.MEDIA_ROOT, str(self.file))


class WorkerQuerySet(models.QuerySet["Worker"]):
    """Queries about workers."""

    def alive(self) -> "WorkerQuerySet":
        """Those that beat a moment ago."""
        return self.filter(heartbeat_at__gt=timezone.now() - LOST_AFTER)


class Worker(models.Model):
    """One run of a worker process: a restarted worker is another row, so that its lost job is noticed."""

    name = models.CharField(primary_key=True, max_length=255)
    heartbeat_at = models.DateTimeField(db_index=True)
    provider = models.CharField(max_length=64, blank=True)

    objects = WorkerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
