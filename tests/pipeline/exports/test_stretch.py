"""Tempo and pitch of an export: as long, as fast and as high as asked, and no join to be output."""

from dataclasses import replace

import numpy as np
import pytest
from support.sounds import RATE

from pipeline.exports.stretch import Lengths, stretched

SECONDS = 11


@pytest.fixture(autouse=True)
def short_windows(monkeypatch):
    """So that a song of some seconds has several joins."""
    usual = Lengths.at(RATE)
    monkeypatch.setattr(Lengths, "at", lambda _: replace(usual, window=4 * RATE))


def tone(frequency, seconds=SECONDS):
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(seconds * RATE) / RATE)
    return np.stack([wave, -wave]).astype(np.float32)


def run(audio, tempo, pitch):
    blocks = [audio[:, start : start + 100_000] for start in range(0, audio.shape[1], 100_000)]
    return np.concatenate(list(stretched(blocks, audio.shape[1], tempo, pitch, RATE)), axis=1)


def frequency(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(wave.size)))
    return np.argmax(spectrum) * RATE / wave.size


@pytest.mark.parametrize(("tempo", "pitch"), [(0.5, 0), (0.8, -5), (1, 7), (1.37, 0), (2, 12)])
def test_a_tone_is_as_long_and_as_high_as_asked_without_a_join(tempo, pitch):
    output = run(tone(440), tempo, pitch)
    assert output.shape[1] == round(SECONDS * RATE / tempo)
    assert frequency(output[0]) == pytest.approx(440 * 2 ** (pitch / 12), rel=0.005)  # 9 cents
    inner = output[0, RATE // 2 : -RATE // 2]
    loudness = np.sqrt(np.convolve(inner**2, np.ones(2205) / 2205, "valid"))
    assert loudness.min() > 0.8 * np.median(loudness)  # nothing cancelled where windows meet
    assert loudness.max() < 1.2 * np.median(loudness)
    np.testing.assert_allclose(output[1], -output[0], atol=1e-3)  # both sides alike


@pytest.mark.parametrize("tempo", [0.5, 0.9, 2])
def test_beats_stay_in_time_to_the_end(tempo):
    clicks = np.zeros((2, SECONDS * RATE), np.float32)
    beats = np.arange(1, SECONDS) * RATE
    for beat in beats:
        clicks[:, beat : beat + 400] = np.random.default_rng(beat).uniform(-0.8, 0.8, 400)
    output = np.abs(run(clicks, tempo, 0)[0])
    for beat in beats:
        place = round(beat / tempo)
        around = output[place - RATE // 8 : place + RATE // 8]
        centre = np.average(np.arange(around.size), weights=around**2) - RATE // 8
        assert abs(centre - 200 / tempo) < 0.025 * RATE


@pytest.mark.parametrize("seconds", [0.01, 4, 4.01, 8])
def test_any_length_comes_out_as_long_as_it_should(seconds):
    audio = np.random.default_rng(2).normal(0, 0.1, (2, round(seconds * RATE))).astype(np.float32)
    assert run(audio, 0.8, 0).shape[1] == round(audio.shape[1] / 0.8)


def test_noise_keeps_its_loudness_over_joins():
    """What is not alike is faded at even power."""
    audio = np.random.default_rng(3).normal(0, 0.1, (2, SECONDS * RATE)).astype(np.float32)
    output = run(audio, 0.9, 0)
    loudness = np.sqrt(np.convolve(output[0] ** 2, np.ones(2205) / 2205, "valid"))[RATE:-RATE]
    assert loudness.min() > 0.7 * np.median(loudness)
