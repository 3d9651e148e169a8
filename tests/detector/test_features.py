"""The spectrogram against librosa, and what must not depend on how the audio comes."""

import librosa
import numpy as np
import pytest

from detector import features

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.1, (2, 45 * features.RATE + 77)).astype(np.float32)


def test_equals_librosa():
    found = features.from_array(NOISE, features.RATE).power
    y, sr = NOISE.mean(axis=0), features.RATE
    expected = librosa.feature.melspectrogram(y=y, sr=sr, n_fft=512, hop_length=256, n_mels=96).T
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_filters_equal_librosa():
    expected = librosa.filters.mel(sr=features.RATE, n_fft=features.N_FFT, n_mels=features.MELS)
    np.testing.assert_allclose(features.filters().T, expected, atol=1e-7)


def test_a_song_read_in_blocks_is_the_song(monkeypatch):
    audio = NOISE[:, : 12 * features.RATE]
    whole = features.from_array(audio, 44_100)
    monkeypatch.setattr(features, "BLOCK_SECONDS", 1)
    blocks = features.from_array(audio, 44_100)
    np.testing.assert_allclose(blocks.power, whole.power, rtol=1e-3, atol=1e-6)
    assert blocks.rms == pytest.approx(whole.rms)


@pytest.mark.parametrize("gain", [1e-3, 30.0])
def test_analyses_loud_and_quiet_music_alike(gain):
    audio = NOISE[:, : 5 * features.RATE]
    expected = features.from_array(audio, features.RATE).log()
    np.testing.assert_allclose(features.from_array(gain * audio, features.RATE).log(), expected, atol=1e-4)


def test_level_is_that_of_the_mono_mix():
    tone = np.sin(np.arange(features.RATE) / 5).astype(np.float32)
    assert features.from_array(np.stack([tone, tone]), features.RATE).rms == pytest.approx(np.sqrt(0.5), rel=1e-2)
    assert features.from_array(np.stack([tone, -tone]), features.RATE).rms == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("samples", [1, 100, 511, 8000])
def test_short_and_silent_audio_stays_finite(samples):
    for level in (0.0, 1.0):
        log = features.from_array(np.full((1, samples), level, np.float32), 44_100).log()
        assert log.ndim == 2 and log.dtype == np.float32 and np.isfinite(log).all()


def test_leaves_its_input_alone():
    audio = NOISE[:, :16_000].copy()
    audio.flags.writeable = False
    features.from_array(audio, features.RATE).log()
