"""Specifications of exports, parsed from a query string or a body and validated.

A mix is described in the same way everywhere: <stem>=dB (-inf is silence; the default is 0), <stem>.pan=-1..1,
mute=<stem> and solo=<stem>, which may be repeated, master=dB, limiter=1 or 0, tempo=0.5..2, pitch=semitones, start and
end in seconds, and format, bits and sample_rate as for stems (by default 24-bit WAV at the upload's own rate).
Parameters that are absent change nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.datastructures import MultiValueDict

from pipeline.options import SOURCE, InvalidOption, Options

if TYPE_CHECKING:
    from pipeline.exports.mix import Mix


KINDS = ("mix", "stem", "stems", "ni")
MIX_KEYS = ("mute", "solo", "master", "limiter", "tempo", "pitch", "start", "end", "format", "bits", "sample_rate")
EXPORT_KEYS = ("what", "stem")
DEFAULT_ENCODING = {"format": "wav", "bits": "24", "sample_rate": SOURCE}
SWITCH = {"1": True, "0": False}
NI_STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class ExportSpec:
    """One file to render. what: one of KINDS; stem, mix: used for these kinds; the encoding is as in Options."""

    what: str
    stem: str
    mix: "Mix"
    format: str
    bits: str
    sample_rate: str

    @property
    def suffix(self) -> str:
        """Extension of the file, with its dot."""
        from pipeline.audio.encode import suffix  # noqa: PLC0415 - see mix_of

        return {"stems": ".zip", "ni": ".stem.mp4"}.get(self.what) or f".{suffix(self.format)}"

    def filename(self, title: str) -> str:
        """Return the file's name for a song with that title."""
        names = {"mix": " - mix", "stem": f" - {self.stem}"}
        return f"{title}{names.get(self.what, '')}{self.suffix}"


def export_spec(
    query: MultiValueDict[str, str], names: list[str], other_keys: tuple[str, ...] = EXPORT_KEYS
) -> ExportSpec:
    """Parse a query about a song with those stems. other_keys: keys allowed besides a mix's. Raises InvalidOption."""
    what, stem = query.get("what", "mix"), query.get("stem", "")
    _one_of("what", what, KINDS)
    if what == "stem":
        _one_of("stem", stem, names)
    missing = [name for name in NI_STEMS if name not in names]
    if what == "ni" and missing:
        raise InvalidOption(
            f"A file of NI Stems needs {', '.join(NI_STEMS)}. This song has no {' and no '.join(missing)}; "
            "select its stems again first."
        )
    format, bits, sample_rate = (query.get(name, default) for name, default in DEFAULT_ENCODING.items())
    Options(format=format, bits=bits, sample_rate=sample_rate)  # validates them
    return ExportSpec(what, stem, mix_of(query, names, other_keys), format, bits, sample_rate)


def mix_of(query: MultiValueDict[str, str], names: list[str], other_keys: tuple[str, ...]) -> "Mix":
    """Parse the mix of those stems from a query. other_keys: further keys that it may have. Raises InvalidOption."""
    # Imported here, because it loads NumPy and ffmpeg, which a site that renders nothing does not need.
    from pipeline.exports.mix import Lane, Mix  # noqa: PLC0415

    known = [*names, *(f"{name}.pan" for name in names), *MIX_KEYS]
    for key in query:
        if key not in (*known, *other_keys):
            message = f"{key!r} is no part of a mix. Known: {', '.join(known)}."
            raise InvalidOption(message, key, query[key])
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
        message = f"{field} {value!r} is not known. Choose one of: {', '.join(allowed)}."
        raise InvalidOption(message, field, value, allowed)
