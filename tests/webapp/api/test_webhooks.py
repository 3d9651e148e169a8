"""The API of webhooks: created, changed, tested and read only by their owner."""

import pytest
from django.test import Client

from webapp.accounts import tokens
from webapp.models import Delivery, User, Webhook
from webapp.webhooks import http_client, outbox

URL = "/api/v1/webhooks/"
PLACE = "https://93.184.216.34/hook"

pytestmark = pytest.mark.django_db


def make(client, **fields):
    return client.post(URL, {"url": PLACE} | fields, content_type="application/json")


@pytest.fixture
def hook(owner):
    return outbox.create(owner, PLACE, [])


@pytest.fixture
def address(hook):
    return f"{URL}{hook.pk}/"


def test_its_secret_is_told_once(browser, owner):
    answer = make(browser, events=["failed", "done"])
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    made, kept = answer.json(), Webhook.objects.get()
    assert made.pop("secret") == kept.secret
    assert (made["url"], made["events"], made["active"], kept.owner) == (PLACE, ["done", "failed"], True, owner)
    assert browser.get(URL).json() == [made]
    assert browser.get(f"{URL}{made['id']}/").json() == made


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": "http://localhost/"}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, "url"),
        ({"url": "http://[::1]/"}, "url"),
        ({"url": "ftp://93.184.216.34/"}, "url"),
        ({"events": ["done", "singing"]}, "events"),
        ({"active": "perhaps"}, "active"),
    ],
)
def test_nonsense_is_refused(browser, hook, address, fields, field):
    for answer in (make(browser, **fields), browser.patch(address, fields, content_type="application/json")):
        assert answer.status_code == 400
        assert [error["field"].split(".")[0] for error in answer.json()["errors"]] == [field]
    assert Webhook.objects.get().url == PLACE


def test_it_can_be_changed(browser, address):
    fields = {"active": False, "events": ["done"]}
    assert browser.patch(address, fields, content_type="application/json").json()["active"] is False
    kept = Webhook.objects.get()
    assert (kept.active, kept.events, kept.url) == (False, ["done"], PLACE)


def test_a_new_secret(browser, hook, address):
    secret = browser.post(f"{address}rotate/").json()["secret"]
    kept = Webhook.objects.get()
    assert (kept.secret, kept.previous_secret) == (secret, hook.secret)
    assert secret != hook.secret


def test_its_deliveries_are_told_and_sent_again(browser, hook, address):
    first = browser.post(f"{address}ping/").json()
    second = browser.post(f"{address}ping/").json()
    page = browser.get(f"{address}deliveries/", {"page_size": 1}).json()
    assert [row["id"] for row in page["results"]] == [second["id"]]
    assert [row["id"] for row in browser.get(page["next"]).json()["results"]] == [first["id"]]
    again = f"{address}deliveries/{first['id']}/redeliver/"
    assert browser.post(again).status_code == 409
    Delivery.objects.update(state=Delivery.State.FAILED, tries=8, log=[{"status": 500}])
    redelivered = browser.post(again).json()
    assert (redelivered["state"], redelivered["log"], Delivery.objects.get(pk=first["id"]).tries) == (
        "pending",
        [{"status": 500}],
        0,
    )
    assert Delivery.objects.get(pk=second["id"]).state == "failed"


def test_deleting_it_deletes_its_deliveries(browser, hook, address):
    outbox.ping(hook)
    assert browser.delete(address).status_code == 204
    assert not (Webhook.objects.exists() or Delivery.objects.exists())


def test_there_are_only_so_many(browser, owner):
    for _ in range(outbox.MAX_WEBHOOKS):
        outbox.create(owner, PLACE, [])
    assert make(browser).status_code == 409
    assert Webhook.objects.count() == outbox.MAX_WEBHOOKS


def test_others_find_nothing(hook, address, stranger):
    delivery = outbox.ping(hook)
    for user in (stranger, User.objects.create_superuser("staff")):
        other = Client()
        other.force_login(user)
        assert other.get(URL).json() == []
        for method, path in (
            ("get", ""),
            ("patch", ""),
            ("delete", ""),
            ("post", "rotate/"),
            ("post", "ping/"),
            ("get", "deliveries/"),
            ("post", f"deliveries/{delivery.pk}/redeliver/"),
        ):
            assert getattr(other, method)(f"{address}{path}").status_code == 404
    assert Webhook.objects.get().secret == hook.secret


def test_a_delivery_of_another_webhook_is_not_here(browser, owner, hook, address):
    other = outbox.ping(outbox.create(owner, PLACE, []))
    assert browser.post(f"{address}deliveries/{other.pk}/redeliver/").status_code == 404


def test_only_for_members(hook):
    guest = Client()
    guest.force_login(User.objects.create(username="guest-1", is_guest=True))
    for client, status in ((Client(), 401), (guest, 403)):
        assert client.get(URL).status_code == make(client).status_code == status
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize(("scopes", "status"), [(["read"], 403), (["read", "write"], 201)])
def test_by_token_with_its_scope(owner, scopes, status):
    _, secret = tokens.make(owner, "script", scopes, None)
    assert make(Client(headers={"Authorization": f"Bearer {secret}"})).status_code == status


def test_a_name_that_leads_inside_is_refused_at_once(browser, monkeypatch):
    async def inside(host, port):
        raise http_client.Refused(f"{host} leads to 10.0.0.1.")

    monkeypatch.setattr(http_client, "addresses", inside)
    assert "10.0.0.1" in make(browser, url="https://hook.test/").json()["detail"]
