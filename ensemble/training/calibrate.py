"""Masks that are as sure as they deserve to be: python -m ensemble.training.calibrate FILE --valid DIR -o FILE.

Masks that were learnt from other music are too sure of themselves and expect each stem as loud as it was there. A
temperature (Guo et al. 2017) and an offset for each stem are fitted on the validation songs and folded into the last
layers of the best weights of a checkpoint of train.py. Those are so few numbers that they hardly learn the songs; what
they gain on songs that they weren't fitted on is told.
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

EVERY = 4  # frames of which one is fitted on
ROUNDS = 20  # of the optimiser; it has settled by then
LEAST = 1e-6  # of a mask, whose logarithm is taken


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network says of a song, and what decides how good that is; all of it by bands.

    logits (stems, 2, BANDS, frames), power (2, BANDS, frames) of the mixture, and of each stem that the song has, by
    its number, the share of it in the mixture, Re(X* S), shaped as power, and its whole energy.
    """

    logits: Tensor
    power: Tensor
    stems: dict[int, tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The logits of masks times `temperature` plus `offsets`, one for each stem."""

    temperature: Tensor
    offsets: Tensor

    def masks(self, logits: Tensor) -> Tensor:
        """(stems, 2, BANDS, frames)."""
        return (logits * self.temperature + self.offsets[:, None, None, None]).softmax(0)

    def fold_into(self, network: Unmix) -> None:
        """Make the network answer so by itself."""
        with torch.no_grad():
            for head, offset in zip(network.decode, self.offsets, strict=True):
                head.weight.mul_(self.temperature)
                head.bias.mul_(self.temperature).add_(offset)


def answers(network: Unmix, plan: Plan, song: Song) -> Answers:
    """Those of every EVERYth frame."""
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
    """The SDR in dB, its mean over the songs of each stem, and then over the stems; each song has its calibration."""
    found: dict[int, list[Tensor]] = {}
    for song, calibration in zip(listed, calibrations, strict=True):
        masks = calibration.masks(song.logits)
        for number, (shared, energy) in song.stems.items():
            mask = masks[number]
            error = ((mask.square() * song.power - 2 * mask * shared) * BAND_WIDTHS).sum() + energy
            found.setdefault(number, []).append(10 * (energy / error).log10())
    return torch.stack([torch.stack(values).mean() for values in found.values()]).mean()


def fit(listed: Sequence[Answers]) -> Calibration:
    """The calibration of best quality."""
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
    """What calibration gains in dB of quality if every song has that which was fitted on the others."""
    plain = Calibration(torch.ones(()), torch.zeros(len(listed[0].logits)))
    others = [fit([*listed[:number], *listed[number + 1 :]]) for number in range(len(listed))]
    return float(quality(listed, others) - quality(listed, [plain] * len(listed)))


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate, and say what it gains. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.training.calibrate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("checkpoint", type=Path, metavar="FILE", help="of python -m ensemble.training.train")
    parser.add_argument("--valid", type=Path, required=True, metavar="DIR", help="songs: SONG/mixture.flac, STEM.flac")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a checkpoint to export")
    arguments = parser.parse_args(argv)
    try:
        calibrate(Run.load(arguments.checkpoint), songs(arguments.valid, "folder")).save(arguments.output)
    except SeparationError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def calibrate(run: Run, listed: Sequence[Song]) -> Run:
    """The same run, its best weights calibrated."""
    network, plan = run.average, run.plan
    network.load_state_dict(run.best)
    print(f"doing nothing: {nothing(plan, listed):.2f} dB; so far: {_told(run, listed)}", flush=True)
    found = [each for each in (answers(network, plan, song) for song in listed) if each.stems]
    print(f"calibration gains {unseen(found):.2f} dB on songs that it wasn't fitted on", flush=True)
    calibration = fit(found)
    calibration.fold_into(network)
    numbers = "  ".join(f"{stem} {offset:+.2f}" for stem, offset in zip(plan.stems, calibration.offsets, strict=True))
    print(f"temperature {calibration.temperature:.2f}  {numbers}\ncalibrated: {_told(run, listed)}", flush=True)
    run.best = network.state_dict()
    return run


def _told(run: Run, listed: Sequence[Song]) -> str:
    return "  ".join(f"{name} {value:.2f}" for name, value in scores(run.average, run.plan, listed).items())


if __name__ == "__main__":
    sys.exit(main())
