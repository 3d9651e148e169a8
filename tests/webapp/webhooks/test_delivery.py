"""Webhooks: which messages are stored, how they are signed, sent and retried, and which addresses are refused."""

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import pytest
import trustme
from django.db import connection, transaction
from django.db.utils import OperationalError
from django.utils import timezone
from standardwebhooks import Webhook as Signer
from support.acting import claimed, finish, fresh

from webapp.models import Delivery, State, Webhook
from webapp.songs import actions, queue
from webapp.webhooks import delivery as sending
from webapp.webhooks import http_client, outbox
from webapp.worker import heartbeat

pytestmark = pytest.mark.django_db


class Receiver:
    """A web server that records requests. answers: the statuses it returns in turn; the last one is repeated."""

    def __init__(self):
        self.got = []
        self.answers = [200]
        self.location = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body.decode()))
                self.send_response(receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0])
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(settings):
    settings.WEBHOOKS_PRIVATE = True
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def hook(owner, receiver):
    return outbox.create(owner, receiver.url, [])


@pytest.fixture
def names(receiver, monkeypatch, settings):
    """Host names and the addresses they resolve to; a list of lists gives a different answer each time."""
    settings.WEBHOOKS_PRIVATE = False
    known, asked = {}, []

    def getaddrinfo(host, port, *args, **more):
        asked.append(host)
        if host not in known:
            return real(host, port, *args, **more)
        found = known[host].pop(0) if isinstance(known[host][0], list) else known[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    known["asked"] = asked
    return known


@pytest.fixture
def loopback_is_public(monkeypatch):
    """Treat 127.0.0.1, and no other address, as public, so that the test's receiver can be reached."""
    real = http_client.is_public
    monkeypatch.setattr(http_client, "is_public", lambda address: address == "127.0.0.1" or real(address))


def deliver():
    """Send everything that is due."""
    while sending.deliver_next():
        pass


def later():
    """Make the next attempt of every message due."""
    Delivery.objects.update(due_at=timezone.now())


def sent(hook):
    return [json.loads(delivery.body)["type"] for delivery in hook.deliveries.order_by("created_at")]


class TestWriting:
    def test_a_change_of_state_writes_a_message(self, hook, make_job):
        job = make_job()
        queue.fail(claimed(job), "No good.")
        assert sent(hook) == ["job.created", "job.started", "job.failed"]
        last = hook.deliveries.get(event="failed")
        message = json.loads(last.body)
        assert message["timestamp"] == job.history.last().at.isoformat()
        assert message["data"] == {
            "id": str(job.pk),
            "url": f"/jobs/{job.pk}/",
            "title": "Song",
            "state": "failed",
            "error": "No good.",
        }

    def test_only_the_selected_kinds_are_sent(self, hook, make_job):
        Webhook.objects.update(events=["done", "failed"])
        make_job(State.DONE)
        assert sent(hook) == ["job.done"]

    def test_a_new_title_is_no_change_of_state(self, hook, make_job):
        actions.rename(make_job().track, "New")
        assert sent(hook) == ["job.created"]

    def test_only_events_of_the_owners_jobs_are_sent(self, hook, make_job, stranger, receiver):
        theirs = outbox.create(stranger, receiver.url, [])
        make_job()
        make_job(user=stranger, title="Theirs")
        assert [json.loads(row.body)["data"]["title"] for row in hook.deliveries.all()] == ["Song"]
        assert [json.loads(row.body)["data"]["title"] for row in theirs.deliveries.all()] == ["Theirs"]

    def test_many_jobs_at_once_are_announced_to_every_webhook(self, owner, make_job, receiver):
        several = {str(claimed(make_job()).pk) for _ in range(3)}
        for events in ([], ["requeued", "done"]):
            outbox.create(owner, receiver.url, events)
        queue.release("w")
        for each in Webhook.objects.all():
            sent_again = each.deliveries.filter(event="requeued")
            assert {json.loads(row.body)["data"]["id"] for row in sent_again} == several

    def test_a_paused_webhook_gets_nothing(self, hook, make_job):
        Webhook.objects.update(active=False)
        make_job()
        assert sent(hook) == []

    def test_a_rolled_back_change_is_not_announced(self, hook, make_job):
        job = make_job()
        with pytest.raises(RuntimeError), transaction.atomic():
            actions.cancel(job)
            raise RuntimeError
        assert sent(hook) == ["job.created"]

    def test_without_webhooks_nothing_is_written(self, make_job):
        make_job(State.DONE)
        assert not Delivery.objects.exists()


class TestSending:
    def test_a_receiver_can_prove_who_sent_it(self, hook, make_job, receiver):
        finish(claimed(make_job()))
        deliver()
        assert [json.loads(body)["type"] for _, _, body in receiver.got] == ["job.created", "job.started", "job.done"]
        path, headers, body = receiver.got[0]
        assert (path, headers["Content-Type"]) == ("/hook", "application/json")
        assert headers["Host"] == f"127.0.0.1:{receiver.port}"
        said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
        key = base64.b64decode(hook.secret.removeprefix("whsec_"))
        mac = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{mac}"
        assert Signer(hook.secret).verify(body, headers)["type"] == "job.created"
        delivery = Delivery.objects.get(pk=headers["webhook-id"])
        assert (delivery.state, delivery.tries, delivery.body) == ("delivered", 1, body)
        (entry,) = delivery.log
        assert (entry["status"], entry["error"]) == (200, "")

    def test_for_a_day_both_secrets_sign(self, hook, receiver):
        old = hook.secret
        outbox.rotate(hook)
        outbox.ping(hook)
        deliver()
        _, headers, body = receiver.got[0]
        assert hook.secret != old
        for secret in (old, hook.secret):
            Signer(secret).verify(body, headers)
        Webhook.objects.update(previous_until=timezone.now())
        outbox.ping(hook)
        deliver()
        assert headers["webhook-signature"].count("v1,") == 2
        assert receiver.got[1][1]["webhook-signature"].count("v1,") == 1

    def test_a_failure_is_tried_again_later_and_later(self, hook, receiver):
        receiver.answers = [500, 404, 200]
        delivery = outbox.ping(hook)
        deliver()
        delivery.refresh_from_db()
        assert (delivery.state, delivery.tries, len(receiver.got)) == ("pending", 1, 1)
        assert timedelta(seconds=8) < delivery.due_at - timezone.now() < timedelta(seconds=11)
        later()
        deliver()
        delivery.refresh_from_db()
        assert timedelta(seconds=35) < delivery.due_at - timezone.now() < timedelta(seconds=44)
        later()
        deliver()
        delivery.refresh_from_db()
        assert [entry["status"] for entry in delivery.log] == [500, 404, 200]
        assert [entry["error"] for entry in delivery.log] == ["It answered 500.", "It answered 404.", ""]
        assert (delivery.state, len({headers["webhook-id"] for _, headers, _ in receiver.got})) == ("delivered", 1)

    def test_it_gives_up_in_the_end_and_starts_afresh_when_asked(self, hook, receiver):
        receiver.answers = [503]
        delivery = outbox.ping(hook)
        for _ in range(sending.MAX_TRIES + 2):
            deliver()
            later()
        delivery.refresh_from_db()
        assert (delivery.state, delivery.tries, len(receiver.got)) == ("failed", 8, 8)
        receiver.answers = [204]
        assert outbox.redeliver(delivery)
        assert not outbox.redeliver(delivery)  # it is pending already
        deliver()
        delivery.refresh_from_db()
        assert (delivery.state, delivery.tries, len(delivery.log)) == ("delivered", 1, 9)
        assert receiver.got[-1][2] == delivery.body

    def test_pauses_grow_fourfold_for_most_of_a_day(self):
        pauses = [sending.pause(tries).total_seconds() for tries in range(1, sending.MAX_TRIES)]
        assert all(3 < later / earlier < 5 for earlier, later in pairwise(pauses))
        assert 13 * 3600 < sum(pauses) < 17 * 3600

    def test_no_server_at_the_address(self, hook, receiver):
        receiver.close()
        outbox.ping(hook)
        deliver()
        (entry,) = hook.deliveries.get().log
        assert entry["status"] is None
        assert entry["error"].startswith("No answer: ")

    def test_a_slow_receiver_times_out(self, hook, monkeypatch):
        monkeypatch.setattr(http_client, "TIMEOUT", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts the connection and does not respond
            Webhook.objects.update(url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
            outbox.ping(hook)
            deliver()
        assert hook.deliveries.get().log[0]["error"] == "No answer within 0 seconds."

    def test_a_webhook_that_another_sends_to_is_left_alone(self, hook, owner, receiver):
        other = outbox.create(owner, receiver.url, [])
        outbox.ping(hook)
        outbox.ping(other)
        Webhook.objects.filter(pk=hook.pk).update(busy_until=timezone.now() + sending.LEASE)
        deliver()
        assert [hook.deliveries.get().state, other.deliveries.get().state] == ["pending", "delivered"]
        Webhook.objects.update(busy_until=timezone.now())  # the other sender died
        deliver()
        assert hook.deliveries.get().state == "delivered"

    def test_a_rival_that_is_faster_wins(self, hook, receiver):
        """Another sender sends everything between this one's query and its lease."""
        outbox.ping(hook)
        rivals = [deliver]

        def rival_first(execute, sql, *rest):
            if sql.startswith("UPDATE") and rivals:
                rivals.pop()()
            return execute(sql, *rest)

        with connection.execute_wrapper(rival_first):
            assert not sending.deliver_next()
        assert (len(receiver.got), rivals) == (1, [])

    def test_old_entries_are_deleted_unless_pending(self, hook):
        over, waits = outbox.ping(hook), outbox.ping(hook)
        Delivery.objects.update(created_at=timezone.now() - outbox.LOG_RETENTION - timedelta(days=1))
        Delivery.objects.filter(pk=over.pk).update(state=Delivery.State.FAILED)
        heartbeat.beat("w")
        assert hook.deliveries.get() == waits


class TestRefusing:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "[::1]",
            "169.254.169.254",
            "localhost",
            "2130706433",
            "0x7f.1",
            "0.0.0.0",
            "10.0.0.1",
            "[fe80::1]",
        ],
    )
    def test_private_networks_are_refused(self, host, receiver, settings, owner):
        hook = outbox.create(owner, f"http://{host}:{receiver.port}/", [])
        settings.WEBHOOKS_PRIVATE = False
        outbox.ping(hook)
        deliver()
        delivery = hook.deliveries.get()
        assert receiver.got == []
        assert "not on the public internet" in delivery.log[0]["error"]
        assert delivery.state == "pending"  # its DNS entry may be corrected
        with pytest.raises(http_client.Refused):
            http_client.check_url(hook.url)

    @pytest.mark.parametrize("found", [["127.0.0.1"], ["169.254.169.254"], ["93.184.216.34", "10.0.0.1"]])
    def test_nor_by_a_name(self, found, names, receiver, owner):
        names["hook.test"] = found
        outbox.ping(outbox.create(owner, f"http://hook.test:{receiver.port}/", []))
        deliver()
        assert receiver.got == []
        assert found[-1] in Delivery.objects.get().log[0]["error"]

    @pytest.mark.usefixtures("loopback_is_public")
    def test_nor_by_dns_rebinding(self, names, receiver, owner):
        names["hook.test"] = [["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]]
        names["asked"].clear()
        hook = outbox.create(owner, f"http://hook.test:{receiver.port}/", [])
        for _ in range(2):
            outbox.ping(hook)
            deliver()
        assert names["asked"].count("hook.test") == 2  # once for each attempt, for check and connection together
        assert [headers["Host"] for _, headers, _ in receiver.got] == [f"hook.test:{receiver.port}"]
        states = {delivery.state: delivery.log[0]["error"] for delivery in hook.deliveries.all()}
        assert states["delivered"] == "" and "10.0.0.1" in states["pending"]

    @pytest.mark.parametrize(
        "target", ["http://127.0.0.1:{port}/", "http://[::1]/", "http://169.254.169.254/", "/again"]
    )
    def test_nor_by_a_redirect(self, hook, receiver, target):
        receiver.answers, receiver.location = [307], target.format(port=receiver.port)
        outbox.ping(hook)
        deliver()
        assert len(receiver.got) == 1
        (entry,) = hook.deliveries.get().log
        assert entry["status"] == 307 and "redirect" in entry["error"]

    def test_nor_through_a_proxy(self, hook, receiver, monkeypatch):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9/")
        outbox.ping(hook)
        deliver()
        assert len(receiver.got) == 1

    @pytest.mark.parametrize(
        ("address", "public"),
        [
            ("8.8.8.8", True),
            ("2606:4700::1111", True),
            ("::ffff:8.8.8.8", True),
            ("::ffff:127.0.0.1", False),
            ("::127.0.0.1", False),
            ("2002:7f00:1::", False),
            ("64:ff9b::7f00:1", False),
            ("fec0::1", False),
            ("fe80::1%eth0", False),
            ("fc00::1", False),
            ("100.64.0.1", False),
            ("192.168.1.1", False),
            ("224.0.1.1", False),
            ("ff0e::1", False),
            ("255.255.255.255", False),
        ],
    )
    def test_what_is_public(self, address, public):
        assert http_client.is_public(address) == public

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "hook",
            "ftp://93.184.216.34/",
            "file:///etc/passwd",
            "http://",
            "http://93.184.216.34:port/",
            "http://93.184.216.34:99999/",
            "http://me:secret@93.184.216.34/",
            "http://bücher.example/",
            "http://93.184.216.34/a b",
            "http://93.184.216.34/\r\nX: y",
            "http://no-such-host.invalid/",
        ],
    )
    def test_invalid_addresses_are_refused(self, url):
        with pytest.raises(http_client.Refused):
            http_client.check_url(url)

    def test_a_valid_address_is_accepted(self, names):
        names["hook.test"] = ["93.184.216.34"]
        http_client.check_url("https://hook.test/path?x=1")
        http_client.check_url("http://93.184.216.34:8080/")


@pytest.mark.usefixtures("loopback_is_public")
@pytest.mark.parametrize(("certified", "arrives"), [("hook.test", True), ("other.test", False)])
def test_a_certificate_is_checked_against_the_name(certified, arrives, names, receiver, owner, monkeypatch, tmp_path):
    """The connection is made to an address, but the certificate is verified against the name."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(certified).configure_cert(context)
    asked = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    names["hook.test"] = ["127.0.0.1"]
    hook = outbox.create(owner, f"https://hook.test:{receiver.port}/", [])
    outbox.ping(hook)
    deliver()
    assert asked == ["hook.test"]
    assert (len(receiver.got), hook.deliveries.get().state) == ((1, "delivered") if arrives else (0, "pending"))


def test_deleting_an_account_removes_its_webhooks(hook, owner, make_job):
    job = make_job()
    assert fresh(job) and hook.deliveries.exists()
    owner.delete()
    assert not (Webhook.objects.exists() or Delivery.objects.exists())


def test_a_sender_survives_a_database_outage(hook, receiver, monkeypatch, caplog):
    outbox.ping(hook)
    real, faults = sending.deliver_next, [OperationalError("server closed the connection")]

    def deliver_next():
        if faults:
            raise faults.pop()
        return real()

    class Stopping(threading.Event):
        """Set once everything is sent."""

        def is_set(self):
            return bool(receiver.got)

        def wait(self, *_):
            return False

    monkeypatch.setattr(sending, "deliver_next", deliver_next)
    monkeypatch.setattr(sending, "close_old_connections", lambda: None)  # a thread's own; here it is the test's
    sending.send_on(Stopping())
    assert len(receiver.got) == 1
    assert "server closed the connection" in caplog.text
