"""Direct downloads: the archive is complete, and the mix is the one that the query describes."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from support.acting import RATE, SECONDS, claimed, decoded, files_below, fresh, noise

from pipeline.playback.segments import Block, SegmentWriter
from webapp.exports import renderer
from webapp.models import State, Stem
from webapp.songs import actions
from webapp.storage.base import store

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(real_job):
    return real_job()


def test_the_mix_is_what_was_described(job, owner, fetch):
    query = "vocals=-6&drums=3&mute=drums&master=-2&start=9.5&end=11&format=wav&bits=float"
    answer = fetch(f"/api/v1/jobs/{job.pk}/mix?{query}", owner)
    assert answer.status == 200 and answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="Song - mix.wav"'
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    expected = 10 ** (-8 / 20) * noise()["vocals"][:, round(9.5 * RATE) : 11 * RATE]
    np.testing.assert_allclose(decoded(answer), expected, atol=2e-6)


def test_pan_limiter_tempo_and_pitch_are_heard(job, owner, fetch):
    hard_left = decoded(fetch(f"/api/v1/jobs/{job.pk}/mix?vocals.pan=-1&mute=drums", owner))
    assert np.abs(hard_left[1]).max() < 1e-6 and np.abs(hard_left[0]).max() > 0.9
    limited = fetch(f"/api/v1/jobs/{job.pk}/mix?vocals=6&drums=6&limiter=1", owner)
    assert limited.headers["X-Lowered-dB"] == "0.00" and np.abs(decoded(limited)).max() <= 1
    half = decoded(fetch(f"/api/v1/jobs/{job.pk}/mix?tempo=2&pitch=-1&end=2", owner))
    assert half.shape[1] == RATE


def test_a_mix_of_nothing_said_is_the_song(job, owner, fetch):
    answer = fetch(f"/api/v1/jobs/{job.pk}/mix?bits=float", owner)
    np.testing.assert_allclose(decoded(answer), sum(noise().values()), atol=2e-6)
    assert answer.headers["X-Lowered-dB"] == "0.00"


def test_what_everybody_can_play_comes_unless_asked_otherwise(job, owner, fetch):
    answer = fetch(f"/api/v1/jobs/{job.pk}/mix", owner)
    assert soundfile.info(io.BytesIO(answer.body)).subtype == "PCM_24"


def test_files_come_at_the_uploads_own_sample_rate_or_the_one_asked_for(job, owner, fetch):
    """The upload has 48 kHz: all stems add up to it, which has more samples than its segments."""
    rng = np.random.default_rng(8)
    upload = rng.uniform(-0.9, 0.9, (48_000 * SECONDS, 2)).astype(np.float32)
    soundfile.write(job.track.path, upload, 48_000, "FLOAT", format="WAV")
    mixture = soxr.resample(upload, 48_000, RATE, quality="VHQ").T
    with SegmentWriter(job.published) as writer:
        stems = {"vocals": 0.6 * mixture, "other": 0.4 * mixture}
        total = mixture.shape[1]
        writer.write(Block(0, total, total, stems, source=(len(upload), 48_000)))
        writer.close()
    Stem.objects.filter(job=job, name="drums").update(name="other")
    mix = f"/api/v1/jobs/{job.pk}/mix?bits=float"
    audio, rate = soundfile.read(io.BytesIO(fetch(mix, owner).body), dtype="float32")
    assert rate == 48_000
    missed = 10 * np.log10(np.square(audio - upload).sum() / np.square(upload).sum())
    assert missed < -90
    assert decoded(fetch(f"{mix}&sample_rate=44100", owner)).shape == mixture.shape
    answer = fetch(f"/api/v1/jobs/{job.pk}/stems/vocals/download?format=flac", owner)
    assert soundfile.info(io.BytesIO(answer.body)).samplerate == 48_000
    assert fetch(f"{mix}&sample_rate=1", owner).status == 400


def test_what_would_clip_is_lowered_and_told(job, owner, fetch):
    answer = fetch(f"/api/v1/jobs/{job.pk}/mix?vocals=6&drums=6&format=flac", owner)
    assert float(answer.headers["X-Lowered-dB"]) > 6
    assert np.abs(decoded(answer)).max() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("end", ["inf", "1e308", "12"])
def test_an_end_after_the_end_is_the_end(job, owner, fetch, end):
    assert decoded(fetch(f"/api/v1/jobs/{job.pk}/mix?end={end}", owner)).shape[1] == RATE * SECONDS


def test_nothing_is_left_behind(job, owner, fetch, monkeypatch):
    files = []
    make = renderer.tempfile.TemporaryFile
    monkeypatch.setattr(renderer.tempfile, "TemporaryFile", lambda **where: files.append(make(**where)) or files[-1])
    fetch(f"/api/v1/jobs/{job.pk}/mix", owner)
    fetch(f"/api/v1/jobs/{job.pk}/mix?start=99", owner)
    assert [file.closed for file in files] == [True, True]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("vocals=7", "vocals: 7 dB"),
        ("vocals=loud", "'loud' is not a number"),
        ("kazoo=0", "kazoo"),
        ("mute=kazoo", "vocals"),
        ("start=5&end=4", "nothing between 5 and 4"),
        ("start=99", "ends after 12.0 seconds"),
        ("start=inf&end=inf", "nothing between"),
        ("start=1e308", "ends after 12.0 seconds"),
        ("end=nan", "nothing between"),
        ("format=xyz", "wav, flac, mp3"),
        ("vocals.pan=2", "vocals"),
        ("kazoo.pan=0", "kazoo"),
        ("limiter=maybe", "1, 0"),
        ("tempo=3", "tempo"),
        ("pitch=13", "pitch"),
        ("what=stems", "no part of a mix"),
    ],
)
def test_a_mix_that_makes_no_sense_is_explained(job, owner, fetch, query, message):
    answer = fetch(f"/api/v1/jobs/{job.pk}/mix?{query}", owner)
    assert answer.status == 400 and message in answer.body.decode()


def test_all_stems_come_in_one_archive(make_job, owner, fetch):
    job = make_job(State.DONE, title="Blue: Monday?")
    answer = fetch(f"/api/v1/jobs/{job.pk}/stems.zip", owner)
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        names = sorted(archive.namelist())
        assert names == [f"Blue_ Monday_/Blue_ Monday_ - {stem}.wav" for stem in ("drums", "vocals")]
        assert archive.read(names[1]) == b"vocals" * 1000


@pytest.mark.parametrize("what", ["mix", "stems.zip"])
@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED])
def test_nothing_to_take_before_it_is_done(make_job, owner, fetch, state, what):
    assert fetch(f"/api/v1/jobs/{make_job(state).pk}/{what}", owner).status == 404


@pytest.mark.parametrize("what", ["mix", "stems.zip"])
def test_what_is_finished_can_be_taken_while_another_choice_is_made(job, owner, fetch, what):
    actions.reselect_stems(job, ["drums"])
    claimed(fresh(job))
    assert fetch(f"/api/v1/jobs/{job.pk}/{what}", owner).status == 200


@pytest.mark.parametrize("what", ["mix", "stems.zip"])
def test_strangers_get_nothing(job, owner, stranger, fetch, what):
    assert fetch(f"/api/v1/jobs/{job.pk}/{what}", owner).status == 200
    assert fetch(f"/api/v1/jobs/{job.pk}/{what}", stranger).status == 404
    assert fetch(f"/api/v1/jobs/{job.pk}/{what}").status == 404


@pytest.mark.parametrize("what", ["mix", "stems.zip"])
def test_files_that_are_gone_are_not_found(job, owner, fetch, what):
    store().discard(job.published)
    assert fetch(f"/api/v1/jobs/{job.pk}/{what}", owner).status == 404


def test_a_busy_site_says_so_and_recovers(job, owner, fetch):
    """Waiting requests are counted, and so are those that give up."""
    taken = [renderer.admission.acquire(blocking=False) for _ in range(renderer.AT_ONCE + renderer.WAITING)]
    answer = fetch(f"/api/v1/jobs/{job.pk}/mix", owner)
    for _ in taken:
        renderer.admission.release()
    assert all(taken) and (answer.status, answer.headers["Retry-After"]) == (503, "5")
    for query in ("", "?vocals=7", "?start=99"):
        for _ in range(renderer.AT_ONCE + renderer.WAITING + 1):
            assert fetch(f"/api/v1/jobs/{job.pk}/mix{query}", owner).status == (400 if query else 200)


def test_a_disk_without_room_to_spare_is_told(job, owner, fetch, monkeypatch):
    monkeypatch.setattr(renderer, "SPARE", 2**70)
    answer = fetch(f"/api/v1/jobs/{job.pk}/mix", owner)
    assert answer.status == 507 and "full" in answer.body.decode()


class TestStem:
    """A stem in a format other than that of the job."""

    def test_comes_in_any_format_made_once(self, job, owner, fetch, monkeypatch):
        address = f"/api/v1/jobs/{job.pk}/stems/vocals/download?format=flac&bits=24"
        answer = fetch(address, owner)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/flac")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="Song - vocals.flac"'
        np.testing.assert_allclose(decoded(answer), noise()["vocals"], atol=1e-6)
        monkeypatch.setattr("pipeline.exports.stem_files.write", None)
        part = fetch(address, owner, Range="bytes=0-99", If_Range=answer.headers["ETag"])
        assert (part.status, part.body) == (206, answer.body[:100])
        assert fetch(address, owner, If_None_Match=answer.headers["ETag"]).status == 304

    def test_nothing_half_done_is_left(self, job, owner, fetch, settings):
        before = files_below(settings.MEDIA_ROOT)
        fetch(f"/api/v1/jobs/{job.pk}/stems/vocals/download?format=opus", owner)
        made = {*files_below(settings.MEDIA_ROOT)} - {*before}
        assert [Path(name).suffix for name in made] == [".opus"]

    def test_its_own_format_is_the_file_itself(self, make_job, owner, fetch):
        address = f"/api/v1/jobs/{make_job(State.DONE).pk}/stems/vocals/download"
        assert fetch(f"{address}?format=wav&bits=float", owner).body == fetch(address, owner).body == b"vocals" * 1000

    @pytest.mark.parametrize("query", ["format=midi", "format=", "bits=7"])
    def test_a_format_that_is_none_is_named(self, job, owner, fetch, query):
        answer = fetch(f"/api/v1/jobs/{job.pk}/stems/vocals/download?{query}", owner)
        assert answer.status == 400 and "Choose one of" in answer.body.decode()

    def test_strangers_and_unknown_stems_find_nothing(self, job, owner, stranger, fetch):
        address = f"/api/v1/jobs/{job.pk}/stems/{{}}/download?format=mp3"
        assert fetch(address.format("vocals"), stranger).status == fetch(address.format("kazoo"), owner).status == 404
