"""The weights that come with the project, on real music: the draft, and what divides `other`."""

import numpy as np
import pytest

from ensemble import registry
from ensemble.evaluation.datasets import songs
from ensemble.evaluation.evaluate import FOUR, separator
from ensemble.evaluation.metrics import ratio_db
from ensemble.networks.demucs import Level
from ensemble.separator import load

GAIN = 5.0  # dB of SDR over the mixture itself, on the easiest songs far less than is reached


@pytest.fixture(scope="module")
def drafts(shared):
    """(mixture, truth, stems) of two whole songs in four stems, of six seconds each."""
    chosen = [song for song in songs(shared / "audio", "folder") if song.name in ("falcon69", "too_bright")]
    separate = separator("draft", ["off"])
    return [(mixture, truth, separate(mixture)["off"]) for mixture, truth in (song.load() for song in chosen)]


@pytest.mark.parametrize("name", ["unmix", "unmix_split"])
def test_it_comes_with_the_project(name):
    assert registry.installed(name)
    assert registry.verified(name).parent == registry.SHIPPED
    assert sum(path.stat().st_size for path in registry.SHIPPED.iterdir()) < 20e6


def test_it_is_much_better_than_nothing(drafts):
    gains = [
        ratio_db(np.square(mixture - truth[stem]).sum(), np.square(stems[stem] - truth[stem]).sum())
        for mixture, truth, stems in drafts
        for stem in FOUR
    ]
    assert np.mean(gains) > GAIN


def test_its_stems_sum_to_the_song_and_come_out_the_same_each_time(drafts):
    mixture, _, stems = drafts[0]
    np.testing.assert_allclose(sum(stems[stem] for stem in FOUR), mixture, atol=1e-5)
    again = separator("draft", ["off"])(mixture)["off"]
    assert all(np.array_equal(again[stem], stems[stem]) for stem in FOUR)


def test_guitar_piano_and_the_rest_of_other_sum_to_it(shared):
    """With the shipped network, on what is `other` in a real song."""
    (song,) = [song for song in songs(shared / "audio", "folder") if song.name == "funk_mdn"]
    truth = song.load()[1]
    other = truth["guitar"] + truth["other"]
    member = load("unmix_split", Level(0.0, 1.0))
    parts = member.divided(mixture=0 * other, other=other)
    assert set(parts) == {"guitar", "piano", "other"}
    np.testing.assert_allclose(sum(parts.values()), other, atol=1e-5)
