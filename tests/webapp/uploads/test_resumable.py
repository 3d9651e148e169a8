"""Resumable uploads: the tus protocol as its clients speak it, their results, and refusals."""

import base64
import hashlib
import os
import select
import socket
import subprocess
import sys
import threading
import wave
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE
from time import sleep

import pytest
import requests
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.test import Client
from django.utils import timezone
from support.acting import SONG, files_below
from tusclient.client import TusClient

from webapp.accounts.guests import adopt
from webapp.http import streamed_body
from webapp.models import Job, Upload, User
from webapp.uploads import resumable
from webapp.worker import heartbeat

URL = "/api/v1/uploads/"
TUS = {"Tus-Resumable": "1.0.0"}
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.django_db


def metadata(**fields):
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items())


def announce(client, **fields):
    fields = {"filename": "My Song.flac"} | fields
    return client.post(URL, headers=TUS | {"Upload-Length": str(len(SONG)), "Upload-Metadata": metadata(**fields)})


def send(client, url, piece, offset, **more):
    headers = TUS | {"Upload-Offset": str(offset)} | {name.replace("_", "-"): value for name, value in more.items()}
    return client.patch(url, piece, content_type="application/offset+octet-stream", headers=headers)


def standing(client, url):
    return int(client.head(url, headers=TUS)["Upload-Offset"])


@pytest.fixture
def url(browser):
    """Address of an announced upload."""
    return announce(browser)["Location"]


class TestProtocol:
    def test_it_states_its_capabilities(self, browser):
        for url in (URL, announce(browser)["Location"]):
            answer = browser.options(url)
            assert (answer.status_code, answer["Tus-Version"], answer["Tus-Resumable"]) == (204, "1.0.0", "1.0.0")
            assert answer["Tus-Extension"] == "creation,expiration,checksum,termination"
            assert answer["Tus-Max-Size"] == "500000000"
            assert answer["Tus-Checksum-Algorithm"] == "sha1,sha256"

    def test_pieces_become_a_song(self, browser, owner, settings, committing):
        made = announce(browser, stems="drums,bass", format="flac", bleed="strong", title="Another")
        assert (made.status_code, made["Upload-Offset"], made["Tus-Resumable"]) == (201, "0", "1.0.0")
        url = made["Location"]
        assert send(browser, url, SONG[:10], 0)["Upload-Offset"] == "10"
        assert not Job.objects.exists()
        with committing():
            last = send(browser, url, SONG[10:], 10)
        assert (last.status_code, last["Upload-Offset"], last.content) == (204, str(len(SONG)), b"")
        job = Job.objects.get()
        assert (job.track.owner, job.track.title, job.track.filename) == (owner, "Another", "My Song.flac")
        assert job.track.file.read() == SONG
        options = {name: job.options[name] for name in ("stems", "format", "bleed")}
        assert options == {"stems": ["drums", "bass"], "format": "flac", "bleed": "strong"}
        data = browser.get(url).json()
        assert (data["job"], data["job_url"]) == (str(job.pk), f"/api/v1/jobs/{job.pk}/")
        assert files_below(settings.DATA) == [f"media/tracks/{job.track.pk}.flac"]

    def test_it_states_where_to_resume(self, browser, url):
        send(browser, url, SONG[:10], 0)
        answer = browser.head(url, headers=TUS)
        assert (answer.status_code, answer.content) == (200, b"")
        assert (answer["Upload-Offset"], answer["Upload-Length"]) == ("10", str(len(SONG)))
        assert (answer["Cache-Control"], answer["Upload-Metadata"]) == ("no-store", metadata(filename="My Song.flac"))
        assert "GMT" in answer["Upload-Expires"]

    def test_a_piece_that_does_not_follow_is_refused(self, browser, url):
        send(browser, url, SONG[:10], 0)
        for offset in (0, 9, 11, "x", -1):
            answer = send(browser, url, SONG[10:], offset)
            assert answer.status_code == 409
            assert "stands at 10 bytes" in answer.json()["detail"]
        assert standing(browser, url) == 10

    def test_more_than_announced_is_refused(self, browser, url):
        answer = send(browser, url, SONG + b"!", 0)
        assert answer.status_code == 400
        assert f"announced with {len(SONG)} bytes" in answer.json()["detail"]
        assert standing(browser, url) == 0

    @pytest.mark.parametrize("kind", ["sha1", "sha256"])
    def test_a_piece_is_verified_by_its_checksum(self, browser, url, kind):
        def by(piece):
            return f"{kind} {base64.b64encode(hashlib.new(kind, piece).digest()).decode()}"

        answer = send(browser, url, SONG[:10], 0, Upload_Checksum=by(SONG[:9]))
        assert (answer.status_code, standing(browser, url)) == (460, 0)
        assert send(browser, url, SONG[:10], 0, Upload_Checksum=by(SONG[:10])).status_code == 204
        assert send(browser, url, SONG[10:], 10, Upload_Checksum=by(SONG[10:])).status_code == 204
        assert Job.objects.get().track.file.read() == SONG

    @pytest.mark.parametrize("checksum", ["md5 AAAA", "sha1", "sha1 ?", ""])
    def test_an_invalid_checksum_is_refused(self, browser, url, checksum):
        answer = send(browser, url, SONG[:10], 0, Upload_Checksum=checksum)
        assert (answer.status_code, standing(browser, url)) == (400, 0)

    def test_it_can_be_terminated(self, browser, url, committing, settings):
        send(browser, url, SONG[:10], 0)
        assert len(files_below(settings.DATA)) == 1
        with committing():
            assert browser.delete(url, headers=TUS).status_code == 204
        assert browser.head(url, headers=TUS).status_code == 404
        assert send(browser, url, SONG[10:], 10).status_code == 404
        assert files_below(settings.DATA) == []

    def test_a_network_that_lets_only_post_pass(self, browser, url):
        headers = TUS | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
        answer = browser.post(url, SONG, content_type="application/offset+octet-stream", headers=headers)
        assert (answer.status_code, Job.objects.count()) == (204, 1)
        assert browser.post(url, headers=TUS).status_code == 405

    def test_another_protocol_is_refused(self, browser, url):
        for version in ({}, {"Tus-Resumable": "0.2.2"}):
            for answer in (
                browser.post(URL, headers=version | {"Upload-Length": "5"}),
                browser.patch(url, SONG, content_type="application/offset+octet-stream", headers=version),
                browser.delete(url, headers=version),
            ):
                assert (answer.status_code, answer["Tus-Version"]) == (412, "1.0.0")
        assert standing(browser, url) == 0

    def test_another_type_is_refused(self, browser, url):
        answer = browser.patch(url, SONG, content_type="audio/flac", headers=TUS | {"Upload-Offset": "0"})
        assert (answer.status_code, standing(browser, url)) == (415, 0)


class TestAnnouncing:
    @pytest.mark.parametrize(
        ("length", "status"), [("", 400), ("x", 400), ("0", 400), ("-5", 400), ("500000000", 201), ("500000001", 413)]
    )
    def test_the_length(self, browser, length, status):
        answer = browser.post(URL, headers=TUS | {"Upload-Length": length})
        assert answer.status_code == status
        assert Upload.objects.count() == (status == 201)

    @pytest.mark.parametrize(
        "fields",
        [{"stems": "drums,kazoo"}, {"format": "wma"}, {"bleed": "lots"}, {"filename": "x" * 256}],
    )
    def test_the_options(self, browser, fields):
        answer = announce(browser, **fields)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] in fields

    @pytest.mark.parametrize("header", ["filename ?", "filename /w==", "filename a"])
    def test_nonsense(self, browser, header):
        assert browser.post(URL, headers=TUS | {"Upload-Length": "5", "Upload-Metadata": header}).status_code == 400

    def test_without_metadata(self, browser):
        length = str(len(SONG))
        url = browser.post(URL, headers=TUS | {"Upload-Length": length, "Upload-Metadata": ""})["Location"]
        send(browser, url, SONG, 0)
        assert Job.objects.get().track.title == "Untitled"

    def test_unknown_metadata_is_ignored(self, browser):
        header = f"{metadata(filename='a.mp3', filetype='audio/mpeg')},is_confidential"
        assert browser.post(URL, headers=TUS | {"Upload-Length": "5", "Upload-Metadata": header}).status_code == 201


class TestPeople:
    def test_others_find_nothing(self, url, browser, stranger):
        other = Client()
        other.force_login(stranger)
        for client in (other, Client()):
            assert client.head(url, headers=TUS).status_code == 404
            assert client.get(url).status_code == 404
            assert send(client, url, SONG, 0).status_code == 404
            assert client.delete(url, headers=TUS).status_code == 404
        assert standing(browser, url) == 0

    def test_a_visitor_becomes_a_guest(self):
        visitor = Client()
        url = announce(visitor)["Location"]
        assert send(visitor, url, SONG, 0).status_code == 204
        assert Job.objects.get().track.owner.is_guest

    def test_unless_the_site_is_for_members(self, settings):
        settings.GUESTS = False
        assert announce(Client()).status_code in (401, 403)
        assert not User.objects.exists()

    def test_the_announced_length_counts_as_used(self, browser, settings):
        settings.BYTES = 2 * len(SONG) - 1
        url = announce(browser)["Location"]
        answer = announce(browser)
        assert (answer.status_code, answer.json()["title"]) == (403, "Quota used up")
        browser.delete(url, headers=TUS)
        assert announce(browser).status_code == 201

    def test_other_sites_cannot_send(self, owner, url):
        forged = Client(enforce_csrf_checks=True)
        forged.force_login(owner)
        assert announce(forged).status_code == 403
        assert send(forged, url, SONG, 0).status_code == 403
        assert Upload.objects.get().offset == 0

    def test_an_upload_started_as_a_guest_goes_on_as_a_member(self, owner, browser):
        guest = User.objects.create(username="guest-1", is_guest=True)
        upload = resumable.begin(guest, len(SONG), "a.mp3", "", resumable.Options(), "")
        adopt(guest, owner)
        assert send(browser, f"{URL}{upload.pk}/", SONG, 0).status_code == 204


class TestRaces:
    def test_one_of_two_requests_with_the_same_piece_wins(self, browser, url):
        async def pieces():
            yield SONG[:10]
            await resumable.receive(upload, 0, rival())

        async def rival():
            yield SONG[:20]

        upload = Upload.objects.get()
        with pytest.raises(resumable.OffsetConflict):
            async_to_sync(resumable.receive)(upload, 0, pieces())
        assert standing(browser, url) == 20
        send(browser, url, SONG[20:], 20)
        assert Job.objects.get().track.file.read() == SONG

    def test_an_upload_that_cannot_be_stored_can_be_resumed(self, browser, url, monkeypatch):
        """Only the last piece has to be sent again."""

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        browser.raise_request_exception = False
        send(browser, url, SONG[:10], 0)
        with monkeypatch.context() as patch:
            patch.setattr(resumable.actions, "upload_and_enqueue", full)
            answer = send(browser, url, SONG[10:], 10)
        assert (answer.status_code, standing(browser, url)) == (507, 10)
        assert send(browser, url, SONG[10:], 10).status_code == 204
        assert Job.objects.get().track.file.read() == SONG

    def test_one_removed_meanwhile_is_gone(self, browser, url):
        Upload.objects.get().path.unlink()
        assert send(browser, url, SONG, 0).status_code == 404

    def test_abandoned_ones_are_removed(self, browser, committing, settings):
        _, kept = announce(browser), announce(browser)["Location"]
        old = Upload.objects.exclude(pk=kept.split("/")[-2])
        old.update(expires_at=timezone.now() - timedelta(seconds=1))
        with committing():
            heartbeat.beat("w")
        assert [str(upload.pk) in kept for upload in Upload.objects.all()] == [True]
        assert len(files_below(settings.DATA)) == 1

    def test_each_piece_grants_another_day(self, browser, url):
        Upload.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
        send(browser, url, SONG[:10], 0)
        assert Upload.objects.get().expires_at > timezone.now() + timedelta(hours=23)


class TestStreaming:
    """What Django and the view receive of a request, and the headers of the response."""

    def receive(self, messages, kind=streamed_body.STREAMED, reads=True):
        """Return what Django gets of a body, what the view reads, and the headers of the response."""
        seen = {"view": []}

        async def application(scope, receive, send):
            seen["django"] = await receive()
            request = type("Request", (), {"scope": scope, "body": b"all at once"})()
            if reads:
                seen["view"] = [piece async for piece in streamed_body.body(request)]
            await send({"type": "http.response.start", "status": 204, "headers": []})

        async def run():
            scope = {"type": "http", "headers": [(b"content-type", kind)]}
            communicator = ApplicationCommunicator(streamed_body.StreamedBody(application), scope)
            for message in messages:
                await communicator.send_input(message)
            seen["headers"] = (await communicator.receive_output())["headers"]
            await communicator.wait()

        async_to_sync(run)()
        return seen

    def test_the_view_has_the_body_as_it_comes(self):
        first = {"type": "http.request", "body": b"first", "more_body": True}
        last = {"type": "http.request", "body": b"last"}
        seen = self.receive([first, last])
        assert seen == {
            "django": {"type": "http.request", "body": b"", "more_body": False},
            "view": [b"first", b"last"],
            "headers": [],
        }

    def test_bytes_before_an_interruption_count(self):
        first = {"type": "http.request", "body": b"first", "more_body": True}
        assert self.receive([first, {"type": "http.disconnect"}])["view"] == [b"first", b""]

    def test_a_silent_connection_is_given_up(self, monkeypatch):
        monkeypatch.setattr(streamed_body, "IDLE", 0.01)
        first = {"type": "http.request", "body": b"first", "more_body": True}
        seen = self.receive([first])
        assert (seen["view"], seen["headers"]) == ([b"first"], [(b"connection", b"close")])

    def test_a_refusal_is_sent_at_once(self):
        first = {"type": "http.request", "body": b"first", "more_body": True}
        assert self.receive([first], reads=False)["headers"] == [(b"connection", b"close")]

    def test_other_requests_are_left_alone(self):
        whole = {"type": "http.request", "body": b"whole"}
        seen = self.receive([whole], b"application/json")
        assert seen == {"django": whole, "view": [b"all at once"], "headers": []}


class Cutter(threading.Thread):
    """A proxy whose connections break after given numbers of bytes in turn, and then hold."""

    def __init__(self, port, cuts):
        super().__init__(daemon=True)
        self.server, self.cuts, self.passed = port, cuts, 0
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        self.start()

    def run(self):
        while True:
            client, _ = self.door.accept()
            server = socket.create_connection(("127.0.0.1", self.server))
            with client, server, suppress(ConnectionError):
                self._carry(client, server)

    def _carry(self, client, server):
        began = self.passed
        while True:
            for source in select.select([client, server], [], [])[0]:
                if not (data := source.recv(1 << 16)):
                    return
                (server if source is client else client).sendall(data)
                self.passed += len(data) if source is client else 0
            if self.cuts and self.passed - began > self.cuts[0]:
                self.cuts.pop(0)
                return


@pytest.fixture
def server(tmp_path):
    """A web server, its port, and a token for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    theirs = ("DATABASE_URL", "BROKER_URL", "SECRET_KEY")
    environment = {name: value for name, value in os.environ.items() if name not in theirs}
    environment["SOUNDSCAPE_DATA"] = str(tmp_path / "site")
    script = f"""if True:
        import django, uvicorn
        django.setup()
        from django.core.management import call_command
        from webapp.models import Token, User
        call_command("migrate", verbosity=0)
        owner = User.objects.create_user("owner")
        print(Token.objects.create(user=owner, name="tus", scopes=["read", "write"])[1], flush=True)
        uvicorn.run("webapp.asgi:application", port={port}, log_level="warning")
    """
    environment["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=PIPE, text=True)
    token = process.stdout.readline().strip()
    for _ in range(600):
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            break
        sleep(0.05)
    yield port, token
    process.kill()
    process.wait()


def test_a_stock_client_gets_300_mb_through_a_connection_that_breaks(server, tmp_path):
    port, token = server
    song = tmp_path / "long.wav"
    block = os.urandom(1_000_000)
    with wave.open(str(song), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        for number in range(300):
            file.writeframesraw(number.to_bytes(4) + block[4:])
    way = Cutter(port, [60_000_000, 1_000, 150_000_000])
    client = TusClient(f"http://127.0.0.1:{way.port}{URL}", headers={"Authorization": f"Bearer {token}"})
    fields = {"filename": "long.wav", "stems": "drums", "format": "flac"}
    upload = client.uploader(str(song), metadata=fields, retries=6, retry_delay=0)
    upload.upload()
    assert way.cuts == []
    assert way.passed < 330_000_000  # it resumed each time
    answer = requests.get(upload.url, headers=client.headers, timeout=60).json()
    assert answer["offset"] == answer["length"] == 300_000_044
    job = requests.get(f"http://127.0.0.1:{port}{answer['job_url']}", headers=client.headers, timeout=60).json()
    assert (job["state"], job["title"], job["stems_asked"], job["format"]) == ("queued", "long", ["drums"], "flac")
    (kept,) = (tmp_path / "site" / "media" / "tracks").iterdir()
    assert (
        hashlib.file_digest(kept.open("rb"), "sha1").digest() == hashlib.file_digest(song.open("rb"), "sha1").digest()
    )
    assert files_below(tmp_path / "site" / "uploads") == []
