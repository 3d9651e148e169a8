"""Sounds for tests: an independent decoder and something like music."""

import io
import wave
from pathlib import Path

import av
import numpy as np

RATE = 44_100


def read(path: Path) -> np.ndarray:
    """An independent decoder for tests: (channels, samples) float64 at the file's own rate."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="dblp")
        frames = [part.to_ndarray() for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(frames, axis=1)


def silent_wav(samples: int = 1000) -> bytes:
    """A file in as few bytes as a song may have: 1000 samples a second, of a byte each, after 44 bytes of header."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(1000)
        file.writeframes(b"\x80" * samples)
    return content.getvalue()


def music(seconds: float, seed: int = 0, channels: int = 2) -> np.ndarray:
    """Something like music, (channels, samples) float32: decaying chords over noise bursts."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    beat = np.exp(-6 * (t % 0.5))
    chord = sum(np.sin(2 * np.pi * f * t) for f in (110, 220, 277.2, 329.6))
    voices = [
        0.1 * beat * chord + 0.05 * np.exp(-30 * (t % 0.25)) * rng.standard_normal(t.size) for _ in range(channels)
    ]
    return np.asarray(voices, np.float32)


def bass_line(seconds: float) -> np.ndarray:
    """Something like a bass guitar, (samples,) float32: decaying notes of an octave, two a second, with harmonics."""
    t = np.arange(int(seconds * RATE)) / RATE
    pitches = 55 * 2 ** (np.array([0, 0, 3, 5, 7, 5, 3, 0]) / 12)
    phase = 2 * np.pi * np.cumsum(pitches[(2 * t).astype(int) % len(pitches)]) / RATE
    plucked = 0.25 * np.minimum(1, 20 * (t % 0.5)) * np.exp(-2 * (t % 0.5))
    return np.asarray(plucked * sum(np.sin(k * phase) / k**1.5 for k in range(1, 7)), np.float32)
