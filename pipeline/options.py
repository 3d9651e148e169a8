"""The options of a separation, validated on construction.

Imports neither NumPy nor ONNX Runtime, so that the web process can use it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ensemble import download, registry
from ensemble.errors import InvalidAudio, InvalidOption, ModelUnavailable, SeparationError, disk_is_full
from ensemble.registry import DEFAULT_BLEED, RESIDUAL, STEMS, ModelCard, bleeds

__all__ = [
    "BITS",
    "DEFAULT_BLEED",
    "DRAFT",
    "FORMATS",
    "RESIDUAL",
    "SAMPLE_RATES",
    "SOURCE",
    "STEMS",
    "InvalidAudio",
    "InvalidOption",
    "ModelCard",
    "ModelUnavailable",
    "Options",
    "SeparationError",
    "all_models",
    "bleeds",
    "disk_is_full",
    "experimental_stems",
    "install_models",
    "model_cards",
    "presets",
    "presets_of",
    "stem_choices",
]

FORMATS = {
    "wav": "WAV",
    "flac": "FLAC",
    "mp3": "MP3, 320 kbit/s",
    "mp3-v0": "MP3, V0",
    "m4a": "M4A (AAC)",
    "opus": "Opus",
}
BITS = ("16", "24", "float")
SOURCE = "source"
SAMPLE_RATES = (SOURCE, "44100", "48000", "88200", "96000")  # of files: the upload's own, or Hz
DRAFT = "draft"  # the preset that plays until the stems of another one are ready


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one separation.

    stems: requested stems; vocals always come. Empty: the detector decides, among stems that are not experimental.
    Everything else stays together in `other`. preset: an ensemble of models. bleed: how much of the other stems is
    removed from each. format: file type. bits: sample format of WAV and FLAC (FLAC has no float and uses 24 bits
    instead). sample_rate: of the files, one of SAMPLE_RATES; MP3 and M4A use 44.1 or 48 kHz, Opus 48 kHz, whichever is
    nearer. max_seconds: longer songs are rejected.

    Raises InvalidOption, naming the bad value and the allowed ones.
    """

    stems: tuple[str, ...] = ()
    preset: str = "default"
    bleed: str = DEFAULT_BLEED
    format: str = "wav"
    bits: str = "float"
    sample_rate: str = SOURCE
    max_seconds: float = 3 * 3600.0

    def __post_init__(self) -> None:
        """Validate all fields. Raises InvalidOption."""
        for stem in self.stems:
            _one_of("stem", stem, STEMS)
        _one_of("preset", self.preset, presets())
        _one_of("bleed", self.bleed, tuple(bleeds()))
        _one_of("format", self.format, tuple(FORMATS))
        _one_of("bits", self.bits, BITS)
        _one_of("sample_rate", self.sample_rate, SAMPLE_RATES)
        if not self.max_seconds > 0:
            raise InvalidOption(f"max_seconds must be above 0, not {self.max_seconds!r}.")

    def as_dict(self) -> dict[str, Any]:
        """The options as JSON-ready data."""
        return asdict(self)


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        message = f"{field} {value!r} is not known. Choose one of: {', '.join(allowed)}."
        raise InvalidOption(message, field, value, allowed)


def presets() -> tuple[str, ...]:
    """Names of the available presets."""
    return tuple(registry.ensembles())


def stem_choices(preset: str = "default") -> list[str]:
    """The stems that the installed models can separate, in canonical order."""
    return registry.stems_of(registry.ensemble(preset))


def experimental_stems(preset: str = "default") -> list[str]:
    """Those of the stem_choices that only an experimental model separates; they come on request only."""
    usual = registry.stems_of(registry.ensemble(preset), experimental=False)
    return [stem for stem in stem_choices(preset) if stem not in usual]


def model_cards(preset: str = "default") -> list[ModelCard]:
    """All models of a preset, installed or not, with licence and origin."""
    return [registry.card(name) for name in registry.ensemble(preset).members]


def all_models() -> list[ModelCard]:
    """All known models, including the detector's and those that no preset uses."""
    return [registry.card(name) for name in registry.models()]


def presets_of(model: str) -> list[str]:
    """The presets that use a model for separation."""
    rows = registry.ensembles().values()
    return [row.name for row in rows if model in row.members or model in row.split]


def install_models(preset: str = "default", on_progress: Callable[[str, int, int], None] | None = None) -> None:
    """Download the missing models of a preset, and the detector's. on_progress(model, bytes done, bytes in total).

    Raises ModelUnavailable.
    """
    for card in [*model_cards(preset), registry.card(registry.TAGGER)]:
        if not card.installed and card.fetchable:
            download.pull(card.name, on_progress)
