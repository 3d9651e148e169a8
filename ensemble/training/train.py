"""Train SoundScape's own Open-Unmix (network.py): python -m ensemble.training.train CORPUS... --valid DIR -o FILE.

Excerpts of songs in stems are transformed once and remixed several times: first as recorded, then with stems of other
songs, at other levels, with swapped channels, and some left out. The loss is the metric itself, the SDR of each stem in
dB; its error is computed band by band, since each band has one mask. The result is a moving average of the weights.

The randomness of a step depends only on the seed and the step's number, so a run that is killed and resumed gives the
same result as an uninterrupted one.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ensemble.errors import InvalidOption, SeparationError
from ensemble.evaluation.datasets import Song, songs
from ensemble.evaluation.evaluate import FOUR, targets
from ensemble.evaluation.metrics import ratio_db
from ensemble.networks.draft import BAND_OF_BIN, EDGES, WIDTHS, masked
from ensemble.stft import HOP, N_FFT, Audio, stft
from ensemble.training import corpus
from ensemble.training.corpus import Corpus
from ensemble.training.network import CLASS, Unmix, pool

MIXES = 4  # of each batch of excerpts; the first is as recorded
RATE, CLIP = 1e-3, 5.0  # initial learning rate of Adam; largest norm of a gradient
AVERAGE = 0.999  # decay of the moving average of weights
SPREAD = 4.0, 4.0  # dB, standard deviation of the level of a stem, and of the mixture
DROPPED = 0.1  # share of stems left out
NEAR = 1e-3  # of the mixture's energy (-30 dB): smaller errors are ignored, and silent stems have a finite SDR
CHECK = 300.0  # seconds of processor time between two validations
SMOKE = 40  # steps

SPARSE = (1, 1, 2, 8)  # between two edges, learn from every so manyth bin
SAMPLED = torch.cat([torch.arange(*edges, step) for edges, step in zip(pairwise(EDGES), SPARSE, strict=True)])
SAMPLED_EDGES = [int(torch.searchsorted(SAMPLED, edge)) for edge in EDGES]
SAMPLED_WIDTHS = [width // step for width, step in zip(WIDTHS, SPARSE, strict=True)]
BAND_WIDTHS = torch.bincount(torch.from_numpy(BAND_OF_BIN[: EDGES[-1]]))[:, None]

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Parameters of a run, stored in its checkpoint.

    frames: of an excerpt, 3 seconds. batch: excerpts per step. levels: gain of each stem in dB, for a corpus whose
    balance differs from that of the songs it is meant for.
    """

    stems: tuple[str, ...]
    hidden: int = 256
    seed: int = 0
    frames: int = 128
    batch: int = 16
    levels: tuple[float, ...] = ()


class Run:
    """A network in training: weights, their average, the optimiser, and the progress."""

    def __init__(self, plan: Plan, device: str = "cpu") -> None:
        self.plan, self.device, self.step, self.seconds = plan, device, 0, 0.0
        torch.manual_seed(plan.seed)
        self.network, self.average = (Unmix(len(plan.stems), plan.hidden).to(device) for _ in range(2))
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval().requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.network.parameters(), RATE)
        self.best: State = {name: value.clone() for name, value in self.average.state_dict().items()}
        self.history: list[dict[str, float]] = []

    def train(self, source: Corpus) -> Iterator[float]:
        """Train without end, yielding the loss of each step in dB."""
        spectra, drawn = torch.empty(0), -1
        while True:
            number = self.step // MIXES
            if number != drawn:
                spectra, drawn = self.excerpts(source, np.random.default_rng([self.plan.seed, number])), number
            rng = np.random.default_rng([self.plan.seed, number, self.step % MIXES])
            yield self.learn(mixed(spectra, rng, self.plan.levels, as_played=self.step % MIXES == 0))

    def excerpts(self, source: Corpus, rng: np.random.Generator) -> Tensor:
        """Spectra of a batch of excerpts, (batch, stems, 2, real and imaginary, SAMPLED, frames) float32."""
        samples = (self.plan.frames - 1) * HOP + N_FFT
        audio = np.stack([source.excerpt(samples, rng) for _ in range(self.plan.batch)])
        waves = torch.from_numpy(audio).to(self.device)
        window = torch.hann_window(N_FFT, device=self.device)
        spectra = torch.stft(waves.flatten(0, 2), N_FFT, HOP, window=window, center=False, return_complex=True)
        parts = torch.view_as_real(spectra[:, SAMPLED]).permute(0, 3, 1, 2)
        return parts.unflatten(0, waves.shape[:3]).contiguous()

    def learn(self, stems: Tensor) -> float:
        """Make one step on the spectra of stems, shaped as by `excerpts`. Returns the loss in dB."""
        self.network.train()
        mixture = stems.sum(1, keepdim=True)
        energy, shared, own = power(mixture, mixture)[:, 0], power(mixture, stems), power(stems, stems)
        loss = distortion(self.network.masks(energy), energy, shared, own)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self.step += 1
        keep = min(AVERAGE, self.step / (self.step + 10))
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - keep)
        return float(loss.detach())

    def validate(self, listed: Sequence[Song], loss: float) -> dict[str, float]:
        """Append a validation to the history, and keep the weights if they are the best so far."""
        row = {"step": self.step, "minutes": self.seconds / 60, "loss": loss, **scores(self.average, self.plan, listed)}
        if row["mean"] >= max((earlier["mean"] for earlier in self.history), default=-np.inf):
            self.best = {name: value.clone() for name, value in self.average.state_dict().items()}
        self.history.append(row)
        return row

    @property
    def stale(self) -> int:
        """Number of validations since the best one."""
        means = [row["mean"] for row in self.history]
        return len(means) - 1 - int(np.argmax(means)) if means else 0

    def save(self, path: Path) -> None:
        """Write the checkpoint, replacing the file atomically."""
        part = path.with_name(f".{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({
            "klass": CLASS, "kwargs": {"stems": len(self.plan.stems), "hidden": self.plan.hidden}, "state": self.best,
            "plan": asdict(self.plan), "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step, "seconds": self.seconds, "history": self.history,
        }, part)  # fmt: skip
        part.replace(path)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> "Run":
        """Resume from a checkpoint. It is read as numbers only: nothing in it is executed."""
        kept = torch.load(path, map_location=device, weights_only=True)
        run = cls(Plan(**kept["plan"]), device)
        run.network.load_state_dict(kept["network"])
        run.average.load_state_dict(kept["average"])
        run.optimiser.load_state_dict(kept["optimiser"])
        run.best, run.step, run.seconds, run.history = kept["state"], kept["step"], kept["seconds"], kept["history"]
        return run


def mixed(spectra: Tensor, rng: np.random.Generator, levels: Sequence[float] = (), *, as_played: bool) -> Tensor:
    """Remix a batch of stems: levels, swapped channels, omissions, neighbours.

    Parameters
    ----------
    spectra
        (batch, stems, 2, ...) float32.
    rng
        Source of randomness.
    levels
        Gain of each stem in dB.
    as_played
        Whether the stems of an example come from the same excerpt.

    Returns
    -------
    (batch, stems, 2, ...) float32.
    """
    batch, stems = spectra.shape[:2]
    order = [np.arange(batch) if as_played else rng.permutation(batch) for _ in range(stems)]
    level = rng.normal(0, SPREAD[0], (batch, stems)) + rng.normal(0, SPREAD[1], (batch, 1))
    level += levels or [0.0]
    gain = 10 ** (level / 20) * (rng.random((batch, stems)) >= DROPPED)
    swapped = rng.random((batch, stems)) < 0.5
    sides = np.where(swapped[..., None], [1, 0], [0, 1])
    rows, columns = np.stack(order, 1)[..., None], np.arange(stems)[:, None]
    picked = spectra[torch.from_numpy(rows), torch.from_numpy(columns), torch.from_numpy(sides)]
    return picked * torch.from_numpy(gain.astype(np.float32)).to(spectra.device)[..., None, None, None, None]


def power(first: Tensor, second: Tensor) -> Tensor:
    """Mean of Re(first* second) over each band: (..., real and imaginary, SAMPLED, frames) to (..., BANDS, frames)."""
    return pool((first * second).sum(-3), SAMPLED_EDGES, SAMPLED_WIDTHS)


def distortion(masks: Tensor, energy: Tensor, shared: Tensor, own: Tensor) -> Tensor:
    """Negative mean SDR of masked mixtures in dB.

    With one mask m for the bins of a band, the energy of m X - S is the sum over them of m^2 |X|^2 - 2 m Re(X* S) +
    |S|^2.

    Parameters
    ----------
    masks
        (batch, stems, 2, BANDS, frames), 0 to 1.
    energy
        |X|^2, (batch, 2, BANDS, frames).
    shared, own
        Re(X* S) and |S|^2, shaped as the masks.

    Returns
    -------
    A scalar.
    """
    weight = BAND_WIDTHS.to(masks.device)
    error = (masks.square() * energy[:, None] - 2 * masks * shared + own) * weight
    floor = NEAR * (energy * weight).sum((1, 2, 3))[:, None] + 1e-6
    ratio = (error.sum((2, 3, 4)) + floor) / ((own * weight).sum((2, 3, 4)) + floor)
    return 10 * ratio.log10().mean()


# Validation


def scores(network: Unmix, plan: Plan, listed: Sequence[Song]) -> dict[str, float]:
    """Mean SDR over songs of each stem in dB, and their `mean`."""
    found: dict[str, list[float]] = {stem: [] for stem in plan.stems}
    for song in listed:
        mixture, truth = song.load()
        answers = dict(zip(plan.stems, separated(network, mixture), strict=True))
        for stem, true in targets(truth, plan.stems).items():
            if stem in found and true.any():
                found[stem].append(sdr(true, answers[stem]))
    means = {stem: float(np.mean(values)) for stem, values in found.items() if values}
    return means | {"mean": float(np.mean(list(means.values())))}


def separated(network: Unmix, mixture: Audio) -> Audio:
    """Separate a song, (2, samples) float32, into (stems, 2, samples) float32."""
    spectrum = stft(mixture)
    device = network.encode.weight.device
    with torch.no_grad():
        masks = network(torch.from_numpy(np.abs(spectrum))[None].to(device))[0][0].cpu().numpy()
    return masked(mixture, spectrum, masks)


def sdr(true: Audio, estimate: Audio) -> float:
    """SDR in dB of a whole song; both (channels, samples)."""
    return float(ratio_db(np.square(true, dtype=np.float64).sum(), np.square(estimate - true, dtype=np.float64).sum()))


def nothing(plan: Plan, listed: Sequence[Song]) -> float:
    """Mean SDR in dB of the mixture itself, taken as every stem."""
    found: dict[str, list[float]] = {stem: [] for stem in plan.stems}
    for song in listed:
        mixture, truth = song.load()
        for stem, true in targets(truth, plan.stems).items():
            if stem in found and true.any():
                found[stem].append(sdr(true, mixture))
    return float(np.mean([np.mean(values) for values in found.values() if values]))


# Command line


def main(argv: Sequence[str] | None = None) -> int:
    """Start or resume a training run. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.training.train", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("corpus", type=Path, nargs="*", metavar="DIR", help="folders of songs: SONG/STEM.flac")
    parser.add_argument("--valid", type=Path, metavar="DIR", help="validation songs: SONG/mixture.flac, STEM.flac")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the checkpoint; resumed if it exists")
    parser.add_argument("--stems", nargs="+", default=list(FOUR), metavar="STEM")
    parser.add_argument("--hidden", type=int, default=256, help="width of the network (default: 256)")
    parser.add_argument("--levels", type=float, nargs="+", default=[], metavar="DB", help="gain of each stem")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, help="learning rate from now on; lower it when progress stops")
    parser.add_argument("--minutes", type=float, default=60.0, help="processor time to spend (default: 60)")
    parser.add_argument("--patience", type=int, default=12, help="stop after N validations without gain", metavar="N")
    parser.add_argument("--threads", type=int, help="number of threads (default: all)")
    parser.add_argument("--cache", type=Path, default=Path("data/stems"), metavar="DIR", help="cache of decoded songs")
    parser.add_argument(
        "--smoke", action="store_true", help="train for a minute on two synthetic songs and check that the loss falls"
    )
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        if arguments.smoke:
            return smoke()
        train(arguments)
    except SeparationError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def train(arguments: argparse.Namespace) -> None:
    """Train until the time is up or nothing is gained, saving at every validation."""
    if not (arguments.corpus and arguments.valid and arguments.output):
        raise InvalidOption("Training needs folders of songs, --valid DIR and -o FILE; or use --smoke.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if len(arguments.levels) not in (0, len(arguments.stems)):
        raise InvalidOption(f"--levels needs one value for each of {', '.join(arguments.stems)}.")
    plan = Plan(tuple(arguments.stems), arguments.hidden, arguments.seed, levels=tuple(arguments.levels))
    run = Run.load(arguments.output, device) if arguments.output.exists() else Run(plan, device)
    if arguments.rate:
        run.optimiser.param_groups[0]["lr"] = arguments.rate
    source = corpus.load(arguments.corpus, run.plan.stems, arguments.cache)
    listed = songs(arguments.valid, "folder")
    print(f"{len(source.songs)} songs; mixture as every stem: {nothing(run.plan, listed):.2f} dB", flush=True)
    end, losses, checked = run.seconds + 60 * arguments.minutes, list[float](), run.seconds
    began, before = time.process_time(), run.seconds
    for loss in run.train(source):
        losses.append(loss)
        run.seconds = before + time.process_time() - began
        if run.seconds - checked >= CHECK or run.seconds >= end:
            row = run.validate(listed, float(np.mean(losses)))
            print("  ".join(f"{name} {value:.2f}" for name, value in row.items()), flush=True)
            run.save(arguments.output)
            losses, checked = [], run.seconds
            if run.seconds >= end or run.stale >= arguments.patience:
                return


def smoke() -> int:
    """Train a small network on two synthetic songs for a few steps. Returns 0 if the loss fell."""
    torch.set_num_threads(1)  # more threads are slower on so little data
    with tempfile.TemporaryDirectory() as folder:
        source = corpus.load([corpus.made_up(Path(folder, "songs"))], FOUR, Path(folder, "cache"))
        run = Run(Plan(FOUR, hidden=32, frames=24, batch=4))
        losses = [loss for _, loss in zip(range(SMOKE), run.train(source), strict=False)]
    fifth = SMOKE // 5
    first, last = float(np.mean(losses[:fifth])), float(np.mean(losses[-fifth:]))
    print(f"loss {first:.2f} dB in the first {fifth} steps, {last:.2f} dB in the last of {SMOKE}")
    return 0 if last < first - 1 else 1


if __name__ == "__main__":
    sys.exit(main())
