"""What administrators do to others' jobs, as verbs beside `songs.actions`. No HTTP here."""

from django.db import transaction
from django.db.models import QuerySet

from pipeline.options import Options
from webapp.models import EventKind, Job, State, User
from webapp.songs import actions, queue, transitions
from webapp.songs.history import change

OVER = (State.DONE, State.FAILED, State.CANCELLED)
EMPTIED = (
    "Whoever runs this site has removed the files of this song. The upload is still here: "
    "try again to have it separated once more."
)


def rerun(job: Job, options: Options, by: User) -> Job:
    """Separate the same song with other settings, beside what there is. The owner does not see it until `hand_over`."""
    return actions.enqueue(job.track, options, by, rerun_of=job)


def hand_over(rerun: Job, by: User) -> bool:
    """Give a finished trial to the owner, who then has it beside the other. False if it is none, or not finished."""
    ready = Job.objects.filter(pk=rerun.pk, rerun_of__isnull=False, state=State.DONE)
    return bool(change(ready, EventKind.HANDED_OVER, by, rerun_of=None))


def requeue(job: Job, by: User) -> bool:
    """Put a job back in the queue: a running one is taken from its worker. False if it waits already, or is done."""
    running = Job.objects.filter(pk=job.pk, state=State.RUNNING)
    with transaction.atomic():
        if not change(running, EventKind.REQUEUED, by, state=State.QUEUED, seconds_left=None):
            return actions.retry(job, by)
        transaction.on_commit(queue.wake)
    return True


def empty(job: Job, by: User) -> bool:
    """Remove all that was made of a song, but not the upload. False if the job is not over."""
    over = Job.objects.filter(pk=job.pk, state__in=OVER)
    gone = transitions.FRESH | {"finished": None, "error": EMPTIED, "finished_at": job.finished_at}
    with transaction.atomic():
        if not change(over, EventKind.EMPTIED, by, **gone, state=State.CANCELLED):
            return False
        job.stems.all().delete()
        job.exports.all().delete()
        job.flags.all().delete()
        transaction.on_commit(lambda: transitions.clear(job.pk))
    return True


def hold(owners: QuerySet[User]) -> int:
    """Let no more jobs of these people start. What runs goes on. How many people."""
    return owners.update(on_hold=True)


def release(owners: QuerySet[User]) -> int:
    """Let their jobs start again, in their old places. How many people."""
    with transaction.atomic():
        transaction.on_commit(queue.wake)
        return owners.update(on_hold=False)
