"""Verdicts, the flags that ask for them, and what administrators may do with other people's jobs."""

import pytest
from django.contrib.auth.models import Group
from support.acting import claimed, files_below, finish, fresh

from pipeline.options import Options
from webapp.models import Delivery, EventKind, Export, Flag, Job, State, User, Verdict
from webapp.review import moderation
from webapp.review.verdicts import decide
from webapp.songs import actions, queue
from webapp.songs.flags import flags_of
from webapp.songs.wait_status import HELD, Queue
from webapp.webhooks import outbox

pytestmark = pytest.mark.django_db

FINE = {"level_db": -12.0, "peak_db": -1.0, "clipped": 0.0, "bleed_db": -20.0}


@pytest.fixture
def reviewer(db) -> User:
    user = User.objects.create_user("reviewer", is_staff=True)
    user.groups.add(Group.objects.get(name="Reviewers"))
    return user


def report(**more):
    return {"null_db": -120.0, "stems": ["vocals", "drums"], "evidence": {"vocals": FINE, "drums": FINE}} | more


def detected(**presence):
    return {"stage": "confirmed", "stems": {kind: {"probability": 0.5, "presence": p} for kind, p in presence.items()}}


def listed(browser):
    answer = browser.get("/api/v1/jobs/").json()
    return answer["results"] if isinstance(answer, dict) else answer


def test_a_good_result_has_no_flags():
    assert dict(flags_of(report(), detected(vocals="present", drums="present", piano="uncertain"))) == {}


@pytest.mark.parametrize(
    ("kind", "found", "listened", "words"),
    [
        ("null", report(null_db=-59.0), detected(), "59 dB"),
        ("clipped", report(evidence={"vocals": FINE, "drums": FINE | {"clipped": 0.01}}), detected(), "drums"),
        ("silent", report(evidence={"vocals": FINE | {"level_db": -80.0}}), detected(), "vocals"),
        ("unsure", report(), detected(vocals="present", drums="uncertain"), "drums"),
    ],
)
def test_each_problem_has_its_flag(kind, found, listened, words):
    ((flag, detail),) = flags_of(found, listened)
    assert flag == kind and words in detail


@pytest.mark.parametrize("null_db", [-60.0, -60.1, None])
def test_sixty_decibels_are_enough(null_db):
    assert dict(flags_of(report(null_db=null_db), {})) == {}


def test_a_flagged_job_is_marked_for_review_when_it_ends(make_job):
    job = claimed(make_job())
    finish(job, null_db=-40.0)
    row = fresh(job)
    assert (row.state, row.review) == (State.DONE, Verdict.PENDING)
    assert [flag.kind for flag in row.flags.all()] == [Flag.Kind.NULL]
    last = row.history.last()
    assert (last.kind, last.detail["verdict"], last.actor) == (EventKind.REVIEWED, "pending", None)
    assert "40 dB" in last.detail["note"]


def test_a_job_without_problems_is_not(make_job):
    row = make_job(State.DONE)
    assert row.review == "" and not row.flags.exists()
    assert [event.kind for event in row.history.all()] == ["created", "started", "done"]


def test_flags_are_those_of_the_last_result(make_job):
    job = claimed(make_job())
    finish(job, null_db=-40.0)
    actions.reselect_stems(fresh(job), ["drums"])
    finish(claimed(job))
    assert not job.flags.exists()


def test_the_api_reports_the_evidence(make_job, browser):
    job = claimed(make_job())
    finish(job, evidence={"vocals": FINE})
    assert browser.get(f"/api/v1/jobs/{job.pk}/").json()["quality"] == {"vocals": FINE}


def test_a_verdict_is_stored_with_reviewer_and_note(make_job, reviewer):
    first, second, other = make_job(State.DONE), make_job(State.FAILED), make_job()
    assert decide(Job.objects.exclude(pk=other.pk), Verdict.NEEDS_WORK, " Drums in the vocals. ", reviewer) == 2
    decide(Job.objects.filter(pk=first.pk), Verdict.APPROVED, "", reviewer)
    assert [fresh(job).review for job in (first, second, other)] == ["approved", "needs work", ""]
    verdicts = first.history.filter(kind=EventKind.REVIEWED)
    assert [(event.detail, event.actor) for event in verdicts] == [
        ({"verdict": "needs work", "note": "Drums in the vocals."}, reviewer),
        ({"verdict": "approved", "note": ""}, reviewer),
    ]


def test_reviewers_may_view_and_review_but_not_delete(reviewer):
    assert reviewer.get_all_permissions() == {"webapp.view_job", "webapp.review_job", "webapp.view_track"}


def test_a_rerun_is_not_announced_to_the_owner_before_it_is_handed_over(make_job, reviewer, browser, sent, committing):
    job = make_job(State.DONE)
    outbox.create(job.track.owner, "https://example.org/", [])
    with committing():
        rerun = moderation.rerun(job, Options(stems=("drums",), bleed="strong"), reviewer)
    assert sent[-1:] == ["webapp.tasks.separate"]
    assert rerun.track == job.track and queue.options_of(rerun).bleed == "strong"
    assert not moderation.hand_over(rerun, reviewer)  # it is not finished
    finish(claimed(rerun))
    assert [row["id"] for row in listed(browser)] == [str(job.pk)]
    assert not Delivery.objects.exists()
    assert moderation.hand_over(rerun, reviewer)
    assert {row["id"] for row in listed(browser)} == {str(job.pk), str(rerun.pk)}
    assert fresh(job).state == State.DONE
    assert not moderation.hand_over(fresh(job), reviewer)  # it belongs to the owner already


def test_a_rerun_is_deleted_with_the_first_job(make_job, reviewer):
    job = make_job(State.DONE)
    rerun = moderation.rerun(job, Options(), reviewer)
    actions.delete(job)
    assert fresh(rerun).deleted_at and queue.claim(rerun.pk, "w") is None
    actions.restore(job)
    assert fresh(rerun).deleted_at is None
    job.delete()
    assert not Job.objects.filter(pk=rerun.pk).exists()


def test_jobs_of_an_owner_on_hold_wait(make_job, owner, stranger, browser, sent, committing):
    first, second = make_job(), make_job(user=stranger)
    assert moderation.hold(User.objects.filter(pk=owner.pk)) == 1
    assert queue.claim(first.pk, "w") is None
    assert queue.claim_next("w").pk == second.pk
    assert queue.claim_next("w") is None
    answer = browser.get(f"/api/v1/jobs/{first.pk}/").json()
    assert (answer["state"], answer["notice"], answer["position"]) == ("queued", HELD, None)
    sent.clear()
    with committing():
        moderation.release(User.objects.filter(pk=owner.pk))
    assert sent == ["webapp.tasks.separate"]
    assert queue.claim_next("w").pk == first.pk


def test_jobs_on_hold_do_not_delay_others(make_job, owner, stranger):
    make_job()
    moderation.hold(User.objects.filter(pk=owner.pk))
    waiting = make_job(user=stranger)
    queue.heartbeat("w")
    assert Queue().position(waiting) == 0


def test_a_running_job_goes_on_when_its_owner_is_on_hold(make_job, owner):
    job = claimed(make_job())
    moderation.hold(User.objects.filter(pk=owner.pk))
    finish(job)
    assert fresh(job).state == State.DONE


def test_a_running_job_is_taken_from_its_worker(make_job, reviewer):
    job = claimed(make_job())
    assert moderation.requeue(job, reviewer)
    assert fresh(job).state == State.QUEUED
    with pytest.raises(queue.JobLost):
        queue.progress(job)


@pytest.mark.parametrize(
    ("state", "put_back"), [("failed", True), ("cancelled", True), ("done", False), ("queued", False)]
)
def test_failed_and_cancelled_jobs_are_queued_again(make_job, reviewer, state, put_back):
    job = make_job(state)
    assert moderation.requeue(job, reviewer) is put_back
    assert fresh(job).state == (State.QUEUED if put_back else state)


def test_an_emptied_job_keeps_its_upload_and_says_so(make_job, reviewer, browser, committing):
    job = make_job(State.DONE)
    Export.objects.create(job=job, filename="x.wav", process="p", state=State.DONE)
    with committing():
        assert moderation.empty(job, reviewer)
    row = fresh(job)
    assert (row.state, row.finished, row.segments_done, row.original_done) == (State.CANCELLED, None, 0, 0)
    assert not row.stems.exists() and not row.exports.exists() and files_below(row.folder) == []
    assert row.track.file.storage.exists(row.track.file.name)
    assert browser.get(f"/api/v1/jobs/{job.pk}/").json()["notice"] == moderation.EMPTIED
    assert actions.retry(row) and fresh(job).error == ""


def test_nothing_is_removed_from_under_a_worker(make_job, reviewer):
    job = claimed(make_job())
    assert not moderation.empty(job, reviewer)
    assert fresh(job).state == State.RUNNING
