"""Tokens: what each scope permits, and how invalid tokens fail, in views of REST framework and in plain views."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone
from support.acting import fresh

from webapp.api.authentication import LAST_USED_PRECISION
from webapp.models import Scope, State, Token, User

pytestmark = pytest.mark.django_db
BOTH = [Scope.READ, Scope.WRITE]


@pytest.fixture
def bearer(owner):
    """A client with a token of a user."""

    def make(scopes=BOTH, user=None, **more) -> Client:
        _, secret = Token.objects.create(user or owner, name="CI", scopes=scopes, **more)
        return Client(headers={"Authorization": f"Bearer {secret}"}, enforce_csrf_checks=True)

    return make


def paths(job) -> list[str]:
    """Paths of a view of REST framework, a file, an archive and a stream."""
    base = f"/api/v1/jobs/{job.pk}/"
    return [base, f"{base}stems/vocals/download", f"{base}stems.zip", f"{base}events/"]


def test_acts_for_its_owner_without_session_or_csrf(bearer, make_job, owner):
    job, program = make_job(State.DONE), bearer()
    for path in paths(job):
        assert program.get(path).status_code == 200, path
    answer = program.patch(f"/api/v1/jobs/{job.pk}/", {"title": "New"}, content_type="application/json")
    assert (answer.status_code, fresh(job).track.title) == (200, "New")
    assert program.post("/api/v1/jobs/", {}).status_code == 400
    assert "sessionid" not in program.cookies


def test_reaches_nothing_of_others(bearer, make_job, stranger):
    job, program = make_job(State.DONE), bearer(user=stranger)
    for path in paths(job):
        assert program.get(path).status_code == 404, path
    assert program.delete(f"/api/v1/jobs/{job.pk}/").status_code == 404
    assert fresh(job).deleted_at is None


def test_only_reads_with_the_scope_read(bearer, make_job):
    job, program = make_job(State.DONE), bearer([Scope.READ])
    for path in paths(job):
        assert program.get(path).status_code == 200, path
    answer = program.delete(f"/api/v1/jobs/{job.pk}/")
    assert (answer.status_code, answer.json()["type"]) == (403, "/api/v1/problems/#insufficient-scope")
    assert "“write”" in answer.json()["detail"]
    assert fresh(job).deleted_at is None


def test_only_changes_with_the_scope_write(bearer, make_job):
    job, program = make_job(State.DONE), bearer([Scope.WRITE])
    for path in paths(job):
        answer = program.get(path)
        assert (answer.status_code, answer.json()["type"]) == (403, "/api/v1/problems/#insufficient-scope"), path
    assert program.delete(f"/api/v1/jobs/{job.pk}/").status_code == 204


@pytest.mark.parametrize("secret", ["", "scape_" + "0" * 64, "a b", "\xff", "x" * 5000])
def test_a_bad_one_is_refused_even_beside_a_good_session(browser, make_job, secret):
    job = make_job(State.DONE)
    for path in paths(job):
        answer = browser.get(path, headers={"Authorization": f"Bearer {secret}"})
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer"), path
        assert answer.json()["type"] == "/api/v1/problems/#authentication-failed"


def test_an_expired_one_is_refused(bearer, make_job):
    job = make_job(State.DONE)
    program = bearer(expiry=timedelta(hours=1))
    assert program.get(f"/api/v1/jobs/{job.pk}/").status_code == 200
    Token.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    for path in paths(job):
        assert program.get(path).status_code == 401, path


def test_one_of_a_closed_account_is_refused(bearer, make_job):
    job, program = make_job(State.DONE), bearer()
    User.objects.update(is_active=False)
    for path in paths(job):
        assert program.get(path).status_code == 401, path


def test_its_use_is_noted_but_not_each_time(bearer):
    program = bearer()
    program.get("/api/v1/jobs/")
    first = Token.objects.get().last_used
    program.get("/api/v1/jobs/")
    assert Token.objects.get().last_used == first
    Token.objects.update(last_used=first - LAST_USED_PRECISION)
    program.get("/api/v1/jobs/")
    assert Token.objects.get().last_used > first


def test_the_database_does_not_know_it(owner):
    token, secret = Token.objects.create(owner, name="CI", scopes=BOTH)
    kept = Token.objects.filter(pk=token.pk).values().get()
    assert secret.startswith("scape_") and len(secret) == 70
    assert not [value for value in kept.values() if secret[20:] in str(value)]


def test_staff_look_at_everything_but_change_nothing(make_job, fetch):
    job = make_job(State.DONE)
    staff = User.objects.create_user("staff", is_staff=True)
    client = Client()
    client.force_login(staff)
    for path in paths(job)[:-1]:
        assert fetch(path, staff).status == 200, path
    assert client.get(paths(job)[-1]).status_code == 200
    for verb in ("cancel", "retry", "stems"):
        assert client.post(f"/api/v1/jobs/{job.pk}/{verb}/").status_code == 404
    assert client.delete(f"/api/v1/jobs/{job.pk}/").status_code == 404
    assert client.get("/api/v1/jobs/").json()["results"] == []  # their own


def test_administrators_see_whose_there_are_and_revoke_them(owner, admin_client):
    token, _ = Token.objects.create(owner, name="CI", scopes=BOTH)
    for path in ("", f"{token.pk}/change/"):
        answer = admin_client.get(f"/admin/webapp/token/{path}")
        assert answer.status_code == 200
        assert b"CI" in answer.content and token.digest.encode() not in answer.content
    admin_client.post(f"/admin/webapp/token/{token.pk}/delete/", {"post": "yes"})
    assert not Token.objects.exists()


def test_reviewers_see_none(owner):
    token, _ = Token.objects.create(owner, name="CI", scopes=BOTH)
    reviewer = User.objects.create_user("reviewer", is_staff=True)
    reviewer.groups.add(Group.objects.get(name="Reviewers"))
    client = Client()
    client.force_login(reviewer)
    for path in ("", f"{token.pk}/change/", f"{token.pk}/delete/"):
        assert client.get(f"/admin/webapp/token/{path}").status_code == 403
