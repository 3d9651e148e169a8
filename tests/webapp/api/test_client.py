"""The example client in webapp/README.md works. It is run exactly as printed; this test plays the worker."""

import re
import subprocess
import sys

import pytest
from support.acting import SONG, claimed, finish
from support.running import ROOT

from webapp.accounts import tokens
from webapp.models import Job, Scope
from webapp.songs import queue

PATIENCE = 60  # seconds
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client_of_the_readme(live_server, owner, tmp_path):
    """Starts the client with a token of those scopes."""
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "webapp/README.md").read_text("utf-8"), re.DOTALL)
    assert len(program.splitlines()) <= 25
    (tmp_path / "Blue Monday.mp3").write_bytes(SONG)

    def start(*scopes):
        _, token = tokens.make(owner, "client", scopes, None)
        command = [sys.executable, "-u", "-c", program, live_server.url, token, "Blue Monday.mp3"]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


def job_of(client):
    """The job, once the client reports it: until then the server may be using the connection that the test shares."""
    assert client.stdout.readline().startswith("queued")
    return Job.objects.get()


def test_a_song_goes_in_and_stems_come_out(client_of_the_readme, tmp_path):
    client = client_of_the_readme(Scope.READ, Scope.WRITE)
    job = job_of(client)
    options = queue.options_of(job)
    assert (options.stems, options.format, options.bits) == (("vocals", "drums"), "flac", "24")
    finish(claimed(job))
    said, _ = client.communicate(timeout=PATIENCE)
    assert (client.returncode, said.splitlines()[-1]) == (0, "Done.")
    for stem in ("vocals", "drums"):
        assert (tmp_path / f"Blue Monday - {stem}.flac").read_bytes() == stem.encode() * 1000


def test_a_failure_is_told(client_of_the_readme, tmp_path):
    client = client_of_the_readme(Scope.READ, Scope.WRITE)
    queue.fail(claimed(job_of(client)), "This file holds no sound.")
    said, _ = client.communicate(timeout=PATIENCE)
    assert said.splitlines()[-1] == "This file holds no sound."
    assert not list(tmp_path.glob("*.flac"))


def test_a_refusal_too(client_of_the_readme):
    client = client_of_the_readme(Scope.READ)
    said, _ = client.communicate(timeout=PATIENCE)
    assert client.returncode == 1 and "scope" in said
