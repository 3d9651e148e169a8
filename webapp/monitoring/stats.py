"""Statistics of the site, for the index page of the admin and for Prometheus."""

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.utils import timezone

from webapp.models import SAMPLE_RATE, Cause, Job, State, Track, Verdict, Worker

DAY, WEEK = timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was separated in a period: number of songs, and hours of music."""

    songs: int
    hours: float


@dataclass(frozen=True, slots=True)
class Failures:
    """The number of jobs that failed for one cause in the last week."""

    cause: Cause
    count: int


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of the disk that holds the data folder. uploads: those of uploaded songs."""

    used: int
    free: int
    total: int
    uploads: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Statistics at one moment. jobs: by state, without deleted ones. on_hold: queued jobs whose owner is on hold."""

    jobs: dict[str, int]
    on_hold: int
    pending: int
    waiting_since: datetime | None
    workers: list[Worker]
    day: Throughput
    week: Throughput
    failures: list[Failures]
    disk: Disk

    @property
    def waiting(self) -> int:
        """The number of jobs that wait only for a worker."""
        return self.jobs[State.QUEUED] - self.on_hold


def current_stats() -> Stats:
    """The statistics at this moment."""
    kept = Job.objects.filter(deleted_at=None)
    counted = dict(kept.values_list("state").annotate(Count("pk")))
    queued = kept.filter(state=State.QUEUED)
    oldest = queued.filter(track__owner__on_hold=False).order_by("queued_at").values_list("queued_at", flat=True)
    return Stats(
        jobs={state: counted.get(state, 0) for state in State.values},
        on_hold=queued.filter(track__owner__on_hold=True).count(),
        pending=kept.filter(review=Verdict.PENDING).count(),
        waiting_since=oldest.first(),
        workers=list(Worker.objects.alive().order_by("name")),
        day=_throughput(DAY),
        week=_throughput(WEEK),
        failures=_failures(),
        disk=_disk(),
    )


def _ended(ago: timedelta, state: State) -> Q:
    return Q(state=state, finished_at__gt=timezone.now() - ago)


def _throughput(ago: timedelta) -> Throughput:
    sums = Job.objects.filter(_ended(ago, State.DONE)).aggregate(songs=Count("pk"), samples=Sum("samples"))
    return Throughput(sums["songs"], (sums["samples"] or 0) / SAMPLE_RATE / 3600)


def _failures() -> list[Failures]:
    failed = Job.objects.filter(_ended(WEEK, State.FAILED))
    counted = failed.values_list("cause").annotate(count=Count("pk")).order_by("-count", "cause")
    return [Failures(Cause(cause or Cause.OTHER), count) for cause, count in counted]


def _disk() -> Disk:
    disk = shutil.disk_usage(settings.DATA)
    uploads = Track.objects.aggregate(Sum("size"))["size__sum"] or 0
    return Disk(disk.used, disk.free, disk.total, uploads)
