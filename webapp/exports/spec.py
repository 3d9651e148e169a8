"""What somebody wants to take along, read from a query or a body and checked. No HTTP beyond that.

A mix is told alike everywhere: <stem>=dB (-inf is silence, 0 where not named), <stem>.pan=-1..1, mute=<stem> and
solo=<stem> as often as needed, master=dB, limiter=1 or 0, tempo=0.5..2, pitch=semitones, start and end in seconds,
format, bits and sample_rate as of stems (WAV, 24 bit, at
the upload's own rate). What is absent changes nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.datastructures import MultiValueDict

from pipeline.options import SOURCE, InvalidOption, Options

if TYPE_CHECKING:
    from pipeline.exports.mix import Mix


KINDS = ("mix", "stem", "stems", "ni")
OF_A_MIX = ("mute", "solo", "master", "limiter", "tempo", "pitch", "start", "end", "format", "bits", "sample_rate")
OF_AN_EXPORT = ("what", "stem")
PLAYABLE = {"format": "wav", "bits": "24", "sample_rate": SOURCE}  # unless asked otherwise
SWITCH = {"1": True, "0": False}
NI_STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class ExportSpec:
    """One file: what (of KINDS), the stem if it is one, the mix if it is that; the rest as in Options."""

    what: str
    stem: str
    mix: "Mix"
    format: str
    bits: str
    sample_rate: str

    @property
    def suffix(self) -> str:
        """How the file's name ends."""
        from pipeline.audio.encode import suffix  # noqa: PLC0415 - see describe

        return {"stems": ".zip", "ni": ".stem.mp4"}.get(self.what) or f".{suffix(self.format)}"

    def filename(self, title: str) -> str:
        """The file's name for a song of that title."""
        names = {"mix": " - mix", "stem": f" - {self.stem}"}
        return f"{title}{names.get(self.what, '')}{self.suffix}"


def export_spec(
    query: MultiValueDict[str, str], names: list[str], beside: tuple[str, ...] = OF_AN_EXPORT
) -> ExportSpec:
    """What a query asks for of a song with those stems; beside: keys known beside a mix's. Raises InvalidOption."""
    what, stem = query.get("what", "mix"), query.get("stem", "")
    _one_of("what", what, KINDS)
    if what == "stem":
        _one_of("stem", stem, names)
    missing = [name for name in NI_STEMS if name not in names]
    if what == "ni" and missing:
        raise InvalidOption(
            f"A file of NI Stems needs {', '.join(NI_STEMS)}. This song has no {' and no '.join(missing)}; "
            "choose its stems anew first."
        )
    asked = {name: query.get(name, usual) for name, usual in PLAYABLE.items()}
    coding = Options(format=asked["format"], bits=asked["bits"], sample_rate=asked["sample_rate"])
    return ExportSpec(what, stem, mix_of(query, names, beside), coding.format, coding.bits, coding.sample_rate)


def mix_of(query: MultiValueDict[str, str], names: list[str], beside: tuple[str, ...]) -> "Mix":
    """The mix of those stems that a query asks for, which may hold other keys beside. Raises InvalidOption."""
    # Here, because it loads NumPy and ffmpeg, which a site that exports nothing does without.
    from pipeline.exports.mix import Lane, Mix  # noqa: PLC0415

    known = [*names, *(f"{name}.pan" for name in names), *OF_A_MIX]
    for key in query:
        if key not in (*known, *beside):
            said = f"{key!r} is no part of a mix. Known: {', '.join(known)}."
            raise InvalidOption(said, key, query[key])
    mute, solo = (_stems(query, key, names) for key in ("mute", "solo"))
    lanes = [
        Lane(
            name,
            db=_number(query, name, 0.0),
            pan=_number(query, f"{name}.pan", 0.0),
            mute=name in mute,
            solo=name in solo,
        )
        for name in names
    ]
    return Mix(
        lanes,
        master_db=_number(query, "master", 0.0),
        limiter=_switch(query, "limiter"),
        tempo=_number(query, "tempo", 1.0),
        pitch=_number(query, "pitch", 0.0),
        start=_number(query, "start", 0.0),
        end=_number(query, "end", 0.0) if "end" in query else None,
    )


def _stems(query: MultiValueDict[str, str], key: str, names: list[str]) -> list[str]:
    for name in query.getlist(key):
        if name not in names:
            raise InvalidOption(f"{key}: there is no stem {name!r}. There are: {', '.join(names)}.", key, name, names)
    return query.getlist(key)


def _number(query: MultiValueDict[str, str], key: str, default: float) -> float:
    try:
        return float(query.get(key) or default)
    except ValueError as error:
        raise InvalidOption(f"{key}: {query[key]!r} is not a number.", key, query[key]) from error


def _switch(query: MultiValueDict[str, str], key: str) -> bool:
    _one_of(key, query.get(key, "0"), tuple(SWITCH))
    return SWITCH[query.get(key, "0")]


def _one_of(field: str, value: str, allowed: tuple[str, ...] | list[str]) -> None:
    if value not in allowed:
        said = f"{field} {value!r} is not known. Choose one of: {', '.join(allowed)}."
        raise InvalidOption(said, field, value, allowed)
