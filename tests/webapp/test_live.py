"""End to end: `manage.py serve` with its web server and worker, the file queue and, if it is installed, the model.

A song is uploaded as by a browser, web server and worker are killed halfway, and the stems are finished all the same.
"""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import wave
from contextlib import suppress
from http.cookiejar import CookieJar
from pathlib import Path
from time import monotonic, sleep

import av
import numpy as np
import pytest

from pipeline.options import model_cards

ROOT = Path(__file__).parents[2]
RATE = 44_100
PATIENCE = 400  # seconds, for a busy machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


class Site:
    """A running `manage.py serve` and a browser."""

    def __init__(self, data):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        own = {"SOUNDSCAPE_DATA": str(data), "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        theirs = ("DATABASE_URL", "BROKER_URL", "SECRET_KEY")
        environment = {name: value for name, value in os.environ.items() if name not in theirs} | own
        manage = [sys.executable, str(ROOT / "manage.py")]
        subprocess.run([*manage, "migrate", "-v0", "--skip-checks"], env=environment, check=True)
        self.log = data / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*manage, "serve"], env=environment, stdout=log, stderr=log)
        self.jar = CookieJar()
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def said(self):
        return self.log.read_text()

    def wait(self, what, condition):
        """Wait until the condition holds; fails with the output of the site if it never does."""
        deadline = monotonic() + PATIENCE
        while not (answer := condition()):
            assert monotonic() < deadline, f"{what} never came.\n{self.said()}"
            assert self.process.poll() is None, self.said()
            sleep(0.5)
        return answer

    def workers(self):
        """The process ids of the workers that reported to be ready, oldest first."""
        return [int(pid) for pid in re.findall(r"Worker [^ :]+:(\d+):\w+ is ready", self.said())]

    def children(self):
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def web(self):
        """The process id of the web server, once it responds."""
        self.wait("the web server", self.answers)
        return next(pid for pid in self.children() if b"celery" not in Path(f"/proc/{pid}/cmdline").read_bytes())

    def answers(self):
        try:
            return self.get("/accounts/login/")
        except OSError:
            return b""

    def get(self, path):
        with self.browser.open(self.origin + path, timeout=60) as answer:
            return answer.read()

    def json(self, path):
        return json.loads(self.get(path))

    def upload(self, name, content):
        self.get("/")
        token = next(cookie.value for cookie in self.jar if cookie.name == "csrftoken")
        head = f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        request = urllib.request.Request(
            f"{self.origin}/api/v1/jobs/",
            head + content + b"\r\n--edge--\r\n",
            {"Content-Type": "multipart/form-data; boundary=edge", "X-CSRFToken": token},
        )
        with self.browser.open(request, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.process.kill()
    site.process.wait()


def resident(pid):
    """The resident memory of the process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def lives(pid):
    """Whether the process is running; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def song(seconds):
    """A WAV file of a chord over noise."""
    time = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220, 277.2, 329.6)) / 6
    hiss = np.random.default_rng(1).normal(0, 0.03, (2, time.size))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((2, 2, RATE, 0, "NONE", ""))
        out.writeframes(np.round((tone + hiss).T * 32767).astype("<i2").tobytes())
    return file.getvalue()


def samples(audio):
    """The number of samples that a file really has."""
    with av.open(io.BytesIO(audio)) as file:
        return sum(frame.samples for frame in file.decode(audio=0))


@pytest.mark.skipif(not all(card.installed for card in model_cards()), reason="the model is not installed")
def test_a_song_survives_the_death_of_the_web_server_and_of_its_worker(site):
    site.wait("readiness", lambda: f"SoundScape is ready: {site.origin}" in site.said())
    assert set(site.json("/healthz").values()) == {"ok"}
    job = site.upload("Chord.wav", song(25))
    path = job["api_url"]
    site.wait("separation", lambda: site.json(path)["stage"] == "separate")

    os.kill(site.web(), signal.SIGKILL)
    site.web()
    assert site.json(path)["state"] == "running"
    assert "attempt 2 begins" not in site.said()

    os.kill(site.workers()[-1], signal.SIGKILL)
    site.wait("another worker", lambda: len(site.workers()) == 2)
    done = site.wait("the end", lambda: (now := site.json(path))["state"] in ("done", "failed") and now)

    assert (done["state"], done["error"]) == ("done", "")
    assert "attempt 2 begins" in site.said()
    assert done["duration"] == 25.0
    assert done["blocks_done"] == done["blocks_total"] > 1
    assert done["null_db"] <= -90
    names = [stem["name"] for stem in done["stems"]]  # and what else the detector hears in a chord
    assert names[0] == "vocals" and names[-2:] == ["other", "residual"]
    for stem in done["stems"]:
        pieces = [samples(site.get(stem["segments_url"].format(index=index))) for index in range(5)]
        assert pieces == [220_500] * 5
        assert len(site.get(stem["peaks_url"])) == 2 * 2500
        assert samples(site.get(stem["download_url"])) == 25 * RATE


def test_the_web_server_is_replaced_and_the_worker_works_on(site):
    site.wait("a worker", site.workers)
    dead = site.web()
    (worker,) = site.workers()
    os.kill(dead, signal.SIGKILL)
    site.wait("word of it", lambda: "The web server stopped (killed by signal 9)" in site.said())
    assert site.web() != dead
    assert site.workers() == [worker] and lives(worker)


def test_headers_without_end_are_refused_and_take_no_memory(site):
    pid = site.web()
    before = resident(pid)
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        with suppress(OSError):  # it is hung up on
            for index in range(100):
                stranger.sendall(b"X-%d: " % index + b"x" * 1_000_000 + b"\r\n")
        with suppress(OSError):
            assert stranger.recv(100).startswith(b"HTTP/1.1 400")
    assert resident(pid) - before < 20_000_000
    assert site.answers()


def test_it_stops_cleanly_when_asked(site):
    site.wait("a worker", site.workers)
    children = site.children()
    assert len(children) == 2
    site.process.send_signal(signal.SIGINT)
    assert site.process.wait(60) == 0
    assert not any(map(lives, children))
    assert "Stopping" in site.said()
    assert "Traceback" not in site.said()


def test_its_children_end_when_it_is_killed(site):
    site.wait("a worker", site.workers)
    children = site.children()
    assert all(map(lives, children))
    site.process.kill()
    site.process.wait()
    deadline = monotonic() + 60
    while any(map(lives, children)):
        assert monotonic() < deadline
        sleep(0.1)
