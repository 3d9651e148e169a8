"""Guests and members, and how a guest becomes a member without losing a song."""

import pytest
from django.test import Client
from support.acting import claimed, finish, fresh, upload

from webapp.models import Job, State, Track, User

pytestmark = pytest.mark.django_db

LOGIN = {"username": "owner", "password": "wonderwall-1995"}
SIGN_UP = {"username": "nina", "email": "", "password1": "feeling-good-65", "password2": "feeling-good-65"}


def jobs_seen(client):
    return [job["id"] for job in client.get("/api/v1/jobs/").json()["results"]]


class TestGuests:
    def test_browsing_creates_no_account(self):
        client = Client()
        assert client.get("/").status_code == 200
        assert client.get("/api/v1/jobs/").json()["results"] == []
        assert not User.objects.exists()
        assert "sessionid" not in client.cookies

    def test_the_first_upload_creates_a_guest_who_stays_the_same(self, guest):
        upload(guest, "Second.mp3")
        user = User.objects.get()
        assert user.is_guest
        assert not user.has_usable_password()
        assert len(jobs_seen(guest)) == Job.objects.count() == 2

    def test_simultaneous_first_uploads_share_one_account(self):
        """None has a session yet; all have the cookie that the page set, and the page's CSRF token."""
        cookies = Client().get("/").cookies
        token = cookies["csrftoken"].value
        uploads = []
        for _ in range(2):
            client = Client(enforce_csrf_checks=True, headers={"X-CSRFToken": token})
            for name, cookie in cookies.items():
                client.cookies[name] = cookie.value
            uploads.append(client)
        assert [upload(client).status_code for client in uploads] == [201, 201]
        assert User.objects.count() == 1
        assert len(jobs_seen(uploads[0])) == len(jobs_seen(uploads[1])) == 2
        assert upload(uploads[0]).status_code == 201  # the token of the page is still good

    def test_two_visitors_are_two_guests(self, guest):
        other = Client()
        upload(other)
        assert User.objects.count() == 2
        assert not set(jobs_seen(guest)) & set(jobs_seen(other))

    def test_a_refused_upload_creates_no_account(self):
        client = Client()
        assert upload(client, content=b"").status_code == 400
        assert not User.objects.exists()

    def test_after_a_logout_the_next_visitor_is_another_guest(self, guest):
        guest.post("/accounts/logout/")
        assert jobs_seen(guest) == []
        upload(guest, "Next.mp3")
        assert len(jobs_seen(guest)) == 1
        assert User.objects.count() == 2

    @pytest.mark.parametrize("path", ["/api/v1/jobs/", "/api/v1/jobs/demo/"])
    def test_switched_off_they_are_asked_to_log_in(self, settings, path):
        settings.GUESTS = False
        settings.DEMO_SONG.touch()
        client = Client()
        answer = client.post(path) if "demo" in path else upload(client)
        assert answer.status_code == 403
        assert "log in or sign up" in answer.json()["detail"]
        assert not User.objects.exists()
        assert client.get("/").context["may_upload"] is False

    def test_switched_off_members_still_upload(self, settings, browser):
        settings.GUESTS = False
        assert upload(browser).status_code == 201


class TestGuestCookie:
    def test_scripts_cannot_read_it(self, guest):
        cookie = guest.cookies["guest"]
        assert cookie["httponly"] and cookie["samesite"] == "Lax" and not cookie["domain"]

    def test_over_https_only_this_site_can_set_it(self, settings):
        settings.HTTPS = True
        cookie = Client().get("/", secure=True).cookies["__Host-guest"]
        assert cookie["secure"] and cookie["httponly"] and cookie["path"] == "/" and not cookie["domain"]

    def test_what_scripts_can_read_grants_no_access(self, guest):
        """Scripts can read the CSRF token and the guest's name."""
        thief = Client()
        thief.get("/")
        thief.cookies["csrftoken"] = guest.get("/").cookies["csrftoken"].value
        upload(thief)
        assert not {*jobs_seen(guest)} & {*jobs_seen(thief)}

    @pytest.mark.parametrize("forged", ["", "made-up", "made-up:signature", "é:é", "a" * 5000])
    @pytest.mark.usefixtures("guest")
    def test_a_forged_one_is_replaced(self, forged):
        thief = Client()
        thief.cookies["guest"] = forged
        thief.get("/")
        assert thief.cookies["guest"].value != forged
        upload(thief)
        assert User.objects.count() == 2

    def test_it_stays_the_same_from_page_to_page(self, guest):
        before = guest.cookies["guest"].value
        guest.get("/")
        upload(guest)
        assert guest.cookies["guest"].value == before

    def test_logging_out_ends_it(self, guest):
        before = guest.cookies["guest"].value
        guest.post("/accounts/logout/")
        assert guest.cookies["guest"].value != before


class TestSignUp:
    def test_a_guest_keeps_the_jobs(self, guest):
        before = jobs_seen(guest)
        session = guest.session.session_key
        answer = guest.post("/accounts/signup/", SIGN_UP)
        assert answer.status_code == 302
        member = User.objects.get()
        assert (member.username, member.is_guest) == ("nina", False)
        assert member.check_password("feeling-good-65")
        assert jobs_seen(guest) == before
        assert guest.session.session_key != session

    def test_the_form_does_not_show_a_guests_made_up_name(self, guest):
        assert b'value="guest-' not in guest.get("/accounts/signup/").content

    def test_a_visitor_gets_an_account_and_is_logged_in(self):
        client = Client()
        client.post("/accounts/signup/", SIGN_UP)
        upload(client)
        assert Track.objects.get().owner.username == "nina"

    @pytest.mark.parametrize(
        "wrong", [{"username": "owner"}, {"username": ""}, {"password2": "else"}, {"password1": "1", "password2": "1"}]
    )
    @pytest.mark.usefixtures("owner")
    def test_a_bad_form_changes_nothing(self, guest, wrong):
        before = User.objects.get(is_guest=True).username
        answer = guest.post("/accounts/signup/", SIGN_UP | wrong)
        assert answer.status_code == 200
        assert answer.context["form"].errors
        assert User.objects.get(is_guest=True).username == before
        assert len(jobs_seen(guest)) == 1

    def test_signing_up_makes_no_staff(self, guest):
        guest.post("/accounts/signup/", SIGN_UP | {"is_staff": "on", "is_superuser": "on", "is_guest": "on"})
        member = User.objects.get()
        assert not (member.is_staff or member.is_superuser or member.is_guest)

    def test_a_member_is_sent_home(self, browser):
        assert browser.get("/accounts/signup/").status_code == 302
        browser.post("/accounts/signup/", SIGN_UP)
        assert [user.username for user in User.objects.all()] == ["owner"]


class TestLogin:
    def test_a_guests_jobs_move_to_the_member(self, guest, make_job):
        own, (before,) = make_job(), jobs_seen(guest)
        session = guest.session.session_key
        assert guest.post("/accounts/login/", LOGIN).status_code == 302
        assert set(jobs_seen(guest)) == {str(own.pk), before}
        assert not User.objects.filter(is_guest=True).exists()
        assert guest.session.session_key != session

    def test_a_running_job_goes_on(self, guest, owner):
        job = claimed(Job.objects.get())
        guest.post("/accounts/login/", LOGIN)
        finish(job)
        assert fresh(job).state == State.DONE
        assert fresh(job).track.owner == owner

    def test_a_wrong_password_moves_nothing(self, guest, owner):
        before = jobs_seen(guest)
        guest.post("/accounts/login/", LOGIN | {"password": "no"})
        assert jobs_seen(guest) == before
        assert not owner.tracks.exists()

    @pytest.mark.usefixtures("stranger")
    def test_a_member_logging_in_as_another_moves_nothing(self, browser, make_job):
        job = make_job()
        browser.post("/accounts/login/", {"username": "stranger", "password": "parklife-1994"})
        assert jobs_seen(browser) == []
        assert fresh(job).track.owner.username == "owner"

    @pytest.mark.usefixtures("owner")
    def test_it_does_not_lead_to_other_sites(self):
        answer = Client().post("/accounts/login/?next=https://evil.example/", LOGIN)
        assert answer["Location"] == "/"
