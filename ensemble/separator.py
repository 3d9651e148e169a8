"""A preset, loaded for one song: several networks, one blend, one bleed filter; stems that sum to the mixture."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np

from ensemble import bleed as bleed_filter
from ensemble import chunking, registry
from ensemble.blend import Weights, blend, share_residual, split
from ensemble.errors import ModelUnavailable
from ensemble.networks import runtime
from ensemble.networks.demucs import Demucs, Level, Reader, centred
from ensemble.networks.draft import Unmix
from ensemble.networks.openunmix import OpenUnmix
from ensemble.registry import MIXTURE, RESIDUAL, STEMS, Ensemble, Model
from ensemble.stft import Audio

SPLIT = ("guitar", "piano", "other")  # what `other` is divided into
DIVIDED = frozenset(SPLIT) - {"other"}
BRIEF = 0.1  # overlap where only recurrent networks run, which are nearly as good at the ends of what they hear

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

    def divided(self, mixture: Audio, other: Audio) -> dict[str, Audio]:
        """`other` of a mixture, both (2, segment), in parts named SPLIT that sum to it.

        A network that hears `other` answers just that. One that hears the mixture tells in what ratio it holds them.
        """
        if self.model.hears != MIXTURE:
            return self(other)
        stems = self(mixture)
        return dict(zip(SPLIT, split(other, np.stack([stems[stem] for stem in SPLIT])), strict=True))


class Separator:
    """(2, segment) float32 -> (len(stems), 2, segment) float32 that sum to it.

    wanted: stems that must come out; networks that none of them needs don't run, and what they would have separated
    stays in `other`. Stems that come out anyway are given too. stems are in canonical order; with a bleed filter what
    was removed stands behind them as RESIDUAL. A member that isn't installed is left out and its weight shared among
    the rest; `missing` names it. Raises ModelUnavailable if none is there, InvalidOption for an unknown bleed setting.
    """

    def __init__(
        self,
        preset: Ensemble,
        level: Level,
        bleed: str = registry.DEFAULT_BLEED,
        wanted: Collection[str] = STEMS,
    ) -> None:
        self.preset, self.bleed, self.mean = preset, registry.bleed(bleed), level.mean
        self.shares = {name: dict.fromkeys(SPLIT, weight) for name, weight in preset.split.items()}
        dividing = {} if DIVIDED.isdisjoint(wanted) else self.shares
        self.missing = [name for name in {**preset.members, **dividing} if not registry.installed(name)]
        there, splitters = (
            {name: weights for name, weights in rows.items() if name not in self.missing}
            for rows in (preset.members, dividing)
        )
        self.members = {name: load(name, level) for name in needed(there, wanted)}
        if not self.members:
            raise ModelUnavailable(
                f"No model of the preset {preset.name} is installed. Fetch one with: "
                f"python -m ensemble pull {next(iter(preset.members))}"
            )
        self.splitters = {name: load(name, level) for name in needed(splitters)}
        blended = {stem for name in self.members for stem in there[name]}
        known = {stem for weights in there.values() for stem in weights}
        self.remainder = "other" not in blended or bool(known - blended)
        self.blended = [stem for stem in STEMS if stem in blended and not (self.remainder and stem == "other")]
        parts = {*self.blended, "other", *(SPLIT if self.splitters else ())}
        self.sources = [stem for stem in STEMS if stem in parts]
        self.stems = [*self.sources, *([RESIDUAL] if self.bleed.filters else [])]
        self.segment = max(member.model.segment for member in self.members.values())

    @property
    def loaded(self) -> list[Member]:
        """Every network that runs."""
        return [*self.members.values(), *self.splitters.values()]

    @property
    def overlap(self) -> float:
        """Share of a segment that the next one has in common with it."""
        demucs = any(member.model.architecture == "demucs" for member in self.loaded)
        return chunking.OVERLAP if demucs else BRIEF

    def __call__(self, mixture: Audio) -> Audio:
        """Separate one segment."""
        return finish(mixture, self.estimate(mixture), self.bleed)

    def estimate(self, mixture: Audio) -> Audio:
        """The blend of all members: (len(sources), 2, segment), which need not sum to the mixture."""
        answers = {name: member(mixture) for name, member in self.members.items()}
        stems = dict(zip(self.blended, blend(answers, self.preset.members, self.blended), strict=True))
        if self.remainder:
            stems["other"] = mixture - np.sum(list(stems.values()), axis=0)
        if self.splitters:
            parts = {name: member.divided(mixture, stems["other"]) for name, member in self.splitters.items()}
            stems |= zip(SPLIT, blend(parts, self.shares, SPLIT), strict=True)
        return np.stack([stems[stem] for stem in self.sources])

    def blocks(
        self, read: Reader, samples: int, function: Callable[[Audio], Audio] | None = None
    ) -> Iterator[tuple[int, Audio]]:
        """Finished blocks of a song in time order, (start, (len(stems), 2, n)), or of another function's answers.

        The next one is made while one is used, in another thread: `read` is called from there.
        """
        centre = centred(read, samples, self.mean)
        return chunking.ahead(chunking.overlap_add(function or self, centre, samples, self.segment, self.overlap))

    def count(self, samples: int) -> int:
        """How many blocks a song has."""
        return chunking.blocks_of(samples, self.segment, self.overlap)


def needed(members: Weights, wanted: Collection[str] = STEMS) -> list[str]:
    """The members that the wanted stems need, of those given.

    One without weight runs only for a stem that no other has weight for. Where some stem is not wanted, `other` needs
    no network of its own: it is what the wanted ones leave.
    """
    known = {stem for weights in members.values() for stem in weights}
    asked = known & set(wanted)
    targets = asked if asked == known else asked - {"other"}
    weighted = {stem for weights in members.values() for stem, weight in weights.items() if weight}
    return [
        name
        for name, weights in members.items()
        if any(weight or stem not in weighted for stem, weight in weights.items() if stem in targets)
    ]


def load(name: str, level: Level) -> Member:
    """A verified model on ONNX Runtime. Raises ModelUnavailable."""
    model = registry.model(name)
    session = runtime.session(registry.verified(name))
    if model.architecture == "demucs":
        return Member(model, Demucs(session, level), session.provider)
    network = Unmix if model.architecture == "unmix" else OpenUnmix
    return Member(model, network(session), session.provider)


def finish(mixture: Audio, estimates: Audio, bleed: registry.Bleed) -> Audio:
    """Apply a bleed setting: (sources, 2, samples), and the residual behind them if the setting filters."""
    if not bleed.filters:
        return share_residual(mixture, estimates)
    filtered, residual = bleed_filter.remove_bleed(mixture, estimates, bleed)
    return np.concatenate([filtered, residual[None]])
