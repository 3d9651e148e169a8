"""Tokens, created and revoked on pages and with the API; the account and the models in the API."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from support.acting import upload

from webapp.models import Scope, Token

pytestmark = pytest.mark.django_db
NEW_TOKEN = {"name": "CI", "scopes": ["write", "read"], "expires_at": None}
FORM = {"name": "CI", "scopes": "read", "days": "30"}


@pytest.fixture
def guest():
    client = Client()
    upload(client)
    return client


def made(client, **more):
    return client.post("/api/v1/tokens/", NEW_TOKEN | more, content_type="application/json")


def works(secret: str) -> bool:
    return Client(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/me/").status_code == 200


class TestByTheApi:
    def test_is_shown_once(self, browser, owner):
        answer = made(browser)
        assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
        data = answer.json()
        secret = data.pop("token")
        assert works(secret) and secret.startswith(data["begins"])
        assert (data["name"], data["scopes"], data["expires_at"]) == ("CI", ["read", "write"], None)
        (listed,) = browser.get("/api/v1/tokens/").json()
        assert listed | {"last_used_at": None} == data
        assert listed["last_used_at"]
        assert Token.objects.get().user == owner

    def test_expires_when_it_should(self, browser):
        when = timezone.now() + timedelta(days=3)
        assert made(browser, expires_at=when.isoformat()).status_code == 201
        assert abs(Token.objects.get().expiry - when) < timedelta(seconds=10)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("name", "x" * 101),
            ("name", None),
            ("scopes", []),
            ("scopes", ["admin"]),
            ("scopes", "read"),
            ("expires_at", "2020-01-01T00:00:00Z"),
            ("expires_at", "soon"),
        ],
    )
    def test_names_what_is_wrong(self, browser, field, value):
        answer = made(browser, **{field: value})
        (fault,) = answer.json()["errors"]
        assert (answer.status_code, fault["field"].split(".")[0], fault["value"]) == (400, field, value)
        assert fault.get("allowed") == (["read", "write"] if field == "scopes" else None)
        assert not Token.objects.exists()

    def test_revoked_is_worth_nothing(self, browser):
        data = made(browser).json()
        assert browser.delete(f"/api/v1/tokens/{data['id']}/").status_code == 204
        assert not works(data["token"])
        assert browser.delete(f"/api/v1/tokens/{data['id']}/").status_code == 404

    def test_others_do_not_exist(self, browser, stranger):
        data = made(browser).json()
        other = Client()
        other.force_login(stranger)
        assert other.get("/api/v1/tokens/").json() == []
        assert other.delete(f"/api/v1/tokens/{data['id']}/").status_code == 404
        assert other.post(f"/accounts/tokens/{data['id']}/revoke/").status_code == 404
        assert works(data["token"])

    def test_no_token_makes_or_sees_or_revokes_one(self, browser):
        data = made(browser).json()
        program = Client(headers={"Authorization": f"Bearer {data['token']}"})
        for answer in (made(program), program.get("/api/v1/tokens/"), program.delete(f"/api/v1/tokens/{data['id']}/")):
            assert (answer.status_code, answer.json()["type"]) == (403, "/api/v1/problems/#permission-denied")
            assert "logged in on the site" in answer.json()["detail"]
        assert Token.objects.count() == 1

    def test_guests_and_visitors_have_none(self, guest):
        assert made(guest).status_code == 403
        assert made(Client()).status_code == 401
        assert not Token.objects.exists()


class TestOnThePage:
    def test_is_shown_once(self, browser, owner):
        answer = browser.post("/accounts/tokens/", FORM)
        (secret,) = re.findall(r'<code class="secret">(.+)</code>', answer.content.decode())
        assert works(secret) and answer["Cache-Control"] == "no-store"
        token = Token.objects.get()
        assert (token.user, token.scopes) == (owner, [Scope.READ])
        assert abs(token.expiry - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
        page = browser.get("/accounts/tokens/").content.decode()
        assert "CI" in page and secret not in page

    def test_may_last(self, browser):
        browser.post("/accounts/tokens/", FORM | {"days": ""})
        assert Token.objects.get().expiry is None
        assert "never expires" in browser.get("/accounts/tokens/").content.decode()

    @pytest.mark.parametrize("wrong", [{"name": ""}, {"scopes": "all"}, {"scopes": ""}, {"days": "-1"}])
    def test_a_bad_form_makes_none(self, browser, wrong):
        answer = browser.post("/accounts/tokens/", FORM | wrong)
        assert answer.context["form"].errors
        assert not Token.objects.exists()

    def test_revoked_is_worth_nothing(self, browser):
        data = made(browser).json()
        assert browser.get(f"/accounts/tokens/{data['id']}/revoke/").status_code == 405
        assert browser.post(f"/accounts/tokens/{data['id']}/revoke/").status_code == 302
        assert not works(data["token"])

    def test_one_that_expired_is_called_so(self, browser):
        made(browser)
        Token.objects.update(expiry=timezone.now() - timedelta(days=1))
        assert "expired" in browser.get("/accounts/tokens/").content.decode()

    def test_guests_and_visitors_are_asked_to_log_in(self, guest):
        for client in (guest, Client()):
            assert client.post("/accounts/tokens/", FORM).status_code in (302, 403)
            assert client.get("/accounts/tokens/").status_code in (302, 403)
        assert not Token.objects.exists()


class TestMe:
    def test_a_member(self, browser):
        data = browser.get("/api/v1/me/").json()
        assert data | {"name": "owner", "guest": False, "staff": False, "scopes": ["read", "write"]} == data

    def test_a_program(self, browser):
        secret = made(browser, scopes=["read"]).json()["token"]
        data = Client(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/me/").json()
        assert (data["name"], data["scopes"]) == ("owner", ["read"])

    def test_a_guest_has_no_name(self, guest):
        data = guest.get("/api/v1/me/").json()
        assert (data["name"], data["guest"]) == (None, True)

    def test_a_visitor_is_nobody(self):
        answer = Client().get("/api/v1/me/")
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_the_models_with_their_licences(browser):
    cards = {card["name"]: card for card in browser.get("/api/v1/models/").json()}
    assert all(card["licence"] and card["origin"] and card["title"] for card in cards.values())
    assert "default" in cards["htdemucs"]["presets"]
    assert cards["musicnn"]["presets"] == cards["musicnn"]["stems"] == []


def test_the_api_that_tokens_are_for_is_documented_a_click_away(browser):
    assert f'<a href="{reverse("docs")}">API</a>' in browser.get("/accounts/").content.decode().partition("<footer")[0]
