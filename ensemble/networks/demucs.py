"""HTDemucs, waveforms in and out (Rouard, Massa and Défossez 2023, "Hybrid Transformers for Music Source Separation").

The exported graph contains no Fourier transform: its spectral branch takes and returns complex spectra as real
channels, its time branch takes and returns waveforms, and the sum of both is the estimate.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.networks.runtime import Session
from ensemble.stft import HOP, N_FFT, Audio, Reader, Spectrum, istft, stft

PAD = HOP // 2 * 3  # samples reflected before the transform, so that frames and hops align
TRIM = 2  # frames of mere padding, dropped at both ends
NORM = np.float32(1 / math.sqrt(N_FFT))  # the network was trained on a unitary transform
SILENCE = 1e-8  # avoids division by zero on silence


@dataclass(frozen=True, slots=True)
class Level:
    """Mean and standard deviation of a whole song's mono mix, by which Demucs' input is normalised."""

    mean: float
    std: float


class Demucs:
    """Separate segments: (2, segment) float32 -> (sources, 2, segment) float32, at the song's own level.

    The reference implementation adds the song's mean to every source, so their sum contains the offset several times.
    Here sources are centred on zero: the offset is in none of them.
    """

    def __init__(self, session: Session, level: Level) -> None:
        self.session = session
        self.mean, self.scale = np.float32(level.mean), np.float32(level.std + SILENCE)
        self.wave_in, self.spectrum_in = _by_rank(session.inputs, 3, 4)
        self.wave_out, self.spectrum_out = _by_rank(session.outputs, 4, 5)

    def __call__(self, segment: Audio) -> Audio:
        """Separate one segment, (2, segment) float32, into (sources, 2, segment) float32."""
        wave = (segment - self.mean) / self.scale
        answer = self.session.named({self.wave_in: wave[None], self.spectrum_in: to_channels(analyse(wave))[None]})
        spectra = from_channels(answer[self.spectrum_out][0])
        estimate = synthesise(spectra, segment.shape[-1]) + answer[self.wave_out][0]
        return np.asarray(estimate * self.scale, np.float32)


def centred(read: Reader, samples: int, mean: float) -> Reader:
    """Wrap a reader so that it returns the song's mean outside the song, which normalises to zero.

    Parameters
    ----------
    read
        read(start, stop) -> (channels, stop - start).
    samples
        Length of the song.
    mean
        Mean of its mono mix.

    Returns
    -------
    A reader of the same shape.
    """

    def padded(start: int, stop: int) -> Audio:
        audio = read(start, stop)
        audio[:, : max(0, -start)] = mean
        audio[:, max(0, samples - start) :] = mean
        return audio

    return padded


def analyse(wave: Audio) -> Spectrum:
    """Transform a waveform in Demucs' framing.

    Parameters
    ----------
    wave
        (channels, samples) float32.

    Returns
    -------
    (channels, N_FFT / 2, ceil(samples / HOP)) complex64.
    """
    samples = wave.shape[-1]
    right = PAD + math.ceil(samples / HOP) * HOP - samples
    padded = np.pad(wave, ((0, 0), (PAD, right)), mode="reflect")
    return stft(padded)[:, :-1, TRIM:-TRIM] * NORM


def synthesise(spectra: Spectrum, samples: int) -> Audio:
    """Inverse of analyse; the bin and the frames that it drops are taken as zero.

    Parameters
    ----------
    spectra
        (..., N_FFT / 2, frames) complex64.
    samples
        Length of the result.

    Returns
    -------
    (..., samples) float32.
    """
    still = [(0, 0)] * (spectra.ndim - 2)
    padded = np.pad(spectra, [*still, (0, 1), (TRIM, TRIM)])
    length = math.ceil(samples / HOP) * HOP + 2 * PAD
    return istft(padded / NORM, length)[..., PAD : PAD + samples]


def to_channels(spectrum: Spectrum) -> NDArray[np.float32]:
    """Complex spectra as real channels, the real and imaginary part of each channel in turn.

    Parameters
    ----------
    spectrum
        (channels, bins, frames) complex64.

    Returns
    -------
    (2 * channels, bins, frames) float32.
    """
    parts = np.stack([spectrum.real, spectrum.imag], axis=1)
    return parts.reshape(-1, *spectrum.shape[1:])


def from_channels(parts: NDArray[np.float32]) -> Spectrum:
    """Inverse of to_channels: (sources, 2 * channels, bins, frames) -> (sources, channels, bins, frames) complex64."""
    return parts[:, 0::2] + np.complex64(1j) * parts[:, 1::2]


def _by_rank(nodes: dict[str, list[int]], *ranks: int) -> list[str]:
    """Names of the tensors of these ranks. Exporters differ in names, but not in the ranks of the two branches."""
    return [next(name for name, shape in nodes.items() if len(shape) == rank) for rank in ranks]
