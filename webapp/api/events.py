"""Server-sent events: a `job` event for each job at once and after each change, and `deleted` when a job is deleted.

The tables are polled twice a second, which works across any number of processes and with any database. It costs little:
jobs that have ended are compared only by their time stamps. No connection to the database is held between polls.
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

POLL_INTERVAL = 0.5  # seconds
KEEP_ALIVE = 15.0  # seconds; below the usual minute after which proxies drop a silent connection
RETRY_MS = 2000


@require_GET
async def my_jobs(request: HttpRequest) -> StreamingHttpResponse:
    """Events of all jobs of an account. ?changes=true omits the initial event of jobs that have ended.

    The stream of a visitor waits for the guest account that the first upload will create.
    """
    user = await user_of(request)
    guest = {"track__owner__username": guest_name(request), "track__owner__is_guest": True}
    watch = Watch(jobs_of(user) if user.is_authenticated else all_jobs().filter(**guest))
    if request.GET.get("changes") == "true":
        await sync_to_async(
            watch.skip
        )()  # before the response starts, so that a client that then fetches the jobs misses nothing
    return _stream(watch)


@require_GET
async def one_job(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """Events of a single job."""
    mine = all_jobs().filter(reach(await user_of(request), request.method), pk=pk)
    if not await mine.aexists():
        raise Http404
    return _stream(Watch(mine))


class Watch:
    """Remembers what was sent about a set of jobs and finds what has changed."""

    def __init__(self, jobs: QuerySet[Job]):
        self._jobs = jobs
        self._sent: dict[UUID, tuple[datetime, schemas.Job | None]] = {}

    def skip(self) -> None:
        """Treat jobs that have ended as sent."""
        self._sent = {pk: (updated, None) for pk, (updated, state) in self._stamps().items() if state not in LIVE}

    def changes(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The events since the last call, as pairs of name and data."""
        try:
            stamps = self._stamps()
            deleted = [pk for pk in self._sent if pk not in stamps]
            for pk in deleted:
                del self._sent[pk]
            return [("deleted", {"id": str(pk)}) for pk in deleted] + self._changed(stamps)
        finally:
            close_old_connections()

    def _stamps(self) -> dict[UUID, tuple[datetime, str]]:
        rows = self._jobs.values_list("pk", "updated_at", "state")
        return {pk: (updated, state) for pk, updated, state in rows}

    def _changed(self, stamps: dict[UUID, tuple[datetime, str]]) -> list[tuple[str, Mapping[str, Any]]]:
        """Events of new and changed jobs. A live job depends on workers and other jobs too; always compare it."""
        suspects = [
            pk
            for pk, (updated, state) in stamps.items()
            if state in LIVE or pk not in self._sent or self._sent[pk][0] != updated
        ]
        if not suspects:
            return []
        queue = Queue()
        oldest_first = self._jobs.filter(pk__in=suspects).reverse()
        return [("job", data) for job in oldest_first if (data := self._difference(job, queue))]

    def _difference(self, job: Job, queue: Queue) -> schemas.Job | None:
        """The JSON of the job if it differs from what was sent last."""
        before = self._sent.get(job.pk)
        data = job_json(job, queue)
        self._sent[job.pk] = (job.updated_at, data)
        return data if before is None or before[1] != data else None


def _stream(watch: Watch) -> StreamingHttpResponse:
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx would buffer events
    return StreamingHttpResponse(_events(watch), content_type="text/event-stream", headers=headers)


async def _events(watch: Watch) -> AsyncIterator[str]:
    """Runs until the client disconnects: Django then cancels this generator."""
    poll = sync_to_async(watch.changes)
    yield f"retry: {RETRY_MS}\n\n"
    quiet_since = monotonic()
    while True:
        for name, data in await poll():
            yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
            quiet_since = monotonic()
        if monotonic() - quiet_since >= KEEP_ALIVE:
            yield ": still here\n\n"
            quiet_since = monotonic()
        await asyncio.sleep(POLL_INTERVAL)
