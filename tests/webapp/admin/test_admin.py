"""The admin: what it shows, who may do what, and the number of queries of its lists."""

import re

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from support.acting import claimed, finish, fresh

from pipeline.options import Options
from webapp.models import Cause, Job, State, User, Worker
from webapp.review import moderation
from webapp.songs import actions, queue

pytestmark = pytest.mark.django_db

LIST = "/admin/webapp/job/"


def page(job):
    return f"{LIST}{job.pk}/change/"


def logged_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def reviewer(db):
    user = User.objects.create_user("reviewer", is_staff=True)
    user.groups.add(Group.objects.get(name="Reviewers"))
    return logged_in(user)


@pytest.fixture
def manager(db):
    """May review and change jobs, but is not a superuser."""
    user = User.objects.create_user("manager", is_staff=True)
    names = ["view_job", "review_job", "change_job"]
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="webapp", codename__in=names))
    return logged_in(user)


def act(client, action, *rows, **more):
    data = {"action": action, "_selected_action": [str(job.pk) for job in rows], "index": "0"} | more
    return client.post(LIST, data, follow=True)


def said(answer):
    return [str(message) for message in answer.context["messages"]]


def test_every_list_asks_the_same_few_questions_however_many_rows(
    make_job, admin_client, django_assert_max_num_queries
):
    first = make_job(State.DONE)
    for number in range(12):
        actions.upload_and_enqueue(User.objects.create_user(f"u{number}"), first.track.file, "x.wav")
    for name in ("job", "track", "user", "worker", "export"):
        with django_assert_max_num_queries(12):
            assert admin_client.get(f"/admin/webapp/{name}/").status_code == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=Night", ["night"]),
        ("q=stranger", ["other"]),
        ("q=nothing", []),
        ("state__exact=failed", ["other"]),
        ("review__exact=pending", ["night"]),
        ("flags__kind__exact=null", ["night"]),
        ("cause__exact=other", ["other"]),
    ],
)
def test_jobs_are_found(make_job, admin_client, stranger, query, found):
    rows = {"night": claimed(make_job(title="Night Drive")), "other": make_job(State.FAILED, user=stranger)}
    finish(rows["night"], null_db=-10.0)
    listed = {str(job.pk) for job in admin_client.get(f"{LIST}?{query}").context["cl"].queryset}
    assert listed == {str(rows[name].pk) for name in found}


def test_a_job_is_found_by_its_id_and_by_its_owner(make_job, admin_client, stranger):
    wanted, _ = make_job(), make_job(user=stranger)
    for query in (f"q={wanted.pk}", f"track__owner={wanted.track.owner_id}"):
        assert list(admin_client.get(f"{LIST}?{query}").context["cl"].queryset) == [wanted]


def test_a_row_says_what_matters(make_job, admin_client):
    job = claimed(make_job(title="Night Drive"))
    finish(job, null_db=-10.0)
    html = admin_client.get(LIST).content.decode()
    for words in ("Night Drive", "owner", "Done", "Pending", "0:00:20", "vocals, drums", "default", "-10"):
        assert words in html


def test_the_page_of_a_job_tells_all_of_it(make_job, reviewer):
    job = claimed(make_job(title="Night Drive"))
    evidence = {"level_db": -3.21, "peak_db": -1.0, "clipped": 0.5, "bleed_db": -17.5}
    finish(job, null_db=-10.0, evidence={"vocals": evidence}, seconds={"separate": 12.3})
    html = reviewer.get(page(job)).content.decode()
    assert f'data-result="job-{job.pk}"' in html
    for words in ("Night Drive", "-17.5", "50.00 %", "MIT", "separate 12.3 s", "Quiet.", "only 10 dB", "Started"):
        assert words in html, words


def test_the_page_needs_no_inline_script_or_style(make_job, reviewer):
    html = reviewer.get(page(make_job(State.DONE))).content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(src=|application/json))", html)


@pytest.mark.parametrize("pk", ["0" * 32, "nonsense"])
def test_there_is_no_page_of_no_job(admin_client, pk):
    assert admin_client.get(f"{LIST}{pk}/change/").status_code == 404


def test_a_verdict_from_the_list_and_from_the_page(make_job, reviewer):
    first, second = make_job(State.DONE), make_job(State.FAILED)
    answer = act(reviewer, "approve", first, second, note="Fine.")
    assert [fresh(job).review for job in (first, second)] == ["approved", "approved"]
    assert answer.redirect_chain[-1][0] == LIST and "2 jobs" in said(answer)[0]
    answer = act(reviewer, "reject", first, page=str(first.pk))
    assert answer.redirect_chain[-1][0] == page(first) and fresh(first).review == "rejected"
    html = answer.content.decode()
    assert "Fine." in html and "reviewer" in html


@pytest.mark.parametrize(
    ("action", "state", "after"),
    [
        ("cancel", State.RUNNING, State.CANCELLED),
        ("requeue", State.RUNNING, State.QUEUED),
        ("requeue", State.FAILED, State.QUEUED),
        ("empty", State.DONE, State.CANCELLED),
    ],
)
def test_who_may_change_jobs_can(make_job, manager, action, state, after):
    job = make_job(state)
    act(manager, action, job)
    assert fresh(job).state == after


@pytest.mark.parametrize("action", ["cancel", "requeue", "empty", "hand_over", "delete_selected"])
def test_reviewers_can_not(make_job, reviewer, action):
    job = make_job(State.RUNNING)
    act(reviewer, action, job, post="yes")
    assert fresh(job).state == State.RUNNING
    assert action not in reviewer.get(page(job)).context["actions"]


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State.QUEUED, {"cancel"}),
        (State.RUNNING, {"cancel", "requeue"}),
        (State.FAILED, {"requeue", "empty"}),
        (State.DONE, {"empty"}),
    ],
)
def test_the_page_offers_what_makes_sense(make_job, manager, state, actions):
    offered = manager.get(page(make_job(state))).context["actions"]
    assert set(offered) == {"approve", "needs_work", "reject"} | actions


def test_a_finished_rerun_can_be_handed_over_on_its_page(make_job, manager, owner):
    rerun = claimed(moderation.rerun(make_job(State.DONE), Options(), owner))
    assert "hand_over" not in manager.get(page(rerun)).context["actions"]
    finish(rerun)
    assert "hand_over" in manager.get(page(rerun)).context["actions"]
    act(manager, "hand_over", rerun)
    assert fresh(rerun).rerun_of is None


def test_impossible_actions_are_reported(make_job, manager):
    done, queued = make_job(State.DONE), make_job()
    assert said(act(manager, "cancel", done, queued)) == [
        "1 job cancelled.",
        "1 job left alone. Only what waits or runs can be cancelled.",
    ]


def test_a_rerun_is_shown_beside_the_first_result(make_job, reviewer):
    job = make_job(State.DONE)
    answer = reviewer.post(f"{LIST}{job.pk}/rerun/", {"preset": "default", "bleed": "strong", "stems": ["bass"]})
    rerun = Job.objects.get(rerun_of=job)
    assert (rerun.options["bleed"], rerun.options["stems"]) == ("strong", ["bass"])
    assert answer.url == f"{page(job)}?beside={rerun.pk}"
    finish(claimed(rerun))
    assert [result["job"] for result in reviewer.get(answer.url).context["results"]] == [job, rerun]
    assert [result["job"] for result in reviewer.get(page(rerun)).context["results"]] == [rerun]


@pytest.mark.parametrize("settings_sent", [{}, {"preset": "default", "bleed": "loud"}, {"preset": "?", "bleed": "off"}])
def test_settings_that_do_not_exist_are_refused(make_job, reviewer, settings_sent):
    job = make_job(State.DONE)
    answer = reviewer.post(f"{LIST}{job.pk}/rerun/", settings_sent, follow=True)
    assert said(answer)[0].startswith("These settings") and not job.reruns.exists()


def test_a_result_of_another_song_is_not_shown_beside(make_job, reviewer):
    job, other = make_job(State.DONE), make_job(State.DONE)
    assert len(reviewer.get(f"{page(job)}?beside={other.pk}").context["results"]) == 1


def test_staff_without_the_permission_see_no_job(make_job):
    client = logged_in(User.objects.create_user("clerk", is_staff=True))
    job = make_job(State.DONE)
    assert client.get(LIST).status_code == client.get(page(job)).status_code == 403
    assert client.post(f"{LIST}{job.pk}/rerun/", {"preset": "default", "bleed": "off"}).status_code == 403


def test_members_are_asked_to_log_in(make_job, browser):
    job = make_job(State.DONE)
    for address in (LIST, page(job), f"{LIST}{job.pk}/rerun/"):
        assert browser.get(address).url.startswith(reverse("admin:login"))


def test_nothing_is_edited_by_hand(make_job, admin_client):
    job = make_job(State.DONE)
    assert admin_client.post(page(job), {"state": "queued"}).status_code == 405
    assert fresh(job).state == State.DONE


def test_jobs_of_an_account_are_held_and_released(make_job, admin_client, owner):
    data = {"_selected_action": [str(owner.pk)], "index": "0"}
    admin_client.post("/admin/webapp/user/", data | {"action": "hold"})
    assert User.objects.get(pk=owner.pk).on_hold
    admin_client.post("/admin/webapp/user/", data | {"action": "release"})
    assert not User.objects.get(pk=owner.pk).on_hold


def test_the_first_page_says_how_it_goes(make_job, reviewer, owner, stranger):
    finish(claimed(make_job()), null_db=-10.0)
    failed = claimed(make_job())
    queue.fail(failed, "No good.", Cause.DISK)
    make_job(user=stranger), make_job()
    moderation.hold(User.objects.filter(pk=owner.pk))
    answer = reviewer.get("/admin/")
    now = answer.context["figures"]
    assert (now.waiting, now.on_hold, now.pending, now.day.songs, len(now.workers)) == (1, 1, 1, 1, 1)
    assert now.day.hours == pytest.approx(20 / 3600)
    assert [(row.cause, row.count) for row in now.failures] == [(Cause.DISK, 1)]
    html = answer.content.decode()
    assert "disk full" in html and Worker.objects.get().name in html
