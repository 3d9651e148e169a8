"""Calibrate the masks of a trained network: python -m ensemble.training.calibrate FILE --valid DIR -o FILE.

Masks learnt from one kind of music are overconfident on another and expect its balance of stems. A temperature (Guo et
al. 2017, "On Calibration of Modern Neural Networks") and an offset per stem are fitted on the validation songs and
built into the last layers of the best weights of a checkpoint of train.py. So few parameters hardly overfit; the
command prints the gain on held-out songs.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ensemble.errors import SeparationError
from ensemble.evaluation.datasets import Song, songs
from ensemble.evaluation.evaluate import targets
from ensemble.stft import stft
from ensemble.training.network import Unmix, pool
from ensemble.training.train import BAND_WIDTHS, Plan, Run, nothing, scores

EVERY = 4  # use every fourth frame
ROUNDS = 20  # of the optimiser, which has converged by then
LEAST = 1e-6  # value of a mask before the logarithm


@dataclass(frozen=True, slots=True)
class Answers:
    """A network's answer for a song, and the quantities that its quality depends on, by band.

    logits: (stems, 2, BANDS, frames). power: (2, BANDS, frames), of the mixture. stems: for each stem of the song, by
    number, its share in the mixture Re(X* S), shaped as power, and its energy.
    """

    logits: Tensor
    power: Tensor
    stems: dict[int, tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Masks whose logits are multiplied by `temperature` and shifted by an offset per stem."""

    temperature: Tensor
    offsets: Tensor

    def masks(self, logits: Tensor) -> Tensor:
        """Calibrated masks, (stems, 2, BANDS, frames), from logits of that shape."""
        return (logits * self.temperature + self.offsets[:, None, None, None]).softmax(0)

    def bake_into(self, network: Unmix) -> None:
        """Change the weights of the network so that its own masks are calibrated."""
        with torch.no_grad():
            for head, offset in zip(network.decode, self.offsets, strict=True):
                head.weight.mul_(self.temperature)
                head.bias.mul_(self.temperature).add_(offset)


def answers(network: Unmix, plan: Plan, song: Song) -> Answers:
    """Run the network on a song and collect every EVERYth frame."""
    mixture, truth = song.load()
    spectrum = torch.from_numpy(stft(mixture))
    power = pool(spectrum.abs().square())
    stems = {}
    for stem, audio in targets(truth, plan.stems).items():
        if stem in plan.stems and audio.any():
            true = torch.from_numpy(stft(audio))
            shared = pool((spectrum.conj() * true).real)[..., ::EVERY]
            stems[plan.stems.index(stem)] = shared, true[..., ::EVERY].abs().square().sum()
    with torch.no_grad():
        masks = network.masks(power[None])[0][..., ::EVERY]
    return Answers(masks.clamp_min(LEAST).log(), power[..., ::EVERY], stems)


def quality(listed: Sequence[Answers], calibrations: Sequence[Calibration]) -> Tensor:
    """Mean SDR in dB over the songs of each stem, then over stems, as a tensor of shape ().

    Each song has its own calibration.
    """
    found: dict[int, list[Tensor]] = {}
    for song, calibration in zip(listed, calibrations, strict=True):
        masks = calibration.masks(song.logits)
        for number, (shared, energy) in song.stems.items():
            mask = masks[number]
            error = ((mask.square() * song.power - 2 * mask * shared) * BAND_WIDTHS).sum() + energy
            found.setdefault(number, []).append(10 * (energy / error).log10())
    return torch.stack([torch.stack(values).mean() for values in found.values()]).mean()


def fit(listed: Sequence[Answers]) -> Calibration:
    """Find the calibration of best quality."""
    stems = len(listed[0].logits)
    temperature, offsets = torch.ones((), requires_grad=True), torch.zeros(stems, requires_grad=True)
    calibration = Calibration(temperature, offsets)
    optimiser = torch.optim.LBFGS([temperature, offsets], max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = -quality(listed, [calibration] * len(listed))
        value.backward()
        return value

    optimiser.step(loss)
    return Calibration(temperature.detach(), (offsets - offsets.mean()).detach())


def unseen(listed: Sequence[Answers]) -> float:
    """Gain in quality in dB if each song uses the calibration fitted on the others."""
    plain = Calibration(torch.ones(()), torch.zeros(len(listed[0].logits)))
    others = [fit([*listed[:number], *listed[number + 1 :]]) for number in range(len(listed))]
    return float(quality(listed, others) - quality(listed, [plain] * len(listed)))


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate a checkpoint, print the gain, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.training.calibrate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("checkpoint", type=Path, metavar="FILE", help="checkpoint of python -m ensemble.training.train")
    parser.add_argument("--valid", type=Path, required=True, metavar="DIR", help="songs: SONG/mixture.flac, STEM.flac")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the calibrated checkpoint")
    arguments = parser.parse_args(argv)
    try:
        calibrate(Run.load(arguments.checkpoint), songs(arguments.valid, "folder")).save(arguments.output)
    except SeparationError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def calibrate(run: Run, listed: Sequence[Song]) -> Run:
    """Calibrate the best weights of a run, and return the run."""
    network, plan = run.average, run.plan
    network.load_state_dict(run.best)
    print(f"mixture as every stem: {nothing(plan, listed):.2f} dB; before: {_summary(run, listed)}", flush=True)
    found = [each for each in (answers(network, plan, song) for song in listed) if each.stems]
    print(f"calibration gains {unseen(found):.2f} dB on held-out songs", flush=True)
    calibration = fit(found)
    calibration.bake_into(network)
    numbers = "  ".join(f"{stem} {offset:+.2f}" for stem, offset in zip(plan.stems, calibration.offsets, strict=True))
    print(f"temperature {calibration.temperature:.2f}  {numbers}\ncalibrated: {_summary(run, listed)}", flush=True)
    run.best = network.state_dict()
    return run


def _summary(run: Run, listed: Sequence[Song]) -> str:
    return "  ".join(f"{name} {value:.2f}" for name, value in scores(run.average, run.plan, listed).items())


if __name__ == "__main__":
    sys.exit(main())
