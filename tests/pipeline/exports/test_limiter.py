"""The limiter: the player's arithmetic, in blocks of any size."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.sounds import RATE

from pipeline.exports.limiter import Limiter, limited

VECTOR = json.loads((Path(__file__).parents[2] / "vectors/limiter.json").read_text())


@pytest.fixture(scope="module")
def loud():
    """Stretches of constant level, both channels, (2, frames)."""
    return np.concatenate(
        [np.tile([[left], [right]], frames) for frames, left, right in VECTOR["input"]], axis=1
    ).astype(np.float32)


def in_blocks(audio, size):
    return [audio[:, start : start + size] for start in range(0, audio.shape[1], size)]


@pytest.mark.parametrize("size", [100_000, 4096, 221, 128, 7])
def test_the_players_numbers_in_blocks_of_any_size(loud, size):
    limiter = Limiter(RATE)
    output = np.concatenate([limiter.process(block) for block in in_blocks(loud, size)], axis=1)
    frames, *expected = zip(*VECTOR["output"], strict=True)
    np.testing.assert_allclose(output[:, list(frames)], expected, atol=1e-6)


def test_nothing_leaves_beyond_the_ceiling(loud):
    output = np.concatenate(list(limited([3 * loud], RATE)), axis=1)
    assert np.abs(3 * loud).max() > 8
    assert np.abs(output).max() <= 1 + 1e-6


@pytest.mark.parametrize("size", [3000, 100, 1])
def test_what_is_not_too_loud_is_left_as_it_is_and_in_its_place(size):
    quiet = np.random.default_rng(1).uniform(-1, 1, (2, 3000)).astype(np.float32)
    output = np.concatenate(list(limited(in_blocks(quiet, size), RATE)), axis=1)
    np.testing.assert_array_equal(output, quiet)


def test_the_gain_never_steps(loud):
    """It is a mean over the look-ahead: from one frame to the next it moves by one over the look-ahead at most."""
    steady = np.ones_like(loud)
    steady[:, 4000:4001] = 1000
    output = np.concatenate(list(limited([steady], RATE)), axis=1)
    output[:, 4000] /= 1000
    assert output.min() < 0.01
    assert np.abs(np.diff(output)).max() <= 1 / Limiter(RATE).lookahead
