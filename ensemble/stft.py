"""The only short-time Fourier transform of the project: 4096/1024, periodic Hann, centred, reflected at the ends.

It equals torch.stft and torch.istft with the same settings, which Demucs and Open-Unmix were trained with.
"""

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

N_FFT = 4096
HOP = 1024
BINS = N_FFT // 2 + 1
OVERLAP = N_FFT // HOP

Audio = NDArray[np.float32]
Spectrum = NDArray[np.complex64]


def hann(size: int) -> Audio:
    """Periodic; scipy.signal has it too, but takes a second to import, a quarter of what listening to a song takes."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


WINDOW = hann(N_FFT)


def frames_of(samples: int) -> int:
    """How many frames stft makes of so many samples."""
    return 1 + samples // HOP


def stft(audio: Audio) -> Spectrum:
    """Transform (..., samples) float32 to (..., BINS, frames) complex64, not normalized.

    Signals of up to N_FFT // 2 samples are too short to reflect and are padded with zeros instead.
    """
    pad = [(0, 0)] * (audio.ndim - 1) + [(N_FFT // 2, N_FFT // 2)]
    mode = "reflect" if audio.shape[-1] > N_FFT // 2 else "constant"
    padded = np.pad(audio, pad, mode=mode)  # type: ignore[call-overload]
    frames = sliding_window_view(padded, N_FFT, axis=-1)[..., ::HOP, :]
    return np.moveaxis(scipy.fft.rfft(frames * WINDOW, axis=-1, overwrite_x=True), -1, -2)


def istft(spectrum: Spectrum, samples: int) -> Audio:
    """Invert stft: (..., BINS, frames) complex64 to (..., samples) float32.

    Frames are overlapped and added with the window and divided by the sum of its squares, which is the least-squares
    inverse (Griffin and Lim 1984). `samples` can be at most what the frames cover.
    """
    frames = scipy.fft.irfft(np.moveaxis(spectrum, -2, -1), n=N_FFT, axis=-1)
    frames *= WINDOW
    summed = _overlap_add(frames)
    weight = _overlap_add(np.broadcast_to(WINDOW**2, (frames.shape[-2], N_FFT)))
    inside = slice(N_FFT // 2, N_FFT // 2 + samples)
    return np.asarray(summed[..., inside] / np.maximum(weight[inside], 1e-11), np.float32)


def _overlap_add(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., frames, N_FFT) to (..., (frames + OVERLAP - 1) * HOP): HOP divides N_FFT, so whole hops can be added."""
    *lead, count, _ = frames.shape
    hops = frames.reshape(*lead, count, OVERLAP, HOP)
    summed = np.zeros((*lead, count + OVERLAP - 1, HOP), dtype=frames.dtype)
    for k in range(OVERLAP):
        summed[..., k : k + count, :] += hops[..., k, :]
    return summed.reshape(*lead, -1)
