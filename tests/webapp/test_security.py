"""Security on the open network: headers, no inline code, protection against guessing, Django's own checks."""

import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from axes.models import AccessAttempt, AccessFailureLog
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from webapp.models import State, User
from webapp.pages import guessing

pytestmark = pytest.mark.django_db

LOGIN = {"username": "owner", "password": "wonderwall-1995"}
WRONG = LOGIN | {"password": "definitely-maybe"}
INLINE = {
    "a script": r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>",
    "a style": r"<style\b",
    "a style attribute": r"<[^>]+\sstyle\s*=",
    "a handler": r"<[^>]+\son[a-z]+\s*=",
    "a script as an address": r"javascript:",
}
PRODUCTION = {
    "SECRET_KEY": "kaleidoscope-of-fifty-and-more-characters-that-nobody-guesses",
    "SOUNDSCAPE_HTTPS": "true",
    "SOUNDSCAPE_HSTS_DAYS": "365",
    "SOUNDSCAPE_HOSTS": "stems.example.org",
    "SOUNDSCAPE_ORIGINS": "https://stems.example.org",
}


def directives(answer):
    """The content security policy as {directive: values}."""
    parts = [part.split() for part in answer.headers["Content-Security-Policy"].split(";")]
    return {name: values for name, *values in parts}


@pytest.fixture
def staff(owner):
    """The browser of the owner, who is also staff."""
    User.objects.filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(owner)
    return client


class TestHeaders:
    @pytest.mark.parametrize("path", ["/", "/nowhere/", "/api/v1/jobs/", "/admin/login/", "/healthz"])
    def test_every_answer_has_them(self, path):
        answer = Client().get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert directives(answer)["default-src"] == ["'none'"]

    def test_nothing_but_own_files_may_be_used(self, browser):
        policy = directives(browser.get("/"))
        assert policy["script-src"] == policy["style-src"] == ["'self'"]
        assert policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
        assert {value for values in policy.values() for value in values} == {"'self'", "'none'"}

    def test_only_a_songs_page_runs_webassembly(self, browser, make_job):
        page = browser.get(make_job().get_absolute_url())
        assert directives(page)["script-src"] == ["'self'", "'wasm-unsafe-eval'"]

    def test_hsts_is_for_those_who_ask_for_it(self, settings):
        assert "Strict-Transport-Security" not in Client().get("/", secure=True).headers
        settings.SECURE_HSTS_SECONDS = 86400
        assert Client().get("/", secure=True).headers["Strict-Transport-Security"] == "max-age=86400"
        assert "Strict-Transport-Security" not in Client().get("/").headers


class TestNothingInLine:
    @pytest.mark.parametrize(
        "path",
        [
            "/", "/nowhere/", "/accounts/", "/accounts/login/", "/accounts/signup/", "/accounts/email/",
            "/accounts/password/", "/accounts/password/forgotten/", "/accounts/delete/", "/accounts/tokens/",
            "/api/v1/problems/", "{job}",
            "/admin/", "/admin/webapp/job/", "/admin/webapp/job/{pk}/change/", "/admin/webapp/job/{pk}/delete/",
            "/admin/webapp/track/", "/admin/webapp/user/add/", "/admin/webapp/user/{owner}/change/",
        ],
    )  # fmt: skip
    def test_a_page_has_files_only(self, staff, owner, make_job, path):
        job = make_job(State.DONE)
        path = path.format(job=job.get_absolute_url(), pk=job.pk, owner=owner.pk)
        page = staff.get(path, follow=True).content.decode()
        assert "<html" in page
        assert {what: re.findall(pattern, page) for what, pattern in INLINE.items()} == {what: [] for what in INLINE}


@pytest.mark.usefixtures("owner")
class TestGuessing:
    def guess(self, times, **more):
        for _ in range(times):
            answer = Client().post("/accounts/login/", WRONG, **more)
        return answer

    def test_whoever_guesses_is_kept_out_for_a_while(self):
        answer = self.guess(settings.AXES_FAILURE_LIMIT)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "900"
        assert "Wait 15 minutes" in answer.content.decode()
        assert Client().post("/accounts/login/", LOGIN).status_code == 429

    def test_the_member_comes_in_from_elsewhere_and_others_from_there(self, stranger):
        self.guess(settings.AXES_FAILURE_LIMIT)
        assert Client().post("/accounts/login/", LOGIN, REMOTE_ADDR="192.0.2.7").status_code == 302
        other = {"username": stranger.username, "password": "parklife-1994"}
        assert Client().post("/accounts/login/", other).status_code == 302

    def test_after_a_while_one_may_try_again(self):
        self.guess(settings.AXES_FAILURE_LIMIT)
        AccessAttempt.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME - timedelta(seconds=1))
        assert Client().post("/accounts/login/", LOGIN).status_code == 302

    def test_a_login_makes_up_for_what_was_mistyped_before(self):
        for _ in range(2):
            self.guess(settings.AXES_FAILURE_LIMIT - 1)
            assert Client().post("/accounts/login/", LOGIN).status_code == 302

    def test_the_administrators_door_counts_too(self):
        for _ in range(settings.AXES_FAILURE_LIMIT):
            answer = Client().post("/admin/login/", WRONG)
        assert answer.status_code == 429

    def test_an_open_browser_is_no_way_to_guess(self, browser):
        for _ in range(settings.AXES_FAILURE_LIMIT):
            answer = browser.post("/accounts/email/", {"email": "", "password": "wrong"})
        assert answer.status_code == 429


def elsewhere(index):
    """The properties of a request from another network."""
    return {"REMOTE_ADDR": f"198.51.100.{index}"}


@pytest.mark.usefixtures("owner")
class TestGuessingFromManyPlaces:
    """Every address stays far below its own limit."""

    @pytest.fixture
    def besieged(self):
        for index in range(guessing.LIMIT):
            assert Client().post("/accounts/login/", WRONG, **elsewhere(index % 250)).status_code == 200

    @pytest.mark.usefixtures("besieged")
    def test_the_account_is_locked_for_browsers_that_it_does_not_know(self, stranger):
        answer = Client().post("/accounts/login/", LOGIN, **elsewhere(251))
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
        assert "Somebody guesses" in answer.content.decode()
        other = {"username": stranger.username, "password": "parklife-1994"}
        assert Client().post("/accounts/login/", other, **elsewhere(251)).status_code == 302

    @pytest.mark.parametrize("door", ["/accounts/login/", "/admin/login/"])
    def test_the_members_own_browser_comes_in(self, door, request):
        User.objects.update(is_staff=True)
        member = Client()
        member.post(door, LOGIN)
        member.post("/accounts/logout/")
        request.getfixturevalue("besieged")
        assert member.post("/accounts/login/", LOGIN).status_code == 302

    def test_a_browser_that_knows_another_member_does_not(self, stranger, request):
        other = Client()
        other.post("/accounts/login/", {"username": stranger.username, "password": "parklife-1994"})
        other.post("/accounts/logout/")
        request.getfixturevalue("besieged")
        assert other.post("/accounts/login/", LOGIN).status_code == 429

    def test_whoever_reads_the_members_mail_comes_in(self, owner, mailoutbox, request):
        User.objects.filter(pk=owner.pk).update(email="owner@example.org")
        request.getfixturevalue("besieged")
        member = Client()
        member.post("/accounts/password/forgotten/", {"email": "owner@example.org"})
        (path,) = re.findall(r"http://testserver(/accounts/password/\S+)", mailoutbox[0].body)
        form = member.get(path).headers["Location"]
        member.post(form, {"new_password1": "live-forever-94", "new_password2": "live-forever-94"})
        assert member.post("/accounts/login/", LOGIN | {"password": "live-forever-94"}).status_code == 302

    @pytest.mark.usefixtures("besieged")
    def test_it_ends_within_the_hour_and_is_forgotten(self):
        AccessFailureLog.objects.update(attempt_time=timezone.now() - guessing.WITHIN)
        assert Client().post("/accounts/login/", LOGIN, **elsewhere(251)).status_code == 302
        assert not AccessFailureLog.objects.exists()

    @pytest.mark.usefixtures("besieged")
    @pytest.mark.parametrize("command", [("axes_reset",), ("axes_reset_username", "owner")])
    def test_whoever_runs_the_site_can_end_it(self, command):
        call_command(*command)
        assert Client().post("/accounts/login/", LOGIN, **elsewhere(251)).status_code == 302

    def test_one_home_is_one_address(self):
        for index in range(settings.AXES_FAILURE_LIMIT):
            answer = Client().post("/accounts/login/", WRONG, REMOTE_ADDR=f"2001:db8::{index}:1")
        assert answer.status_code == 429
        assert Client().post("/accounts/login/", WRONG, REMOTE_ADDR="2001:db8:0:1::1").status_code == 200


class TestFormsFromOneAddress:
    @pytest.mark.parametrize(
        ("path", "most"),
        [
            ("/accounts/signup/", 30),
            ("/accounts/login/", 100),
            ("/admin/login/", 100),
            ("/accounts/password/forgotten/", 10),
        ],
    )
    def test_no_more_than_so_many_are_taken_in_an_hour(self, path, most):
        codes = [Client().post(path, {}).status_code for _ in range(most)]
        assert {*codes} == {200}
        answer = Client().post(path, {})
        assert answer.status_code == 429
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600
        assert "Wait 60 minutes" in answer.content.decode()
        assert Client().post(path, {}, **elsewhere(1)).status_code == 200
        assert Client().get(path).status_code == 200


def test_django_has_nothing_against_the_production_settings(tmp_path):
    """Ignores missing models and npm packages, which `setup` installs."""
    check = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING", "--tag", "security"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SOUNDSCAPE_")}
    environment = ours | PRODUCTION | {"SOUNDSCAPE_DATA": str(tmp_path)}
    done = subprocess.run(check, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
