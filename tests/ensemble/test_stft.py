"""The transform against a slow one, and its inverse."""

import numpy as np
import pytest

from ensemble.stft import BINS, HOP, N_FFT, frames_of, istft, stft


def slow_stft(signal):
    """Frame by frame from the definition."""
    n = np.arange(N_FFT)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / N_FFT)
    padded = np.pad(signal.astype(np.float64), N_FFT // 2, mode="reflect")
    starts = range(0, len(padded) - N_FFT + 1, HOP)
    return np.stack([np.fft.rfft(window * padded[start : start + N_FFT]) for start in starts], axis=1)


@pytest.mark.parametrize("samples", [2049, 4096, 5000, 44_100])
@pytest.mark.parametrize("lead", [(), (2,), (3, 2)])
def test_transform_equals_its_definition_and_is_inverted(samples, lead):
    signal = np.random.default_rng(samples).standard_normal((*lead, samples)).astype(np.float32)
    spectrum = stft(signal)
    assert spectrum.shape == (*lead, BINS, frames_of(samples))
    assert spectrum.dtype == np.complex64
    first = (0,) * len(lead)
    np.testing.assert_allclose(spectrum[first], slow_stft(signal[first]), atol=1e-3)
    np.testing.assert_allclose(istft(spectrum, samples), signal, atol=1e-5)
    assert istft(spectrum, samples).dtype == np.float32


@pytest.mark.parametrize("samples", [0, 1, 100, 2048])
def test_signals_too_short_to_reflect_are_still_inverted(samples):
    signal = np.ones((2, samples), np.float32)
    np.testing.assert_allclose(istft(stft(signal), samples), signal, atol=1e-5)


def test_inverse_leaves_its_argument_alone():
    spectrum = stft(np.random.default_rng(0).standard_normal((2, 9000)).astype(np.float32))
    before = spectrum.copy()
    istft(spectrum, 9000)
    np.testing.assert_array_equal(spectrum, before)


def test_it_equals_torch():
    torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
    signal = np.random.default_rng(1).standard_normal((2, 30_000)).astype(np.float32)
    window = torch.hann_window(N_FFT)
    reference = torch.stft(torch.from_numpy(signal), N_FFT, HOP, window=window, return_complex=True).numpy()
    np.testing.assert_allclose(stft(signal), reference, atol=2e-3)
