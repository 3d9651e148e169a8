"""Distances between estimated and true stems, in dB: BSS Eval v4 and simpler measures. Pure functions on arrays.

BSS Eval v4 (Stöter, Liutkus and Ito 2018, after Vincent et al. 2006) explains an estimate by true stems passed through
filters of TAPS taps, which are fitted once per song, and measures the remainder in windows of one second. Everything is
computed from spectra: correlations block by block with the fast Fourier transform, energies by Parseval's theorem, and
one factorisation per song serves all stems and systems.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import scipy.fft
import scipy.linalg
from numpy.typing import NDArray

from ensemble.levels import decibels
from ensemble.stft import SAMPLE_RATE, Audio

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

TAPS = 512  # of the distortion filters
WINDOW = HOP = SAMPLE_RATE  # samples of a BSS Eval window, and between the starts of two
BLOCK = 1 << 16  # samples of a transform when correlations are summed up
FRAME = 4_410  # samples of a frame for leakage
SILENCE = 1e-6  # mean square (-60 dB) below which a true stem counts as silent
QUIET_FRAMES = 10  # leakage needs at least one second of silence
ENERGY_FLOOR = 1e-20  # limits a perfect score to 200 dB or more, instead of infinity

BSS_EVAL = ("sdr", "isr", "sir", "sar")


class Truth:
    """The true stems of a song, against which any system is scored.

    stems: (stems, channels, samples), none of them silent.
    """

    def __init__(self, stems: Audio) -> None:
        self.stems = stems.astype(np.float64)
        self.count, self.channels, self.samples = stems.shape
        self._flat = self.stems.reshape(-1, self.samples)

    def bss_eval(self, estimates: Audio) -> dict[str, Real]:
        """BSS Eval v4 ratios per window.

        Parameters
        ----------
        estimates
            (stems, channels, samples), in the order of the true stems.

        Returns
        -------
        By name in BSS_EVAL: (stems, windows) float64 in dB, NaN for windows in which any signal is silent.
        """
        size = min(WINDOW, self.samples)
        points = scipy.fft.next_fast_len(size + TAPS - 1, real=True)
        own, every = (scipy.fft.rfft(taps, points) for taps in self._filters(estimates))
        starts = range(0, self.samples - size + 1, HOP)
        ratios = np.full((len(BSS_EVAL), self.count, len(starts)), np.nan)
        for t, start in enumerate(starts):
            window = slice(start, start + size)
            true, estimate = self.stems[..., window], estimates[..., window]
            if _sounds(true) and _sounds(estimate):
                spectra = scipy.fft.rfft(np.stack([true, estimate]), points)
                ratios[..., t] = _ratios(spectra[0], spectra[1], own, every, points)
        return dict(zip(BSS_EVAL, ratios, strict=True))

    def _filters(self, estimates: Audio) -> tuple[Real, Real]:
        """Filters that explain the estimates by their own stem, and by all stems.

        Shapes: (stems, channels in, channels out, TAPS) and (stems estimated, stems * channels in, channels out, TAPS).
        """
        flat = estimates.reshape(-1, self.samples)
        right = lagged(self._flat, flat).transpose(0, 2, 1).reshape(-1, len(flat))
        every = scipy.linalg.cho_solve(self._factor, right)
        every = every.reshape(-1, TAPS, self.count, self.channels).transpose(2, 0, 3, 1)
        return np.stack([self._own_filters(stem, right) for stem in range(self.count)]), every

    def _own_filters(self, stem: int, right: Real) -> Real:
        columns = slice(stem * self.channels, (stem + 1) * self.channels)
        rows = slice(columns.start * TAPS, columns.stop * TAPS)
        taps = scipy.linalg.cho_solve(_factor(self._gram[rows, rows]), right[rows, columns])
        return taps.reshape(self.channels, TAPS, self.channels).transpose(0, 2, 1)

    @cached_property
    def _gram(self) -> Real:
        """Inner products of all delayed stems.

        A square matrix of stems * channels * TAPS rows, made of Toeplitz blocks.
        """
        r = lagged(self._flat, self._flat)
        count = len(r)
        return np.block([[scipy.linalg.toeplitz(r[p, q], r[q, p]) for q in range(count)] for p in range(count)])

    @cached_property
    def _factor(self) -> tuple[Real, bool]:
        return _factor(self._gram)

    def project(self, estimates: Audio) -> Real:
        """Project estimates, (stems, channels, samples), onto the true stems by least squares.

        Returns (stems, stems) float64: estimate i is closest to the sum over j of result[i, j] * stem j.
        """
        true, estimate = (signals.reshape(len(signals), -1).astype(np.float64) for signals in (self.stems, estimates))
        gains: Real = scipy.linalg.lstsq(true @ true.T, true @ estimate.T)[0].T
        return gains

    def global_figures(self, estimates: Audio) -> dict[str, Real]:
        """Figures over the whole song.

        sdr: the true stem against the error. si_sdr: the same at the best level. sir: by projection onto the true
        stems, the stem's own part against the part of the others. bleed: that part of the others against the true stem.

        Parameters
        ----------
        estimates
            (stems, channels, samples), in the order of the true stems.

        Returns
        -------
        By name: (stems,) float64 in dB.
        """
        gains = self.project(estimates)
        energy = (self.stems**2).sum(axis=(1, 2))
        others = gains - np.diag(np.diag(gains))
        bleed = np.array([((np.tensordot(row, self.stems, axes=1)) ** 2).sum() for row in others])
        error = ((estimates - self.stems) ** 2).sum(axis=(1, 2))
        scale = (self.stems * estimates).sum(axis=(1, 2)) / energy
        scaled_error = ((estimates - scale[:, None, None] * self.stems) ** 2).sum(axis=(1, 2))
        return {
            "sdr": ratio_db(energy, error),
            "sir": ratio_db(np.diag(gains) ** 2 * energy, bleed),
            "si_sdr": ratio_db(scale**2 * energy, scaled_error),
            "bleed": ratio_db(bleed, energy),
        }


def leakage(mixture: Audio, true: Audio, estimate: Audio) -> float | None:
    """Level of an estimate while its true stem is silent, relative to the mixture at those times.

    Parameters
    ----------
    mixture, true, estimate
        (channels, samples).

    Returns
    -------
    dB, or None if the stem is silent for less than a second while the mixture is not.
    """
    powers = [_frame_power(signal) for signal in (mixture, true, estimate)]
    silent = (powers[1] < SILENCE) & (powers[0] >= SILENCE)
    if silent.sum() < QUIET_FRAMES:
        return None
    return float(ratio_db(powers[2][silent].sum(), powers[0][silent].sum()))


def ratio_db(signal: Real | float, noise: Real | float) -> Real:
    """Ratio of two energies, of any equal shape (or scalars), as float64 in dB; always finite."""
    return np.asarray(decibels((signal + ENERGY_FLOOR) / (noise + ENERGY_FLOOR)), np.float64)


def lagged(first: Real, second: Audio | Real) -> Real:
    """Cross-correlations at lags 0 to TAPS - 1.

    Parameters
    ----------
    first
        (p, samples) float64.
    second
        (q, samples).

    Returns
    -------
    (p, q, TAPS) float64: sums over n of first[p, n] * second[q, n + lag].
    """
    points = BLOCK // 2 + 1
    spectrum = np.zeros((len(first), len(second), points), np.complex128)
    for a, b in _blocks(first, second):
        spectrum += np.conj(a)[:, None] * b
    return scipy.fft.irfft(spectrum, BLOCK)[..., :TAPS]


def _blocks(first: Real, second: Audio | Real) -> Iterator[tuple[Complex, Complex]]:
    """Spectra of adjoining blocks of `first`, and of blocks of `second` that reach TAPS - 1 samples further."""
    size = BLOCK - TAPS + 1
    for start in range(0, first.shape[-1], size):
        yield (
            scipy.fft.rfft(first[:, start : start + size], BLOCK),
            scipy.fft.rfft(second[:, start : start + BLOCK].astype(np.float64), BLOCK),
        )


def _factor(gram: Real) -> tuple[Real, bool]:
    """Cholesky factor of a matrix that may be singular (mono stems, silent channels).

    White noise is added, only as much as needed, so that directions without energy, which explain nothing, cause no
    division by zero.
    """
    floor = float(np.finfo(np.float64).eps)
    while True:
        try:
            return scipy.linalg.cho_factor(gram + floor * np.eye(len(gram)), lower=True, overwrite_a=True)
        except np.linalg.LinAlgError:
            floor = max(100 * floor, 1e-14 * float(np.diag(gram).max()))


def _ratios(true: Complex, estimate: Complex, own: Complex, every: Complex, points: int) -> Real:
    """The four ratios of one window, (4, stems), from spectra: true and estimate are (stems, channels, bins)."""
    by_own = np.einsum("jdf,jdcf->jcf", true, own)
    by_every = np.einsum("pf,jpcf->jcf", true.reshape(-1, true.shape[-1]), every)
    pairs = (
        (true, estimate - true),
        (true, by_own - true),
        (by_own, by_every - by_own),
        (by_every, estimate - by_every),
    )
    return np.stack([ratio_db(_energy(signal, points), _energy(noise, points)) for signal, noise in pairs])


def _energy(spectrum: Complex, points: int) -> Real:
    """Energy per stem of half spectra, (stems, channels, bins), of `points` points, by Parseval's theorem."""
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=1)
    mirrored = power[:, 1 : (points + 1) // 2].sum(axis=-1)
    energy: Real = (power.sum(axis=-1) + mirrored) / points
    return energy


def _sounds(signals: Audio | Real) -> bool:
    """Whether none of the signals, (stems, channels, samples), is silent."""
    return bool(signals.any(axis=(1, 2)).all())


def _frame_power(signal: Audio) -> Real:
    """Mean square of each complete frame of (channels, samples)."""
    whole = signal.shape[-1] // FRAME * FRAME
    power: Real = np.square(signal[:, :whole], dtype=np.float64).reshape(len(signal), -1, FRAME).mean(axis=(0, 2))
    return power
