"""Stems that sum to the mixture."""

import numpy as np
import pytest

from ensemble.blend import share_residual


def energy(x):
    return float(np.square(x, dtype=np.float64).sum())


@pytest.mark.parametrize("sources", [1, 2, 4, 6])
@pytest.mark.parametrize("samples", [100, 5000, 30_000])
def test_they_sum_to_the_mixture(sources, samples):
    rng = np.random.default_rng(samples)
    mixture = rng.standard_normal((2, samples)).astype(np.float32)
    estimates = rng.standard_normal((sources, 2, samples)).astype(np.float32)
    copies = mixture.copy(), estimates.copy()
    stems = share_residual(mixture, estimates)
    assert stems.shape == estimates.shape and stems.dtype == np.float32
    assert energy(mixture - stems.sum(axis=0)) < 1e-9 * energy(mixture)
    np.testing.assert_array_equal(mixture, copies[0])
    np.testing.assert_array_equal(estimates, copies[1])


def test_rounding_is_shared_without_a_transform(monkeypatch):
    rng = np.random.default_rng(0)
    mixture = rng.standard_normal((2, 9000)).astype(np.float32)
    estimates = np.stack([mixture * 0.25, mixture * 0.75]) + np.float32(1e-6)
    expected = share_residual(mixture, estimates)
    assert energy(mixture - expected.sum(axis=0)) < 1e-12 * energy(mixture)
    monkeypatch.setattr("ensemble.blend.stft", None)
    np.testing.assert_array_equal(share_residual(mixture, estimates), expected)


def test_the_residual_goes_to_the_source_that_sounds_there():
    t = np.arange(44_100) / 44_100
    low, high = np.sin(2 * np.pi * 200 * t), np.sin(2 * np.pi * 5000 * t)
    mixture = np.asarray([low + high] * 2, np.float32)
    estimates = np.asarray([[0.8 * low] * 2, [high] * 2], np.float32)
    stems = share_residual(mixture, estimates)
    middle = slice(4096, -4096)
    assert energy(stems[0][:, middle] - low[middle]) < 1e-3 * energy(low[middle])
    assert energy(stems[1][:, middle] - high[middle]) < 1e-3 * energy(high[middle])


def test_silence_stays_silence_and_unclaimed_sound_is_shared_equally():
    silence = np.zeros((2, 9000), np.float32)
    assert not share_residual(silence, np.zeros((4, 2, 9000), np.float32)).any()
    noise = np.random.default_rng(0).standard_normal((2, 9000)).astype(np.float32)
    stems = share_residual(noise, np.zeros((4, 2, 9000), np.float32))
    np.testing.assert_allclose(stems, np.broadcast_to(noise / 4, stems.shape), atol=1e-5)
