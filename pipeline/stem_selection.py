"""Which stems are delivered. The sound of all others goes to `other`, never nowhere. Pure functions.

Vocals and `other` are always delivered, `other` because everything that is ruled out must go somewhere. Beyond these,
the requested stems are separated, or, if none are requested, those that detection in the mixture does not rule out,
which may save a network its work. After separation all are judged: an empty stem, by its level or by the detector, is
merged into `other`. Empty vocals are delivered as silence.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from detector.classifier import ABSENT, PRESENT, Detection
from ensemble.registry import STEMS

ALWAYS = ("vocals", "other")
EMPTY_DB = -40.0  # energy of a stem relative to the mixture's, at or below which it counts as empty


@dataclass(frozen=True, slots=True)
class Merged:
    """A separated stem whose sound is part of `other`.

    presence: of the separated stem, "" if the detector did not run. offered: whether the stem turned out to be there
    after all. empty: whether nothing was separated, so that requesting it gives nothing.
    """

    name: str
    presence: str
    offered: bool
    empty: bool = False


def wanted(asked: Sequence[str], detected: Detection | None, experimental: Collection[str] = ()) -> list[str]:
    """The stems to separate, in canonical order: the requested ones, or those that the mixture does not rule out.

    Experimental stems come on request only.
    """
    if asked:
        return [stem for stem in STEMS if stem in (*ALWAYS, *asked)]
    usual = [stem for stem in STEMS if stem not in experimental]
    return [stem for stem in usual if detected is None or stem in ALWAYS or detected.stems[stem].presence != ABSENT]


def delivered(sources: Sequence[str], wanted: Collection[str]) -> list[str]:
    """The separated stems that are wanted."""
    return [stem for stem in sources if stem in wanted]


def empty(stem: str, confirmed: Detection | None, levels: Mapping[str, float]) -> bool:
    """Whether a separated stem contains nothing of its kind. levels: of each stem in dB relative to the mixture.

    For vocals only the level counts here; see `silent`.
    """
    absent = confirmed is not None and stem not in ALWAYS and confirmed.stems[stem].presence == ABSENT
    return absent or levels[stem] <= EMPTY_DB


def proven(stems: Sequence[str], confirmed: Detection | None, levels: Mapping[str, float]) -> list[str]:
    """The delivered stems that are kept after separation."""
    return [stem for stem in stems if stem in ALWAYS or not empty(stem, confirmed, levels)]


def silent(
    asked: Sequence[str], mixture: Detection | None, confirmed: Detection | None, levels: Mapping[str, float]
) -> list[str]:
    """The delivered stems whose sound is nevertheless part of `other`: vocals in which nobody sings.

    What a network separates as vocals from an instrumental is another instrument. One stage must find no voice at all,
    and the other must not be sure of one, because missing vocals are the worse error. If vocals were requested, they
    are kept unless their level is next to nothing.
    """
    if levels["vocals"] <= EMPTY_DB:
        return ["vocals"]
    if "vocals" in asked or mixture is None or confirmed is None:
        return []
    found = [detected.stems["vocals"].presence for detected in (mixture, confirmed)]
    return ["vocals"] if ABSENT in found and PRESENT not in found else []


def merged(
    sources: Sequence[str],
    stems: Collection[str],
    asked: Sequence[str],
    confirmed: Detection | None,
    levels: Mapping[str, float],
) -> list[Merged]:
    """The separated stems that are not delivered with their own sound.

    Those that the caller excluded are not offered.
    """
    presence = {stem: confirmed.stems[stem].presence if confirmed else "" for stem in sources}
    gone = {stem: empty(stem, confirmed, levels) for stem in sources}
    return [
        Merged(stem, presence[stem], not asked and presence[stem] == PRESENT and not gone[stem], gone[stem])
        for stem in sources
        if stem not in stems
    ]


def parts(stem: str, merged: Collection[str]) -> list[str]:
    """The separated stems that sum to a delivered one. Empty: it is silence."""
    if stem == "other":
        return [stem, *merged]
    return [] if stem in merged else [stem]
