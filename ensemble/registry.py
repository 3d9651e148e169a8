"""Which models exist, where they come from, and their files, verified by checksum before anything opens them."""

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
RESIDUAL = "residual"  # what a bleed filter removed; belongs to the sum
MIXTURE = "mixture"
TAGGER = "musicnn"  # the model that the detector listens with
DEFAULT_BLEED = "light"  # the table in ensemble/README.md says why
TABLE = Path(__file__).with_name("models.toml")
SHIPPED = Path(__file__).with_name("weights")


@dataclass(frozen=True, slots=True)
class Source:
    """A file inside a package of a registry."""

    kind: str
    package: str
    member: str

    def __str__(self) -> str:
        return f"{self.kind} package {self.package}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Official PyTorch weights, from which `python -m ensemble export` makes a model: files below an address."""

    base: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"export of the official checkpoint at {self.base}"


@dataclass(frozen=True, slots=True)
class Model:
    """A row of the table. segment: samples that the network takes at once. stems: in the network's order.

    hears: what it takes apart, the mixture or a stem. experimental: what it gives comes only when asked for.
    shipped: its file comes with the project. A model that has neither that nor a source is exported on this machine;
    until then its sha256 is empty and its bytes are what the export will take.
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
    hears: str = MIXTURE
    experimental: bool = False

    @property
    def path(self) -> Path:
        """Where its file lies, or will."""
        return (SHIPPED if self.shipped else directory()) / self.file


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What people are told about a model wherever it is used."""

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
    """A preset: the weight of each member per stem, and of each model that divides `other`."""

    name: str
    title: str
    members: dict[str, dict[str, float]]
    split: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bleed:
    """How much of the other stems is removed. unmix: share, 0 to 1, of what correlates; mask: weight of the others."""

    meaning: str
    unmix: float
    mask: float

    @property
    def filters(self) -> bool:
        """Whether anything is removed at all."""
        return self.unmix > 0 or self.mask > 0


def directory() -> Path:
    """Where weights lie: one place a user, shared by every checkout."""
    return user_cache_path("soundscape") / "models"


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def models() -> dict[str, Model]:
    """Every known model by name."""
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
    """Where an export leaves the checksum and size of a model's file."""
    return directory() / f"{file}.json"


def _exported(file: str) -> dict[str, Any]:
    try:
        found = json.loads(record(file).read_text(encoding="utf-8"))
        return {"sha256": found["sha256"], "bytes": found["bytes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {"sha256": ""}


def model(name: str) -> Model:
    """One model. Raises InvalidOption, naming the known ones."""
    return _known(models(), name, "model")


def ensembles() -> dict[str, Ensemble]:
    """Every preset by name."""
    return {name: Ensemble(name=name, **row) for name, row in _table()["ensembles"].items()}


def ensemble(name: str) -> Ensemble:
    """One preset. Raises InvalidOption, naming the known ones."""
    return _known(ensembles(), name, "preset")


def stems_of(preset: Ensemble, *, experimental: bool = True) -> list[str]:
    """The stems of a preset in canonical order, with what is installed to divide `other`; or those not experimental."""
    splitters = [model(name) for name in preset.split if installed(name)]
    divided = {stem for row in splitters if experimental or not row.experimental for stem in row.stems}
    known = divided.union(*preset.members.values())
    return [stem for stem in STEMS if stem in known]


def bleeds() -> dict[str, Bleed]:
    """Every bleed setting by name, the mildest first."""
    return {name: Bleed(**row) for name, row in _table()["bleed"].items()}


def bleed(name: str) -> Bleed:
    """One bleed setting. Raises InvalidOption, naming the known ones."""
    return _known(bleeds(), name, "bleed setting")


def _known(rows: dict[str, T], name: str, what: str) -> T:
    if name not in rows:
        raise InvalidOption(f"There is no {what} {name!r}. Known: {', '.join(rows)}.")
    return rows[name]


def card(name: str) -> ModelCard:
    """What to show of a model."""
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
    """Whether the file is there in full. Its checksum is proven when it is opened."""
    row = model(name)
    return bool(row.sha256) and row.path.is_file() and row.path.stat().st_size == row.bytes


def remedy(row: Model) -> str:
    """How to get a model, as the end of a message."""
    if row.shipped:
        return "It belongs to SoundScape itself: install that again."
    if row.source is None:
        return f"Make it from its official checkpoint with: python -m ensemble export {row.name}"
    return f"Fetch it with: python -m ensemble pull {row.name}"


def verified(name: str) -> Path:
    """The path of a model whose checksum holds. Raises ModelUnavailable."""
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
    """SHA-256 of a file, computed once while its time and size stay."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
