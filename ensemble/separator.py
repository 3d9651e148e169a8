"""A preset, loaded for one song: several networks, one blend, one bleed filter; stems that sum to the mixture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ensemble import chunking, registry, runtime, wiener
from ensemble.blend import blend, share_residual, split
from ensemble.demucs import Demucs, Level, Reader, centred
from ensemble.errors import ModelUnavailable
from ensemble.openunmix import OpenUnmix
from ensemble.registry import RESIDUAL, STEMS, Ensemble, Model
from ensemble.stft import Audio

SPLIT = ("guitar", "piano", "other")  # what a six-stem model divides `other` into

Network = Callable[[Audio], Audio]


@dataclass(frozen=True, slots=True)
class Member:
    """An installed model of a preset, ready to run."""

    model: Model
    network: Network
    provider: str

    def __call__(self, mixture: Audio) -> dict[str, Audio]:
        """(2, segment) -> its stems."""
        return dict(zip(self.model.stems, self.network(mixture), strict=True))


class Separator:
    """(2, segment) float32 -> (len(stems), 2, segment) float32 that sum to it.

    stems are in canonical order; with a bleed filter what was removed stands behind them as RESIDUAL. A member that
    isn't installed is left out and its weight shared among the rest; `missing` names it. Raises ModelUnavailable if
    none is there, InvalidOption for an unknown bleed setting.
    """

    def __init__(self, preset: Ensemble, level: Level, bleed: str = registry.DEFAULT_BLEED) -> None:
        self.preset, self.bleed, self.mean = preset, registry.bleed(bleed), level.mean
        names = dict.fromkeys([*preset.members, *([preset.split] if preset.split else [])])
        self.missing = [name for name in names if not registry.installed(name)]
        self.members = {name: load(name, level) for name in _needed(preset, self.missing)}
        if not self.members:
            raise ModelUnavailable(
                f"No model of the preset {preset.name} is installed. Fetch one with: "
                f"python -m ensemble pull {next(iter(preset.members))}"
            )
        self.splitter = load(preset.split, level) if preset.split and preset.split not in self.missing else None
        known = {stem for member in self.members.values() for stem in member.model.stems}
        self.sources = [stem for stem in STEMS if stem in known or (self.splitter and stem in SPLIT)]
        self.stems = [*self.sources, *([RESIDUAL] if self.bleed.filters else [])]
        self.segment = max(member.model.segment for member in self.members.values())

    @property
    def loaded(self) -> list[Member]:
        """Every network that runs."""
        return [*self.members.values(), *([self.splitter] if self.splitter else [])]

    def __call__(self, mixture: Audio) -> Audio:
        """Separate one segment."""
        return finish(mixture, self.estimate(mixture), self.bleed)

    def estimate(self, mixture: Audio) -> Audio:
        """The blend of all members: (len(sources), 2, segment), which need not sum to the mixture."""
        answers = {name: member(mixture) for name, member in self.members.items()}
        if self.splitter is None:
            return blend(answers, self.preset.members, self.sources)
        four = [stem for stem in self.sources if stem not in SPLIT]
        blended = blend(answers, self.preset.members, [*four, "other"])
        parts = self.splitter(mixture)
        divided = dict(zip(SPLIT, split(blended[-1], np.stack([parts[stem] for stem in SPLIT])), strict=True))
        stems = dict(zip(four, blended, strict=False)) | divided
        return np.stack([stems[stem] for stem in self.sources])

    def blocks(
        self, read: Reader, samples: int, function: Callable[[Audio], Audio] | None = None
    ) -> Iterator[tuple[int, Audio]]:
        """Finished blocks of a song in time order, (start, (len(stems), 2, n)), or of another function's answers."""
        return chunking.overlap_add(function or self, centred(read, samples, self.mean), samples, self.segment)

    def count(self, samples: int) -> int:
        """How many blocks a song has."""
        return chunking.blocks_of(samples, self.segment)


def _needed(preset: Ensemble, missing: list[str]) -> list[str]:
    """The installed members that count: one without weight runs only for a stem that no other has weight for."""
    there = {name: weights for name, weights in preset.members.items() if name not in missing}
    weighted = {stem for weights in there.values() for stem, weight in weights.items() if weight}
    return [name for name, weights in there.items() if any(weights.values()) or set(weights) - weighted]


def load(name: str, level: Level) -> Member:
    """A verified model on ONNX Runtime. Raises ModelUnavailable."""
    model = registry.model(name)
    session = runtime.session(registry.verified(name))
    network = Demucs(session, level) if model.architecture == "demucs" else OpenUnmix(session)
    return Member(model, network, session.provider)


def finish(mixture: Audio, estimates: Audio, bleed: registry.Bleed) -> Audio:
    """Apply a bleed setting: (sources, 2, samples), and the residual behind them if the setting filters."""
    if not bleed.filters:
        return share_residual(mixture, estimates)
    filtered, residual = wiener.remove_bleed(mixture, estimates, bleed)
    return np.concatenate([filtered, residual[None]])
