"""What the draft's network sees: powers by mask and band, levels and units by window, the real one on clear sounds."""

import numpy as np
import pytest

from detector import draft_features
from detector.draft_features import FAINTEST, FEATURES, FRAMES, SAMPLE_RATE, STEMS, UNITS
from ensemble.errors import ModelUnavailable
from ensemble.networks.draft import BAND_OF_BIN, BANDS
from ensemble.stft import BINS, HOP
from pipeline import demo

SECONDS = 8


@pytest.fixture(scope="module")
def parts():
    """Eight seconds of each part of the demo song."""
    return {name: part[:, 8 * SAMPLE_RATE : (8 + SECONDS) * SAMPLE_RATE] for name, part in demo.compose().items()}


def frames(audio, rms=0.1, **more):
    read = draft_features.frames(lambda start, stop: audio[:, start:stop], audio.shape[1], rms, **more)
    return np.concatenate(list(read))


def loudest(audio):
    """The stem with the greatest power in all."""
    found = frames(audio, float(np.sqrt(np.mean(np.square(audio)))))
    return STEMS[int(np.argmax(found.sum(axis=0)[1 : 1 + len(STEMS)]))]


def test_shares_are_the_powers_of_masked_bins():
    rng = np.random.default_rng(0)
    magnitudes = rng.random((2, BINS, 3), np.float32)
    masks = rng.random((len(STEMS), 2, 3, BANDS), np.float32)
    expected = np.zeros((3, 1 + len(STEMS)))
    for frame in range(3):
        for bin_ in range(draft_features.AUDIBLE, BINS):
            power = magnitudes[:, bin_, frame].astype(float) ** 2
            expected[frame, 0] += power.sum()
            for stem in range(len(STEMS)):
                expected[frame, 1 + stem] += (masks[stem, :, frame, BAND_OF_BIN[bin_]].astype(float) ** 2 * power).sum()
    np.testing.assert_allclose(draft_features.shares(magnitudes, masks), expected, rtol=1e-4)


def test_a_window_has_the_level_and_the_mean_units_of_its_frames():
    found = np.ones((100, 1 + FEATURES), np.float32)
    found[:50, 1], found[50:, 1], found[:, 2] = 0.1, 0.01, 1e-9
    found[:, 1 + len(STEMS) :] = np.random.default_rng(0).uniform(-1, 1, (100, UNITS))
    edge = 50 * draft_features.FRAME
    starts, stops = np.array([0, edge, 0]), np.array([edge, 2 * edge, 2 * edge])
    result = draft_features.in_windows([found], starts, stops)
    np.testing.assert_allclose(result[:, 0], [-10, -20, 10 * np.log10(0.055)], atol=1e-4)
    np.testing.assert_allclose(result[:, 1], FAINTEST)
    np.testing.assert_allclose(result[:, 2], 0, atol=1e-6)
    units = found[:, 1 + len(STEMS) :]
    expected = [part.mean(axis=0) for part in (units[:50], units[50:], units)]
    np.testing.assert_allclose(result[:, len(STEMS) :], expected, atol=1e-6)
    for cuts in ([7], [50], [1, 2, 99], list(range(1, 100))):
        np.testing.assert_allclose(draft_features.in_windows(np.split(found, cuts), starts, stops), result, atol=1e-5)


def test_windows_beyond_the_end_and_silence():
    found = [np.zeros((4, 1 + FEATURES), np.float32)]
    result = draft_features.in_windows(found, np.array([0.0, 5.0]), np.array([3.0, 8.0]))
    assert (result[:, : len(STEMS)] == FAINTEST).all()
    assert not result[:, len(STEMS) :].any()


@pytest.mark.parametrize("samples", [1, 700, SAMPLE_RATE, FRAMES * HOP, FRAMES * HOP + 1, 2 * FRAMES * HOP + 5000])
def test_every_moment_of_any_length_has_a_frame(samples):
    audio = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
    reported = []
    found = frames(audio, on_progress=reported.append)
    assert found.shape[1] == 1 + FEATURES
    assert samples // HOP <= len(found) <= samples // HOP + 1
    assert np.isfinite(found).all() and (found[:, : 1 + len(STEMS)] >= 0).all()
    assert np.abs(found[:, 1 + len(STEMS) :]).max() <= 1
    assert reported[-1] == samples


def test_one_channel_is_heard_as_two_alike(parts):
    one = parts["guitar"][:1]
    np.testing.assert_array_equal(frames(one), frames(np.concatenate([one, one])))


def test_pieces_agree_where_they_meet(parts):
    """The same music, cut elsewhere."""
    audio = np.tile(parts["guitar"] + parts["drums"], 3)
    late = 100
    whole, cut = (frames(part)[:, : 1 + len(STEMS)] for part in (audio, audio[:, late * HOP :]))
    inside = slice(FRAMES - 50, FRAMES + 50)
    difference = 10 * np.log10(whole[late:][inside].sum(axis=0) / cut[inside].sum(axis=0))
    assert np.abs(difference).max() < 3  # dB
    assert abs(difference[0]) < 0.01  # the mixture itself: no frame twice, none left out


def test_loudness_changes_nothing(parts):
    audio = sum(parts.values())
    rms = float(np.sqrt(np.mean(np.square(audio))))
    np.testing.assert_allclose(frames(audio, rms), frames(0.01 * audio, 0.01 * rms), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["drums", "bass"])
def test_a_part_alone_is_the_loudest_stem(parts, name):
    assert loudest(parts[name]) == name


def test_silence_has_no_power():
    assert not frames(np.zeros((2, SAMPLE_RATE), np.float32), 0.0)[:, : 1 + len(STEMS)].any()


def test_the_network_can_be_missing(tmp_path, monkeypatch):
    assert draft_features.installed()
    monkeypatch.setattr("ensemble.registry.SHIPPED", tmp_path)
    assert not draft_features.installed()
    with pytest.raises(ModelUnavailable):
        frames(np.ones((2, SAMPLE_RATE), np.float32))
