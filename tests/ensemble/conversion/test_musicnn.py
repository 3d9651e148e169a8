"""The converter against a network written out in NumPy, on a package made up here; and the real one against itself."""

import json
import shutil
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ensemble import download, registry
from ensemble.conversion import musicnn
from ensemble.errors import ModelUnavailable
from ensemble.networks import runtime

TIMBRAL, TEMPORAL, MID, UNITS, TAGS = 4, 3, 5, 6, 7
FRONT = 2 * TIMBRAL + 3 * TEMPORAL
POOLED = FRONT + 3 * MID
GOLDEN = [-3.9753, -0.5937, -2.6478, -1.6598]
"""What slow() below answers with the published weights: the first logits for a ramp from 0 to 4."""


def layers() -> dict[str, tuple[int, ...]]:
    """Shapes of the made-up network's variables, as TensorFlow names them."""
    kernels = [(7, 38, 1, TIMBRAL), (7, 67, 1, TIMBRAL), *((size, 1, 1, TEMPORAL) for size in (128, 64, 32))]
    kernels += [(7, FRONT, 1, MID), (7, MID, 1, MID), (7, MID, 1, MID)]
    norms = [1, *(kernel[-1] for kernel in kernels), 2 * POOLED, UNITS]
    shapes: dict[str, tuple[int, ...]] = {}
    for index, kernel in enumerate(kernels):
        name = f"conv2d_{index}" if index else "conv2d"
        shapes |= {f"{name}/kernel": kernel, f"{name}/bias": kernel[-1:]}
    for index, width in enumerate(norms):
        name = f"batch_normalization_{index}" if index else "batch_normalization"
        shapes |= {f"{name}/{part}": (width,) for part in ("gamma", "beta", "moving_mean", "moving_variance")}
    shapes |= {"dense/kernel": (2 * POOLED, UNITS), "dense/bias": (UNITS,)}
    return shapes | {"dense_1/kernel": (UNITS, TAGS), "dense_1/bias": (TAGS,), "beta1_power": ()}


def invented(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {name: rng.normal(0, 0.3, shape).astype("<f4") for name, shape in layers().items()}
    return {name: np.abs(value) + np.float32(0.1) if "variance" in name else value for name, value in made.items()}


# A checkpoint, written as TensorFlow does


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Every key repeats what it has in common with the one before."""
    out, last = b"", b""
    for key, value in entries:
        shared = next((i for i, (a, b) in enumerate(zip(last, key, strict=False)) if a != b), min(len(last), len(key)))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return out + struct.pack("<II", 0, 1)


def checkpoint(weights: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    """(index, data); the entries stand in two blocks, with a step counter that is no float between them."""
    data, entries = b"", [(b"", number(1, 1))]
    for name in sorted(weights):
        shape = b"".join(message(2, number(1, size)) for size in weights[name].shape)
        raw = weights[name].tobytes()
        place = number(4, len(data)) + number(5, len(raw)) + varint(6 << 3 | 5) + b"\0\0\0\0"
        entries.append((name.encode(), number(1, 1) + message(2, shape) + place))
        data += raw
    entries.append((b"global_step", number(1, 9) + number(4, len(data)) + number(5, 8)))
    entries.sort()
    index, handles = b"", []
    for part in (entries[:9], entries[9:]):
        body = block(part)
        handles.append((part[-1][0], varint(len(index)) + varint(len(body))))
        index += body + bytes(5)  # compression and checksum
    at, body = len(index), block(handles)
    footer = varint(0) + varint(0) + varint(at) + varint(len(body))
    return index + body + bytes(5) + footer.ljust(40, b"\0") + bytes(8), data + bytes(8)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "musicnn.whl"
    with zipfile.ZipFile(path, "w") as archive:
        index, data = checkpoint(invented(0))
        archive.writestr("musicnn/MTT_musicnn/.index", index)
        archive.writestr("musicnn/MTT_musicnn/.data-00000-of-00001", data)
    return path


# The network, slowly


def slow(patch: np.ndarray, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The published architecture for one patch (187, 96), in loops and float64."""
    w = {name: value.astype(float) for name, value in weights.items()}

    def norm(x: np.ndarray, index: int) -> np.ndarray:
        name = f"batch_normalization_{index}" if index else "batch_normalization"
        scale = w[f"{name}/gamma"] / np.sqrt(w[f"{name}/moving_variance"] + 1e-3)
        return (x - w[f"{name}/moving_mean"]) * scale + w[f"{name}/beta"]

    def convolve(x: np.ndarray, index: int, before: int, after: int) -> np.ndarray:
        """(time, bins) to (time, positions, filters), rectified and normalised."""
        name = f"conv2d_{index}" if index else "conv2d"
        kernel = w[f"{name}/kernel"][:, :, 0]
        height, width, _ = kernel.shape
        padded = np.pad(x, ((before, after), (0, 0)))
        out = np.empty((len(x), x.shape[1] - width + 1, kernel.shape[2]))
        for t in range(out.shape[0]):
            for f in range(out.shape[1]):
                out[t, f] = np.tensordot(padded[t : t + height, f : f + width], kernel, 2)
        return norm(np.maximum(out + w[f"{name}/bias"], 0), index + 1)

    image = norm(patch[..., None], 0)[..., 0]
    pads = [(3, 3), (3, 3), (63, 64), (31, 32), (15, 16)]
    front = np.concatenate([convolve(image, i, *pad).max(axis=1) for i, pad in enumerate(pads)], axis=1)
    first = convolve(front, 5, 3, 3)[:, 0]
    second = convolve(first, 6, 3, 3)[:, 0] + first
    third = convolve(second, 7, 3, 3)[:, 0] + second
    everything = np.concatenate([front, first, second, third], axis=1)
    pools = {"max": everything.max(axis=0), "mean": everything.mean(axis=0)}
    flat = norm(np.stack([pools["max"], pools["mean"]], axis=1).reshape(-1), 9)
    penultimate = norm(np.maximum(flat @ w["dense/kernel"] + w["dense/bias"], 0), 10)
    return pools | {"penultimate": penultimate, "tags": penultimate @ w["dense_1/kernel"] + w["dense_1/bias"]}


def run(model: bytes, frames: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"frames": frames}), strict=True))


def test_reads_what_tensorflow_wrote():
    weights = invented(0)
    found = musicnn.read_checkpoint(*checkpoint(weights))
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[name], weights[name]) for name in weights)


def test_equals_the_network_written_out(wheel):
    frames = np.random.default_rng(5).uniform(0, 4, (187, 96)).astype(np.float32)
    answer = run(musicnn.convert(wheel), frames)
    for name, expected in slow(frames, invented(0)).items():
        np.testing.assert_allclose(answer[name][0], expected, rtol=2e-4, atol=2e-4)


def test_answers_a_row_per_window(wheel):
    model = musicnn.convert(wheel)
    frames = np.zeros((187 + 3 * 62 + 61, 96), np.float32)
    assert {len(rows) for rows in run(model, frames).values()} == {4}


def test_gives_the_same_bytes_each_time(wheel):
    assert musicnn.convert(wheel) == musicnn.convert(wheel)


def test_the_installed_model_is_the_published_one():
    if not registry.installed("musicnn"):
        pytest.skip("needs the model: python -m ensemble pull musicnn")
    session = runtime.session(registry.verified("musicnn"))
    frames = np.linspace(0, 4, 187 * 96, dtype=np.float32).reshape(187, 96)
    answer = session.run(frames=frames)
    assert answer["tags"].shape == (1, 50)
    np.testing.assert_allclose(answer["tags"][0, :4], GOLDEN, atol=1e-3)


def test_says_so_when_pip_fails(monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(ModelUnavailable, match="pip could not find musicnn"):
        download.pypi_wheel("musicnn==0.1.0")


def test_asks_pip_where_the_package_is(tmp_path, monkeypatch):
    report = tmp_path / "pip"
    found = {"url": "https://example.org/a.whl", "archive_info": {"hashes": {"sha256": "00ff"}}}
    report.write_text(f"#!/bin/sh\necho '{json.dumps({'install': [{'download_info': found}]})}'\n")
    report.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(report))
    assert download.pypi_wheel("a==1") == ("https://example.org/a.whl", "sha256-AP8=")
