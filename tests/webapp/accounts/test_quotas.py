"""Quotas of an account, and limits on its requests."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from support.acting import claimed, finish, fresh, upload, write_original

from webapp.accounts import quotas
from webapp.accounts.guests import adopt
from webapp.api import throttling
from webapp.models import Export, Job, State, Track, Upload, Usage, User
from webapp.songs import actions, queue

pytestmark = pytest.mark.django_db
SONG_MINUTES = 882_000 / 44_100 / 60  # of a job finished by `finish`


def used(user) -> float:
    return quotas.used_by(user).minutes


class TestMinutes:
    def test_a_song_is_charged_once_and_not_refunded(self, make_job, owner):
        job = make_job(State.DONE)
        assert used(owner) == pytest.approx(SONG_MINUTES)
        actions.reselect_stems(job, ["drums"])
        finish(claimed(job))
        Job.objects.all().delete()
        assert used(owner) == pytest.approx(SONG_MINUTES)

    def test_come_back_after_thirty_days(self, make_job, owner):
        make_job(State.DONE)
        Usage.objects.update(at=timezone.now() - quotas.MONTH)
        assert used(owner) == 0
        quotas.delete_old_usage()
        assert not Usage.objects.exists()

    def test_recent_usage_is_kept(self, make_job):
        make_job(State.DONE)
        Usage.objects.update(at=timezone.now() - quotas.MONTH + timedelta(hours=1))
        quotas.delete_old_usage()
        assert Usage.objects.exists()

    def test_a_song_in_progress_counts_until_it_fails(self, make_job, owner):
        job = claimed(make_job())
        queue.progress(job, **write_original(job))
        assert used(owner) == pytest.approx(SONG_MINUTES)
        queue.fail(job, "No good.")
        assert used(owner) == 0

    def test_used_up_refuses_uploads(self, browser, make_job, settings):
        make_job(State.DONE)
        settings.MINUTES = SONG_MINUTES
        answer = upload(browser)
        assert (answer.status_code, answer.json()["type"]) == (403, "/api/v1/problems/#quota-exceeded")
        assert "30 days" in answer.json()["detail"] and "Sign up" not in answer.json()["detail"]
        assert Track.objects.count() == 1
        settings.MINUTES = SONG_MINUTES * 1.1
        assert upload(browser).status_code == 201

    def test_the_demo_is_a_song_like_others(self, browser, make_job, settings):
        settings.DEMO_SONG.write_bytes(b"song")
        make_job(State.DONE)
        settings.MINUTES = SONG_MINUTES
        assert browser.post("/api/v1/jobs/demo/").status_code == 403

    def test_the_worker_fails_a_song_that_is_too_long(self, make_job, settings):
        job = claimed(make_job())
        queue.progress(job, **write_original(job))
        settings.MINUTES = SONG_MINUTES
        quotas.require_minutes(job, 20)
        settings.MINUTES = SONG_MINUTES * 0.9
        with pytest.raises(quotas.QuotaUsedUp, match="longer than the minutes you have left"):
            quotas.require_minutes(job, 20)

    def test_reselecting_stems_is_free(self, make_job, settings):
        job = make_job(State.DONE)
        actions.reselect_stems(job, ["drums"])
        settings.MINUTES = 0.01
        quotas.require_minutes(claimed(job), 20)

    def test_a_reviewers_rerun_is_not_charged_to_the_owner(self, make_job, owner):
        job, rerun = make_job(State.DONE), make_job()
        Job.objects.filter(pk=rerun.pk).update(rerun_of=job)
        finish(claimed(fresh(rerun)))
        assert used(owner) == pytest.approx(SONG_MINUTES)


class TestStorage:
    def test_uploads_stems_and_exports_use_it(self, make_job, owner):
        job = make_job()
        assert quotas.used_by(owner).bytes == job.track.size
        Job.objects.update(size=1000)
        Export.objects.create(job=job, filename="x.wav", size=200)
        Export.objects.create(job=job, filename="not yet.wav")
        assert quotas.used_by(owner).bytes == job.track.size + 1200
        job.track.delete()
        assert quotas.used_by(owner).bytes == 0

    def test_none_left_refuses_uploads(self, browser, make_job, settings):
        make_job()
        Job.objects.update(size=10_000)
        settings.BYTES = 11_500
        answer = upload(browser)
        assert (answer.status_code, answer.json()["type"]) == (403, "/api/v1/problems/#quota-exceeded")
        assert "Delete some" in answer.json()["detail"]
        settings.BYTES = 13_000
        assert upload(browser).status_code == 201

    def test_a_resumable_upload_uses_it_as_soon_as_it_is_announced(self, browser, owner, settings):
        settings.BYTES = 1500
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000", "Upload-Metadata": "filename eC5tcDM="}
        assert browser.post("/api/v1/uploads/", headers=headers).status_code == 201
        assert quotas.used_by(owner).bytes == 1000
        answer = browser.post("/api/v1/uploads/", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "/api/v1/problems/#quota-exceeded")
        assert Upload.objects.count() == 1


class TestAccounts:
    def test_guests_have_less_and_learn_how_to_have_more(self, settings):
        guest = Client()
        upload(guest)
        Usage.objects.create(user=User.objects.get(), seconds=60)
        settings.GUEST_MINUTES = 1
        answer = upload(guest)
        assert answer.status_code == 403 and "Sign up" in answer.json()["detail"]
        assert upload(Client()).status_code == 201  # another visitor

    def test_a_visitors_first_upload_is_a_guests(self, settings):
        settings.GUEST_BYTES = 10
        assert upload(Client()).status_code == 403
        assert not User.objects.exists()

    def test_staff_have_no_limit(self, browser, make_job, settings):
        make_job(State.DONE)
        settings.MINUTES = settings.BYTES = 0.001
        User.objects.update(is_staff=True)
        assert upload(browser).status_code == 201
        assert browser.get("/api/v1/me/").json()["quota"] is None

    def test_accounts_are_separate(self, make_job, stranger):
        make_job(State.DONE)
        assert quotas.used_by(stranger) == quotas.Amount(0, 0)

    def test_usage_moves_with_a_guest_who_logs_in(self, owner):
        guest = User.objects.create_user("guest", is_guest=True)
        Usage.objects.create(user=guest, seconds=60)
        adopt(guest, owner)
        assert used(owner) == 1

    def test_a_running_song_of_a_guest_who_logs_in_is_charged_to_the_member(self, owner, make_job):
        guest = User.objects.create_user("guest", is_guest=True)
        job = claimed(make_job(user=guest))
        adopt(guest, owner)
        quotas.require_minutes(job, 20)
        finish(job)
        assert used(owner) == pytest.approx(SONG_MINUTES)

    def test_me_reports_it(self, browser, make_job, settings):
        job = make_job(State.DONE)
        data = browser.get("/api/v1/me/").json()
        assert data["quota"] == {"minutes": settings.MINUTES, "bytes": settings.BYTES}
        assert data["usage"] == {"minutes": pytest.approx(SONG_MINUTES), "bytes": job.track.size}

    def test_the_account_page_shows_it(self, browser, make_job, settings):
        make_job(State.DONE)
        Job.objects.update(size=2_300_000_000)
        settings.MINUTES, settings.BYTES = 45, 5_000_000_000
        said = " ".join(browser.get("/accounts/").content.decode().split())
        assert "of 45 minutes" in said and "2.3 of 5.0 GB" in said
        User.objects.update(is_staff=True)
        assert "2.3 GB" in browser.get("/accounts/").content.decode()


class TestRequests:
    def test_too_many_requests_get_a_retry_time(self, browser, settings):
        settings.REQUESTS = 2
        assert [browser.get("/api/v1/me/").status_code for _ in range(3)] == [200, 200, 429]
        answer = browser.get("/api/v1/models/")
        assert answer.json()["type"] == "/api/v1/problems/#throttled"
        assert 0 < int(answer["Retry-After"]) <= 60

    def test_each_has_its_own(self, browser, stranger, settings):
        settings.REQUESTS, settings.GUEST_REQUESTS = 2, 1
        other = Client()
        other.force_login(stranger)
        statuses = [client.get("/api/v1/jobs/").status_code for client in (browser, browser, browser, other, Client())]
        assert statuses == [200, 200, 429, 200, 200]
        assert Client(headers={"X-Forwarded-For": "192.0.2.7"}).get("/api/v1/jobs/").status_code == 429

    def test_guests_have_fewer(self, settings):
        settings.REQUESTS, settings.GUEST_REQUESTS = 10, 2
        guest = Client()
        upload(guest)
        assert [guest.get("/api/v1/me/").status_code for _ in range(3)] == [200, 200, 429]

    def test_an_unreachable_cache_stops_nobody(self, browser, settings, monkeypatch):
        def broken(*_, **__):
            raise ConnectionError

        settings.REQUESTS = 1
        monkeypatch.setattr(throttling.PerAccount, "cache", type("Broken", (), {"get": broken}))
        assert [browser.get("/api/v1/me/").status_code for _ in range(2)] == [200, 200]
        cache.clear()
