"""The history of a job: each change stores one event, in the same transaction."""

import pytest
from django.db import transaction
from django.utils import timezone
from support.acting import claimed, finish, fresh, silence

from webapp.models import EventKind, Job, JobEvent, State
from webapp.songs import actions, queue

pytestmark = pytest.mark.django_db


def events_of(job):
    return [(event.kind, event.detail, event.actor) for event in job.history.all()]


def test_a_life_is_recorded_from_the_upload_on(make_job, owner, stranger):
    job = make_job()
    queue.release(claimed(job).worker)
    finish(claimed(job, "other"))
    actions.reselect_stems(fresh(job), ["drums"], by=owner)
    actions.cancel(job, by=stranger)
    actions.rename(job.track, "Another", by=owner)
    actions.delete(job, by=owner)
    actions.restore(job, by=owner)
    assert events_of(job) == [
        ("created", {}, owner),
        ("started", {"worker": "w"}, None),
        ("requeued", {"reason": "The worker was stopped."}, None),
        ("started", {"worker": "other"}, None),
        ("done", {}, None),
        ("reselected", {"stems": ["drums"]}, owner),
        ("cancelled", {}, stranger),
        ("renamed", {"title": "Another"}, owner),
        ("deleted", {}, owner),
        ("restored", {}, owner),
    ]
    times = [event.at for event in job.history.all()]
    assert times == sorted(times)


def test_a_failure_says_why(make_job, owner):
    job = make_job(State.FAILED)
    actions.retry(job, by=owner)
    assert events_of(job)[2:] == [("failed", {"error": "No good."}, None), ("retried", {}, owner)]


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.DONE])
def test_one_deletion_is_one_event(make_job, state):
    job = make_job(state)
    actions.delete(job)
    actions.delete(job)
    assert job.history.filter(kind=EventKind.DELETED).count() == 1


def test_many_jobs_at_once_get_an_event_each(make_job):
    lost, hopeless, kept = (claimed(make_job(), worker) for worker in ("dead", "dead", "alive"))
    Job.objects.filter(pk=hopeless.pk).update(losses=queue.MAX_LOSSES - 1)
    silence("dead")
    assert queue.requeue_stale() == 1
    assert events_of(lost)[2:] == [("requeued", {"reason": "The worker died."}, None)]
    assert events_of(hopeless)[2:] == [("failed", {"error": queue.LOST}, None)]
    assert events_of(kept)[2:] == []


def test_a_hanging_worker_is_recorded(make_job):
    job = claimed(make_job())
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - 2 * queue.STALLED_AFTER)
    queue.fail_stalled("w")
    assert events_of(job)[2:] == [("failed", {"error": queue.STALLED}, None)]


def test_what_did_not_happen_is_not_recorded(make_job, owner):
    job = make_job(State.DONE)
    before = events_of(job)
    assert not (actions.cancel(job) or actions.retry(job) or actions.restore(job) or queue.claim(job.pk, "w"))
    queue.release("w")
    queue.requeue_stale()
    with pytest.raises(queue.JobLost):
        queue.fail(job, "Too late.")
    with pytest.raises(queue.JobLost):
        queue.finish(job, {}, {})
    assert events_of(job) == before


def test_progress_is_no_event(make_job):
    job = claimed(make_job())
    queue.progress(job, ["vocals"], stage="separate", blocks_done=1)
    assert events_of(job)[2:] == []


def test_an_event_is_rolled_back_with_its_change(make_job):
    job = make_job()
    with pytest.raises(RuntimeError), transaction.atomic():
        actions.cancel(job)
        raise RuntimeError
    assert (fresh(job).state, [kind for kind, *_ in events_of(job)]) == (State.QUEUED, ["created"])


def test_the_api_reports_who_acted(make_job, browser, owner):
    job = make_job()
    browser.post(f"/api/v1/jobs/{job.pk}/cancel/")
    browser.post(f"/api/v1/jobs/{job.pk}/retry/")
    browser.patch(f"/api/v1/jobs/{job.pk}/", {"title": "New"}, content_type="application/json")
    browser.delete(f"/api/v1/jobs/{job.pk}/")
    browser.post(f"/api/v1/jobs/{job.pk}/restore/")
    kinds = ["created", "cancelled", "retried", "renamed", "deleted", "restored"]
    assert [(kind, actor) for kind, _, actor in events_of(job)] == [(kind, owner) for kind in kinds]


def test_it_outlives_the_actor_and_is_deleted_with_the_job(make_job, stranger):
    job = make_job()
    actions.cancel(job, by=stranger)
    stranger.delete()
    assert events_of(job)[1:] == [("cancelled", {}, None)]
    job.delete()
    assert not JobEvent.objects.exists()
