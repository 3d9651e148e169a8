"""Quality measures without reference stems: level, clipping, and an estimate of bleed.

Bleed is estimated as the share of a stem's energy that the other stems explain: in each band and for 4 seconds at a
time, the stem is fitted by least squares as a sum of the others. Correlated stems may be bleed, or a band that plays
tightly together; so this is not a measurement, but an order in which to check stems. Over 36 stems of 11 songs with
known stems, separated by the default preset, it correlates with -SDR by 0.74 and with -SIR by 0.57.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.bleed import FRAMES, bands
from ensemble.levels import decibels
from ensemble.stft import HOP, Spectrum, stft
from pipeline.audio.recording import Audio, Recording
from pipeline.options import RESIDUAL
from pipeline.spool import Spool

MIXTURE = "mixture"
CHUNK = FRAMES * HOP  # samples analysed at a time
FULL_SCALE = 1 - 2.0**-15  # the largest 16-bit sample
IN_A_ROW = 3  # consecutive samples at full scale that count as clipping
POWER_FLOOR = 1e-12  # avoids singular matrices on silence
RIDGE = 1e-9  # of the total power, so that silence explains nothing
FLOOR_DB = -200.0  # the level of nothing


@dataclass(frozen=True, slots=True)
class Evidence:
    """Measurements of the mixture or of a stem.

    level_db: energy relative to the mixture's. peak_db: largest sample relative to full scale. clipped: share of
    samples in runs of IN_A_ROW or more at full scale. bleed_db: energy that the other stems explain, relative to the
    stem's own; None for the mixture and the residual.
    """

    level_db: float
    peak_db: float
    clipped: float
    bleed_db: float | None = None


@dataclass
class _Tally:
    """Running sums over one signal."""

    samples: int = 0
    energy: float = 0.0
    peak: float = 0.0
    clipped: int = 0

    def add(self, audio: Audio) -> None:
        self.samples += audio.size
        self.energy += float(np.square(audio, dtype=np.float64).sum())
        self.peak = max(self.peak, float(np.abs(audio).max(initial=0.0)))
        self.clipped += clipped(audio)

    def evidence(self, whole: float, bleed_db: float | None) -> Evidence:
        clipped = round(self.clipped / self.samples, 6)
        return Evidence(relative_level(self.energy, whole), relative_level(self.peak**2, 1.0), clipped, bleed_db)


def weigh(recording: Recording, spool: Spool, files: Mapping[str, Sequence[str]], gain: float) -> dict[str, Evidence]:
    """Measure the mixture and each file, which is a sum of spooled stems times `gain`."""
    tallies = {name: _Tally() for name in (MIXTURE, *files)}
    stems = [name for name in files if name != RESIDUAL]
    foreign = np.zeros((2, len(stems)))
    for start in range(0, recording.samples, CHUNK):
        stop = min(start + CHUNK, recording.samples)
        sounds = {name: spool.sum(parts, start, stop) * np.float32(gain) for name, parts in files.items()}
        for name, audio in {MIXTURE: recording.read(start, stop), **sounds}.items():
            tallies[name].add(audio)
        foreign += explained(np.stack([stft(sounds[name]) for name in stems]))
    bleed = {name: relative_level(*energies) for name, *energies in zip(stems, *foreign.tolist(), strict=True)}
    whole = tallies[MIXTURE].energy
    return {name: tally.evidence(whole, bleed.get(name)) for name, tally in tallies.items()}


def clipped(audio: Audio) -> int:
    """Number of samples of a signal, (channels, n) float32, that complete a run of IN_A_ROW or more at full scale."""
    row = np.abs(audio) >= FULL_SCALE
    for _ in range(IN_A_ROW - 1):
        row = row[:, 1:] & row[:, :-1]
    return int(np.count_nonzero(row))


def explained(spectra: Spectrum) -> NDArray[np.float64]:
    """Energy of each source that the others explain, by least squares in each band.

    Parameters
    ----------
    spectra
        (sources, channels, BINS, frames) complex64.

    Returns
    -------
    (2, sources) float64, in the spectrum's own unit: the explained energy, and the total energy.
    """
    total = np.zeros((2, len(spectra)))
    for first, after in bands():
        flat = spectra[:, :, first:after].reshape(len(spectra), -1)
        gram = (flat @ flat.conj().T).real.astype(np.float64)
        total += _projected(gram), np.diag(gram)
    return total


def _projected(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy of each signal's least-squares projection onto the others, from the matrix of inner products."""
    ridge = RIDGE * np.trace(gram) + POWER_FLOOR
    energies = np.zeros(len(gram))
    for index in range(len(gram)):
        others = np.arange(len(gram)) != index
        shared = gram[others, index]
        energies[index] = shared @ np.linalg.solve(gram[np.ix_(others, others)] + ridge * np.eye(len(shared)), shared)
    return energies


def relative_level(part: float, whole: float) -> float:
    """Level of an energy relative to another one in dB, FLOOR_DB or more, rounded to 0.01 dB."""
    ratio = part / whole if whole else part
    return round(float(decibels(ratio, 10 ** (FLOOR_DB / 10))), 2)
