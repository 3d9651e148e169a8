"""Masks by band upon a spectrum, and the networks that come with the project at any length."""

import numpy as np
import pytest
from support.sounds import music

from ensemble import registry
from ensemble.networks.draft import BAND_OF_BIN, BANDS, EDGES, Unmix, masked
from ensemble.networks.runtime import Session
from ensemble.stft import BINS, frames_of, istft, stft

LENGTHS = [1, 700, 2049, 44_100, 100_001]


@pytest.fixture(scope="module", params=["unmix", "unmix_split"])
def network(request):
    return Unmix(Session(registry.verified(request.param))), len(registry.model(request.param).stems)


def some_masks(sources, frames):
    """Random masks that sum to one."""
    drawn = np.random.default_rng(0).random((sources, 2, frames, BANDS), np.float32)
    return drawn / drawn.sum(axis=0)


def test_bands_cover_the_bins_in_order():
    assert BAND_OF_BIN.shape == (BINS,)
    assert set(np.diff(BAND_OF_BIN)) == {0, 1}
    assert (BAND_OF_BIN[0], BAND_OF_BIN[191], BAND_OF_BIN[192], BAND_OF_BIN[193], BAND_OF_BIN[194]) == (
        0, 191, 192, 192, 193,
    )  # fmt: skip
    assert (BAND_OF_BIN[EDGES[-1] - 1 :] == BANDS - 1).all()


@pytest.mark.parametrize("samples", [2049, 20_000])
def test_a_mask_is_laid_upon_every_bin_of_its_band(samples):
    segment = music(1.0)[:, :samples]
    spectrum, masks = stft(segment), some_masks(3, frames_of(samples))
    expected = np.zeros((3, *spectrum.shape), np.complex64)
    for bin_, band in enumerate(BAND_OF_BIN):
        for frame in range(spectrum.shape[-1]):
            expected[:, :, bin_, frame] = masks[:, :, frame, band] * spectrum[:, bin_, frame]
    np.testing.assert_allclose(masked(segment, spectrum, masks), istft(expected, samples), atol=1e-6)


@pytest.mark.parametrize("samples", LENGTHS)
def test_stems_sum_to_the_segment_at_any_length(network, samples):
    unmix, sources = network
    segment = music(3.0)[:, :samples]
    stems = unmix(segment)
    assert stems.shape == (sources, 2, samples)
    assert stems.dtype == np.float32
    np.testing.assert_allclose(stems.sum(axis=0), segment, atol=1e-6)


def test_masks_are_shares(network):
    unmix, sources = network
    masks = unmix.masks(np.abs(stft(music(1.0))))
    assert masks.shape == (sources, 2, frames_of(44_100), BANDS)
    assert masks.min() >= 0
    np.testing.assert_allclose(masks.sum(axis=0), 1, atol=1e-5)


def test_silence_stays_silence(network):
    unmix, _ = network
    assert not unmix(np.zeros((2, 50_000), np.float32)).any()
