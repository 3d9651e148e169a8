"""The exported mix: the player's gain law, exact to the sample, and equal to the song where nothing was moved."""

import json
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from sounds import RATE, read

from ensemble.errors import InvalidOption
from pipeline.mix import Lane, Mix, gains, render
from pipeline.segments import SEGMENT, Block, SegmentWriter

VECTORS = json.loads((Path(__file__).parent.parent / "mix_vectors.json").read_text())
SAMPLES = SEGMENT + 100_000
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


def test_all_at_zero_is_the_song(song, tmp_path):
    folder, stems = song
    assert render(folder, Mix(faders(0, 0, 0)), tmp_path / "mix.wav", "wav", "float", "Song") == 0
    mixture = sum(stems.values())
    missed = read(tmp_path / "mix.wav") - mixture
    assert 10 * np.log10(np.square(missed).sum() / np.square(mixture).sum()) < -90


def test_a_stretch_at_chosen_levels_to_the_sample(song, tmp_path):
    folder, stems = song
    lanes = [Lane("vocals", -6.0), Lane("drums", mute=True), Lane("other", 3.0)]
    mix = Mix(lanes, master_db=-2.0, start=9.5, end=11.25)
    render(folder, mix, tmp_path / "mix.wav", "wav", "float", "Song")
    a, b = round(9.5 * RATE), round(11.25 * RATE)
    expected = 10 ** (-2 / 20) * (10 ** (-6 / 20) * stems["vocals"] + 10 ** (3 / 20) * stems["other"])[:, a:b]
    np.testing.assert_allclose(read(tmp_path / "mix.wav"), expected, atol=2e-6)


def test_what_would_clip_is_lowered_and_told(song, tmp_path):
    folder, _ = song
    lowered = render(folder, Mix(faders(6, 6, 6)), tmp_path / "mix.flac", "flac", "24", "Song")
    assert lowered > 6
    assert np.abs(read(tmp_path / "mix.flac")).max() == pytest.approx(1, abs=1e-4)


def test_silence_is_a_mix_too(song, tmp_path):
    folder, _ = song
    render(folder, Mix(faders(-inf, -inf)), tmp_path / "mix.wav", "wav", "16", "Song")
    audio = read(tmp_path / "mix.wav")
    assert audio.shape[1] == SAMPLES and not audio.any()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lanes": [Lane("kazoo")]}, "kazoo.*vocals, drums, other"),
        ({"lanes": [Lane("vocals", 6.1)]}, "vocals: 6.1 dB"),
        ({"lanes": [Lane("vocals", nan)]}, "nan dB"),
        ({"lanes": [], "master_db": 12}, "master: 12 dB"),
        ({"lanes": [], "start": 5, "end": 5}, "between 5 and 5"),
        ({"lanes": [], "start": -1}, "nothing between"),
        ({"lanes": [], "start": 60}, "ends after 12.3 seconds"),
    ],
)
def test_a_mix_that_makes_no_sense_is_refused(song, tmp_path, wrong, told):
    with pytest.raises(InvalidOption, match=told):
        render(song[0], Mix(**wrong), tmp_path / "mix.wav", "wav", "float", "Song")
