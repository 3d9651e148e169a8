"""What administrators do with other people's jobs, beyond `songs.actions`."""

from django.db import transaction
from django.db.models import QuerySet

from pipeline.options import Options
from webapp.models import EventKind, Job, State, User
from webapp.songs import actions, queue
from webapp.songs.history import change
from webapp.songs.transitions import FRESH, MODERATION, clear

EMPTIED = (
    "Whoever runs this site has removed the files of this song. The upload is still here: "
    "try again to have it separated once more."
)


def rerun(job: Job, options: Options, by: User) -> Job:
    """Separate a song again with other settings. The owner does not see the rerun until `hand_over`."""
    return actions.enqueue(job.track, options, by, rerun_of=job)


def hand_over(rerun: Job, by: User) -> bool:
    """Give a finished rerun to the owner, beside the first result. Returns False if it is no rerun, or not finished."""
    ready = Job.objects.filter(pk=rerun.pk, rerun_of__isnull=False, state__in=MODERATION["hand_over"])
    return bool(change(ready, EventKind.HANDED_OVER, by, rerun_of=None))


def requeue(job: Job, by: User) -> bool:
    """Queue a job again, taking a running one from its worker. Returns False if it is queued or done."""
    running = Job.objects.filter(pk=job.pk, state=State.RUNNING)
    with transaction.atomic():
        if not change(running, EventKind.REQUEUED, by, state=State.QUEUED, seconds_left=None):
            return actions.retry(job, by)
        transaction.on_commit(queue.wake)
    return True


def empty(job: Job, by: User) -> bool:
    """Remove everything made from a song except the upload. Returns False if the job has not ended."""
    over = Job.objects.filter(pk=job.pk, state__in=MODERATION["empty"])
    emptied = FRESH | {"finished": None, "error": EMPTIED, "finished_at": job.finished_at}
    with transaction.atomic():
        if not change(over, EventKind.EMPTIED, by, **emptied, state=State.CANCELLED):
            return False
        job.stems.all().delete()
        job.exports.all().delete()
        job.flags.all().delete()
        transaction.on_commit(lambda: clear(job.pk))
    return True


def hold(owners: QuerySet[User]) -> int:
    """Keep the queued jobs of these users from starting; running ones go on. Returns the number of users."""
    return owners.update(on_hold=True)


def release(owners: QuerySet[User]) -> int:
    """Let the jobs of these users start again, in their old places. Returns the number of users."""
    with transaction.atomic():
        transaction.on_commit(queue.wake)
        return owners.update(on_hold=False)
