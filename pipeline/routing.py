"""Which stems come out, and where the sound of the others goes: to `other`, never to nothing. Pure functions.

Vocals come always, and `other`, because what is ruled out must be somewhere. Beyond that a caller's wish is law;
without one the song decides, twice: listening to the mixture rules out what is clearly absent, which may save a network
its work; then the separated stems are listened to, and one that proves empty is folded back into `other`. Vocals that
prove empty come as silence.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from detector.classifier import ABSENT, PRESENT, Detection
from ensemble.registry import STEMS

ALWAYS = ("vocals", "other")


@dataclass(frozen=True, slots=True)
class Folded:
    """A stem whose sound is in `other`. presence: of the separated stem, "" if unheard. offered: there after all."""

    name: str
    presence: str
    offered: bool


def wanted(asked: Sequence[str], heard: Detection | None, experimental: Collection[str] = ()) -> list[str]:
    """Stems to separate, in canonical order: what is asked for, or what the mixture does not rule out.

    Unasked nothing experimental comes.
    """
    if asked:
        return [stem for stem in STEMS if stem in (*ALWAYS, *asked)]
    usual = [stem for stem in STEMS if stem not in experimental]
    return [stem for stem in usual if heard is None or stem in ALWAYS or heard.stems[stem].presence != ABSENT]


def delivered(sources: Sequence[str], wanted: Collection[str]) -> list[str]:
    """Those of the separated stems that come out."""
    return [stem for stem in sources if stem in wanted]


def proven(stems: Sequence[str], asked: Sequence[str], confirmed: Detection | None) -> list[str]:
    """Those of the delivered stems that stay, now that they have been listened to."""
    if asked or confirmed is None:
        return list(stems)
    return [stem for stem in stems if stem in ALWAYS or confirmed.stems[stem].presence != ABSENT]


def silent(asked: Sequence[str], mixture: Detection | None, confirmed: Detection | None) -> list[str]:
    """Those of the stems that always come whose sound is in `other` nevertheless: vocals that nobody sings.

    What a network takes for a voice in an instrumental is another instrument. One stage must hear no voice at all, and
    the other none for sure, because a voice that isn't where people look for it is the worse fault.
    """
    if "vocals" in asked or mixture is None or confirmed is None:
        return []
    found = [heard.stems["vocals"].presence for heard in (mixture, confirmed)]
    return ["vocals"] if ABSENT in found and PRESENT not in found else []


def folded(
    sources: Sequence[str], stems: Sequence[str], asked: Sequence[str], confirmed: Detection | None
) -> list[Folded]:
    """The separated stems that aren't among those heard. What the caller left out on purpose is not offered."""
    presence = {stem: confirmed.stems[stem].presence if confirmed else "" for stem in sources}
    return [
        Folded(stem, presence[stem], not asked and presence[stem] == PRESENT) for stem in sources if stem not in stems
    ]


def parts(stem: str, folded: Collection[str]) -> list[str]:
    """The separated stems that a delivered one is the sum of; none: it is silence."""
    if stem == "other":
        return [stem, *folded]
    return [] if stem in folded else [stem]
