"""The table of models: where they come from, and their files, verified by checksum before they are opened."""

import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from platformdirs import user_cache_path

from ensemble.errors import InvalidOption, ModelUnavailable

T = TypeVar("T")

STEMS = ("vocals", "drums", "bass", "guitar", "piano", "other")  # the order everywhere
RESIDUAL = "residual"  # what a bleed filter removed; part of the sum
MIXTURE = "mixture"
TAGGER = "musicnn"  # the detector's main network
DEFAULT_BLEED = "light"  # for the reasons in ensemble/README.md
TABLE = Path(__file__).with_name("models.toml")
SHIPPED = Path(__file__).with_name("weights")


@dataclass(frozen=True, slots=True)
class Source:
    """A file inside a package of a registry ("npm" or "pypi")."""

    kind: str
    package: str
    member: str

    def __str__(self) -> str:
        return f"{self.kind} package {self.package}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Official PyTorch weights that `python -m ensemble export` converts: files below an address."""

    base: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"export of the official checkpoint at {self.base}"


@dataclass(frozen=True, slots=True)
class Model:
    """A row of the model table.

    segment: samples that the network takes at once. stems: in the network's order. input: what it separates, the
    mixture or a stem. experimental: its stems are separated on request only. shipped: its file is part of the project.
    A model that has neither that nor a source is exported on this machine; until then its sha256 is empty, and bytes is
    the expected size.
    """

    name: str
    title: str
    architecture: str
    file: str
    sha256: str
    bytes: int
    stems: tuple[str, ...]
    segment: int
    licence: str
    provenance: str
    source: Source | None = None
    checkpoint: Checkpoint | None = None
    shipped: bool = False
    input: str = MIXTURE
    experimental: bool = False

    @property
    def path(self) -> Path:
        """The path of its file, whether or not it exists."""
        return (SHIPPED if self.shipped else directory()) / self.file


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts about a model for display."""

    name: str
    title: str
    stems: tuple[str, ...]
    bytes: int
    sha256: str
    licence: str
    origin: str
    provenance: str
    fetchable: bool
    installed: bool
    experimental: bool


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A preset: per member its weight for each stem, and per model that divides `other` its weight."""

    name: str
    title: str
    members: dict[str, dict[str, float]]
    split: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bleed:
    """A bleed setting. unmix: share of correlation to remove, 0 to 1. mask: weight of the other stems, 0 or more."""

    meaning: str
    unmix: float
    mask: float

    @property
    def filters(self) -> bool:
        """Whether it removes anything at all."""
        return self.unmix > 0 or self.mask > 0


def directory() -> Path:
    """The folder of downloaded weights: one per user, shared by all checkouts."""
    return user_cache_path("soundscape") / "models"


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def models() -> dict[str, Model]:
    """All known models by name."""
    return {name: _model(name, row) for name, row in _table()["models"].items()}


def _model(name: str, row: dict[str, Any]) -> Model:
    made: dict[str, Any] = {"stems": tuple(row["stems"])}
    if "source" in row:
        made["source"] = Source(**row["source"])
    elif not row.get("shipped"):
        made |= _exported(row["file"])
    if "checkpoint" in row:
        made["checkpoint"] = Checkpoint(row["checkpoint"]["base"], tuple(row["checkpoint"]["files"]))
    return Model(name=name, **row | made)


def record(file: str) -> Path:
    """The file in which an export leaves the checksum and size of a model."""
    return directory() / f"{file}.json"


def _exported(file: str) -> dict[str, Any]:
    try:
        found = json.loads(record(file).read_text(encoding="utf-8"))
        return {"sha256": found["sha256"], "bytes": found["bytes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {"sha256": ""}


def model(name: str) -> Model:
    """Look up a model. Raises InvalidOption, naming the known ones."""
    return _known(models(), name, "model")


def ensembles() -> dict[str, Ensemble]:
    """All presets by name."""
    return {name: Ensemble(name=name, **row) for name, row in _table()["ensembles"].items()}


def ensemble(name: str) -> Ensemble:
    """Look up a preset. Raises InvalidOption, naming the known ones."""
    return _known(ensembles(), name, "preset")


def stems_of(preset: Ensemble, *, experimental: bool = True) -> list[str]:
    """The stems of a preset in canonical order, including those that an installed model splits from `other`."""
    splitters = [model(name) for name in preset.split if installed(name)]
    divided = {stem for row in splitters if experimental or not row.experimental for stem in row.stems}
    known = divided.union(*preset.members.values())
    return [stem for stem in STEMS if stem in known]


def bleeds() -> dict[str, Bleed]:
    """All bleed settings by name, the mildest first."""
    return {name: Bleed(**row) for name, row in _table()["bleed"].items()}


def bleed(name: str) -> Bleed:
    """Look up a bleed setting. Raises InvalidOption, naming the known ones."""
    return _known(bleeds(), name, "bleed setting")


def _known(rows: dict[str, T], name: str, what: str) -> T:
    if name not in rows:
        raise InvalidOption(f"There is no {what} {name!r}. Known: {', '.join(rows)}.")
    return rows[name]


def card(name: str) -> ModelCard:
    """Collect the facts about a model for display."""
    row = model(name)
    return ModelCard(
        name=name,
        title=row.title,
        stems=row.stems,
        bytes=row.bytes,
        sha256=row.sha256,
        licence=row.licence,
        origin="comes with SoundScape" if row.shipped else str(row.source or row.checkpoint),
        provenance=row.provenance,
        fetchable=row.source is not None,
        installed=installed(name),
        experimental=row.experimental,
    )


def installed(name: str) -> bool:
    """Whether the file exists in full size. Its checksum is verified when it is opened."""
    row = model(name)
    return bool(row.sha256) and row.path.is_file() and row.path.stat().st_size == row.bytes


def remedy(row: Model) -> str:
    """How to obtain a model, as the end of an error message."""
    if row.shipped:
        return "It is part of SoundScape: reinstall SoundScape."
    if row.source is None:
        return f"Convert it from its official checkpoint with: python -m ensemble export {row.name}"
    return f"Fetch it with: python -m ensemble pull {row.name}"


def verified(name: str) -> Path:
    """The path of a model whose checksum has been verified. Raises ModelUnavailable."""
    row = model(name)
    path = row.path
    if not path.is_file():
        raise ModelUnavailable(f"The model {name} is not installed. {remedy(row)}")
    status = path.stat()
    if checksum(path, status.st_mtime_ns, status.st_size) != row.sha256:
        raise ModelUnavailable(f"The file of model {name} is damaged. {remedy(row)}")
    return path


@lru_cache(maxsize=32)
def checksum(path: Path, _mtime_ns: int, _size: int) -> str:
    """SHA-256 of a file, computed once as long as its modification time and size stay the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
