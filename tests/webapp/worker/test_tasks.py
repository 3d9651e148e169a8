"""A worker with a fast replacement for the engine: what it stores in the row, and that it survives failures."""

import io
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.utils import OperationalError
from support.acting import PICTURE, SONG, claimed, files_below, fresh

from detector.classifier import KINDS, Detected, Detection
from ensemble import registry
from pipeline import separate
from pipeline.audio.recording import Recording, disk_full
from pipeline.audio.tags import Tags
from pipeline.options import InvalidAudio, ModelUnavailable, Options
from pipeline.playback import segments
from pipeline.playback.segments import Block
from pipeline.report import Progress, Report
from webapp.models import Cause, State
from webapp.songs import actions, queue, source_audio
from webapp.storage import base
from webapp.worker import heartbeat, tasks
from webapp.worker import progress as worker_progress

pytestmark = pytest.mark.django_db

SECOND = 44_100
SECONDS = 25
TAGS = Tags("Title", artist="Somebody", album="LP", cover=PICTURE, cover_type="image/png")
STEMS = ("drums", "vocals")
DETECTED = Detection(SECONDS, {kind: Detected(0.9, "present", (0.9,) * SECONDS, ((0, SECONDS),)) for kind in KINDS})


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Store every progress, however fast the engine is."""
    monkeypatch.setattr(worker_progress, "WRITE_EVERY", 0.0)
    monkeypatch.setattr(tasks, "sleep", lambda _: None)


@pytest.fixture(autouse=True)
def ten_seconds(monkeypatch):
    """A segment takes two of the engine's blocks."""
    monkeypatch.setattr(segments, "SEGMENT", 10 * SECOND)


@pytest.fixture
def engine(monkeypatch):
    """Installs an engine that reports blocks of five seconds; calls `draft` before them and `between` after each."""

    def install(between=lambda _: None, error=None, draft=lambda _: None):
        def separate_file(source, directory, options, *, on_progress, on_decoded, on_detected, on_draft, on_block):
            assert source.read_bytes() == SONG
            on_progress(Progress("decode", 0, 0))
            on_decoded(recording(directory))
            on_detected("mixture", DETECTED)
            if on_draft:
                draft(lambda between: on_draft([*STEMS], sketched(on_progress, between)))
            count = SECONDS // 5
            for done, block in enumerate(blocks(STEMS, 0), 1):
                on_block(block)
                on_progress(Progress("separate", done, count, float(count - done)))
                between(done)
            if error:
                raise error
            files = {stem: directory / f"{stem}.{options.format}" for stem in STEMS}
            for path in files.values():
                path.write_bytes(b"audio")
            on_progress(Progress("encode", 2, 2, 0.0))
            return Report(
                title="T",
                samples=SECONDS * SECOND,
                asked=list(options.stems),
                stems=list(STEMS),
                detected={"mixture": DETECTED},
                residual=False,
                preset=options.preset,
                bleed=options.bleed,
                models=[{"name": "m"}],
                provider="CPU",
                files=files,
                null_db=-99,
            )

        monkeypatch.setattr(separate, "separate_file", separate_file)

    return install


def blocks(stems, value):
    """A song of five seconds each."""
    for start in range(0, SECONDS * SECOND, 5 * SECOND):
        audio = {stem: np.full((2, 5 * SECOND), value, np.float32) for stem in stems}
        yield Block(start, start + 5 * SECOND, SECONDS * SECOND, audio)


def sketched(on_progress, between):
    """The blocks of a draft, of one of the stems; `between` is called once a block is taken."""
    for done, block in enumerate(blocks(STEMS[1:], 0.5), 1):
        yield block
        on_progress(Progress("draft", done, SECONDS // 5))
        between(done)


def recording(directory):
    """The song as it was decoded: a tone that grows louder."""
    song = Recording(directory / "mixture.f32", tags=TAGS)
    tone = np.linspace(0, 0.504, SECONDS * SECOND) * np.sin(np.arange(SECONDS * SECOND))
    with song.path.open("wb") as file:
        song.append(np.stack([tone, tone]).astype(np.float32), file)
    return song


def test_the_room_that_a_song_takes_is_noted(make_job, engine):
    job = make_job()
    engine()
    tasks.separate()
    made = [path for path in fresh(job).directory.rglob("*") if path.is_file()]
    assert fresh(job).size == sum(path.stat().st_size for path in made) > 1000


def test_a_song_that_is_longer_than_what_is_left_is_not_separated(make_job, engine, settings):
    job, settings.MINUTES = make_job(), (SECONDS - 1) / 60
    engine(between=lambda _: pytest.fail("it was separated"))
    tasks.separate()
    assert (fresh(job).state, fresh(job).cause) == (State.FAILED, Cause.QUOTA)
    assert "longer than the minutes you have left" in fresh(job).error
    assert not fresh(job).track.owner.usage.exists()


def test_how_far_a_file_is_read_is_noted_where_its_length_is_known(make_job, browser, monkeypatch):
    job, noted = make_job(), []

    def separate_file(*_, on_progress, **__):
        for done, total in [(0, 0), (0, 200), (50, 200), (210, 200)]:
            on_progress(Progress("decode", done, total))
            noted.append(browser.get(f"/api/v1/jobs/{job.pk}/").json())
        on_progress(Progress("listen"))
        noted.append(browser.get(f"/api/v1/jobs/{job.pk}/").json())
        raise InvalidAudio("Enough.")

    monkeypatch.setattr(separate, "separate_file", separate_file)
    tasks.separate()
    assert [row["stage_progress"] for row in noted] == [None, 0.0, 0.25, 1.0, None]
    assert [row["progress"] for row in noted] == [0.0] * 5
    assert fresh(job).stage_progress is None


def test_a_song_becomes_stems(make_job, engine):
    seen = []
    job = make_job()

    def look(_done):
        row = fresh(job)
        seen.append((row.stage, row.blocks_done, row.blocks_total, row.seconds_left, row.segments_done))

    engine(look)
    tasks.separate()
    assert seen == [
        ("separate", 1, 5, 4.0, 0),
        ("separate", 2, 5, 3.0, 1),
        ("separate", 3, 5, 2.0, 1),
        ("separate", 4, 5, 1.0, 2),
        ("separate", 5, 5, 0.0, 3),  # the short last segment is playable before encoding begins
    ]
    done = fresh(job)
    assert (done.state, done.samples, done.segments_done) == (State.DONE, SECONDS * SECOND, 3)
    assert done.report["null_db"] == -99
    assert {stem.name: stem.file.read() for stem in done.stems.all()} == dict.fromkeys(STEMS, b"audio")
    assert "vocals/00002.flac" in files_below(done.directory)


def test_the_stems_can_be_played_while_the_rest_is_made(make_job, engine, browser):
    job = make_job()
    answers = []
    engine(lambda _: answers.append(browser.get(f"/api/v1/jobs/{job.pk}/").json()))
    tasks.separate()
    assert (answers[0]["audio"]["original_done"], answers[0]["audio"]["segments_done"]) == (3, 0)
    assert answers[0]["stems"] == []
    assert (answers[1]["audio"]["segment"], answers[1]["audio"]["segments_done"]) == (10 * SECOND, 1)
    assert [stem["name"] for stem in answers[1]["stems"]] == ["vocals", "drums"]
    assert answers[1]["stems"][0]["download_url"] is None


def test_the_mixture_can_be_played_before_its_stems(make_job, engine, browser, fetch, owner):
    job = make_job()
    answers = []

    def listen(done):
        if done == 1:
            data = browser.get(f"/api/v1/jobs/{job.pk}/").json()
            addresses = data["audio"]["original_url"].format(index=2), data["thumbnail_url"]
            answers.extend(fetch(address, owner) for address in addresses)

    engine(listen)
    tasks.separate()
    segment, thumbnail = answers
    audio, rate = soundfile.read(io.BytesIO(segment.body))
    assert (segment.status, rate, len(audio)) == (200, SECOND, 5 * SECOND)
    pairs = np.frombuffer(thumbnail.body, np.int8).reshape(-1, 2)
    assert len(pairs) == source_audio.PAIRS
    assert (np.diff(pairs[:, 1]) >= 0).all() and pairs[-1].tolist() == [-64, 64]
    assert "original/00002.flac" in files_below(fresh(job).published)


def test_the_tags_of_the_upload_are_stored(make_job, engine, fetch, owner, browser):
    job = make_job()
    engine()
    tasks.separate()
    cover = browser.get(f"/api/v1/jobs/{job.pk}/").json()["cover_url"]
    answer = fetch(cover, owner)
    assert (answer.body, answer.headers["Content-Type"]) == (PICTURE, "image/png")
    actions.rename(job.track, "Another title")
    assert source_audio.tags_of(fresh(job)) == replace(TAGS, title="Another title")


@pytest.mark.parametrize("count", [1, 7, 240, 1000])
def test_a_thumbnail_leaves_no_peak_out(count):
    peaks = np.stack([-np.arange(count) % 100, np.arange(count) % 100], axis=1).astype(np.int8)
    small = source_audio.thumbnail(peaks)
    assert small.shape == (source_audio.PAIRS, 2)
    assert (small[:, 0].min(), small[:, 1].max()) == (peaks[:, 0].min(), peaks[:, 1].max())


def test_networks_are_loaded_before_the_first_song_and_errors_are_survived(monkeypatch, caplog):
    loaded = []
    monkeypatch.setattr(registry, "installed", lambda name: name in ("musicnn", "htdemucs"))
    monkeypatch.setattr(registry, "verified", Path)
    monkeypatch.setattr(separate.runtime, "session", loaded.append)
    tasks.warm()
    assert [path.name for path in loaded] == ["musicnn", "htdemucs"]

    def broken(_):
        raise RuntimeError("damaged file")

    monkeypatch.setattr(separate.runtime, "session", broken)
    tasks.warm()
    assert "damaged file" in caplog.text


def test_the_requested_format_is_used(owner, engine):
    job = actions.upload_and_enqueue(owner, SimpleUploadedFile("x", SONG), "a.wav", Options(format="mp3"))
    engine()
    tasks.separate()
    assert {Path(stem.file.name).suffix for stem in fresh(job).stems.all()} == {".mp3"}


def test_the_length_limit_is_the_sites(make_job, monkeypatch, settings):
    settings.MAX_SECONDS = 60.0
    asked = []

    def separate_file(source, directory, options, **_):
        asked.append(options.max_seconds)
        raise InvalidAudio("Too long.")

    monkeypatch.setattr(separate, "separate_file", separate_file)
    make_job()
    tasks.separate()
    assert asked == [60.0]


@pytest.mark.parametrize("end", [actions.cancel, actions.delete])
def test_ending_a_job_stops_the_work(make_job, engine, end, committing, settings):
    job = make_job()
    worked = []

    def stop_it(done):
        worked.append(done)
        if done == 2:
            with committing():
                end(job)

    engine(stop_it)
    tasks.separate()
    assert worked == [1, 2]
    assert not job.folder.exists()


def test_a_bad_file_fails_with_the_engines_message(make_job, engine, settings):
    job, next_job = make_job(), make_job()
    engine(error=InvalidAudio("This is a picture. Please choose a song."))
    tasks.separate()
    assert (fresh(job).state, fresh(job).error) == (State.FAILED, "This is a picture. Please choose a song.")
    assert files_below(settings.MEDIA_ROOT / "jobs") == []
    engine()
    tasks.separate()
    assert fresh(next_job).state == State.DONE


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("index 7 out of range"), tasks.BROKEN),
        (MemoryError(), tasks.MEMORY),
        (OSError(28, "No space left on device"), base.DISK_FULL),
        (ModelUnavailable("The model is not installed."), "The model is not installed."),
    ],
)
def test_our_own_errors_are_explained_and_can_be_retried(make_job, engine, error, message):
    job = make_job()
    engine(error=error)
    tasks.separate()
    assert (fresh(job).state, fresh(job).error) == (State.FAILED, message)
    assert actions.retry(job)
    engine()
    tasks.separate()
    assert (fresh(job).state, fresh(job).error, fresh(job).attempts) == (State.DONE, "", 2)


def explained(error, folder):
    """Wrap a file error as the pipeline does."""
    found = disk_full(error, folder)
    found.__cause__ = error
    return found


def no_space(folder):
    return explained(OSError(28, "No space left on device"), folder)


def short_write(folder):
    """NumPy's error from a disk that is really full."""
    with Path("/dev/full").open("wb") as file, pytest.raises(OSError, match="requested") as caught:
        np.zeros(100_000).tofile(file)
    return explained(caught.value, folder)


def full_database(_folder):
    """SQLite's error from a database that may not grow."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE song (sound)")
    database.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError, match="full") as caught:
        database.execute("INSERT INTO song VALUES (zeroblob(100000))")
    error = OperationalError(*caught.value.args)
    error.__cause__ = caught.value
    return error


def forbidden(folder):
    return explained(PermissionError(13, "Permission denied", str(folder)), folder)


def gone(folder):
    return FileNotFoundError(2, "No such file or directory", str(folder / "model.onnx"))


@pytest.mark.parametrize(
    ("fault", "message", "cause"),
    [
        (no_space, base.DISK_FULL, Cause.DISK),
        (short_write, base.DISK_FULL, Cause.DISK),
        (full_database, base.DISK_FULL, Cause.DISK),
        (forbidden, tasks.FILES, Cause.OTHER),
        (gone, tasks.FILES, Cause.OTHER),
    ],
)
def test_file_errors_have_their_cause_and_no_path(make_job, engine, tmp_path, fault, message, cause):
    job = make_job()
    engine(error=fault(tmp_path))
    tasks.separate()
    assert (fresh(job).error, fresh(job).cause) == (message, cause)
    assert str(tmp_path) not in json.dumps([event.detail for event in job.history.all()])


def test_an_upload_that_is_gone_is_explained(make_job, engine, tmp_path):
    job = make_job()
    job.track.path.unlink()
    engine()
    tasks.separate()
    assert (fresh(job).error, fresh(job).cause) == (tasks.GONE, Cause.OTHER)


def test_a_crash_is_not_blamed_on_memory():
    assert "memory" not in queue.LOST


def test_the_row_names_no_folder(make_job, engine, tmp_path):
    job = make_job()
    engine()
    tasks.separate()
    assert str(tmp_path) not in json.dumps(fresh(job).report)


def test_an_unknown_error_is_logged_with_its_traceback(make_job, engine, caplog):
    make_job()
    engine(error=RuntimeError("index 7 out of range"))
    tasks.separate()
    assert "index 7 out of range" in caplog.text


def test_a_message_without_a_job_does_nothing(engine):
    engine()
    tasks.separate()


def test_a_stopping_worker_begins_nothing(make_job, engine, monkeypatch):
    monkeypatch.setattr(heartbeat.stopping, "is_set", lambda: True)
    job = make_job()
    engine()
    tasks.separate()
    assert fresh(job).state == State.QUEUED


def test_a_stopping_worker_puts_its_song_back(make_job, engine):
    job = make_job()
    worked = []

    def stop(done):
        worked.append(done)
        heartbeat.leave(heartbeat.NAME)

    engine(stop)
    tasks.separate()
    assert worked == [1]
    assert (fresh(job).state, fresh(job).losses) == (State.QUEUED, 0)
    assert files_below(job.folder) == []


@pytest.mark.django_db(transaction=True)  # the connection is closed before another try
def test_a_database_outage_costs_no_work(make_job, engine, monkeypatch):
    job = make_job()
    progress, finish = queue.progress, queue.finish
    faults = {"progress": 2, "finish": 1}

    def flaky(name, verb):
        def call(*args, **fields):
            if faults[name]:
                faults[name] -= 1
                raise OperationalError("database is locked")
            return verb(*args, **fields)

        return call

    monkeypatch.setattr(queue, "finish", flaky("finish", finish))
    engine(lambda _: monkeypatch.setattr(queue, "progress", flaky("progress", progress)))
    tasks.separate()
    assert fresh(job).state == State.DONE
    assert faults == {"progress": 0, "finish": 0}


def test_a_broken_engine_fails_the_job_rather_than_the_worker(make_job, monkeypatch):
    job = make_job()
    monkeypatch.delattr(separate, "separate_file")  # as when ONNX Runtime cannot be loaded
    tasks.separate()
    assert (fresh(job).state, fresh(job).error) == (State.FAILED, tasks.BROKEN)


def test_work_on_a_deleted_job_ends_quietly(make_job, engine, caplog):
    job = claimed(make_job())
    actions.delete(job)
    engine()
    tasks.work(job)
    assert "Traceback" not in caplog.text


def test_reselected_stems_are_made_from_finished_work(make_job, engine, monkeypatch):
    """The engine separates once; the second time its segments and report are enough."""
    job = make_job()
    engine()
    tasks.separate()
    monkeypatch.delattr(separate, "separate_file")
    asked = []

    def reselect_stems(source, finished, report, directory, options, *, on_progress, on_decoded, on_block):
        assert source.read_bytes() == SONG
        on_decoded(recording(directory))
        asked.append((finished, report.detected, options.stems))
        path = directory / "vocals.wav"
        path.write_bytes(b"again")
        on_block(Block(0, SECOND, SECOND, {"vocals": np.zeros((2, SECOND), np.float32)}))
        on_progress(Progress("encode", 1, 1, 0.0))
        return replace(report, files={"vocals": path})

    monkeypatch.setattr(separate, "reselect_stems", reselect_stems)
    monkeypatch.setattr(separate, "reusable", lambda *_: True)
    assert actions.reselect_stems(fresh(job), ["drums"])
    tasks.separate()
    done = fresh(job)
    assert asked == [(job.folder / "1", {"mixture": DETECTED}, ("drums",))]
    assert (done.state, done.detected["stage"], done.attempts) == (State.DONE, "mixture", 2)
    assert [stem.file.read() for stem in done.stems.all()] == [b"again"]


def test_reselecting_stems_of_another_network_separates_again(make_job, engine):
    job = make_job()
    engine()
    tasks.separate()
    assert actions.reselect_stems(fresh(job), ["guitar"])
    tasks.separate()
    assert (fresh(job).state, fresh(job).report["asked"]) == (State.DONE, ["guitar"])


def test_detected_instruments_are_reported_before_anything_is_separated(make_job, engine, browser, fetch, owner):
    job = make_job()
    engine(lambda _: answers.append(browser.get(f"/api/v1/jobs/{job.pk}/").json()))
    answers = []
    tasks.separate()
    assert answers[0]["audio"]["segments_done"] == 0
    assert answers[0]["detected"]["stage"] == "mixture"
    assert answers[0]["detected"]["stems"]["vocals"] == {"probability": 0.9, "presence": "present"}
    full = json.loads(fetch(answers[0]["detection_url"], owner).body)
    assert full["stems"]["vocals"]["timeline"] == [0.9] * SECONDS


def test_a_draft_can_be_played_before_the_stems_and_is_removed_with_them(make_job, engine, browser, fetch, owner):
    job = make_job()
    seen = []

    def look(_):
        row = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        vocals = [stem for stem in row["stems"] if stem["name"] == "vocals"]
        address = vocals[0]["draft_segments_url"].format(index=0) if vocals else ""
        seen.append((row["stage"], row["audio"]["draft_done"], row["audio"]["segments_done"], address))
        if row["audio"]["draft_done"] == 3:
            peaks.append(fetch(vocals[0]["peaks_url"], owner).body)
            segment.append(fetch(address, owner).body)

    peaks, segment = [], []
    engine(look, draft=lambda draw: draw(look))
    tasks.separate()
    assert [line[:3] for line in seen] == [
        *[("draft", done, 0) for done in (0, 1, 1, 2, 3)],
        *[("separate", 3, done) for done in (0, 1, 1, 2, 3)],
    ]
    audio, _ = soundfile.read(io.BytesIO(segment[0]))
    assert audio.shape == (10 * SECOND, 2) and audio[0, 0] * segments.HEADROOM == pytest.approx(0.5, abs=1e-5)
    drawn = [np.frombuffer(each, np.int8).reshape(-1, 2)[:, 1].tolist() for each in peaks]
    assert drawn[0] == [64] * (SECONDS * 100)
    assert drawn[2] == [0] * 1000 + [64] * (SECONDS * 100 - 1000)
    done = fresh(job)
    assert (done.state, done.draft_done, done.draft.exists()) == (State.DONE, 0, False)
    assert done.size == sum(path.stat().st_size for path in done.directory.rglob("*") if path.is_file())
    assert fetch(seen[-1][3], owner).status == 404


def test_a_draft_that_fails_stops_no_stem_and_leaves_nothing(make_job, engine, caplog):
    def broken(done):
        if done == 3:
            assert fresh(job).draft_done == 1
            raise OSError(28, "No space left on device")

    def look(done):
        left.append((fresh(job).draft_done, job.folder.joinpath("1", "draft").exists()))

    job, left = make_job(), []
    engine(look, draft=lambda draw: draw(broken))
    tasks.separate()
    assert left == [(0, False)] * 5
    assert (fresh(job).state, fresh(job).segments_done) == (State.DONE, 3)
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize("end", [actions.cancel, actions.delete])
def test_a_draft_is_removed_with_a_job_that_ends_meanwhile(make_job, engine, committing, end):
    def stop_it(done):
        if done == 3:
            with committing():
                end(job)

    job = make_job()
    engine(lambda _: pytest.fail("it was separated"), draft=lambda draw: draw(stop_it))
    tasks.separate()
    assert (fresh(job).draft_done, job.folder.exists()) == (0, False)


def test_a_draft_is_made_again_after_a_worker_stopped(make_job, engine):
    job, drafts = make_job(), []
    engine(draft=lambda draw: draw(lambda done: heartbeat.leave(heartbeat.NAME) if done == 3 else None))
    tasks.separate()
    assert fresh(job).state == State.QUEUED
    engine(draft=lambda draw: draw(lambda _: drafts.append(fresh(job).draft_done)))
    tasks.separate()
    assert (drafts, fresh(job).state) == ([0, 1, 1, 2, 3], State.DONE)


def test_no_draft_is_made_if_switched_off_or_already_separated(make_job, engine, settings):
    settings.DRAFT = False
    job, drafts = make_job(), []
    engine(draft=drafts.append)
    tasks.separate()
    settings.DRAFT = True
    assert actions.reselect_stems(fresh(job), ["guitar"])
    tasks.separate()
    assert (drafts, fresh(job).attempts) == ([], 2)
