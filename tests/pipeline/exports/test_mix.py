"""The exported mix: the player's law, exact to the sample, and equal to the song where nothing was moved."""

import json
from math import inf, nan
from pathlib import Path

import av
import numpy as np
import pytest
from support.sounds import RATE, read

from ensemble.errors import InvalidOption
from pipeline.audio.tags import Tags
from pipeline.exports.mix import Lane, Mix, gains, panning, render
from pipeline.exports.song import Song
from pipeline.playback.segments import SEGMENT, Block, SegmentWriter

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/mix.json").read_text())
SAMPLES = 2 * SEGMENT + 100_000
STEMS = ["vocals", "drums", "other"]


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """Three stems of noise in segments, the loudest beyond full scale; (folder, stems)."""
    folder = tmp_path_factory.mktemp("segments")
    rng = np.random.default_rng(3)
    stems = dict(zip(STEMS, rng.uniform(-0.9, 0.9, (3, 2, SAMPLES)).astype(np.float32), strict=True))
    with SegmentWriter(folder) as writer:
        writer.write(Block(0, SAMPLES, SAMPLES, stems))
        writer.close()
    return folder, stems


def faders(*db):
    return [Lane(name, value) for name, value in zip(STEMS, db, strict=False)]


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_gain_law(vector):
    lanes = [Lane(**lane | {"db": -inf if lane["db"] is None else lane["db"]}) for lane in vector["lanes"]]
    assert gains(lanes) == pytest.approx(vector["gains"], abs=1e-12)
    np.testing.assert_allclose([panning(lane.pan) for lane in lanes], vector["panning"], atol=1e-7)


def test_all_at_zero_is_the_song(song, tmp_path):
    folder, stems = song
    assert render(Song.open(folder), Mix(faders(0, 0, 0)), tmp_path / "mix.wav", "wav", "float") == 0
    mixture = sum(stems.values())
    missed = read(tmp_path / "mix.wav") - mixture
    assert 10 * np.log10(np.square(missed).sum() / np.square(mixture).sum()) < -90


def test_a_stretch_at_chosen_levels_to_the_sample(song, tmp_path):
    folder, stems = song
    lanes = [Lane("vocals", -6.0), Lane("drums", mute=True), Lane("other", 3.0)]
    mix = Mix(lanes, master_db=-2.0, start=9.5, end=11.25)
    render(Song.open(folder), mix, tmp_path / "mix.wav", "wav", "float")
    a, b = round(9.5 * RATE), round(11.25 * RATE)
    expected = 10 ** (-2 / 20) * (10 ** (-6 / 20) * stems["vocals"] + 10 ** (3 / 20) * stems["other"])[:, a:b]
    np.testing.assert_allclose(read(tmp_path / "mix.wav"), expected, atol=2e-6)


def test_a_lane_is_panned_with_both_its_sides(song, tmp_path):
    folder, stems = song
    render(
        Song.open(folder), Mix([Lane("drums", pan=-0.5), Lane("other", pan=1.0)]), tmp_path / "mix.wav", "wav", "float"
    )
    left, right = stems["drums"]
    half = np.sqrt(0.5)
    expected = np.stack([left + half * right, half * right + stems["other"].sum(axis=0)])
    np.testing.assert_allclose(read(tmp_path / "mix.wav"), expected, atol=2e-6)


def test_the_limiter_keeps_the_ceiling_and_leaves_the_rest_alone(song, tmp_path):
    """The same mix with and without: never beyond the ceiling, nothing lowered as a whole, in step to the sample."""
    folder, _ = song
    for name, limiter in (("loud", False), ("limited", True)):
        mix = Mix(faders(3, 0, -3), start=1, limiter=limiter)
        assert render(Song.open(folder), mix, tmp_path / f"{name}.wav", "wav", "float") == 0
    loud, limited = read(tmp_path / "loud.wav"), read(tmp_path / "limited.wav")
    assert np.abs(loud).max() > 2
    assert np.abs(limited).max() <= 1 + 1e-6
    assert limited.shape == loud.shape
    assert np.abs(np.corrcoef(loud[0], limited[0])[0, 1]) > 0.9
    quiet = Mix(faders(-12, -12, -12), limiter=True)
    render(Song.open(folder), quiet, tmp_path / "quiet.wav", "wav", "float")
    render(Song.open(folder), Mix(quiet.lanes), tmp_path / "same.wav", "wav", "float")
    np.testing.assert_array_equal(read(tmp_path / "quiet.wav"), read(tmp_path / "same.wav"))


def test_with_the_limiter_on_nothing_is_lowered(song, tmp_path):
    folder, _ = song
    assert render(Song.open(folder), Mix(faders(6, 6, 6), limiter=True), tmp_path / "mix.flac", "flac", "24") == 0


def test_a_file_carries_tags_and_tells_how_far_it_is(song, tmp_path):
    folder, _ = song
    reported = []
    tags = Tags(title="Song", artist="Singer")
    render(Song.open(folder), Mix(faders(6, 6, 6)), tmp_path / "mix.flac", "flac", "24", tags, reported.append)
    with av.open(str(tmp_path / "mix.flac")) as file:
        assert {name.lower(): text for name, text in file.metadata.items()}["artist"] == "Singer"
    assert reported == sorted(reported) and len(reported) > 2 and reported[-1] == pytest.approx(1)


def test_what_would_clip_is_lowered_and_reported(song, tmp_path):
    folder, _ = song
    lowered = render(Song.open(folder), Mix(faders(6, 6, 6)), tmp_path / "mix.flac", "flac", "24")
    assert lowered > 6
    assert np.abs(read(tmp_path / "mix.flac")).max() == pytest.approx(1, abs=1e-4)


def test_silence_is_a_mix_too(song, tmp_path):
    folder, _ = song
    render(Song.open(folder), Mix(faders(-inf, -inf)), tmp_path / "mix.wav", "wav", "16")
    audio = read(tmp_path / "mix.wav")
    assert audio.shape[1] == SAMPLES and not audio.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lanes": [Lane("kazoo")]}, "kazoo.*vocals, drums, other"),
        ({"lanes": [Lane("vocals", 6.1)]}, "vocals: 6.1 dB"),
        ({"lanes": [Lane("vocals", nan)]}, "nan dB"),
        ({"lanes": [], "master_db": 12}, "master: 12 dB"),
        ({"lanes": [Lane("vocals", pan=-1.5)]}, r"vocals\.pan: -1.5 is not between -1 and 1"),
        ({"lanes": [Lane("vocals", pan=nan)]}, "vocals.pan: nan"),
        ({"lanes": [], "tempo": 2.5}, "tempo: 2.5 is not between 0.5 and 2"),
        ({"lanes": [], "pitch": -13}, "pitch: -13 is not between -12 and 12"),
        ({"lanes": [], "start": 5, "end": 5}, "between 5 and 5"),
        ({"lanes": [], "start": -1}, "nothing between"),
        ({"lanes": [], "start": 60}, "ends after 12.3 seconds"),
    ],
)
def test_a_mix_that_makes_no_sense_is_refused(song, tmp_path, wrong, message):
    with pytest.raises(InvalidOption, match=message):
        render(Song.open(song[0]), Mix(**wrong), tmp_path / "mix.wav", "wav", "float")
