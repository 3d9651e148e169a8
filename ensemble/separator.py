"""A preset loaded for one song: several networks, one blend, one bleed filter, and stems that sum to the mixture."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np

from ensemble import bleed as bleed_filter
from ensemble import chunking, registry
from ensemble.blend import Weights, blend, share_residual, split
from ensemble.errors import ModelUnavailable
from ensemble.networks import runtime
from ensemble.networks.demucs import Demucs, Level, centred
from ensemble.networks.draft import Unmix
from ensemble.networks.openunmix import OpenUnmix
from ensemble.registry import MIXTURE, RESIDUAL, STEMS, Ensemble, Model
from ensemble.stft import Audio, Reader

SPLIT = ("guitar", "piano", "other")  # the parts of `other`
DIVIDED = frozenset(SPLIT) - {"other"}
BRIEF = 0.1  # overlap for recurrent networks alone, which are nearly as good at the edges of a segment

Network = Callable[[Audio], Audio]


@dataclass(frozen=True, slots=True)
class Member:
    """An installed model of a preset, ready to run."""

    model: Model
    network: Network
    provider: str

    def __call__(self, mixture: Audio) -> dict[str, Audio]:
        """Separate a mixture, (2, segment) float32, into the model's stems by name, each of that shape."""
        return dict(zip(self.model.stems, self.network(mixture), strict=True))

    def divided(self, mixture: Audio, other: Audio) -> dict[str, Audio]:
        """Divide the stem `other` into parts named SPLIT that sum to it.

        A network trained on `other` separates it directly. One trained on mixtures provides the ratios of the parts.

        Parameters
        ----------
        mixture, other
            (2, segment) float32.

        Returns
        -------
        (2, segment) float32 by name.
        """
        if self.model.input != MIXTURE:
            return self(other)
        stems = self(mixture)
        return dict(zip(SPLIT, split(other, np.stack([stems[stem] for stem in SPLIT])), strict=True))


class Separator:
    """Separate segments of one song: (2, segment) float32 -> (len(stems), 2, segment) float32, which sum to the input.

    Parameters
    ----------
    preset
        Models and their weights. A member that isn't installed is left out, listed in `missing`, and its weight goes to
        the rest.
    level
        Mean and standard deviation of the whole song.
    bleed
        Name of a bleed setting.
    wanted
        Required stems. Networks that none of them needs don't run, and their sound stays in `other`; stems that come
        for free are returned too.

    Attributes
    ----------
    sources
        Separated stems in canonical order.
    stems
        `sources`, and RESIDUAL if the bleed setting filters.

    Raises
    ------
    ModelUnavailable
        No member of the preset is installed.
    InvalidOption
        The bleed setting is unknown.
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
        """All networks that run."""
        return [*self.members.values(), *self.splitters.values()]

    @property
    def overlap(self) -> float:
        """Share of a segment that it has in common with the next one."""
        demucs = any(member.model.architecture == "demucs" for member in self.loaded)
        return chunking.OVERLAP if demucs else BRIEF

    def __call__(self, mixture: Audio) -> Audio:
        """Separate one segment, (2, segment) float32, into (len(stems), 2, segment)."""
        return finish(mixture, self.estimate(mixture), self.bleed)

    def estimate(self, mixture: Audio) -> Audio:
        """Blend the members' answers for one segment, without a bleed filter.

        Parameters
        ----------
        mixture
            (2, segment) float32.

        Returns
        -------
        (len(sources), 2, segment) float32, which need not sum to the mixture.
        """
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
        """Separate a song block by block, computing one block ahead in a background thread.

        Parameters
        ----------
        read
            read(start, stop) -> (2, stop - start) float32, called from the background thread.
        samples
            Length of the song.
        function
            Applied to each segment instead of the separator itself.

        Yields
        ------
        (start, block) in time order, where block is (len(stems), 2, n) float32.
        """
        centre = centred(read, samples, self.mean)
        return chunking.ahead(chunking.overlap_add(function or self, centre, samples, self.segment, self.overlap))

    def count(self, samples: int) -> int:
        """Number of blocks in a song of so many samples."""
        return chunking.blocks_of(samples, self.segment, self.overlap)


def needed(members: Weights, wanted: Collection[str] = STEMS) -> list[str]:
    """Select the members that the wanted stems need.

    A model without weight runs only for a stem that no other model has weight for. If some stem is not wanted, `other`
    needs no network of its own: it is what the wanted stems leave.
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
    """Load a verified model into ONNX Runtime. Raises ModelUnavailable."""
    model = registry.model(name)
    session = runtime.session(registry.verified(name))
    if model.architecture == "demucs":
        return Member(model, Demucs(session, level), session.provider)
    network = Unmix if model.architecture == "unmix" else OpenUnmix
    return Member(model, network(session), session.provider)


def finish(mixture: Audio, estimates: Audio, bleed: registry.Bleed) -> Audio:
    """Apply a bleed setting to separated stems.

    Parameters
    ----------
    mixture
        (2, samples) float32.
    estimates
        (sources, 2, samples) float32.
    bleed
        A setting; if it doesn't filter, the estimates are only made to sum to the mixture.

    Returns
    -------
    (sources, 2, samples) float32, or (sources + 1, 2, samples) with the residual last if the setting filters.
    """
    if not bleed.filters:
        return share_residual(mixture, estimates)
    filtered, residual = bleed_filter.remove_bleed(mixture, estimates, bleed)
    return np.concatenate([filtered, residual[None]])
