"""Permanent deletion removes rows, files and running work, and nothing that belongs to others."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from support.acting import claimed, files_below, finish, upload

from webapp.accounts import retention, tokens
from webapp.models import Export, Job, State, Track, User
from webapp.songs import actions, queue
from webapp.webhooks import outbox
from webapp.worker import heartbeat

pytestmark = pytest.mark.django_db

PASSWORD = {"password": "wonderwall-1995"}


@pytest.fixture
def everything(owner, make_job):
    """One of everything that an account can have."""
    done = make_job(State.DONE)
    export = Export.objects.create(job=done, filename="Song - mix.wav", state=State.DONE)
    export.folder.mkdir(parents=True)
    export.path.write_bytes(b"mix")
    make_job(State.FAILED)
    actions.delete(make_job())
    tokens.make(owner, "script", ["read"], None)
    outbox.create(owner, "https://example.org/hook", [])
    return owner


def media():
    return files_below(Path(settings.MEDIA_ROOT))


def age(user, **ago):
    """Make a guest and all its songs older."""
    then = timezone.now() - timedelta(**ago)
    User.objects.filter(pk=user.pk).update(date_joined=then)
    Track.objects.filter(owner=user).update(created_at=then)


class TestDeletingAnAccount:
    def test_everything_is_deleted_with_the_account(self, browser, everything, committing):
        with committing():
            answer = browser.post("/accounts/delete/", PASSWORD, follow=True)
        assert "is deleted" in answer.content.decode()
        assert not User.objects.exists()
        assert not Job.objects.exists()
        assert not everything.webhooks.exists()
        assert not everything.auth_token_set.exists()
        assert media() == []

    @pytest.mark.usefixtures("everything")
    def test_other_accounts_are_untouched(self, browser, make_job, stranger, committing):
        theirs = make_job(State.DONE, user=stranger)
        with committing():
            browser.post("/accounts/delete/", PASSWORD)
        assert list(Job.objects.all()) == [theirs]
        assert str(theirs.track.file) in media()
        assert all(str(theirs.pk) in name or str(theirs.track_id) in name for name in media())

    def test_every_browser_is_logged_out(self, browser, owner):
        other = Client()
        other.force_login(owner)
        browser.post("/accounts/delete/", PASSWORD)
        for client in (browser, other):
            assert client.get("/accounts/").status_code == 302

    def test_a_running_job_stops(self, browser, make_job, committing):
        job = claimed(make_job())
        job.directory.mkdir(parents=True)
        with committing():
            browser.post("/accounts/delete/", PASSWORD)
        with pytest.raises(queue.JobLost):
            finish(job)
        queue.discard_output(job)
        assert media() == []

    @pytest.mark.parametrize("form", [{}, {"password": "wrong"}])
    def test_without_the_password_nothing_is_deleted(self, browser, everything, form):
        before = media()
        assert browser.post("/accounts/delete/", form).context["form"].errors
        assert User.objects.filter(pk=everything.pk).exists()
        assert media() == before

    def test_opening_the_page_deletes_nothing(self, browser, everything):
        assert browser.get("/accounts/delete/").status_code == 200
        assert User.objects.filter(pk=everything.pk).exists()

    def test_a_guest_needs_no_password_and_becomes_a_new_visitor(self, guest, committing):
        before = User.objects.get().username
        with committing():
            guest.post("/accounts/delete/")
        assert media() == []
        assert upload(guest).status_code == 201
        assert User.objects.get().username != before


class TestExpiry:
    def test_guests_songs_are_deleted_when_they_expire(self, guest, committing):
        age(User.objects.get(), days=settings.GUEST_DAYS + 1)
        with committing():
            heartbeat.beat("w")
        assert not Job.objects.exists()
        assert not User.objects.exists()
        assert media() == []
        assert guest.get("/api/v1/jobs/").status_code == 200

    @pytest.mark.usefixtures("guest")
    def test_until_then_they_stay(self):
        age(User.objects.get(), days=settings.GUEST_DAYS, minutes=-1)
        retention.delete_expired()
        assert Job.objects.count() == User.objects.count() == 1

    def test_only_the_old_songs_of_an_old_guest_are_deleted(self, guest):
        age(User.objects.get(), days=settings.GUEST_DAYS + 1)
        upload(guest, "New.mp3")
        retention.delete_expired()
        assert [track.title for track in Track.objects.all()] == ["New"]
        assert User.objects.count() == 1

    def test_members_songs_stay(self, make_job, owner):
        job = make_job(State.DONE)
        age(owner, days=10 * settings.GUEST_DAYS)
        retention.delete_expired()
        assert list(Job.objects.all()) == [job]

    def test_deletion_is_done_in_batches(self, guest):
        for _ in range(retention.BATCH):
            upload(guest)
        age(User.objects.get(), days=settings.GUEST_DAYS + 1)
        retention.delete_expired()
        assert Track.objects.count() == 1
        retention.delete_expired()
        assert not User.objects.exists()

    def test_the_site_says_how_long(self, guest, settings):
        settings.GUEST_DAYS = 7.0
        for path in ("/", "/accounts/"):
            assert "kept for 7 days" in guest.get(path).content.decode()

    def test_expired_sessions_are_deleted(self, browser):
        Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(minutes=1))
        retention.delete_expired()
        assert [session.session_key for session in Session.objects.all()] == [browser.session.session_key]
