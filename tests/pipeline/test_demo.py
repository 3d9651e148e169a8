"""The demo song: sound, complete, the same each time, and written whole or not at all."""

import errno
from itertools import pairwise

import av
import numpy as np
import pytest

from pipeline import demo
from pipeline.audio.decode import decode

PARTS = ["vocals", "drums", "bass", "guitar", "piano"]


def decibels(audio):
    return 10 * np.log10(np.mean(audio.astype(np.float64) ** 2) + 1e-20)


def bar(part, number):
    length = demo.SAMPLES // 12
    return part[:, number * length : (number + 1) * length]


@pytest.fixture(scope="module")
def parts():
    return demo.compose()


@pytest.mark.parametrize("name", PARTS)
def test_each_part_is_audible_stereo(parts, name):
    part = parts[name]
    assert part.shape == (2, demo.SAMPLES)
    assert part.dtype == np.float32
    assert np.isfinite(part).all()
    assert -40 < decibels(part[0]) < -15
    assert -40 < decibels(part[1]) < -15


def test_there_are_no_other_parts(parts):
    assert list(parts) == PARTS


def test_the_parts_add_up_to_a_mixture_that_does_not_clip(parts):
    song = demo.mix(parts)
    np.testing.assert_allclose(song, sum(parts[name] for name in PARTS), atol=1e-6)
    assert 20 * np.log10(abs(song).max()) == pytest.approx(-1.5, abs=0.01)
    assert abs(song.mean()) < 1e-3


def test_instruments_enter_one_after_another(parts):
    sounding = [{name for name in PARTS if decibels(bar(parts[name], number)) > -60} for number in range(12)]
    assert sounding[0] == {"guitar"}
    assert sounding[1] == {"guitar", "piano", "drums", "vocals"}
    assert all(bar_parts == set(PARTS) for bar_parts in sounding[2:])


@pytest.mark.parametrize("name", PARTS)
def test_no_click_at_either_end(parts, name):
    assert abs(parts[name][:, :100]).max() < 1e-3
    assert abs(parts[name][:, -100:]).max() < 1e-3


def test_the_file_holds_the_same_song_again(parts, tmp_path):
    path = tmp_path / "demo.flac"
    demo.write(path)
    *_, recording = decode(path, tmp_path / "decoded")
    assert (recording.samples, recording.tags.title, recording.warnings) == (demo.SAMPLES, "SoundScape demo", [])
    np.testing.assert_allclose(recording.read(0, demo.SAMPLES), demo.mix(parts), atol=2**-23)
    with av.open(str(path)) as file:
        assert {key.lower(): value for key, value in file.metadata.items()}["artist"] == "SoundScape"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(monkeypatch, tmp_path):
    def fail(encoder, audio):
        raise OSError(errno.ENOSPC, "disk full")

    path = tmp_path / "demo.flac"
    path.write_bytes(b"old")
    monkeypatch.setattr(demo, "compose", lambda: {"vocals": np.zeros((2, 4608), np.float32)})
    monkeypatch.setattr(demo.Encoder, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        demo.write(path)
    assert [file.name for file in tmp_path.iterdir()] == ["demo.flac"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("pitch", sorted({string for chord in demo.CHORDS.values() for string in chord}))
def test_strings_are_in_tune(pitch):
    output = np.abs(np.fft.rfft(demo.string(pitch)[:65536] * np.hanning(65536), 2**20))
    low, high = (round(float(demo.hertz(pitch + off)) / demo.SAMPLE_RATE * 2**20) for off in (-0.5, 0.5))
    peak = (low + output[low:high].argmax()) * demo.SAMPLE_RATE / 2**20
    assert 1200 * np.log2(peak / demo.hertz(pitch)) == pytest.approx(0, abs=3)


def test_the_second_voice_follows_below_on_notes_of_the_chord():
    lead = list(demo.melody())
    second = list(demo.harmony(lead))
    assert [note.beat for note in second] == [note.beat for note in lead if note.beat >= demo.LIFT]
    for above, below in zip(lead[-len(second) :], second, strict=True):
        assert 3 <= above.pitch - below.pitch <= 9
        assert below.pitch % 12 in {string % 12 for string in demo.chord(below.beat)}


def test_the_singer_finishes_each_note_before_the_next():
    for note, after in pairwise(demo.melody()):
        assert note.beat + note.beats <= after.beat


def test_the_singer_aims_forward_in_time():
    rows = demo.steps(list(demo.melody()), np.random.default_rng(0))
    assert all(row[0] <= after[0] for row, after in pairwise(rows))


def test_a_pattern_that_does_not_exist_is_refused():
    with pytest.raises(KeyError, match="walk"):
        list(demo.played(3, {"whole": "r"}))
