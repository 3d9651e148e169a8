"""Official PyTorch checkpoints: located, verified, and read without executing anything in them. Part of the export."""

import hashlib
import json
import pickle
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ensemble.errors import InvalidOption, ModelUnavailable
from ensemble.registry import Model

SUFFIXES = (".safetensors", ".th", ".pth")
DEMUCS_CLASS = "demucs.htdemucs.HTDemucs"


def find(row: Model, repo: Path | None) -> list[Path]:
    """The checkpoint files of a model, from a folder or downloaded from their official address."""
    if row.checkpoint is None:
        raise InvalidOption(f"There is no official checkpoint of {row.name} to export.")
    if repo is None:
        return [_download(row.checkpoint.base, name) for name in row.checkpoint.files]
    return [_local(repo, name) for name in row.checkpoint.files]


def _local(repo: Path, name: str) -> Path:
    """The file with the same signature. Repositories differ in suffixes and in whether names carry checksums."""
    files = sorted(repo.iterdir()) if repo.is_dir() else []
    found = [file for file in files if file.suffix in SUFFIXES and _signature(file.name) == _signature(name)]
    if len(found) != 1:
        what = "no file" if not found else "several files"
        raise ModelUnavailable(f"{repo} holds {what} of {_signature(name)}; expected one such as {name}.")
    return found[0]


def _signature(name: str) -> str:
    return re.split(r"[-.]", name)[0]


def _download(base: str, name: str) -> Path:
    """Download into the cache of the official tool. Raises ModelUnavailable."""
    try:
        if base.startswith("hf://"):
            from huggingface_hub import hf_hub_download  # noqa: PLC0415  only needed here, and slow to import

            return Path(hf_hub_download(base.removeprefix("hf://"), name))
        path = Path(torch.hub.get_dir()) / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            torch.hub.download_url_to_file(f"{base}/{name}", str(path), _promised(name))
    except Exception as error:  # each client has a family of errors of its own
        raise ModelUnavailable(
            f"Could not fetch {name} from {base} ({error}). Check the network and try again, or download it "
            "elsewhere and pass its folder with --repo."
        ) from error
    return path


def _promised(name: str) -> str | None:
    """The first digits of the SHA-256 that a file name carries, in torch.hub's notation."""
    found = re.search(r"-([0-9a-f]{8,})\.", name)
    return found and found[1]


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint as plain data: {"state": tensors by name, and for Demucs "klass" and "kwargs"}.

    Safetensors contain only tensors and text. Pickles are read by torch's weights-only loader; the one class that
    official files name is replaced by an inert stand-in. Raises ModelUnavailable for anything else.
    """
    try:
        _prove(path)
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except OSError as error:
        raise ModelUnavailable(f"Can't read the checkpoint {path}: {error.strerror or error}.") from error
    except pickle.UnpicklingError as error:
        raise ModelUnavailable(
            f"{path} was refused: it holds more than tensors and could run code. Get the official file.", permanent=True
        ) from error
    except (SafetensorError, ValueError, KeyError, EOFError, RuntimeError) as error:
        raise ModelUnavailable(f"{path} is not a checkpoint of a known form: {error}.", permanent=True) from error


def _prove(path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(_promised(path.name) or ""):
        raise ModelUnavailable(f"{path} is damaged: its checksum is not the one in its name. Download it again.")


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        package: dict[str, Any] = {"state": {key: file.get_tensor(key) for key in file.keys()}}  # noqa: SIM118
        about = file.metadata() or {}
    if "kwargs" in about:
        package |= {"klass": about["klass"], "kwargs": json.loads(about["kwargs"], object_hook=_fraction)}
    return package


def _fraction(node: dict[str, Any]) -> Any:
    """Decode Demucs' JSON notation of fractions."""
    return Fraction(node["numerator"], node["denominator"]) if node.get("_type") == "fraction" else node


class _HTDemucsName:
    """Inert stand-in for Demucs' class while a pickle is read."""


def _read_pickle(path: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals([(_HTDemucsName, DEMUCS_CLASS), (Fraction, "fractions.Fraction")]):
        content = torch.load(path, map_location="cpu", weights_only=True)
    if "state" not in content:
        return {"state": dict(content)}
    klass = DEMUCS_CLASS if content["klass"] is _HTDemucsName else str(content["klass"])
    return {"klass": klass, "kwargs": content["kwargs"], "state": content["state"]}
