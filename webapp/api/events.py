"""Server-sent events: one `job` event per job at once, then one at each change, `deleted` when a job is gone.

The rows are asked twice a second, which works over any number of processes and any database. It costs little:
jobs that are over are only compared by their time stamp. No database connection is held between two looks.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from webapp.api import schemas
from webapp.api.permissions import reach, user_of
from webapp.api.representations import job_json
from webapp.http.guests import guest_name
from webapp.models import LIVE, Job
from webapp.songs.queries import all_jobs, jobs_of
from webapp.songs.wait_status import Queue

LOOK_EVERY = 0.5  # seconds
KEEP_ALIVE = 15.0  # seconds; below the usual minute after which proxies drop a silent connection
RETRY_MS = 2000


@require_GET
async def my_jobs(request: HttpRequest) -> StreamingHttpResponse:
    """Events of all my jobs; with ?changes=true without a first one of each job that is over.

    A visitor's stream waits for the guest that the first upload will make.
    """
    user = await user_of(request)
    guest = {"track__owner__username": guest_name(request), "track__owner__is_guest": True}
    watch = Watch(jobs_of(user) if user.is_authenticated else all_jobs().filter(**guest))
    if request.GET.get("changes") == "true":
        await sync_to_async(watch.skip)()  # before the answer begins: who then asks how things are misses nothing
    return _stream(watch)


@require_GET
async def one_job(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """Events of one job."""
    mine = all_jobs().filter(reach(await user_of(request), request.method), pk=pk)
    if not await mine.aexists():
        raise Http404
    return _stream(Watch(mine))


class Watch:
    """Remembers what was told about some jobs and finds out what is new."""

    def __init__(self, jobs: QuerySet[Job]):
        self._jobs = jobs
        self._told: dict[UUID, tuple[datetime, schemas.Job | None]] = {}

    def skip(self) -> None:
        """Take jobs that are over as known."""
        self._told = {pk: (updated, None) for pk, (updated, state) in self._stamps().items() if state not in LIVE}

    def news(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Events since the last call: (name, data)."""
        try:
            stamps = self._stamps()
            gone = [pk for pk in self._told if pk not in stamps]
            return [self._deleted(pk) for pk in gone] + self._changed(stamps)
        finally:
            close_old_connections()

    def _stamps(self) -> dict[UUID, tuple[datetime, str]]:
        rows = self._jobs.values_list("pk", "updated_at", "state")
        return {pk: (updated, state) for pk, updated, state in rows}

    def _deleted(self, pk: UUID) -> tuple[str, Mapping[str, Any]]:
        del self._told[pk]
        return "deleted", {"id": str(pk)}

    def _changed(self, stamps: dict[UUID, tuple[datetime, str]]) -> list[tuple[str, Mapping[str, Any]]]:
        """What is new. A live job's JSON also depends on workers and other jobs, so it is always compared."""
        suspects = [pk for pk, stamp in stamps.items() if self._may_have_changed(pk, *stamp)]
        if not suspects:
            return []
        queue = Queue()
        oldest_first = self._jobs.filter(pk__in=suspects).reverse()
        return [("job", data) for job in oldest_first if (data := self._difference(job, queue))]

    def _may_have_changed(self, pk: UUID, updated: datetime, state: str) -> bool:
        return state in LIVE or pk not in self._told or self._told[pk][0] != updated

    def _difference(self, job: Job, queue: Queue) -> schemas.Job | None:
        """The job's JSON if it is not what was told last."""
        before = self._told.get(job.pk)
        data = job_json(job, queue)
        self._told[job.pk] = (job.updated_at, data)
        return data if before is None or before[1] != data else None


def _stream(watch: Watch) -> StreamingHttpResponse:
    headers = {
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
    }  # nginx would collect events in a buffer
    return StreamingHttpResponse(_events(watch), content_type="text/event-stream", headers=headers)


async def _events(watch: Watch) -> AsyncIterator[str]:
    """Until the browser goes away: Django then cancels this generator."""
    look = sync_to_async(watch.news)
    yield f"retry: {RETRY_MS}\n\n"
    quiet_since = monotonic()
    while True:
        for name, data in await look():
            yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
            quiet_since = monotonic()
        if monotonic() - quiet_since >= KEEP_ALIVE:
            yield ": still here\n\n"
            quiet_since = monotonic()
        await asyncio.sleep(LOOK_EVERY)
