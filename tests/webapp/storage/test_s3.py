"""Storage in a bucket: people notice no difference, and no files stay on the machines that work.

Worker and web server share no folder: the tests switch between a folder for each of them.
"""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from support.acting import RATE, SONG, claimed, decoded, files_below, fresh, noise

from pipeline import separate
from pipeline.audio.recording import Recording
from pipeline.options import SeparationError
from pipeline.playback.segments import SEGMENT, Block
from pipeline.report import Progress, Report
from webapp.exports import renderer
from webapp.models import Export, Job, State
from webapp.songs import actions
from webapp.storage.base import store
from webapp.worker import progress, tasks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bucket")]


@pytest.fixture
def elsewhere(settings, tmp_path):
    """Switch to another machine. Returns the files left on the one before."""

    def move(name="web"):
        left = files_below(Path(settings.MEDIA_ROOT))
        settings.MEDIA_ROOT = tmp_path / name
        return left

    return move


@pytest.fixture
def engine(monkeypatch):
    """An engine that separates `noise` in blocks of one segment, after a draft with everything in the vocals.

    Returns the list of functions that it calls between blocks.
    """
    between = []

    def separate_file(source, directory, options, *, on_progress, on_decoded, on_detected, on_draft, on_block):
        assert source.read_bytes() == SONG
        song, stems = Recording(directory / ".song"), noise()
        with song.path.open("wb") as file:
            song.append(sum(stems.values()), file)
        on_decoded(song)
        total = song.samples
        on_draft([*stems], iter([Block(0, total, total, {"vocals": sum(stems.values())})]))
        for start in range(0, total, SEGMENT):
            stop = min(start + SEGMENT, total)
            on_block(Block(start, stop, total, {name: audio[:, start:stop] for name, audio in stems.items()}))
            on_progress(Progress("separate", stop, total, 0.0))
            for look in between:
                look(stop)
        files = {name: directory / f"{name}.wav" for name in stems}
        for path in files.values():
            path.write_bytes(path.stem.encode() * 1000)
        return Report(
            title="Song", samples=total, asked=[], stems=[*stems], detected={}, residual=False, preset="default",
            bleed="off", models=[], provider="CPU", files=files, null_db=-120,
        )  # fmt: skip

    monkeypatch.setattr(progress, "WRITE_EVERY", 0.0)
    monkeypatch.setattr(separate, "separate_file", separate_file)
    return between


def test_a_song_is_separated_on_one_machine_and_played_on_another(make_job, engine, bucket, elsewhere, fetch, owner):
    job = make_job()
    assert elsewhere("worker") == []  # the upload went to the bucket
    segment, draft = [f"/api/v1/jobs/{job.pk}/stems/vocals/{kind}/1.flac" for kind in ("segments", "draft")]
    answers = []

    def listen(stop):
        worker = elsewhere("web")
        assert f"jobs/{job.pk}/1/.song" in worker
        asked = (segment, draft, f"/api/v1/jobs/{job.pk}/original/peaks", f"/api/v1/jobs/{job.pk}/stems/vocals/peaks")
        answers.append([fetch(address, owner).status for address in asked])
        elsewhere("worker")

    engine.append(listen)
    tasks.separate()
    assert answers == [[404, 200, 200, 200], [200] * 4, [200] * 4]
    assert fetch(draft, owner).status == 404
    assert not [key for key in bucket() if "/draft/" in key]
    assert fresh(job).state == State.DONE
    assert elsewhere("web") == []  # the worker keeps nothing
    np.testing.assert_allclose(
        decoded(fetch(segment, owner)) * 4, noise()["vocals"][:, SEGMENT : 2 * SEGMENT], atol=1e-6
    )
    assert fetch(f"/api/v1/jobs/{job.pk}/stems/drums/download", owner).body == b"drums" * 1000
    assert not [key for key in bucket() if "/." in key]
    assert elsewhere() == []


def test_another_choice_is_made_of_work_in_the_bucket(make_job, engine, elsewhere, monkeypatch):
    job = make_job()
    tasks.separate()
    elsewhere("another worker")
    monkeypatch.delattr(separate, "separate_file")
    fetched = []

    def reselect_stems(source, finished, report, directory, options, *, on_progress, on_decoded, on_block):
        fetched.extend(files_below(finished))
        raise SeparationError("Enough.")

    monkeypatch.setattr(separate, "reselect_stems", reselect_stems)
    monkeypatch.setattr(separate, "reusable", lambda *_: True)
    assert actions.reselect_stems(fresh(job), ["drums"])
    tasks.separate()
    assert {"index.json", "report.json", "vocals/00001.flac", "drums/00000.flac"} <= {*fetched}
    assert not [path for path in fetched if path.startswith("original/") or path.endswith(".wav")]
    assert (fresh(job).state, fresh(job).error) == (State.DONE, "Enough.")
    assert elsewhere() == []


@pytest.mark.parametrize("end", [actions.cancel, actions.delete])
def test_work_that_nobody_wants_leaves_nothing(make_job, engine, bucket, elsewhere, committing, end):
    job = make_job()

    def stop_it(_):
        with committing():
            end(job)

    engine.append(stop_it)
    tasks.separate()
    assert [key for key in bucket() if key.startswith("jobs/")] == []
    assert elsewhere() == []


class TestDownloads:
    @pytest.fixture
    def job(self, real_job, elsewhere):
        job = real_job()
        elsewhere()
        return job

    def test_a_mix(self, job, owner, fetch, elsewhere):
        answer = fetch(f"/api/v1/jobs/{job.pk}/mix?mute=drums&start=9.5&end=11", owner)
        np.testing.assert_allclose(decoded(answer), noise()["vocals"][:, round(9.5 * RATE) : 11 * RATE], atol=2e-6)
        assert elsewhere() == []

    def test_all_stems(self, make_job, elsewhere, owner, fetch):
        job = make_job(State.DONE)
        elsewhere()
        answer = fetch(f"/api/v1/jobs/{job.pk}/stems.zip", owner)
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == {
                f"Song/Song - {stem}.wav": stem.encode() * 1000 for stem in ("vocals", "drums")
            }

    @pytest.mark.usefixtures("immediately")
    def test_a_file_made_to_be_fetched_later(self, job, browser, owner, fetch, elsewhere, bucket, committing):
        made = browser.post(f"/api/v1/jobs/{job.pk}/exports/", {"format": "flac", "end": "1"}, "application/json")
        assert (made.status_code, made.json()["state"]) == (201, "done")
        assert elsewhere("another") == []
        assert decoded(fetch(made.json()["file_url"], owner)).shape[1] == RATE
        with committing():
            Export.objects.all().delete()
        assert not [key for key in bucket() if "exports" in key]

    @pytest.mark.usefixtures("immediately")
    def test_a_file_that_can_not_be_made_leaves_nothing(self, job, browser, elsewhere, bucket, monkeypatch):
        monkeypatch.setattr(renderer, "SPARE", 2**70)
        made = browser.post(f"/api/v1/jobs/{job.pk}/exports/", {"format": "flac"}, "application/json")
        assert made.json()["state"] == "failed"
        assert elsewhere() == [] and not [key for key in bucket() if "exports" in key]

    def test_a_spectrogram_is_made_once(self, job, owner, fetch, elsewhere, monkeypatch):
        address = f"/api/v1/jobs/{job.pk}/stems/drums/spectrogram"
        first = fetch(address, owner)
        assert len(first.body) == int(first.headers["X-Bands"]) * int(first.headers["X-Columns"]) > 0
        assert elsewhere("another") == []
        monkeypatch.delattr("pipeline.playback.spectrogram.spectrogram")
        assert fetch(address, owner).body == first.body


def test_deleting_takes_everything_but_the_neighbours(make_job, bucket, committing, settings):
    job, neighbour = make_job(State.DONE), make_job(State.DONE)
    Job.objects.filter(pk=job.pk).update(attempts=10, finished=10)
    tenth = Path(settings.MEDIA_ROOT, "jobs", str(job.pk), "10", "vocals.wav")
    tenth.parent.mkdir(parents=True)
    tenth.write_bytes(b"tenth")
    store().put(tenth, tenth)
    store().discard(job.folder / "1")
    assert [key for key in bucket() if str(job.pk) in key] == [f"jobs/{job.pk}/10/vocals.wav"]
    with committing():
        job.track.delete()
    assert bucket() and all(str(neighbour.pk) in key or str(neighbour.track.pk) in key for key in bucket())


def test_what_is_not_there_is_not_found(make_job, owner, fetch):
    job = make_job(State.DONE)
    store().discard(job.folder)
    for what in ("stems/vocals/download", "stems.zip", "mix", "stems/vocals/spectrogram", "thumbnail"):
        assert fetch(f"/api/v1/jobs/{job.pk}/{what}", owner).status == 404, what


def test_a_bucket_that_does_not_answer_is_reported(client, s3, make_job, caplog, monkeypatch):
    job = make_job(State.DONE)
    assert client.get("/healthz").json()["storage"] == "ok"
    monkeypatch.setattr(s3, "bucket_name", "nowhere")
    assert "ClientError" in client.get("/healthz").json()["storage"]
    store().discard(job.folder)
    assert f"jobs/{job.pk} could not be removed" in caplog.text


def test_what_killed_processes_left_is_swept_away(settings, make_job, elsewhere):
    media = Path(settings.MEDIA_ROOT)
    for name, hours in (("jobs/old", 25), ("jobs/new", 1), ("downloads/old", 25), ("downloads/new", 1)):
        path = media / name / "1" / "vocals.wav"
        path.parent.mkdir(parents=True)
        path.touch()
        for each in (path, path.parent, path.parent.parent):
            when = each.stat().st_mtime - hours * 3600
            os.utime(each, (when, when))
    with store().local_copy(make_job().track.path):
        assert [path for path in files_below(media) if "vocals" in path] == [
            "downloads/new/1/vocals.wav",
            "jobs/new/1/vocals.wav",
        ]


def test_an_upload_is_kept_under_the_same_name_as_in_a_folder(owner, bucket):
    job = actions.upload_and_enqueue(owner, SimpleUploadedFile("x", SONG), "Song.MP3")
    assert bucket() == [f"tracks/{job.track.pk}.mp3"]
    with store().local_copy(job.track.path) as path:
        assert (path.read_bytes(), path.suffix) == (SONG, ".mp3")
    assert not path.exists()
    assert claimed(job).track.file.read() == SONG
