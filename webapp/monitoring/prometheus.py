"""/metrics: statistics of the whole site for Prometheus, only for staff.

All metrics are gauges read from the database, so every web process reports the same values, and none keeps counters.
"""

from collections.abc import Iterator

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from rest_framework.exceptions import NotAuthenticated, PermissionDenied

from webapp.api.permissions import user_of
from webapp.models import User
from webapp.monitoring.stats import Stats, current_stats

FOR_STAFF = "Metrics of the whole site are only for staff."


@never_cache
@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics in the requested format, for the session or a token with scope read of a staff member."""
    user = await user_of(request)
    if not user.is_authenticated:
        raise NotAuthenticated(FOR_STAFF)
    if not (isinstance(user, User) and user.is_staff):
        raise PermissionDenied(FOR_STAFF)
    registry = CollectorRegistry()
    registry.register(StatsCollector(await sync_to_async(current_stats)()))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


class StatsCollector(Collector):
    """Converts statistics to metrics of Prometheus."""

    def __init__(self, now: Stats) -> None:
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._now
        since = now.waiting_since
        yield _gauge("jobs", "Jobs by state.", now.jobs, "state")
        yield _gauge("jobs_on_hold", "Queued jobs whose owner is on hold.", now.on_hold)
        yield _gauge("jobs_pending_review", "Jobs that wait for a review.", now.pending)
        waited = (timezone.now() - since).total_seconds() if since else 0.0
        yield _gauge("queue_wait_seconds", "How long the oldest queued job has waited for a worker.", waited)
        yield _gauge("workers", "Workers with a recent heartbeat.", len(now.workers))
        songs = {"day": now.day.songs, "week": now.week.songs}
        yield _gauge("separated_songs", "Songs separated in the last day and week.", songs, "in")
        hours = {"day": now.day.hours, "week": now.week.hours}
        yield _gauge("separated_hours", "Hours of music separated in the last day and week.", hours, "in")
        failures = {row.cause.value: row.count for row in now.failures}
        yield _gauge("failures", "Jobs that failed in the last week.", failures, "cause")
        disk = {"used": now.disk.used, "free": now.disk.free}
        yield _gauge("disk_bytes", "Disk that holds the data folder.", disk, "part")
        yield _gauge("upload_bytes", "Size of all uploaded songs.", now.disk.uploads)


def _gauge(
    name: str, description: str, value: float | dict[str, float] | dict[str, int], label: str = ""
) -> GaugeMetricFamily:
    if not isinstance(value, dict):
        return GaugeMetricFamily(f"soundscape_{name}", description, value)
    family = GaugeMetricFamily(f"soundscape_{name}", description, labels=[label])
    for key, part in value.items():
        family.add_metric([key], part)
    return family
