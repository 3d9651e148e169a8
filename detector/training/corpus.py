"""Music with known instruments for training the head.

Random compositions, played by soundfonts and sung by open voices.

Every song is composed by a seeded generator: key, chords, tempo, and one part per kind of instrument. FluidSynth plays
it with a General MIDI soundfont, recorded drum hits replace some drums, and speech or singing is added. Excerpts of
some of the parts, at random levels and with random equalisation, drive and reverberation, are the training examples. No
published song is involved.
"""

import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from detector.features import RATE, Array
from detector.training.voices import line, processed, recording, rms
from ensemble.stft import SAMPLE_RATE

Note = tuple[float, float, int, int]  # start and length in seconds, MIDI pitch, velocity
Hits = dict[str, list[Array]]

TICKS = 960  # per second of a MIDI file
PLAYED = SAMPLE_RATE  # of FluidSynth
TAKE, GAP = 13.0, 2.0  # seconds that a part plays, and that it rings before the next one
EXCERPT, EXCERPTS = 5.0, 8  # seconds of an example (three windows), and examples per song
DRUM_CHANNEL = 9
PROGRAMS = {
    "drums": [0, 0, 0, 8, 16, 24, 25, 32, 40],
    "bass": list(range(32, 40)),
    "guitar": [24, 25, 25, 26, 27, 27, 28, 29, 29, 30, 30],
    "piano": [0, 0, 0, 1, 1, 2, 3, 4, 5],
    "strings": [40, 41, 42, 44, 45, 48, 49, 50],
    "winds": [56, 57, 58, 60, 61, 62, 64, 65, 66, 67, 68, 71, 73, 75],
    "synth": [50, 51, 62, 63, *range(80, 96)],
    "other": [6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19, 21, 22, 46, 104, 105, 108, 114],
}
OTHERS = ("strings", "winds", "synth", "other")
LIKELY = {"vocals": 0.55, "drums": 0.5, "bass": 0.5, "guitar": 0.45, "piano": 0.35, "strings": 0.25, "winds": 0.3,
          "synth": 0.25, "other": 0.2}  # fmt: skip
USUAL_DB = {"vocals": 2.0, "drums": 0.0, "bass": -1.0, "guitar": -2.0, "piano": -3.0}
HITS = {
    "kick": ("bd_", "drum_bass", "drum_heavy_kick", "elec_hollow_kick", "elec_soft_kick"),
    "snare": ("sn_", "drum_snare", "elec_snare", "elec_hi_snare", "elec_lo_snare", "elec_mid_snare", "perc_snap"),
    "metal": ("drum_cymbal", "drum_cowbell", "elec_cymbal", "elec_tick", "elec_triangle", "elec_blip", "drum_splash"),
}
KICKS, SNARES = (35, 36, 41, 45, 48, 50), (37, 38, 39, 40)
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))


@dataclass(frozen=True, slots=True)
class Song:
    """What all parts of a song share. beat: in seconds. chords: scale degrees, one per bar."""

    beat: float
    root: int
    scale: tuple[int, ...]
    chords: tuple[int, ...]

    def pitch(self, degree: int, octave: int) -> int:
        """MIDI pitch of a degree of the scale; 0 is the root."""
        return self.root + self.scale[degree % 7] + 12 * (octave + degree // 7)

    def bars(self) -> Iterator[tuple[float, int]]:
        """(start, chord) of each bar of a take."""
        count = int(TAKE / (4 * self.beat)) + 1
        return ((bar * 4 * self.beat, self.chords[bar % len(self.chords)]) for bar in range(count))


def compose(rng: Generator) -> Song:
    """Choose randomly what all parts share."""
    scale = SCALES[rng.integers(2)]
    chords = rng.choice([0, 0, 2, 3, 3, 4, 4, 5, 1], size=4)
    return Song(60 / rng.uniform(65, 165), int(rng.integers(0, 12)), scale, tuple(int(c) for c in chords))


# Parts


def drums(song: Song, rng: Generator) -> list[Note]:
    """Compose a rock, dance or sparse pattern of sixteenths, repeated in each bar with small variations."""
    step = song.beat / 4
    kick = rng.random(16) < np.where(np.arange(16) % 4 == 0, 0.65, 0.15)
    snare = (np.arange(16) % 8 == 4) | (rng.random(16) < 0.06)
    every, hat = int(rng.choice([1, 2, 2, 4])), int(rng.choice([42, 42, 46, 51, 44, 70]))
    voices = [(int(rng.choice([35, 36])), kick), (int(rng.choice([38, 40, 37, 39])), snare),
              (hat, np.arange(16) % every == 0)]  # fmt: skip
    voices = [voices[i] for i in range(3) if rng.random() < 0.85] or voices
    notes = []
    for start, _ in song.bars():
        if rng.random() < 0.2:
            notes.append((start, 1.0, int(rng.choice([49, 57])), 100))
        for key, pattern in voices:
            hits = [i for i in range(16) if pattern[i] and rng.random() < 0.96]
            notes += [(start + i * step + rng.normal(0, 0.004), step, key, _velocity(rng)) for i in hits]
        if rng.random() < 0.15:
            notes += [(start + i * step, step, int(rng.choice([41, 45, 48, 50])), 105) for i in range(12, 16)]
    return notes


def bass(song: Song, rng: Generator) -> list[Note]:
    """Compose roots with fifths, octaves and passing notes."""
    step, octave = song.beat * float(rng.choice([0.5, 0.5, 1, 2])), int(rng.integers(2, 4))
    density = rng.uniform(0.6, 1)
    notes = []
    for start, chord in song.bars():
        for i in range(max(1, round(4 * song.beat / step))):
            degree = chord + int(rng.choice([0, 0, 0, 4, 7, 2, 1]) if i else 0)
            if rng.random() < density:
                notes.append((start + i * step, step * rng.uniform(0.6, 1), song.pitch(degree, octave), _velocity(rng)))
    return notes


def chords(song: Song, rng: Generator, octave: int) -> list[Note]:
    """Compose strummed, struck or held chords."""
    step, spread = song.beat * float(rng.choice([0.5, 1, 2, 4])), rng.uniform(0, 0.03)
    shape = [(0, 4, 7), (0, 2, 4), (0, 2, 4, 7), (0, 4, 7, 9, 11), (0, 2, 4, 6)][rng.integers(5)]
    notes = []
    for start, chord in song.bars():
        for i in range(max(1, round(4 * song.beat / step))):
            if rng.random() < 0.85:
                at, hard = start + i * step, _velocity(rng)
                notes += [
                    (at + k * spread, step * rng.uniform(0.5, 1.1), song.pitch(chord + degree, octave), hard)
                    for k, degree in enumerate(shape)
                ]
    return notes


def arpeggio(song: Song, rng: Generator, octave: int) -> list[Note]:
    """Compose broken chords in a fixed figure."""
    step = song.beat * float(rng.choice([0.25, 0.5, 0.5]))
    figure = rng.choice([0, 2, 4, 7, 9], size=8)
    return [
        (start + i * step, step * rng.uniform(0.8, 2), song.pitch(chord + int(figure[i % 8]), octave), _velocity(rng))
        for start, chord in song.bars()
        for i in range(round(4 * song.beat / step))
    ]


def melody(song: Song, rng: Generator, octave: int) -> list[Note]:
    """Compose a line of small steps with rests."""
    notes, degree, at = [], 0, 0.0
    while at < TAKE:
        length = song.beat * float(rng.choice([0.5, 0.5, 1, 1, 2]))
        degree = int(np.clip(degree + rng.integers(-2, 3), -5, 9))
        if rng.random() < 0.85:
            notes.append((at, length * rng.uniform(0.7, 1), song.pitch(degree, octave), _velocity(rng)))
        at += length
    return notes


def part(kind: str, song: Song, rng: Generator) -> list[Note]:
    """Compose the part of an instrument of this kind."""
    if kind in ("drums", "bass"):
        return {"drums": drums, "bass": bass}[kind](song, rng)
    octave = int(rng.integers(3, 6)) if kind in ("guitar", "strings") else int(rng.integers(4, 6))
    style = (chords, arpeggio, melody)[rng.choice(3, p=(0.2, 0.1, 0.7) if kind == "winds" else (0.5, 0.25, 0.25))]
    notes = style(song, rng, octave)
    if kind == "piano" and rng.random() < 0.6:
        notes += arpeggio(song, rng, octave - 1) if rng.random() < 0.3 else bass(song, rng)
    return notes


def _velocity(rng: Generator) -> int:
    return int(np.clip(rng.normal(92, 14), 30, 127))


# Sound


def perform(song: Song, soundfont: Path, hits: Hits, rng: Generator) -> dict[str, Array]:
    """Play a part of every kind by itself.

    (samples,) float32 at RATE by kind. One drummer in three plays recorded hits.
    """
    parts = []
    for index, kind in enumerate(PROGRAMS):
        program = int(rng.choice(PROGRAMS[kind]))
        played = [note for note in part(kind, song, rng) if note[0] < TAKE]
        notes = [(index * (TAKE + GAP) + at, length, pitch, hard) for at, length, pitch, hard in played]
        parts.append((DRUM_CHANNEL if kind == "drums" else 0, program, index * (TAKE + GAP), notes))
    audio = _play(midi(parts), soundfont)
    cut = [round(index * (TAKE + GAP) * RATE) for index in range(len(PROGRAMS))]
    takes = {kind: audio[at : at + round(TAKE * RATE)] for kind, at in zip(PROGRAMS, cut, strict=True)}
    if rng.random() < 1 / 3:
        takes["drums"] = sample(drums(song, rng), hits, rng)
    return takes


def load_hits(folder: Path) -> Hits:
    """Load one-shot drum sounds, (samples,) float32 at RATE, by kind, recognised by Sonic Pi's file names."""
    hits = {}
    for kind, starts in HITS.items():
        paths = [path for path in sorted(folder.rglob("*.flac")) if path.name.startswith(starts)]
        hits[kind] = [recorded[: 2 * RATE] for recorded in map(recording, paths)]
    return hits


def sample(notes: list[Note], hits: Hits, rng: Generator) -> Array:
    """Play drum notes with a random kit of one recorded hit per key: (samples,) float32 at RATE."""
    out = np.zeros(round((TAKE + 2) * RATE), np.float32)
    kit: dict[int, Array] = {}
    for at, _, key, velocity in notes:
        kind = "kick" if key in KICKS else "snare" if key in SNARES else "metal"
        if key not in kit:
            kit[key] = hits[kind][rng.integers(len(hits[kind]))]
        start = max(0, round(at * RATE))
        sound = kit[key][: max(0, len(out) - start)] * np.float32(velocity / 127)
        out[start : start + len(sound)] += sound
    return out[: round(TAKE * RATE)]


def midi(takes: list[tuple[int, int, float, list[Note]]]) -> bytes:
    """Build a standard MIDI file from (channel, program, start, notes), at TICKS per second."""
    events = []
    for channel, program, start, notes in takes:
        events.append((max(0, round((start - 0.1) * TICKS)), bytes([0xC0 | channel, program])))
        for at, length, pitch, velocity in notes:
            on = max(0, round(at * TICKS))
            events.append((on, bytes([0x90 | channel, min(max(pitch, 0), 127), velocity])))
            off = on + max(1, round(length * TICKS))
            events.append((off, bytes([0x80 | channel, min(max(pitch, 0), 127), 0])))
    events.sort(key=lambda event: event[0])
    track, now = b"", 0
    for tick, message in events:
        track += _delta(tick - now) + message
        now = tick
    track += b"\0\xff\x2f\0"
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS // 2)  # 120 beats a minute unless said otherwise
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def _delta(ticks: int) -> bytes:
    groups = [ticks & 0x7F]
    while ticks := ticks >> 7:
        groups.append(ticks & 0x7F | 0x80)
    return bytes(reversed(groups))


def _play(score: bytes, soundfont: Path) -> Array:
    audio = rendered(score, soundfont, "-R", "0", "-C", "0")
    mono = soxr.resample(audio.mean(axis=1), PLAYED, RATE)
    length = round(len(PROGRAMS) * (TAKE + GAP) * RATE)
    return np.pad(mono, (0, max(0, length - len(mono)))).astype(np.float32)


def rendered(score: bytes, soundfont: Path, *options: str) -> Array:
    """Play a MIDI file with FluidSynth: (samples, 2) float32 at PLAYED."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "song.mid"), Path(folder, "song.wav")
        source.write_bytes(score)
        command: list[str | Path] = ["fluidsynth", "-niq", "-g", "0.4", *options, "-r", str(PLAYED), "-F", target]
        subprocess.run([*command, soundfont, source], check=True, stdin=subprocess.DEVNULL)
        audio, _ = soundfile.read(target, dtype="float32", always_2d=True)
    return np.asarray(audio, np.float32)


# Examples


@dataclass(frozen=True, slots=True)
class Example:
    """A mixture at RATE and its parts, all (samples,) float32. A kind without a part is absent."""

    mixture: Array
    parts: dict[str, Array]


def excerpt(takes: dict[str, Array], singers: list[Array], rng: Generator) -> Example:
    """Mix some of the parts at random levels, from a random moment of the song.

    Parameters
    ----------
    takes
        (samples,) float32 at RATE by kind, from `perform`.
    singers
        Recordings of voices, (samples,) float32 at RATE.
    rng
        Source of randomness.
    """
    length = round(EXCERPT * RATE)
    start = int(rng.integers(0, round(TAKE * RATE) - length))
    chosen = [kind for kind, chance in LIKELY.items() if rng.random() < chance]
    if rng.random() < 0.25:
        chosen = [str(rng.choice(list(LIKELY)))]
    parts = {}
    for kind in chosen:
        dry = processed(line(singers, length, rng), rng) if kind == "vocals" else takes[kind][start : start + length]
        dry = np.pad(dry, (0, max(0, length - len(dry))))[:length]
        if (level := rms(dry)) > 1e-4:
            gain = 0.1 / level * 10 ** ((USUAL_DB.get(kind, -2.0) + rng.normal(0, 4)) / 20)
            parts[kind] = _recorded(dry * np.float32(gain), kind, rng)
    noise = rng.normal(0, 10 ** (rng.uniform(-80, -45) / 20), length).astype(np.float32)
    return Example(np.asarray(sum(parts.values(), noise), np.float32), parts)


def _recorded(dry: Array, kind: str, rng: Generator) -> Array:
    """Imitate a microphone, an amplifier and a room."""
    audio: NDArray[np.floating] = dry
    if kind == "guitar" and rng.random() < 0.35:
        drive = rng.uniform(2, 30)
        audio = np.tanh(audio * np.float32(drive)) / np.float32(drive**0.6)
    elif rng.random() < 0.3:
        audio = np.tanh(audio * 4) / 4
    low, high = 10 ** (rng.normal(0, 4, 2) / 20)
    pole = np.exp(-2 * np.pi * rng.uniform(200, 3000) / RATE)
    base = scipy.signal.lfilter([1 - pole], [1, -pole], audio)
    audio = low * base + high * (audio - base)
    if rng.random() < 0.6:
        tail = rng.normal(0, 1, RATE) * np.exp(-np.arange(RATE) / (RATE * rng.uniform(0.05, 0.3)))
        wet = scipy.signal.fftconvolve(audio, tail / np.sqrt(np.sum(tail**2)))[: len(audio)]
        audio = audio + rng.uniform(0.05, 0.5) * wet
    return np.asarray(audio, np.float32)


def examples(soundfonts: list[Path], hits: Hits, singers: list[Array], number: int, seed: int) -> Iterator[Example]:
    """The examples of one song, as (samples,) arrays. The same number and seed always give the same."""
    rng = np.random.default_rng([seed, number])
    takes = perform(compose(rng), soundfonts[number % len(soundfonts)], hits, rng)
    for _ in range(EXCERPTS):
        yield excerpt(takes, singers, rng)
