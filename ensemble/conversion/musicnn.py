"""Conversion of the musicnn package to one ONNX file, without TensorFlow (Pons and Serra 2019, "musicnn").

The wheel contains TensorFlow 1 checkpoints of two taggers of the same architecture. This uses the one trained on
MagnaTagATune; the other one (Million Song Dataset) would double the time and hardly improves detection. A checkpoint
consists of an index (a LevelDB table of protocol buffers) and raw numbers.
"""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

CHECKPOINT = "musicnn/MTT_musicnn/"
MELS = 96
FRAMES, HOP = 187, 62  # a window of 3 s about once a second
EPSILON = 1e-3  # TensorFlow's default for batch normalisation; ONNX's is a hundredth
TEMPORAL = (128, 64, 32)  # frames spanned by the rhythm kernels
IR_VERSION, OPSET = 8, 17
FLOAT = onnx.TensorProto.FLOAT

Array = NDArray[np.float32]
Weights = dict[str, Array]


def convert(wheel: Path) -> bytes:
    """Build the ONNX file from the wheel. The same wheel always gives the same bytes.

    The input `frames`, (frames, 96), is the log-mel spectrogram of a recording of at least FRAMES frames. The outputs
    have a row per window of FRAMES, one every HOP: logits `tags`, (windows, 50), `penultimate`, (windows, 200), and the
    pooled `mean` and `max`, (windows, 753). With FRAMES frames it is the published network; with more, windows share
    the convolutions, which are nearly all of the work.
    """
    graph = Graph()
    graph.node("Unsqueeze", ["frames", graph.constant(np.array([0, 1], np.int64))], "image")
    with zipfile.ZipFile(wheel) as archive:
        parts = [archive.read(f"{CHECKPOINT}.{part}") for part in ("index", "data-00000-of-00001")]
    _tagger(graph, read_checkpoint(*parts))
    return graph.model("frames", MELS)


class Graph:
    """An ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def node(self, kind: str, inputs: list[str], target: str = "", **attributes: float | list[int]) -> str:
        """Append an operation and return the name of its output."""
        target = target or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [target], **cast("dict[str, Any]", attributes)))
        return target

    def constant(self, array: NDArray[Any]) -> str:
        """Append weights of any shape and return their name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def per_window(self, kind: str, source: str) -> str:
        """Pool (1, channels, frames) to (windows, channels, 1)."""
        return self.node("Transpose", [self.node(kind, [source], kernel_shape=[FRAMES], strides=[HOP])], perm=[2, 1, 0])

    def output(self, name: str, width: int) -> None:
        """Declare an output (windows, width)."""
        self.outputs.append(helper.make_tensor_value_info(name, FLOAT, ["windows", width]))

    def model(self, source: str, width: int) -> bytes:
        """Serialise the graph, with one input (frames, width)."""
        inputs = [helper.make_tensor_value_info(source, FLOAT, ["frames", width])]
        graph = helper.make_graph(self.nodes, "musicnn", inputs, self.outputs, self.constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset], producer_name="soundscape")
        return bytes(model.SerializeToString(deterministic=True))


# Network


def _tagger(graph: Graph, weights: Weights) -> None:
    """Add the layers in the order in which TensorFlow numbered the variables."""
    net = _Layers(graph, weights)
    image = net.norm("image")
    timbral = [net.spectral(image, 3, 3) for _ in range(2)]
    temporal = [net.spectral(image, (size - 1) // 2, size // 2) for size in TEMPORAL]
    front = graph.node("Concat", timbral + temporal, axis=1)
    first = net.convolve(front)
    second = graph.node("Add", [net.convolve(first), first])
    third = graph.node("Add", [net.convolve(second), second])
    pooled = graph.node("Concat", [front, first, second, third], axis=1)
    mean, peak = (graph.per_window(kind, pooled) for kind in ("AveragePool", "MaxPool"))
    # Flattening (channels, 2) interleaves maximum and mean, as the dense layer expects.
    flat = net.norm(graph.node("Flatten", [graph.node("Concat", [peak, mean], axis=2)], axis=1))
    penultimate = net.norm(graph.node("Relu", [net.dense(flat)]), "penultimate")
    tags = net.dense(penultimate, "tags")
    graph.output(tags, weights["dense_1/bias"].size)
    graph.output(penultimate, weights["dense/bias"].size)
    for kind, pool in {"mean": mean, "max": peak}.items():
        graph.output(graph.node("Flatten", [pool], kind, axis=1), weights["dense/kernel"].shape[0] // 2)


class _Layers:
    """Adds layers whose weights come from a checkpoint in turn: conv2d, conv2d_1, ..."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.graph, self.weights = graph, weights
        self.counts: dict[str, int] = {}

    def _next(self, kind: str, *parts: str) -> list[Array]:
        found = [self._upcoming(kind, part) for part in parts]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return found

    def _upcoming(self, kind: str, part: str) -> Array:
        count = self.counts.get(kind, 0)
        return self.weights[f"{kind}_{count}/{part}" if count else f"{kind}/{part}"]

    def norm(self, source: str, target: str = "") -> str:
        """Batch normalisation with the statistics of the training."""
        parts = self._next("batch_normalization", "gamma", "beta", "moving_mean", "moving_variance")
        names = [self.graph.constant(part) for part in parts]
        return self.graph.node("BatchNormalization", [source, *names], target, epsilon=EPSILON)

    def convolve(self, source: str) -> str:
        """A mid-end layer: convolution, ReLU, batch normalisation. ReLU comes first, so the norm can't be fused."""
        kernel, bias = self._next("conv2d", "kernel", "bias")
        # TensorFlow (time, channels, 1, out) to ONNX (out, channels, time).
        names = [self.graph.constant(part) for part in (kernel[:, :, 0, :].transpose(2, 1, 0), bias)]
        conv = self.graph.node("Conv", [source, *names], pads=[3, 3])
        return self.norm(self.graph.node("Relu", [conv]))

    def spectral(self, image: str, before: int, after: int) -> str:
        """A front-end branch.

        As `convolve`, with kernels that span bins, and the maximum over bins: (1, channels, frames).

        The maximum of an increasing function is the function of the maximum, so the maximum is taken first and leaves a
        fraction of the numbers to ReLU and normalisation. A filter whose normalisation decreases (gamma below 0) would
        need the minimum, which is the negated maximum of the negated filter.
        """
        kernel, bias = self._next("conv2d", "kernel", "bias")
        sign = np.where(self._upcoming("batch_normalization", "gamma") < 0, -1, 1).astype(np.float32)
        # TensorFlow (time, bins, 1, out) to ONNX (out, 1, time, bins).
        filters = self.graph.constant(sign[:, None, None, None] * kernel.transpose(3, 2, 0, 1))
        conv = self.graph.node("Conv", [image, filters], pads=[before, 0, after, 0])
        most = self.graph.node("ReduceMax", [conv], axes=[3], keepdims=0)
        restored = self.graph.node("Mul", [most, self.graph.constant(sign[:, None])])
        biased = self.graph.node("Add", [restored, self.graph.constant(bias[:, None])])
        return self.norm(self.graph.node("Relu", [biased]))

    def dense(self, source: str, target: str = "") -> str:
        """A fully connected layer of the network."""
        kernel, bias = self._next("dense", "kernel", "bias")
        return self.graph.node("Gemm", [source, self.graph.constant(kernel), self.graph.constant(bias)], target)


# Checkpoint


def read_checkpoint(index: bytes, data: bytes) -> Weights:
    """Read all float32 tensors of a one-shard TensorFlow checkpoint, the optimiser's included.

    Parameters
    ----------
    index, data
        Contents of the two files.

    Returns
    -------
    float32 arrays by name, each of its own shape (as in TensorFlow).
    """
    weights = {}
    for key, value in _table(index):
        entry = decode(value)
        if key and entry.get(1, [0])[0] == 1:  # DT_FLOAT
            shape = [decode(dim).get(1, [0])[0] for dim in decode(entry[2][0]).get(2, [])] if 2 in entry else []
            start, size = entry.get(4, [0])[0], entry[5][0]
            weights[key.decode()] = np.frombuffer(data[start : start + size], "<f4").reshape(shape)
    return weights


def _table(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) pairs of a LevelDB table. The footer names the index block, which names the data blocks."""
    _, at = _handle(file, len(file) - 48)
    index, _ = _handle(file, at)
    for _, handle in _block(file, *index):
        yield from _block(file, *_handle(handle, 0)[0])


def _handle(file: bytes, at: int) -> tuple[tuple[int, int], int]:
    """(offset, size) of a block, and the position after them."""
    offset, at = _varint(file, at)
    size, at = _varint(file, at)
    return (offset, size), at


def _block(file: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Entries of an uncompressed block. Each key shares a prefix with the previous one."""
    block = file[offset : offset + size]
    (restarts,) = struct.unpack_from("<I", block, size - 4)
    key, at = b"", 0
    while at < size - 4 * (restarts + 1):
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        yield key, block[at : at + length]
        at += length


def decode(message: bytes) -> dict[int, list[Any]]:
    """Decode a protocol buffer: lists of values by field number, integers or the bytes of strings and messages."""
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        else:
            size, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = message[at : at + size], at + size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, least significant first, and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
