"""The pages of an account: e-mail address and password."""

import re

import pytest
from django.test import Client

from webapp.models import User
from webapp.pages.forms import WRONG_PASSWORD

pytestmark = pytest.mark.django_db

PASSWORD = "wonderwall-1995"  # the owner's
NEW = {"new_password1": "live-forever-94", "new_password2": "live-forever-94"}
LINK = re.compile(r"http://testserver(/accounts/password/\S+)")


@pytest.fixture
def reader(owner):
    """The owner, with an e-mail address."""
    owner.email = "owner@example.org"
    owner.save()
    return owner


def link_in(mails):
    """The path of the only link that was sent."""
    (mail,) = mails
    (path,) = LINK.findall(mail.body)
    return path


def page_of(path):
    """A client without a session, and the path of the form behind a link."""
    client = Client()
    answer = client.get(path)
    return client, answer.headers.get("Location", path)


class TestAccount:
    def test_it_tells_what_is_known(self, browser, reader):
        page = browser.get("/accounts/").content.decode()
        assert reader.username in page
        assert reader.email in page

    def test_a_guest_is_told_to_sign_up(self, guest):
        page = guest.get("/accounts/").content.decode()
        assert "/accounts/signup/" in page
        assert "guest-" not in page


class TestEmail:
    def test_it_is_changed_with_the_password(self, browser, owner):
        answer = browser.post("/accounts/email/", {"email": "new@EXAMPLE.org", "password": PASSWORD}, follow=True)
        assert "has been changed" in answer.content.decode()
        owner.refresh_from_db()
        assert owner.email == "new@example.org"

    def test_it_can_be_taken_away(self, browser, reader):
        browser.post("/accounts/email/", {"email": "", "password": PASSWORD})
        reader.refresh_from_db()
        assert reader.email == ""

    @pytest.mark.parametrize(
        ("form", "field"),
        [
            ({"email": "new@example.org", "password": "wrong"}, "password"),
            ({"email": "new@example.org"}, "password"),
            ({"email": "nonsense", "password": PASSWORD}, "email"),
        ],
    )
    def test_it_stays_without_password_and_for_nonsense(self, browser, reader, form, field):
        answer = browser.post("/accounts/email/", form)
        assert answer.status_code == 200
        assert list(answer.context["form"].errors) == [field]
        reader.refresh_from_db()
        assert reader.email == "owner@example.org"


class TestPassword:
    def test_it_is_changed_and_other_browsers_are_logged_out(self, browser, owner):
        other = Client()
        other.force_login(owner)
        assert browser.post("/accounts/password/", {"old_password": PASSWORD} | NEW)["Location"] == "/accounts/"
        owner.refresh_from_db()
        assert owner.check_password(NEW["new_password1"])
        assert browser.get("/accounts/").status_code == 200
        assert other.get("/accounts/").status_code == 302

    @pytest.mark.parametrize("wrong", [{"old_password": "wrong"}, {"new_password2": "else"}, {"new_password1": "1"}])
    def test_a_bad_form_changes_nothing(self, browser, owner, wrong):
        answer = browser.post("/accounts/password/", {"old_password": PASSWORD} | NEW | wrong)
        assert answer.context["form"].errors
        owner.refresh_from_db()
        assert owner.check_password(PASSWORD)


class TestForgotten:
    def test_the_link_lets_choose_another_once(self, reader, mailoutbox):
        Client().post("/accounts/password/forgotten/", {"email": "Owner@example.org"})
        path = link_in(mailoutbox)
        assert mailoutbox[0].to == [reader.email]
        client, form = page_of(path)
        client.post(form, NEW)
        reader.refresh_from_db()
        assert reader.check_password(NEW["new_password1"])
        assert "no longer valid" in Client().get(path).content.decode()

    def test_choosing_another_logs_everybody_out(self, browser, reader, mailoutbox):
        Client().post("/accounts/password/forgotten/", {"email": reader.email})
        client, form = page_of(link_in(mailoutbox))
        client.post(form, NEW)
        assert browser.get("/accounts/").status_code == 302

    def test_a_mailbox_is_not_flooded(self, reader, stranger, mailoutbox):
        User.objects.filter(pk=stranger.pk).update(email="stranger@example.org")
        for email in (reader.email, reader.email.upper(), "stranger@example.org"):
            Client().post("/accounts/password/forgotten/", {"email": email})
        assert [mail.to for mail in mailoutbox] == [[reader.email], ["stranger@example.org"]]

    def test_an_unknown_address_gets_the_same_answer_and_no_mail(self, reader, mailoutbox):
        known, unknown = (
            Client().post("/accounts/password/forgotten/", {"email": email}, follow=True).content
            for email in (reader.email, "nobody@example.org")
        )
        masked = [re.sub(rb"[A-Za-z0-9]{64}", b"", page) for page in (known, unknown)]
        assert masked[0] == masked[1]
        assert b"on its way" in known
        assert [mail.to for mail in mailoutbox] == [[reader.email]]

    def test_without_a_mail_server_the_pages_say_whom_to_ask(self, reader, settings, capsys):
        """The response is still the same for an unknown address."""
        settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
        path, asked = "/accounts/password/forgotten/", "ask whoever runs this site"
        form = Client().get(path).content.decode()
        known, unknown = (
            re.sub(r"[A-Za-z0-9]{64}", "", Client().post(path, {"email": email}, follow=True).content.decode())
            for email in (reader.email, "nobody@example.org")
        )
        assert LINK.search(capsys.readouterr().out)
        assert known == unknown
        for page in (form, known):
            assert "This site sends no e-mail." in page and asked in page
            assert "on its way" not in page and "You get a link" not in page

    def test_a_link_for_one_is_no_link_for_another(self, reader, stranger, mailoutbox):
        Client().post("/accounts/password/forgotten/", {"email": reader.email})
        token = link_in(mailoutbox).rstrip("/").split("/")[-1]
        client, form = page_of(f"/accounts/password/{stranger.pk}/{token}/")
        client.post(form, NEW)
        stranger.refresh_from_db()
        assert not stranger.check_password(NEW["new_password1"])

    def test_a_link_grows_old(self, reader, mailoutbox, settings):
        Client().post("/accounts/password/forgotten/", {"email": reader.email})
        settings.PASSWORD_RESET_TIMEOUT = -1
        client, form = page_of(link_in(mailoutbox))
        client.post(form, NEW)
        reader.refresh_from_db()
        assert reader.check_password(PASSWORD)


@pytest.mark.parametrize("path", ["/accounts/email/", "/accounts/password/"])
def test_guests_have_neither_password_nor_address(guest, path):
    assert guest.get(path)["Location"] == "/accounts/signup/"
    guest.post(path, {"email": "guest@example.org"} | NEW)
    user = User.objects.get()
    assert user.email == ""
    assert not user.has_usable_password()


def test_a_wrong_password_is_told_in_plain_words(browser):
    assert WRONG_PASSWORD in browser.post("/accounts/email/", {"email": "", "password": "x"}).content.decode()
