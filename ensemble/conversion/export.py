"""Conversion of official PyTorch checkpoints to ONNX, verified against PyTorch. Nothing else needs torch.

A checkpoint is read as numbers only, its network is built by the official package and traced without the Fourier
transform. The file is written only if ONNX Runtime and PyTorch agree on music, noise and silence.
"""

import argparse
import contextlib
import hashlib
import importlib
import inspect
import io
import json
import math
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile
import soxr
import torch
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from ensemble import registry
from ensemble.conversion.checkpoint import DEMUCS_CLASS, find, read
from ensemble.errors import InvalidAudio, InvalidOption, ModelUnavailable
from ensemble.networks import demucs, draft, openunmix
from ensemble.networks.runtime import Session
from ensemble.networks.stable_sums import HALF_SIZE, halve, steady
from ensemble.registry import Model
from ensemble.stft import BINS, HOP, N_FFT, SAMPLE_RATE, Audio
from ensemble.training.network import CLASS, Unmix

OPSET = 17
LIMIT = 1e-4  # largest difference allowed, relative to the peak of PyTorch's answer
QUIET = 1e-3  # the least peak (-60 dB) that differences are relative to

Separator = Callable[[Audio], Audio]
Shapes = dict[str, tuple[int | str, ...]]
"""Shapes by name of tensor; a variable size is given by its name."""

EXAMPLE = {"batch": 1, "frames": 16}  # variable sizes as traced


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command `export`."""
    parser.add_argument("name", metavar="NAME", help="a model listed by `python -m ensemble list`")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--repo", type=Path, metavar="DIR", help="folder with the official checkpoint")
    given.add_argument(
        "--checkpoint", type=Path, nargs="+", metavar="FILE", help="its files, in the order of models.toml"
    )
    parser.add_argument("--half", action="store_true", help="store weights as float16; computation stays float32")
    parser.add_argument(
        "--audio", type=Path, metavar="FILE", help="music for the comparison (default: a synthetic chord)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write here instead of installing the model")


def run(arguments: argparse.Namespace) -> None:
    """Export a model and print what was written. Raises SeparationError."""
    row = registry.model(arguments.name)
    if arguments.output is None:
        _refuse_to_replace(row)
    files = arguments.checkpoint or find(row, arguments.repo)
    done = export(row, files, arguments.output, half=arguments.half, audio=arguments.audio)
    print(f"{done.path}: {done.bytes / 1e6:.1f} MB, differs from PyTorch by {done.difference:.1e}")
    print(f"sha256 {done.sha256}")


def _refuse_to_replace(row: Model) -> None:
    if row.source is not None or row.shipped:
        raise InvalidOption(f"{row.name} is available ready-made. To export it anyway, name a file with -o FILE.")


@dataclass(frozen=True, slots=True)
class Export:
    """A written file. difference: the largest difference found, relative to PyTorch's peak."""

    path: Path
    sha256: str
    bytes: int
    difference: float


def export(
    row: Model,
    checkpoints: Sequence[Path],
    output: Path | None = None,
    *,
    half: bool = False,
    audio: Path | None = None,
) -> Export:
    """Convert a model and write it to `output`, or to where the registry expects it.

    The file gets its final name only after the comparison has passed. Raises ModelUnavailable (a checkpoint that is
    missing, damaged, unsafe or of another model; a graph that differs), InvalidOption, InvalidAudio.
    """
    if output is None:
        _refuse_to_replace(row)
    music = _music(audio, row.segment)
    network = NETWORKS[row.architecture](row, [read(path) for path in checkpoints])
    graph = trace(network)
    if half:
        halve(graph)
    path = output or registry.directory() / row.file
    try:
        done = _write(graph, path, lambda part: gate(network, part, music))
        if output is None:
            registry.record(row.file).write_text(json.dumps({"sha256": done.sha256, "bytes": done.bytes}))
    except OSError as error:
        raise ModelUnavailable(f"Could not write {path}: {error.strerror or error}.") from error
    return done


def _write(graph: onnx.ModelProto, path: Path, check: Callable[[Path], float]) -> Export:
    """Write to a temporary file, check it, and rename it."""
    content = graph.SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        difference = check(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return Export(path, hashlib.sha256(content).hexdigest(), len(content), difference)


# Networks. Each has a PyTorch reference, input shapes, and an adapter that runs the exported graph.


class DemucsCore(HTDemucs):
    """HTDemucs without its Fourier transforms: (wave, spectrum as real channels) -> (spectra, waves)."""

    def forward(self, wave: Tensor, spectrum: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """The official forward pass, with the four methods below in place of the transforms.

        wave is (batch, 2, samples), spectrum (batch, 4, bins, frames); returns (batch, stems, 4, bins, frames) and
        (batch, stems, 2, samples).
        """
        self._given = spectrum
        waves: Tensor = super().forward(wave)  # type: ignore[no-untyped-call]
        return self._answer, waves

    def _spec(self, x: Tensor) -> Tensor:  # noqa: ARG002
        return self._given

    def _magnitude(self, z: Tensor) -> Tensor:
        return z

    def _mask(self, z: Tensor, m: Tensor) -> Tensor:  # noqa: ARG002
        self._answer = m
        return m

    def _ispec(self, z: Tensor, length: int | None = None, scale: int = 0) -> Tensor:  # noqa: ARG002
        return z.new_zeros(())


class Demucs:
    """HTDemucs from one checkpoint."""

    def __init__(self, row: Model, packages: Sequence[dict[str, Any]]) -> None:
        kwargs = _demucs_arguments(row, packages)
        with torch.device("meta"):  # allocates no random weights: all come from the checkpoint
            self.core, self.official = DemucsCore(**kwargs), HTDemucs(**kwargs)
        for network in self.core, self.official:
            _load(network, packages[0]["state"], row)
            # A random shift of positions would make results differ between runs.
            network.crosstransformer.sin_random_shift = 0
        spectrum = (4, N_FFT // 2, math.ceil(row.segment / HOP))  # real and imaginary parts of two channels
        self.inputs: Shapes = {"wave": ("batch", 2, row.segment), "spectrum": ("batch", *spectrum)}
        self.outputs: Shapes = {
            "spectra": ("batch", len(row.stems), *spectrum),
            "waves": ("batch", len(row.stems), 2, row.segment),
        }

    def reference(self, segment: Audio) -> Audio:
        """PyTorch's answer for a segment, (2, samples), transforms included: (stems, 2, samples)."""
        answer: Tensor = self.official(torch.from_numpy(segment)[None])[0]
        return answer.numpy()

    def adapter(self, session: Session) -> Separator:
        """The function under test. The network normalises its input by itself, so the level is left as it is."""
        return demucs.Demucs(session, demucs.Level(mean=0.0, std=1.0))


def _demucs_arguments(row: Model, packages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The network's arguments from its single checkpoint, checked against the table."""
    if len(packages) != 1 or packages[0].get("klass") != DEMUCS_CLASS:
        raise ModelUnavailable(f"{row.name} is made of one Hybrid Transformer Demucs checkpoint; this is not one.")
    known = inspect.signature(HTDemucs).parameters
    kwargs = {key: value for key, value in packages[0]["kwargs"].items() if key in known}
    kwargs["segment"] = float(kwargs["segment"])  # a Fraction can't be traced
    found = (*kwargs["sources"], int(kwargs["segment"] * SAMPLE_RATE))
    if found != (*row.stems, row.segment):
        raise ModelUnavailable(f"This is not {row.name}: stems and segment are {found}.")
    return kwargs


class OpenUnmixStem(nn.Module):
    """The network of one stem, with its layers in the official order.

    The official forward pass can't be traced for a variable number of frames, since it uses sizes that the tracer
    doesn't see. Batch norms, which are constant here, are fused into the preceding layers.
    """

    def __init__(self, official: Any) -> None:
        super().__init__()
        self.official = official
        pairs = (official.fc1, official.bn1), (official.fc2, official.bn2), (official.fc3, official.bn3)
        self.encode, self.mix, self.decode = (fuse_linear_bn_eval(*pair) for pair in pairs)

    def forward(self, mixture: Tensor) -> Tensor:
        """Magnitudes of the mixture, (batch, 2, bins, frames), to those of the stem, of the same shape."""
        own = self.official
        x = mixture.permute(3, 0, 1, 2)[..., : own.nb_bins]
        x = torch.tanh(self.encode(((x + own.input_mean) * own.input_scale).flatten(2)))
        x = torch.relu(self.mix(torch.cat([x, own.lstm(x)[0]], -1)))
        mask = self.decode(x).reshape(*x.shape[:2], *mixture.shape[1:3]) * own.output_scale + own.output_mean
        return torch.relu(mask).permute(1, 2, 3, 0) * mixture


class OpenUnmixCore(nn.Module):
    """The networks of all stems: (batch, 2, bins, frames) -> (batch, sources, 2, bins, frames)."""

    def __init__(self, official: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stems = nn.ModuleList(OpenUnmixStem(each) for each in official)

    def forward(self, mixture: Tensor) -> Tensor:
        """Magnitudes of the stems from those of the mixture, (batch, 2, bins, frames)."""
        return torch.stack([stem(mixture) for stem in self.stems], dim=1)


class OpenUnmix:
    """Open-Unmix from one checkpoint per stem, in the table's order."""

    def __init__(self, row: Model, packages: Sequence[dict[str, Any]]) -> None:
        if len(packages) != len(row.stems):
            raise ModelUnavailable(f"{row.name} is made of a checkpoint per stem: {', '.join(row.stems)}.")
        self.official = [_open_unmix(package["state"], row) for package in packages]
        self.core = OpenUnmixCore(self.official).eval()
        self.inputs: Shapes = {"mixture": ("batch", 2, BINS, "frames")}
        self.outputs: Shapes = {"estimates": ("batch", len(row.stems), 2, BINS, "frames")}

    def reference(self, segment: Audio) -> Audio:
        """PyTorch's answer for a segment, (2, samples), with torch's transforms: (stems, 2, samples)."""
        return _with_torch_transforms(
            segment, lambda mixture: torch.cat([stem(mixture[None]) for stem in self.official])
        )

    def adapter(self, session: Session) -> Separator:
        """The function under test, on an ONNX Runtime session."""
        return openunmix.OpenUnmix(session)


def _open_unmix(state: dict[str, Tensor], row: Model) -> nn.Module:
    """Build the network that fits the weights."""
    try:
        layers = sum(re.fullmatch(r"lstm\.weight_ih_l\d+", key) is not None for key in state)
        network: nn.Module = official_open_unmix().OpenUnmix(
            nb_bins=len(state["output_mean"]), hidden_size=len(state["fc1.weight"]), nb_layers=layers,
            unidirectional="lstm.weight_ih_l0_reverse" not in state, max_bin=len(state["input_mean"]),
        )  # fmt: skip
    except KeyError as error:
        raise ModelUnavailable(f"This is not {row.name}: an Open-Unmix checkpoint holds {error}.") from error
    _load(network, state, row)
    return network


def official_open_unmix() -> Any:
    """Import the module openunmix.model.

    Its package imports torchaudio, which the network doesn't use and which fails to load with a CPU build of torch, so
    an empty module replaces it during the import.
    """
    absent = "torchaudio" not in sys.modules
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    try:
        return importlib.import_module("openunmix.model")
    finally:
        if absent:
            del sys.modules["torchaudio"]


class OwnUnmix:
    """SoundScape's own Open-Unmix, from the checkpoint that train.py writes.

    Its weights are rounded to float16, the form in which they ship.
    """

    def __init__(self, row: Model, packages: Sequence[dict[str, Any]]) -> None:
        if len(packages) != 1 or packages[0].get("klass") != CLASS:
            raise ModelUnavailable(
                f"{row.name} is made of one checkpoint of `python -m ensemble.training.train`; this is not one."
            )
        self.core = Unmix(**packages[0]["kwargs"])
        state = {name: _as_shipped(value) for name, value in packages[0]["state"].items()}
        _load(self.core, state, row)
        self.inputs: Shapes = {"mixture": ("batch", 2, BINS, "frames")}
        self.outputs: Shapes = {
            draft.MASKS: ("batch", len(row.stems), 2, "frames", draft.BANDS),
            draft.HIDDEN: ("frames", "batch", self.core.hidden),
        }

    def reference(self, segment: Audio) -> Audio:
        """PyTorch's answer for a segment, (2, samples), with torch's transforms: (stems, 2, samples)."""
        return _with_torch_transforms(segment, self._magnitudes)

    def _magnitudes(self, mixture: Tensor) -> Tensor:
        masks: Tensor = self.core(mixture[None])[0][0]
        return masks[..., torch.from_numpy(draft.BAND_OF_BIN)].transpose(-1, -2) * mixture

    def adapter(self, session: Session) -> Separator:
        """The function under test, on an ONNX Runtime session."""
        return draft.Unmix(session)


def _as_shipped(value: Tensor) -> Tensor:
    """Round a tensor to float16 if it is stored as such."""
    return value.half().float() if value.is_floating_point() and value.numel() >= HALF_SIZE else value


def _with_torch_transforms(segment: Audio, network: Callable[[Tensor], Tensor]) -> Audio:
    """Run a network of magnitudes, (2, bins, frames) to (stems, 2, bins, frames), between torch's transforms."""
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(torch.from_numpy(segment), N_FFT, HOP, window=window, return_complex=True)
    magnitudes = network(spectrum.abs())
    stems = torch.polar(magnitudes, spectrum.angle().expand_as(magnitudes)).flatten(0, 1)
    waves = torch.istft(stems, N_FFT, HOP, window=window, length=segment.shape[-1])
    return waves.reshape(*magnitudes.shape[:2], -1).numpy()


Network = Demucs | OpenUnmix | OwnUnmix
NETWORKS: dict[str, type[Network]] = {"demucs": Demucs, "openunmix": OpenUnmix, "unmix": OwnUnmix}


def _load(network: nn.Module, state: dict[str, Tensor], row: Model) -> None:
    """Load all weights. Old checkpoints contain a few more, which the network doesn't use."""
    own = network.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    wrong = [key for key in own if key in state and state[key].shape != own[key].shape]
    if missing or wrong:
        raise ModelUnavailable(f"This is not {row.name}: weights missing or misshapen: {', '.join(missing + wrong)}.")
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    network.load_state_dict(state, strict=False, assign=True)
    network.eval().requires_grad_(False)


# Tracing.


def trace(network: Network) -> onnx.ModelProto:
    """Trace the core into an ONNX graph. The same network gives the same bytes.

    This uses torch's older, tracing exporter, which takes a fraction of its successor's time and needs no further
    package. torch is pinned, so it won't disappear unnoticed.
    """
    example = tuple(
        torch.zeros([EXAMPLE[size] if isinstance(size, str) else size for size in shape])
        for shape in network.inputs.values()
    )
    varying = {
        name: {axis: size for axis, size in enumerate(shape) if isinstance(size, str)}
        for name, shape in network.inputs.items()
    }
    content: Any = io.BytesIO()  # the tracer accepts it, but its type hints don't
    with torch.no_grad(), _slow_attention(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warns that shapes become constants, which is intended
        torch.onnx.export(
            network.core, example, content, input_names=list(network.inputs), output_names=list(network.outputs),
            dynamic_axes=varying, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    graph = onnx.load_model_from_string(content.getvalue())
    steady(graph)
    for output in graph.graph.output:  # the tracer invents names for sizes it can't follow
        shape = network.outputs[output.name]
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, shape))
    return graph


# Comparison with PyTorch.


def gate(network: Network, path: Path, music: Audio) -> float:
    """Compare the file in ONNX Runtime with PyTorch on music, (2, samples), noise and silence.

    Returns the largest difference, relative to PyTorch's peak. Raises ModelUnavailable if it exceeds LIMIT.
    """
    ours, worst = network.adapter(Session(path)), 0.0
    noise = np.random.default_rng(0).normal(0, 0.1, music.shape).astype(np.float32)
    for name, signal in {"music": music, "noise": noise, "silence": np.zeros_like(music)}.items():
        with _slow_attention(), torch.no_grad():
            expected = network.reference(signal)
        found = difference(expected, ours(signal))
        if not found <= LIMIT:  # a NaN fails too
            raise ModelUnavailable(
                f"The exported graph is wrong: on {name} it differs from PyTorch by {found:.1e} of the peak "
                f"(allowed: {LIMIT:.0e}). Nothing was written.", permanent=True,
            )  # fmt: skip
        worst = max(worst, found)
    return worst


@contextlib.contextmanager
def _slow_attention() -> Iterator[None]:
    """Disable the fast path of nn.MultiheadAttention, which rounds differently."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def difference(expected: Audio, found: Audio) -> float:
    """Largest absolute difference of two arrays of any equal shape, relative to the expected peak (QUIET at least)."""
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), QUIET))


def _music(audio: Path | None, samples: int) -> Audio:
    """The start of a file, or a chord with a beat: (2, samples)."""
    if audio is None:
        return _chord(samples)
    try:
        with soundfile.SoundFile(audio) as file:
            found = file.read(samples * file.samplerate // SAMPLE_RATE + 1, dtype="float32", always_2d=True)
            found = soxr.resample(found, file.samplerate, SAMPLE_RATE)[:samples, :2].T
    except (OSError, soundfile.SoundFileError) as error:
        raise InvalidAudio(f"Can't read {audio} as music: {error}. Use WAV or FLAC.") from error
    return np.pad(np.broadcast_to(found, (2, found.shape[-1])), ((0, 0), (0, samples - found.shape[-1])))


def _chord(samples: int) -> Audio:
    """Four voices with harmonics at different positions, and a noise burst twice a second: (2, samples)."""
    time = np.arange(samples) / SAMPLE_RATE
    burst = np.random.default_rng(1).normal(0, 0.2, samples) * np.exp(-30 * (time % 0.5))
    sides = np.stack([burst, burst])
    for pan, pitch in zip((0.2, 0.4, 0.6, 0.8), (55.0, 220.0, 277.2, 329.6), strict=True):
        voice = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 9)) * np.exp(-2 * (time % 1))
        sides += 0.05 * np.outer([1 - pan, pan], voice)
    return sides.astype(np.float32)
