"""Which stems come out, and where the sound of the others goes: to `other`, never to nothing. Pure functions.

Vocals come always, and `other`, because what is ruled out must be somewhere. Beyond that those come that the caller
asks for, or, if nothing is asked for, those that listening to the mixture does not rule out, which may save a network
its work. What was separated is judged either way: a stem that is empty, by its level or by the detector, is merged back
into `other`. Vocals that are empty come as silence.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from detector.classifier import ABSENT, PRESENT, Detection
from ensemble.registry import STEMS

ALWAYS = ("vocals", "other")
EMPTY_DB = -40.0  # energy of a stem against the mixture's, from which on nobody would miss it


@dataclass(frozen=True, slots=True)
class Merged:
    """A stem whose sound is in `other`.

    presence: of the separated stem, "" if it was not listened to. offered: there after all. empty: nothing came out of
    the separation, so that asking for it again gives nothing.
    """

    name: str
    presence: str
    offered: bool
    empty: bool = False


def wanted(asked: Sequence[str], detected: Detection | None, experimental: Collection[str] = ()) -> list[str]:
    """Stems to separate, in canonical order: what is asked for, or what the mixture does not rule out.

    Unasked nothing experimental comes.
    """
    if asked:
        return [stem for stem in STEMS if stem in (*ALWAYS, *asked)]
    usual = [stem for stem in STEMS if stem not in experimental]
    return [stem for stem in usual if detected is None or stem in ALWAYS or detected.stems[stem].presence != ABSENT]


def delivered(sources: Sequence[str], wanted: Collection[str]) -> list[str]:
    """Those of the separated stems that come out."""
    return [stem for stem in sources if stem in wanted]


def empty(stem: str, confirmed: Detection | None, levels: Mapping[str, float]) -> bool:
    """Whether a separated stem holds nothing of its kind. levels: of each in dB against the mixture.

    For vocals only the level counts here; see `silent`.
    """
    absent = confirmed is not None and stem not in ALWAYS and confirmed.stems[stem].presence == ABSENT
    return absent or levels[stem] <= EMPTY_DB


def proven(stems: Sequence[str], confirmed: Detection | None, levels: Mapping[str, float]) -> list[str]:
    """Those of the delivered stems that stay, now that they are separated."""
    return [stem for stem in stems if stem in ALWAYS or not empty(stem, confirmed, levels)]


def silent(
    asked: Sequence[str], mixture: Detection | None, confirmed: Detection | None, levels: Mapping[str, float]
) -> list[str]:
    """Those of the stems that always come whose sound is in `other` nevertheless: vocals that nobody sings.

    What a network takes for a voice in an instrumental is another instrument. One stage must hear no voice at all, and
    the other none for sure, because a voice that isn't where people look for it is the worse fault. Who asks for vocals
    gets what there is, unless it is next to nothing.
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
    """The separated stems that aren't among those heard. What the caller left out on purpose is not offered."""
    presence = {stem: confirmed.stems[stem].presence if confirmed else "" for stem in sources}
    gone = {stem: empty(stem, confirmed, levels) for stem in sources}
    return [
        Merged(stem, presence[stem], not asked and presence[stem] == PRESENT and not gone[stem], gone[stem])
        for stem in sources
        if stem not in stems
    ]


def parts(stem: str, merged: Collection[str]) -> list[str]:
    """The separated stems that a delivered one is the sum of; none: it is silence."""
    if stem == "other":
        return [stem, *merged]
    return [] if stem in merged else [stem]
