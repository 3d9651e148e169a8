"""The project's short-time Fourier transform: 4096/1024, periodic Hann window, centred, reflected at the ends.

It equals torch.stft and torch.istft with the same settings, on which Demucs and Open-Unmix were trained. The sample
rate and the array types of the project are defined here too.
"""

from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SAMPLE_RATE = 44_100  # Hz, of all audio after decoding
N_FFT = 4096
HOP = 1024
BINS = N_FFT // 2 + 1
OVERLAP = N_FFT // HOP
WEIGHT_FLOOR = 1e-11  # of the sum of squared windows, which istft divides by

Audio = NDArray[np.float32]
Spectrum = NDArray[np.complex64]
Reader = Callable[[int, int], Audio]
"""read(start, stop) -> (channels, stop - start), a new array with zeros outside the song"""


def hann(size: int) -> Audio:
    """Periodic Hann window, (size,) float32, 0 to 1.

    scipy.signal has one too, but takes a second to import, a quarter of the time that detection takes for a song.
    """
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


WINDOW = hann(N_FFT)


def frames_of(samples: int) -> int:
    """Number of frames that stft computes for so many samples."""
    return 1 + samples // HOP


def stft(audio: Audio) -> Spectrum:
    """Short-time Fourier transform, not normalised.

    Parameters
    ----------
    audio
        (..., samples) float32. Signals of up to N_FFT // 2 samples are too short to reflect and are zero-padded
        instead.

    Returns
    -------
    (..., BINS, frames) complex64.
    """
    pad = [(0, 0)] * (audio.ndim - 1) + [(N_FFT // 2, N_FFT // 2)]
    mode = "reflect" if audio.shape[-1] > N_FFT // 2 else "constant"
    padded = np.pad(audio, pad, mode=mode)  # type: ignore[call-overload]
    frames = sliding_window_view(padded, N_FFT, axis=-1)[..., ::HOP, :]
    return np.moveaxis(scipy.fft.rfft(frames * WINDOW, axis=-1, overwrite_x=True), -1, -2)


def istft(spectrum: Spectrum, samples: int) -> Audio:
    """Inverse of stft.

    Frames are windowed, overlap-added and divided by the sum of the squared windows: the least-squares inverse (Griffin
    and Lim 1984).

    Parameters
    ----------
    spectrum
        (..., BINS, frames) complex64.
    samples
        Length of the result, at most what the frames cover.

    Returns
    -------
    (..., samples) float32.
    """
    frames = scipy.fft.irfft(np.moveaxis(spectrum, -2, -1), n=N_FFT, axis=-1)
    frames *= WINDOW
    summed = _overlap_add(frames)
    weight = _overlap_add(np.broadcast_to(WINDOW**2, (frames.shape[-2], N_FFT)))
    inside = slice(N_FFT // 2, N_FFT // 2 + samples)
    return np.asarray(summed[..., inside] / np.maximum(weight[inside], WEIGHT_FLOOR), np.float32)


def _overlap_add(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., frames, N_FFT) to (..., (frames + OVERLAP - 1) * HOP). HOP divides N_FFT, so whole hops are added."""
    *lead, count, _ = frames.shape
    hops = frames.reshape(*lead, count, OVERLAP, HOP)
    summed = np.zeros((*lead, count + OVERLAP - 1, HOP), dtype=frames.dtype)
    for k in range(OVERLAP):
        summed[..., k : k + count, :] += hops[..., k, :]
    return summed.reshape(*lead, -1)
