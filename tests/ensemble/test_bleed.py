"""The Wiener filter against norbert and against its definition; the bleed filter against its promises."""

import numpy as np
import pytest

from ensemble import bleed, registry
from ensemble.errors import InvalidOption
from ensemble.evaluation import wiener
from ensemble.stft import BINS, istft, stft


def noise(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def mixed(sources=3, channels=2, bins=7, frames=11, seed=0):
    """A mixture and estimates of what is in it that are off by a fifth."""
    true = noise(sources, channels, bins, frames, seed=seed) * np.arange(1, sources + 1)[:, None, None, None]
    return true.sum(axis=0), true + 0.2 * noise(*true.shape, seed=seed + 1)


@pytest.mark.parametrize("level", [0.01, 1.0, 300.0])
@pytest.mark.parametrize("iterations", [1, 3])
def test_agrees_with_norbert(level, iterations):
    norbert = pytest.importorskip("norbert", reason="norbert is in the dev extra")
    x, y = (level * spectra for spectra in mixed())
    scale = max(1, np.abs(x).max() / 10)  # as norbert.wiener does around its algorithm
    transposed = np.ascontiguousarray(y.transpose(3, 2, 1, 0)) / scale
    expected = norbert.expectation_maximization(transposed, x.transpose(2, 1, 0) / scale, iterations)[0] * scale
    error = wiener.wiener(x, y, iterations) - expected.transpose(3, 2, 1, 0)
    assert np.abs(error).max() < 1e-5 * np.abs(x).max()


def slow_wiener(x, y):
    """One iteration, bin by bin, as the paper writes it."""
    scale = max(1, np.abs(x).max() / 10)
    x, y = x / scale, y / scale
    sources, channels, bins, frames = y.shape
    v = (np.abs(y) ** 2).mean(axis=1)
    result = np.empty_like(y)
    for f in range(bins):
        R = [
            sum(np.outer(y[j, :, f, t], y[j, :, f, t].conj()) for t in range(frames)) / v[j, f].sum()
            for j in range(sources)
        ]
        for t in range(frames):
            model = sum(v[j, f, t] * R[j] for j in range(sources)) + np.sqrt(wiener.EPSILON) * np.eye(channels)
            for j in range(sources):
                result[j, :, f, t] = v[j, f, t] * R[j] @ np.linalg.inv(model) @ x[:, f, t]
    return result * scale


@pytest.mark.parametrize("sources", [1, 2, 5])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_equals_its_definition(sources, channels):
    x, y = mixed(sources, channels)
    np.testing.assert_allclose(wiener.wiener(x, y), slow_wiener(x, y), atol=1e-6)


def test_stretches_are_filtered_on_their_own(monkeypatch):
    monkeypatch.setattr(wiener, "WIENER_FRAMES", 4)
    x, y = mixed(frames=11)
    parts = [wiener.wiener(x[..., a : a + 4], y[..., a : a + 4]) for a in (0, 4, 8)]
    np.testing.assert_array_equal(wiener.wiener(x, y), np.concatenate(parts, axis=-1))


def test_golden_values():
    x = np.array([[[1, 2j]], [[0.5, -1]]])
    y = np.array([[[[1, 1j]], [[0.5, -0.5]]], [[[0.5, 1j]], [[0.5, -0.5]]]])
    result = wiener.wiener(x, y)
    assert result.dtype == np.complex128
    np.testing.assert_allclose(result, slow_wiener(x, y), atol=1e-7)
    np.testing.assert_allclose(result.sum(axis=0), x, atol=1e-5)


def test_posterior_means_sum_to_the_mixture():
    x, y = mixed()
    np.testing.assert_allclose(wiener.wiener(x, y, 2).sum(axis=0), x, atol=1e-5)


@pytest.mark.parametrize("spoil", ["silence", "mono", "silent channel", "silent source", "no estimate"])
def test_degenerate_input_gives_numbers(spoil):
    x, y = mixed()
    if spoil == "silence":
        x, y = 0 * x, 0 * y
    elif spoil == "mono":
        x[1], y[:, 1] = x[0], y[:, 0]
    elif spoil == "silent channel":
        x[1], y[:, 1] = 0, 0
    elif spoil == "silent source":
        y[0] = 0
    else:
        y = 0 * y
    result = wiener.wiener(x, y, 2)
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 10 * np.abs(x).max()


def test_wiener_leaves_its_input_alone():
    x, y = mixed()
    before = x.copy(), y.copy()
    wiener.wiener(x, y, 2)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


SAMPLES = 44_100


def song(sources=4, seed=0, bleed=0.1):
    """Independent signals of different loudness, and estimates in which a part of each is in every other."""
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((sources, 2, SAMPLES)) * (0.02 * 2.0 ** np.arange(sources))[:, None, None]
    swap = (1 - bleed) * np.eye(sources) + bleed / sources
    return true.astype(np.float32), np.tensordot(swap, true, axes=1).astype(np.float32)


def interference(true, estimate, own):
    """Energy of other stems in an estimate against the own stem's, by projection."""
    gains = np.linalg.lstsq(true.reshape(len(true), -1).T, estimate.ravel(), rcond=None)[0]
    energy = gains**2 * (true**2).sum(axis=(1, 2))
    return 1 - energy[own] / energy.sum()


@pytest.mark.parametrize("name", ["light", "strong"])
def test_stems_and_residual_sum_to_the_mixture(name):
    true, estimates = song()
    mixture = true.sum(axis=0)
    filtered, residual = bleed.remove_bleed(mixture, estimates, registry.bleed(name))
    assert filtered.shape == estimates.shape
    assert filtered.dtype == residual.dtype == np.float32
    missed = mixture - filtered.sum(axis=0) - residual
    assert 10 * np.log10((missed**2).sum() / (mixture**2).sum()) < -90


def test_stronger_settings_remove_more_from_the_quietest():
    true, estimates = song()
    found = [interference(true, estimates[0], own=0)]
    for name in ("light", "strong"):
        filtered, _ = bleed.remove_bleed(true.sum(axis=0), estimates, registry.bleed(name))
        found.append(interference(true, filtered[0], own=0))
    assert found[0] > 2 * found[1] > 2 * found[2]


def test_stems_without_overlap_stay_as_they_are():
    t = np.arange(SAMPLES) / 44_100
    tones = np.stack([np.stack([np.sin(2 * np.pi * hertz * t)] * 2) for hertz in (110, 880, 5_000)]).astype(np.float32)
    filtered, residual = bleed.remove_bleed(tones.sum(axis=0), tones, registry.bleed("light"))
    assert (residual[:, 4096:-4096] ** 2).sum() < 1e-4 * (tones[:, :, 4096:-4096] ** 2).sum()
    np.testing.assert_allclose(filtered[..., 4096:-4096], tones[..., 4096:-4096], atol=0.03)


def test_leaks_is_half_of_what_equal_stems_share():
    a, b = noise(2, 3, 50)
    spectra = np.stack([a, a + b])
    power = (np.abs(a) ** 2).sum(), (np.abs(a + b) ** 2).sum()
    expected = np.vdot(a, a + b).real / sum(power)
    np.testing.assert_allclose(bleed.leaks(spectra, 1.0), [[0, expected], [expected, 0]], rtol=1e-6)
    np.testing.assert_allclose(bleed.leaks(np.stack([a, a]), 1.0)[0, 1], 0.5, rtol=1e-6)


def test_mask_golden_values():
    spectra = np.array([3.0, 1.0]).reshape(2, 1, 1, 1).astype(np.complex64)
    np.testing.assert_allclose(bleed.mask(spectra, 0.1).ravel(), [3 / 3.1, 1 / 1.3], rtol=1e-6)
    np.testing.assert_array_equal(bleed.mask(spectra, 0.0).ravel(), [1, 1])


def test_bands_cover_every_bin_once():
    covered = [bin_ for first, after in bleed.bands() for bin_ in range(first, after)]
    assert covered == list(range(BINS))


@pytest.mark.parametrize("spoil", ["silence", "mono", "silent channel", "silent source", "one source", "short"])
def test_bleed_filter_on_degenerate_input(spoil):
    true, estimates = song()
    if spoil == "silence":
        true, estimates = 0 * true, 0 * estimates
    elif spoil == "mono":
        estimates[:, 1] = estimates[:, 0]
    elif spoil == "silent channel":
        estimates[:, 1] = 0
    elif spoil == "silent source":
        estimates[0] = 0
    elif spoil == "one source":
        estimates = estimates[:1]
    else:
        true, estimates = true[..., :100], estimates[..., :100]
    filtered, residual = bleed.remove_bleed(true.sum(axis=0), estimates, registry.bleed("strong"))
    assert np.isfinite(filtered).all()
    assert np.isfinite(residual).all()
    if spoil == "silent source":
        assert np.abs(filtered[0]).max() == 0
    if spoil == "one source":
        np.testing.assert_allclose(filtered, estimates, atol=1e-5)


def test_bleed_filter_leaves_its_input_alone():
    true, estimates = song()
    mixture = true.sum(axis=0)
    before = mixture.copy(), estimates.copy()
    bleed.remove_bleed(mixture, estimates, registry.bleed("strong"))
    np.testing.assert_array_equal(mixture, before[0])
    np.testing.assert_array_equal(estimates, before[1])


def test_every_setting_says_what_it_means_and_off_is_nothing():
    assert list(registry.bleeds()) == ["off", "light", "strong"]
    assert all(setting.meaning for setting in registry.bleeds().values())
    assert registry.DEFAULT_BLEED in registry.bleeds()
    _, estimates = song(seed=3)
    filtered, _ = bleed.remove_bleed(estimates.sum(axis=0), estimates, registry.bleed("off"))
    np.testing.assert_allclose(filtered, istft(stft(estimates), SAMPLES), atol=1e-7)


def test_unknown_setting_names_the_known_ones():
    with pytest.raises(InvalidOption, match=r"'heavy'.*off, light, strong"):
        registry.bleed("heavy")
