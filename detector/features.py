"""Log-mel spectrograms as in musicnn's training: the input of the detector."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ensemble.stft import Reader, hann

Array = NDArray[np.float32]

RATE = 16_000  # Hz
N_FFT, HOP, MELS = 512, 256, 96
WINDOW = hann(N_FFT)
LEVEL_DB = -16.0  # full-scale RMS that music is normalised to, because the tagger responds to level
SILENCE = 1e-5  # RMS (-100 dBFS) at or below which a recording counts as silent
COMPRESSION = 10_000
BLOCK_SECONDS = 20  # read at a time, so that memory grows by only 24 kB per second of music


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """A mel spectrogram.

    power: (frames, MELS) float32, a centred frame every HOP samples at RATE. rms: of the whole recording, 0 to 1.
    """

    power: Array
    rms: float

    def log(self, start: int = 0, stop: int | None = None) -> Array:
        """Compressed frames at LEVEL_DB: log10(1 + 10000 * power), (stop - start, MELS) float32.

        Silence is not amplified. Float32 is needed: loud music overflows float16.
        """
        gain = 10 ** (LEVEL_DB / 20) / self.rms if self.rms > SILENCE else 1.0
        return np.asarray(np.log10(1 + np.float32(COMPRESSION * gain**2) * self.power[start:stop]), np.float32)


def spectrogram(read: Reader, samples: int, rate: int) -> Spectrogram:
    """Analyse the mono mix of a recording.

    Parameters
    ----------
    read
        read(start, stop) -> (channels, stop - start) float32.
    samples
        Length of the recording.
    rate
        Hz.
    """
    powers, energy, count = [], 0.0, 0
    buffer = np.zeros(N_FFT // 2, np.float32)
    # Half a frame of silence at the end, so that the last frames are centred too.
    for block in chain(_mono(read, samples, rate), [np.zeros(N_FFT // 2, np.float32)]):
        energy, count = energy + float(np.square(block, dtype=np.float64).sum()), count + len(block)
        buffer = np.concatenate([buffer, block])
        frames = sliding_window_view(buffer, N_FFT)[::HOP] if len(buffer) >= N_FFT else np.zeros((0, N_FFT), np.float32)
        powers.append(_mel_power(frames))
        buffer = buffer[len(frames) * HOP :]
    return Spectrogram(np.concatenate(powers), math.sqrt(energy / max(count - N_FFT // 2, 1)))


def from_array(audio: Array, rate: int) -> Spectrogram:
    """Analyse a recording in memory, (channels, samples) float32 at `rate`, Hz."""
    return spectrogram(lambda start, stop: audio[:, start:stop], audio.shape[1], rate)


def _mono(read: Reader, samples: int, rate: int) -> Iterator[Array]:
    """The mono mix at RATE, block by block."""
    stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")
    step = BLOCK_SECONDS * rate
    for start in range(0, samples, step):
        stop = min(start + step, samples)
        yield stream.resample_chunk(read(start, stop).mean(axis=0, dtype=np.float32), last=stop == samples)


def _mel_power(frames: Array) -> Array:
    spectrum = np.fft.rfft(frames * WINDOW, axis=-1)
    return np.asarray((spectrum.real**2 + spectrum.imag**2) @ filters(), np.float32)


@cache
def filters() -> Array:
    """Mel filter bank, (bins, MELS) float32.

    Triangles of equal area on Slaney's scale, linear to 1 kHz, then logarithmic.

    Equal to librosa.filters.mel, which takes seconds to import.
    """
    corners = _hertz(np.linspace(0, _LINEAR + np.log(RATE / 2 / 1000) / _STEP, MELS + 2))
    slopes = (np.fft.rfftfreq(N_FFT, 1 / RATE)[:, None] - corners) / np.diff(corners, append=np.inf)
    rising, falling = slopes[:, :-2], -slopes[:, 1:-1] + 1
    area = 2 / (corners[2:] - corners[:-2])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * area, np.float32)


_LINEAR, _STEP = 15, np.log(6.4) / 27  # mels up to 1 kHz, and the step of log frequency per mel above


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mels * 1000 / _LINEAR
    return np.where(mels < _LINEAR, linear, 1000 * np.exp(_STEP * (mels - _LINEAR)))
