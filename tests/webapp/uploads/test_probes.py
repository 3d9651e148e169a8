"""Files that cannot be separated are refused at the upload, and none can harm the web process."""

import sys

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from support.acting import PICTURE, SONG, files_below, upload
from support.sounds import silent_wav

from webapp.models import Job, Track, Upload
from webapp.uploads import limits, resumable

pytestmark = pytest.mark.django_db
TUS = {"Tus-Resumable": "1.0.0"}


def as_job(browser, content):
    return upload(browser, content=content)


def as_track(browser, content):
    return browser.post("/api/v1/tracks/", {"file": SimpleUploadedFile("Song.mp3", content)})


def in_pieces(browser, content):
    url = browser.post("/api/v1/uploads/", headers=TUS | {"Upload-Length": str(len(content))})["Location"]
    kind = "application/offset+octet-stream"
    browser.patch(url, content[:5], content_type=kind, headers=TUS | {"Upload-Offset": "0"})
    return browser.patch(url, content[5:], content_type=kind, headers=TUS | {"Upload-Offset": "5"})


@pytest.fixture(params=[as_job, as_track, in_pieces], ids=lambda door: door.__name__)
def send(request, browser):
    """Every way to upload a song."""
    return lambda content: request.param(browser, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (silent_wav(6000), "This song is longer than 0:05, the limit here. Cut it into parts."),
        (silent_wav(900), "This file is shorter than a second. Choose a longer one."),
        (b"Dear diary, this is no music.\n" * 50, "This is not an audio file"),
        (PICTURE, "This is not an audio file"),
    ],
    ids=["long", "short", "text", "picture"],
)
def test_unusable_files_are_refused_with_a_message_and_leave_nothing(
    send, content, message, settings, django_capture_on_commit_callbacks
):
    settings.MAX_SECONDS = 5.0
    with django_capture_on_commit_callbacks(execute=True):
        answer = send(content)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["detail"].startswith(message)
    assert [fault["field"] for fault in answer.json()["errors"]] == ["file"]
    assert not (Job.objects.exists() or Track.objects.exists() or Upload.objects.exists())
    assert files_below(settings.DATA) == []


def test_a_song_of_the_maximum_length_is_accepted(send, settings):
    settings.MAX_SECONDS = 5.0
    assert send(silent_wav(5000)).status_code in (201, 204)


def test_a_recording_of_unknown_length_is_accepted(send, tmp_path):
    """Some recorders never write the length into the header."""
    assert send(SONG[:4] + b"\xff" * 4 + SONG[8:40] + b"\xff" * 4 + SONG[44:]).status_code in (201, 204)


def test_the_demo_needs_no_probe(browser, settings, probing):
    probing("raise SystemExit(1)")
    settings.DEMO_SONG.write_bytes(SONG)
    assert browser.post("/api/v1/jobs/demo/").status_code == 201


@pytest.fixture
def probing(settings, tmp_path_factory):
    """Makes the probing process do something else."""

    def install(code):
        package = tmp_path_factory.mktemp("elsewhere") / "pipeline"
        (package / "audio").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "audio" / "probe.py").write_text(code)
        settings.BASE_DIR = package.parent

    return install


@pytest.mark.parametrize(
    "code",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "import time; time.sleep(60)",
        "raise RuntimeError('what no one thought of')",
        "bytes(10**15)",
    ],
    ids=["crash", "hang", "error", "memory"],
)
def test_a_file_that_the_probe_does_not_survive_is_refused(browser, probing, monkeypatch, settings, code):
    monkeypatch.setattr(limits, "PROBE_SECONDS", 1 if "sleep" in code else 20)
    probing(code)
    answer = upload(browser)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("This file could not be read")
    assert files_below(settings.DATA) == []


def test_the_probe_is_given_no_secrets(browser, probing, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "very secret")
    probing("import json, os; print(json.dumps({'refused': ' '.join(sorted(os.environ))}))")
    seen = set(upload(browser).json()["detail"].split())
    assert seen <= {"PYTHONPATH", "LC_CTYPE", *limits.PROBE_ENVIRONMENT}


def test_if_no_process_can_be_started_the_worker_decides(browser, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    assert upload(browser).status_code == 201


def test_an_upload_that_another_request_finished_meanwhile_is_not_removed(browser, monkeypatch):
    """Two requests send the last piece; the slower one finds its file moved."""
    url = browser.post("/api/v1/uploads/", headers=TUS | {"Upload-Length": str(len(SONG))})["Location"]
    real, kind = resumable.validate_song, "application/offset+octet-stream"

    def slow(path):
        monkeypatch.setattr(resumable, "validate_song", real)
        assert browser.patch(url, SONG, content_type=kind, headers=TUS | {"Upload-Offset": "0"}).status_code == 204
        path.unlink(missing_ok=True)
        real(path)

    monkeypatch.setattr(resumable, "validate_song", slow)
    answer = browser.patch(url, SONG, content_type=kind, headers=TUS | {"Upload-Offset": "0"})
    assert (answer.status_code, Job.objects.count()) == (409, 1)
    assert browser.get(url).json()["job"] == str(Job.objects.get().pk)
