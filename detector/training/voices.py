"""Voices for training: recordings of speech and singing, arranged in lines and processed as in productions."""

from pathlib import Path

import librosa
import numpy as np
import scipy.signal
import soundfile
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from detector.features import RATE, Array

WORD, LONG = 0.25, 8.0  # seconds: shorter recordings are skipped, longer ones are used as they are


def recording(path: Path) -> Array:
    """Read a sound file as mono, (samples,) float32 at RATE."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(audio.mean(axis=1), rate, RATE), np.float32)


def rms(audio: Array) -> float:
    """Root mean square of an array of any shape (...); 0 if it is empty."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0


def load(folders: list[Path]) -> list[Array]:
    """Load all recordings below the folders, each (samples,) float32 at RATE with an RMS of 1.

    Most are single words.
    """
    voices = []
    files = [path for folder in folders for path in sorted(folder.rglob("*"))]
    for path in (path for path in files if path.suffix in (".wav", ".ogg", ".flac")):
        mono = recording(path)
        if len(mono) > WORD * RATE and rms(mono) > 1e-3:
            voices.append(mono / np.float32(rms(mono)))
    return voices


def line(voices: list[Array], samples: int, rng: Generator) -> Array:
    """A line of one voice, about `samples` long: part of a long recording, transposed, or words, spoken or sung.

    Parameters
    ----------
    voices
        Recordings, (n,) float32 at RATE, from `load`.
    samples
        Length of the line.
    rng
        Source of randomness.

    Returns
    -------
    (samples,) float32, about as long.
    """
    long = [voice for voice in voices if len(voice) > LONG * RATE]
    if long and rng.random() < 0.4:
        voice = long[rng.integers(len(long))]
        start = rng.integers(0, len(voice) - samples + 1)
        return transposed(voice[start : start + samples], rng.uniform(-3, 3), rng)
    return _words(voices, samples, rng)


def _words(voices: list[Array], samples: int, rng: Generator) -> Array:
    """Words of neighbours in the list, mostly one speaker; sung ones are stretched and set to notes."""
    sung, out, at = rng.random() < 0.7, np.zeros(samples, np.float32), int(rng.integers(0, RATE))
    speaker = int(rng.integers(len(voices)))
    while at < samples - WORD * RATE:
        word = voices[(speaker + int(rng.integers(30))) % len(voices)][: 2 * RATE]
        if sung:
            word = librosa.effects.time_stretch(word, rate=1 / rng.uniform(1, 2.5), n_fft=1024)
            word = transposed(word, float(rng.integers(-3, 8)), rng)
        audible = word[: samples - at]
        out[at : at + len(audible)] += audible
        at += max(len(word) + int(rng.normal(0, 0.1) * RATE), RATE // 5)
    return out


def processed(dry: Array, rng: Generator) -> Array:
    """Apply a random effect of productions: robotic monotone, distortion, telephone band, echo.

    dry is (samples,) float32; returns that shape.
    """
    audio: NDArray[np.floating] = dry
    effect = rng.random()
    if effect < 0.12:  # zero phase in every frame gives a constant pitch
        hop = int(RATE / rng.uniform(90, 220))
        _, _, spectrum = scipy.signal.stft(audio, nperseg=4 * hop, noverlap=3 * hop)
        audio = scipy.signal.istft(np.abs(spectrum), nperseg=4 * hop, noverlap=3 * hop)[1][: len(audio)]
    elif effect < 0.25:
        drive = rng.uniform(1, 8)
        audio = np.tanh(audio * drive) / drive**0.5
    elif effect < 0.35:
        band = scipy.signal.butter(
            2, [rng.uniform(200, 500), rng.uniform(2000, 4000)], "bandpass", fs=RATE, output="sos"
        )
        audio = scipy.signal.sosfilt(band, audio)
    if rng.random() < 0.3:
        delay = int(RATE * rng.uniform(0.15, 0.5))
        echo = np.concatenate([np.zeros(delay), audio])[: len(audio)]
        audio = audio + rng.uniform(0.2, 0.6) * echo
    return np.asarray(audio, np.float32)


def transposed(audio: Array, semitones: float, rng: Generator) -> Array:
    """Change pitch and speed together, (samples,) to (n,) float32; sometimes doubled in harmony."""
    shifted = soxr.resample(audio, RATE, RATE / 2 ** (semitones / 12))
    if rng.random() < 0.15:
        second = soxr.resample(audio, RATE, RATE / 2 ** ((semitones + rng.choice([3, 4, 0.15])) / 12))
        shifted = shifted + np.float32(0.7) * np.resize(second, shifted.shape)
    return np.asarray(shifted, np.float32)
