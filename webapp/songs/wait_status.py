"""Why a job waits: its place in the queue, and a sentence for its owner."""

from functools import cached_property
from uuid import UUID

from webapp.models import Job, State, Worker

START = "Start SoundScape with “make serve”, or a worker alone with “celery -A webapp worker”."
NO_WORKER = f"No worker is running, so nothing can start. {START}"
WORKER_GONE = f"The worker has stopped and no other is running. {START} The song then starts again by itself."
HELD = "Whoever runs this site has put your songs on hold. They start once that is lifted."
WORKER_LOST = "The worker has stopped. The song starts again by itself in a moment."


class Queue:
    """A snapshot of the queue. It is read at most once, when first needed, for any number of jobs."""

    @cached_property
    def workers(self) -> frozenset[str]:
        """Names of the workers that are alive."""
        return frozenset(Worker.objects.alive().values_list("name", flat=True))

    @cached_property
    def _waiting(self) -> dict[UUID, bool]:
        """Queued jobs in order, and whether the owner of each is on hold."""
        waiting = Job.objects.filter(state=State.QUEUED, deleted_at=None).order_by("queued_at", "pk")
        return dict(waiting.values_list("pk", "track__owner__on_hold"))

    @cached_property
    def _places(self) -> dict[UUID, int]:
        return {pk: place for place, pk in enumerate(pk for pk, on_hold in self._waiting.items() if not on_hold)}

    @cached_property
    def _running(self) -> int:
        return Job.objects.filter(state=State.RUNNING).count()

    def position(self, job: Job) -> int | None:
        """Return how many jobs must end before this one starts; None if it is not queued, or on hold."""
        if job.state != State.QUEUED or self._waiting.get(job.pk):
            return None
        idle = max(len(self.workers), 1) - self._running
        return max(self._places.get(job.pk, 0) - idle + 1, 0)

    def notice(self, job: Job) -> str:
        """Explain why a job waits or has stopped; "" if it does not."""
        if job.state == State.RUNNING:
            if job.worker in self.workers:
                return ""
            return WORKER_LOST if self.workers else WORKER_GONE
        if job.state != State.QUEUED:
            return ""
        if self._waiting.get(job.pk):
            return HELD
        if not self.workers:
            return NO_WORKER
        ahead = self.position(job)
        return f"Starts after {ahead} other job{'' if ahead == 1 else 's'}." if ahead else ""
