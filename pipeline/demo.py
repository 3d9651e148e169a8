"""A half-minute demo song, written and synthesised here, so that a newcomer needs no song to try SoundScape.

The score comes first, as data; then the singer, the band and the mix. Signals are float64 of shape (samples,)
at 44.1 kHz, tapes are (2, samples); times are in seconds, frequencies in Hz, pitches are MIDI numbers (69 is
440 Hz). Every random draw is seeded, so the song is the same each time.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from pipeline.audio.encode import Encoder
from pipeline.audio.recording import SAMPLE_RATE, Audio
from pipeline.audio.tags import Tags

Signal = NDArray[np.float64]
Random = np.random.Generator

BEAT = 60 / 96
SECONDS = 30.0  # twelve bars of four beats
SAMPLES = int(SECONDS * SAMPLE_RATE)
LEAD_IN = 0.06  # before the first beat, so that an early player is not cut off
PEAK = 10 ** (-1.5 / 20)  # of the mixture: -1.5 dBFS

# ---- The score ---------------------------------------------------------------------------------------------

# The strings of a guitar whose lowest is tuned down to D; bass and piano find their notes among them.
CHORDS = {
    "D": (38, 50, 57, 62, 66),
    "G": (43, 50, 59, 62, 67),
    "Gmaj7": (43, 54, 59, 62, 66),
    "Bm7": (47, 54, 57, 62, 66),
    "Em7": (40, 47, 55, 62, 67),
    "F#m7": (42, 52, 57, 61, 66),
    "Asus4": (45, 52, 57, 62, 64),
    "A": (45, 52, 57, 61, 64),
}

# A bar a line: the chord of each half, then the patterns of drums, bass, guitar and piano.
REST = "-"
SONG = """
    D      D      -      -      pick   -
    Gmaj7  Gmaj7  enter  -      pick   whole
    D      D      verse  walk   pick   whole
    Bm7    Bm7    verse  walk   pick   whole
    Gmaj7  Gmaj7  verse  walk   pick   whole
    Asus4  A      turn   walk   pick   half
    G      G      crash  drive  strum  push
    A      A      lift   drive  strum  push
    F#m7   F#m7   lift   drive  strum  push
    Bm7    Bm7    lift   drive  strum  push
    Em7    A      turn   drive  strum  push
    D      D      end    whole  whole  whole
"""

# A bar in sixteenths; each note lasts until the next.
DRUMS = {  # soft, plain, Loud
    "enter": {"hat": "p...p...p.p.....", "kick": "........L", "snare": "............s.pp"},
    "verse": {"hat": "p.s.p.s.p.s.p.ss", "kick": "L.....p.L", "snare": "....L.......L..s"},
    "crash": {"hat": "..psLspsLspsLsps", "kick": "L..p..p.L.....p.", "snare": "....L.......L", "crash": "L"},
    "lift": {"hat": "LspsLspsLspsLsps", "kick": "L..p..p.L.....p.", "snare": "....L.......L..s"},
    "turn": {"hat": "LspsLspsp.p.....", "kick": "L.....p.L", "snare": "....L.......sppL"},
    "end": {"kick": "L", "crash": "p"},
}
LOUDNESS = {"s": 0.3, "p": 0.65, "L": 1.0}
BASS = {"walk": "r.....r.r...f.o.", "drive": "r.r.o.f.r.r.f.f.", "whole": "r"}
ABOVE = {"r": 0, "f": 7, "o": 12}  # root, fifth, octave
GUITAR = {"pick": "0.234.320.234.32", "strum": "d...d.u...u.d.u.", "whole": "d"}
STROKES = {"d": "01234", "u": "432"}  # strings in the order in which they are struck
PIANO = {"whole": "c", "half": "c.......c", "push": "c.....c.c.....c."}

# A phrase a line: the beat of the song that it starts on, then syllable, pitch and beats of each note.
MELODY = """
    7     so D4 .5   le E4 .5   na F#4 1.5  mi E4 .5   de F#4 .5  la A4 .95
    11.5  te F#4 .5  no D4 1    wi E4 .5    na F#4 1.5
    15.5  so F#4 .5  la B4 1    me A4 .5    ti F#4 .5  na E4 .5   du D4 .9
    19.5  se D4 .5   la E4 1.5  mi F#4 .5   no E4 1.2
    23.5  ta A4 .5   la B4 1.5  ne A4 .5    da B4 .5   wa D5 1.4
    28    la C#5 1   me B4 .5   na A4 1.5
    31.5  so E4 .5   la A4 1    te C#5 .5   na A4 .5   mo F#4 1   di E4 .5   ne F#4 .5
    36    la F#4 1   se A4 .5   wa B4 1.8
    40    sa G4 .5   le A4 .5   na B4 1     mo A4 1    di G4 .5   ne E4 .5   la F#4 2.8
"""
PITCH_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
LIFT = 23.5  # the beat on which the second voice enters


class Note(NamedTuple):
    """A sung note of the score."""

    beat: float
    beats: float
    pitch: int
    syllable: str


def bars() -> list[list[str]]:
    """The lines of the song."""
    return [line.split() for line in SONG.strip().splitlines()]


def chord(beat: float) -> tuple[int, ...]:
    """The chord that sounds on a beat of the song."""
    return CHORDS[bars()[int(beat // 4)][int(beat % 4 >= 2)]]


def played(column: int, patterns: dict[str, str]) -> Iterator[tuple[float, float, str]]:
    """Read what one player plays all through the song: beat, length in beats and mark of each note."""
    for bar, line in enumerate(bars()):
        pattern = "" if line[column] == REST else patterns[line[column]]
        hits = [step for step, mark in enumerate(pattern) if mark != "."]
        for step, after in pairwise([*hits, 16]):
            yield 4 * bar + step / 4, (after - step) / 4, pattern[step]


def melody() -> Iterator[Note]:
    """Read the lead singer's phrases."""
    for line in MELODY.strip().splitlines():
        first, *words = line.split()
        beat = float(first)
        for syllable, name, beats in zip(words[::3], words[1::3], words[2::3], strict=True):
            semitone = PITCH_NAMES.index(name[:-1])
            yield Note(beat, float(beats), 12 * int(name[-1]) + 12 + semitone, syllable)
            beat += float(beats)


def harmony(lead: list[Note]) -> Iterator[Note]:
    """In the lift, follow the lead on the nearest note of the chord that is at least a third below."""
    for note in lead:
        if note.beat >= LIFT:
            tones = {string % 12 for string in chord(note.beat)}
            yield note._replace(pitch=next(p for p in range(note.pitch - 3, 0, -1) if p % 12 in tones))


# ---- The singer --------------------------------------------------------------------------------------------

# Three formants in Hz, share of voice, share of hiss, seconds before the beat.
PHONES = {
    "a": (820, 1250, 2800, 1.0, 0.0, 0.0),
    "e": (560, 1900, 2700, 1.0, 0.0, 0.0),
    "i": (370, 2350, 3000, 1.0, 0.0, 0.0),
    "o": (520, 900, 2700, 1.0, 0.0, 0.0),
    "u": (390, 780, 2600, 1.0, 0.0, 0.0),
    "l": (360, 1250, 2900, 0.5, 0.0, 0.07),
    "m": (260, 1050, 2300, 0.35, 0.0, 0.08),
    "n": (270, 1600, 2600, 0.35, 0.0, 0.07),
    "w": (320, 650, 2300, 0.5, 0.0, 0.09),
    "d": (280, 1800, 2700, 0.15, 0.3, 0.045),
    "t": (400, 1800, 2700, 0.0, 0.8, 0.05),
    "s": (400, 1700, 2700, 0.0, 1.0, 0.11),
}
UPPER_FORMANTS = np.array([3600.0, 4500.0, 5600.0, 6700.0, 7800.0, 8900.0])  # in Hz, the same for every sound
HOP = 252  # samples from one point of a control curve to the next; divides SAMPLES
POINTS = SAMPLES // HOP
# Seconds it takes to move pitch and vibrato (in semitones), voice, hiss, breath, and the three formants.
INERTIA = (0.1, 0.35, 0.07, 0.03, 0.2, 0.07, 0.07, 0.07)


def hertz(pitch: float | Signal) -> Signal:
    """Frequency of a pitch, or of many."""
    return np.asarray(440 * 2 ** ((pitch - 69) / 12))


def smooth(curve: Signal, seconds: float) -> Signal:
    """Round the corners of a control curve (one value a HOP)."""
    half = round(seconds * SAMPLE_RATE / HOP / 2)
    window = np.hanning(2 * half + 3)[1:-1]
    return np.asarray(signal.convolve(np.pad(curve, half, mode="edge"), window / window.sum(), mode="valid"))


def wander(rng: Random, seconds: float) -> Signal:
    """A control curve that drifts at random around 0 with unit variance."""
    drift = smooth(rng.standard_normal(POINTS), seconds)
    return np.asarray(drift / drift.std())


def steps(notes: list[Note], rng: Random) -> list[tuple[float, ...]]:
    """What the singer aims at and from when: seconds, then a value for each curve in the order of INERTIA."""
    rows: list[tuple[float, ...]] = [(0.0, notes[0].pitch, 0, 0, 0, 0, *PHONES["a"][:3])]
    for note in notes:
        (*closed, murmur, hiss, ahead), (*opened, voice, _, _) = (PHONES[letter] for letter in note.syllable)
        start = LEAD_IN + note.beat * BEAT + rng.normal(0.01, 0.008)
        end = start + note.beats * BEAT
        silence = rows[-1][0]
        if start - silence > 0.2:  # a new phrase: breathe in, then slide up to the first note
            rows.append((max(silence, start - 0.5), note.pitch - 1.5, 0, 0, 0, 0.07, *opened))
            rows.append((start - 0.15, note.pitch - 1.5, 0, 0, 0, 0, *opened))
        while rows[-1][0] > start - ahead:  # the consonant cuts the vowel before it short
            rows.pop()
        rows.append((start - ahead, note.pitch, 0, murmur, hiss, 0, *closed))
        rows.append((start, note.pitch, 0, voice, 0, 0, *opened))
        rows.append((start + 0.28, note.pitch, 0.25, 0.9 * voice, 0, 0, *opened))
        rows.append((end, note.pitch, 0, 0, 0, 0, *opened))
    return rows


def sing(notes: list[Note], rng: Random) -> Signal:
    """Sing: a glottal wave and breath go through the vocal tract; hiss is made at the teeth."""
    table, time = np.array(steps(notes, rng)), np.arange(POINTS) * HOP / SAMPLE_RATE
    aims = table[np.searchsorted(table[:, 0], time, side="right") - 1, 1:].T
    curves = [smooth(aim, seconds) for aim, seconds in zip(aims, INERTIA, strict=True)]
    sway = np.sin(2 * np.pi * (5.4 * time + 0.1 * wander(rng, 0.4)))
    curves[0] += curves[1] * sway + 0.06 * wander(rng, 0.2) + 0.05 * wander(rng, 0.02)
    curves[2] *= (1 + 0.06 * wander(rng, 0.08)) * (1 + 0.06 * sway)
    fine = np.arange(SAMPLES) / SAMPLE_RATE
    pitch, _, voice, hiss, breath = (np.interp(fine, time, curve) for curve in curves[:5])
    air = rng.standard_normal(SAMPLES)
    source = glottis(hertz(pitch), voice) + (breath + 0.03 * voice) * air
    return tract(source, np.stack(curves[5:], axis=-1)) + 0.8 * hiss * bandpass(air, 4500, 11000)


def even(sound: Signal) -> Signal:
    """Ride the fader: half as many decibels between loud and soft notes."""
    loud = np.sqrt(smooth(np.mean(sound.reshape(POINTS, HOP) ** 2, axis=1), 0.25))
    gain = (loud + 0.05 * loud.max()) ** -0.5
    return np.asarray(sound * np.interp(np.arange(SAMPLES) / HOP, np.arange(POINTS), gain))


def glottis(frequency: Signal, effort: Signal) -> Signal:
    """The sum of r**k * sin(k * phase) over all k hardly aliases; effort makes it louder and brighter."""
    phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    r = 0.74 + 0.16 * effort
    return np.asarray(effort * r * np.sin(phase) / (1 - 2 * r * np.cos(phase) + r**2))


def tract(source: Signal, formants: Signal) -> Signal:
    """Filter by a vocal tract that moves: its three formants are control curves, (POINTS, 3)."""
    out = np.array(signal.sosfilt(resonators(UPPER_FORMANTS), source)).reshape(POINTS, HOP)
    state = np.zeros((formants.shape[1], 2))
    for block, sections in zip(out, resonators(formants), strict=True):
        block[:], state = signal.sosfilt(sections, block, zi=state)
    return out.reshape(-1)


def resonators(formants: Signal) -> Signal:
    """Klatt's two-pole resonators with unit gain at 0 Hz, as second-order sections: (..., 6)."""
    radius = np.exp(-np.pi * (50 + 0.04 * formants) / SAMPLE_RATE)
    a1, a2 = -2 * radius * np.cos(2 * np.pi * formants / SAMPLE_RATE), radius**2
    zero, one = np.zeros_like(a1), np.ones_like(a1)
    return np.stack([1 + a1 + a2, zero, zero, one, a1, a2], axis=-1)


# ---- The band ----------------------------------------------------------------------------------------------


def clock(seconds: float) -> Signal:
    """The time of each sample."""
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def decay(time: Signal, half_life: float) -> Signal:
    """Rise in a millisecond, halve every half_life, end in a short fade: no clicks."""
    rise, fall = np.minimum(1, time / 0.001), np.minimum(1, (time[-1] - time) / 0.03)
    return np.asarray(rise * fall * np.exp2(-time / half_life))


def bandpass(sound: Signal, low: float, high: float) -> Signal:
    """Keep what lies between two frequencies."""
    return np.asarray(signal.sosfilt(signal.butter(2, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos"), sound))


def noise(rng: Random, time: Signal, half_life: float, low: float, high: float) -> Signal:
    """A burst of noise between two frequencies."""
    return bandpass(rng.standard_normal(len(time)), low, high) * decay(time, half_life)


def kick(rng: Random) -> Signal:
    """A falling sine and the click of the beater."""
    time = clock(0.45)
    body = np.sin(2 * np.pi * (48 * time + 4.2 * (1 - np.exp(-32 * time)))) * decay(time, 0.085)
    return np.tanh(1.8 * body + noise(rng, time, 0.004, 1500, 5000))


def snare(rng: Random) -> Signal:
    """Two modes of the skin and the rattle of the wires."""
    time = clock(0.4)
    skin = np.sin(2 * np.pi * 188 * time + 1.5 * np.exp(-60 * time)) + 0.6 * np.sin(2 * np.pi * 331 * time)
    wires = noise(rng, time, 0.06, 1200, 9000) + noise(rng, time, 0.012, 3000, 15000)
    return np.tanh(0.9 * skin * decay(time, 0.035) + 0.9 * wires)


def cymbal(rng: Random, seconds: float, half_life: float) -> Signal:
    """Square waves out of tune with each other, and noise, treble only."""
    time = clock(seconds)
    clang = sum(signal.square(2 * np.pi * f * time) for f in (411, 609, 739, 1045, 1600, 2160))
    return bandpass(0.15 * clang + 0.4 * rng.standard_normal(len(time)), 6500, 16000) * decay(time, half_life)


KIT: dict[str, tuple[Callable[[Random], Signal], float]] = {  # each from left (-1) to right (1)
    "kick": (kick, 0.0),
    "snare": (snare, 0.05),
    "hat": (lambda rng: cymbal(rng, 0.15, 0.02), -0.3),
    "crash": (lambda rng: cymbal(rng, 2.4, 0.35), 0.4),
}


@lru_cache
def string(pitch: int) -> Signal:
    """Karplus-Strong: a burst of noise that goes round a delay line and loses its treble on the way."""
    period = float(SAMPLE_RATE / hertz(pitch))
    whole = round(period)
    rest = period - whole  # the fraction of a sample of delay, by a parabola through three points
    taps = np.convolve([0.12, 0.76, 0.12], [rest * (rest - 1) / 2, 1 - rest**2, rest * (rest + 1) / 2])
    loop = np.zeros(whole + 3)
    loop[0], loop[-5:] = 1, -(0.5 ** (period / SAMPLE_RATE / 0.9)) * taps
    pluck = np.zeros(int(2.6 * SAMPLE_RATE))
    pluck[:whole] = signal.lfilter([0.35], [1, -0.65], np.random.default_rng(pitch).uniform(-1, 1, whole))
    pluck[:whole] -= pluck[:whole].mean()
    return np.asarray(signal.lfilter([1], loop, pluck))


def guitar_note(pitch: int, seconds: float, pick: float) -> Signal:
    """A string picked at a fraction of its length, which thins some harmonics, then damped."""
    ring = string(pitch)[: int(seconds * SAMPLE_RATE)]
    late = round(pick * SAMPLE_RATE / float(hertz(pitch)))
    return (ring - 0.8 * np.pad(ring, (late, 0))[: len(ring)]) * decay(np.arange(len(ring)) / SAMPLE_RATE, 10)


def bass_note(pitch: int, seconds: float) -> Signal:
    """A finger bass: harmonics that fade the faster the higher they are."""
    time = clock(seconds)
    turn = 2 * np.pi * hertz(pitch) * time
    tone = sum(np.sin(0.7 * k) * np.sin(k * turn) / k * np.exp2(-k * time / 0.9) for k in range(1, 12))
    return np.asarray(np.tanh(1.5 * tone) * decay(time, 2) * np.minimum(1, time / 0.004))


def piano_note(pitch: int, seconds: float, touch: float) -> Signal:
    """An electric piano: two FM pairs, a tine that rings briefly over a warm fundamental."""
    time = clock(seconds)
    turn = 2 * np.pi * hertz(pitch) * time
    body = np.sin(turn + 1.4 * touch * np.exp2(-time / 0.35) * np.sin(turn))
    tine = np.sin(turn + 0.6 * touch * np.exp2(-time / 0.06) * np.sin(14 * turn))
    return (0.7 * body + 0.3 * tine) * decay(time, 0.9)


# ---- The recording -----------------------------------------------------------------------------------------


class Take:
    """One player's recording, and the small unevenness of the player's hands."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tape = np.zeros((2, SAMPLES))

    def play(self, beat: float, sound: Signal, loudness: float = 1.0, pan: float = 0.0) -> None:
        """Add a sound on a beat of the song, between left (-1) and right (1) at constant power."""
        start = max(0, round((LEAD_IN + beat * BEAT + self.rng.normal(0, 0.005)) * SAMPLE_RATE))
        sound = sound[: SAMPLES - start] * loudness * self.rng.uniform(0.88, 1.12)
        angle = (pan + 1) * np.pi / 4
        self.tape[:, start : start + len(sound)] += np.outer((np.cos(angle), np.sin(angle)), sound)


def vocals() -> Signal:
    """A lead in the middle and, in the lift, a second voice a little to the left."""
    lead = list(melody())
    first = even(sing(lead, np.random.default_rng(1)))
    second = even(sing(list(harmony(lead)), np.random.default_rng(2)))
    return np.stack([first + 0.4 * second, first + 0.25 * second])


def drums() -> Signal:
    """The patterns of each piece, the whole kit a little overdriven."""
    take = Take(3)
    for name, (piece, pan) in KIT.items():
        for beat, _, mark in played(2, {pattern: bar.get(name, "") for pattern, bar in DRUMS.items()}):
            take.play(beat, piece(take.rng), LOUDNESS[mark], pan)
    return np.tanh(take.tape)


def bass() -> Signal:
    """Mostly the roots of the chords, an octave down where the guitar has them high."""
    take = Take(4)
    for beat, beats, mark in played(3, BASS):
        root = chord(beat)[0]
        take.play(beat, bass_note(root - 12 * (root > 43) + ABOVE[mark], beats * BEAT))
    return take.tape


def guitar() -> Signal:
    """Picking that rings on, strums that go from string to string, and the body of the guitar."""
    take = Take(5)
    for beat, beats, mark in played(4, GUITAR):
        seconds = beats * BEAT + (0.1 if mark in STROKES else 0.5)
        strings = STROKES.get(mark, mark)
        for order, number in enumerate(strings):
            sound = guitar_note(chord(beat)[int(number)], seconds, take.rng.uniform(0.12, 0.2))
            take.play(beat + 0.02 * order, sound, len(strings) ** -0.5, -0.45)
    return take.tape + 0.8 * sum(bandpass(take.tape, 0.9 * f, 1.1 * f) for f in (105, 205, 390))


def piano() -> Signal:
    """Chords without their root, rolled a little; the tremolo goes from side to side."""
    take = Take(6)
    for beat, beats, _ in played(5, PIANO):
        for order, pitch in enumerate(chord(beat)[1:]):
            sound = piano_note(pitch, beats * BEAT, take.rng.uniform(0.6, 1.1))
            take.play(beat + 0.015 * order, sound, pan=0.3)
    sway = 0.15 * np.sin(2 * np.pi * 4.5 * clock(SECONDS))
    return take.tape * (1 + np.stack([sway, -sway]))


def room(dry: Signal, wet: float) -> Signal:
    """Add the sound of a small room: decaying noise, different left and right."""
    time = clock(0.8)
    tail = np.random.default_rng(7).standard_normal((2, len(time))) * np.exp2(-time / 0.09) * (time > 0.012)
    tail = signal.lfilter([0.4], [1, -0.6], tail)
    echo = signal.oaconvolve(dry, tail / np.linalg.norm(tail, axis=1, keepdims=True), axes=1)
    return np.asarray(dry + wet * echo[:, :SAMPLES])


MIX: dict[str, tuple[Callable[[], Signal], float, float]] = {  # player, level in dB, share of the room
    "vocals": (vocals, 0.0, 0.25),
    "drums": (drums, -1.0, 0.12),
    "bass": (bass, -3.0, 0.02),
    "guitar": (guitar, -4.5, 0.2),
    "piano": (piano, -6.5, 0.2),
}


def compose() -> dict[str, Audio]:
    """Play and balance the song: name of part -> (2, samples) float32; they add up to the mixture."""
    fade = np.clip((SECONDS - clock(SECONDS)) / 1.5, 0, 1) ** 2
    parts: dict[str, Signal] = {}
    for name, (player, level, wet) in MIX.items():
        tape = player()
        loud = np.sqrt(np.mean(tape[abs(tape) > 1e-3 * abs(tape).max()] ** 2))
        parts[name] = room(tape * 10 ** (level / 20) / loud, wet) * fade
    gain = PEAK / abs(np.sum(list(parts.values()), axis=0)).max()
    return {name: (gain * part).astype(np.float32) for name, part in parts.items()}


def mix(parts: dict[str, Audio]) -> Audio:
    """Add the parts up: (2, samples) float32."""
    return np.asarray(np.sum(list(parts.values()), axis=0), dtype=np.float32)


def write(path: Path) -> None:
    """Write the mixture as 24-bit FLAC; whoever looks at the path sees the whole file or none."""
    song = mix(compose())
    with TemporaryDirectory(dir=path.parent) as folder:
        scratch = Path(folder, path.name)
        with Encoder(scratch, "flac", "24", Tags("SoundScape demo", "SoundScape")) as encoder:
            encoder.write(song)
        scratch.replace(path)
