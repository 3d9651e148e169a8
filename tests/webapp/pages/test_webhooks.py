"""The pages of webhooks: created, tested and deleted only by their owner."""

import pytest
from django.test import Client

from webapp.models import Delivery, User, Webhook
from webapp.webhooks import outbox

URL = "/accounts/webhooks/"
PLACE = "https://93.184.216.34/hook"

pytestmark = pytest.mark.django_db


@pytest.fixture
def hook(owner):
    return outbox.create(owner, PLACE, [])


@pytest.fixture
def address(hook):
    return f"{URL}{hook.pk}/"


def test_the_secret_is_shown_once(browser, owner):
    answer = browser.post(URL, {"url": PLACE, "events": ["done"]})
    hook = Webhook.objects.get()
    assert (hook.url, hook.events, hook.owner) == (PLACE, ["done"], owner)
    assert answer["Cache-Control"] == "no-store"
    assert hook.secret in answer.content.decode()
    for path in (URL, f"{URL}{hook.pk}/"):
        page = browser.get(path).content.decode()
        assert PLACE in page and hook.secret not in page


@pytest.mark.parametrize("url", ["", "http://localhost/", "http://169.254.169.254/", "hook"])
def test_where_nothing_is_sent_no_webhook_is_made(browser, url):
    assert browser.post(URL, {"url": url}).status_code == 200
    assert not Webhook.objects.exists()


def test_there_are_only_so_many(browser, owner):
    for _ in range(outbox.MAX_WEBHOOKS):
        outbox.create(owner, PLACE, [])
    assert outbox.TOO_MANY in browser.post(URL, {"url": PLACE}).content.decode()
    assert Webhook.objects.count() == outbox.MAX_WEBHOOKS


def test_its_buttons(browser, hook, address):
    browser.post(address, {"do": "pause"})
    assert not Webhook.objects.get().active
    browser.post(address, {"do": "resume"})
    assert Webhook.objects.get().active
    browser.post(address, {"do": "ping"})
    assert Delivery.objects.get().event == outbox.PING
    page = browser.post(address, {"do": "rotate"}).content.decode()
    assert Webhook.objects.get().secret != hook.secret
    assert Webhook.objects.get().secret in page
    browser.post(address, {"do": "delete"})
    assert not Webhook.objects.exists()


def test_what_was_sent_and_again(browser, hook, address):
    delivery = outbox.ping(hook)
    Delivery.objects.update(state=Delivery.State.FAILED, log=[{"status": 500, "error": "It answered 500."}])
    assert "It answered 500." in browser.get(address).content.decode()
    browser.post(f"{address}deliveries/{delivery.pk}/redeliver/")
    assert Delivery.objects.get().state == Delivery.State.PENDING


def test_only_for_its_owner(hook, address, stranger):
    delivery = outbox.ping(hook)
    Delivery.objects.update(state=Delivery.State.FAILED)
    guest = User.objects.create(username="guest-1", is_guest=True)
    for user, status in ((stranger, 404), (None, 302), (guest, 403)):
        client = Client()
        if user:
            client.force_login(user)
        again = client.post(f"{address}deliveries/{delivery.pk}/redeliver/")
        answers = [client.get(address), client.post(address, {"do": "delete"}), again]
        assert [answer.status_code for answer in answers] == [status] * 3
    assert Delivery.objects.get().state == Delivery.State.FAILED
