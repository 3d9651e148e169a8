"""HTDemucs: the network as waveforms in, waveforms out (Rouard, Massa and Défossez 2023).

The exported graph has no Fourier transform: a spectral branch takes and gives complex spectra as real channels, a time
branch takes and gives waveforms, and their sum is the answer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.networks.runtime import Session
from ensemble.stft import HOP, N_FFT, Audio, Spectrum, istft, stft

PAD = HOP // 2 * 3  # samples reflected before the transform, so that frames and hops align
TRIM = 2  # frames dropped at both ends, which hold nothing but padding
NORM = np.float32(1 / math.sqrt(N_FFT))  # the network was trained on a unitary transform
Reader = Callable[[int, int], Audio]
"""read(start, stop) -> (channels, stop - start), a new array, zeros outside the song."""

SILENCE = 1e-8  # keeps silence from being divided by zero


@dataclass(frozen=True, slots=True)
class Level:
    """Mean and standard deviation of a whole song's mono mix, to which Demucs normalises its input."""

    mean: float
    std: float


class Demucs:
    """(2, segment) float32 -> (sources, 2, segment) float32, at the song's own level. Sources as in the table.

    The reference adds the song's mean to every source, so that their sum holds an offset several times over. Ours swing
    around zero: an offset is in none of them.
    """

    def __init__(self, session: Session, level: Level) -> None:
        self.session = session
        self.mean, self.scale = np.float32(level.mean), np.float32(level.std + SILENCE)
        self.wave_in, self.spectrum_in = _by_rank(session.inputs, 3, 4)
        self.wave_out, self.spectrum_out = _by_rank(session.outputs, 4, 5)

    def __call__(self, segment: Audio) -> Audio:
        """Separate one segment."""
        wave = (segment - self.mean) / self.scale
        answer = self.session.named({self.wave_in: wave[None], self.spectrum_in: to_channels(analyse(wave))[None]})
        spectra = from_channels(answer[self.spectrum_out][0])
        estimate = synthesise(spectra, segment.shape[-1]) + answer[self.wave_out][0]
        return np.asarray(estimate * self.scale, np.float32)


def centred(read: Reader, samples: int, mean: float) -> Reader:
    """Wrap a reader so that before and after the song there is its mean, which normalises to the zeros Demucs knows."""

    def padded(start: int, stop: int) -> Audio:
        audio = read(start, stop)
        audio[:, : max(0, -start)] = mean
        audio[:, max(0, samples - start) :] = mean
        return audio

    return padded


def analyse(wave: Audio) -> Spectrum:
    """(channels, samples) -> (channels, N_FFT / 2, ceil(samples / HOP)), in Demucs' framing."""
    samples = wave.shape[-1]
    right = PAD + math.ceil(samples / HOP) * HOP - samples
    padded = np.pad(wave, ((0, 0), (PAD, right)), mode="reflect")
    return stft(padded)[:, :-1, TRIM:-TRIM] * NORM


def synthesise(spectra: Spectrum, samples: int) -> Audio:
    """Invert analyse for (..., N_FFT / 2, frames); the dropped bin and frames are taken as zero."""
    still = [(0, 0)] * (spectra.ndim - 2)
    padded = np.pad(spectra, [*still, (0, 1), (TRIM, TRIM)])
    length = math.ceil(samples / HOP) * HOP + 2 * PAD
    return istft(padded / NORM, length)[..., PAD : PAD + samples]


def to_channels(spectrum: Spectrum) -> NDArray[np.float32]:
    """(channels, bins, frames) complex -> (2 * channels, bins, frames): real and imaginary part of each in turn."""
    parts = np.stack([spectrum.real, spectrum.imag], axis=1)
    return parts.reshape(-1, *spectrum.shape[1:])


def from_channels(parts: NDArray[np.float32]) -> Spectrum:
    """(sources, 2 * channels, bins, frames) -> (sources, channels, bins, frames) complex."""
    return parts[:, 0::2] + np.complex64(1j) * parts[:, 1::2]


def _by_rank(nodes: dict[str, list[int]], *ranks: int) -> list[str]:
    """Names differ from one exporter to the next; the ranks of the two branches don't."""
    return [next(name for name, shape in nodes.items() if len(shape) == rank) for rank in ranks]
