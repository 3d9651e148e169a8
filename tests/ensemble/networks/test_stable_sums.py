"""Passes over graphs change how numbers are summed and stored, and nothing else."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from ensemble.networks.stable_sums import halve, steady


def model(nodes, shape, weights):
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_empty_tensor_value_info("y")
    graph = helper.make_graph(nodes, "test", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(graph, x):
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def group_norm(shape, groups=1, gain=1.0):
    """A group norm as torch exports it."""
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["r"]),
        helper.make_node("InstanceNormalization", ["r", "scale", "offset"], ["n"], epsilon=1e-5),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Reshape", ["n", "s"], ["y"]),
    ]
    weights = {
        "flat": np.array([0, groups, -1]),
        "scale": np.full(groups, gain, np.float32),
        "offset": np.zeros(groups, np.float32),
    }
    return model(nodes, shape, weights)


def normalised(x):
    x = x.astype(np.float64)
    return (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)


def test_a_norm_over_millions_of_samples_keeps_its_digits():
    x = np.random.default_rng(0).normal(0.3, 1, (1, 96, 60_000)).astype(np.float32)
    graph = group_norm(x.shape)
    expected = normalised(x)
    before = np.abs(run(graph, x) - expected).max()
    steady(graph)
    assert not {"InstanceNormalization", "Reshape"} & {node.op_type for node in graph.graph.node}
    after = np.abs(run(graph, x) - expected).max()
    assert after < 1e-5
    assert after < before / 10  # or ONNX Runtime has learnt it, and the pass can go


@pytest.mark.parametrize(("groups", "gain"), [(2, 1.0), (1, 3.0)])
def test_other_norms_are_left_alone(groups, gain):
    graph = group_norm((2, 4, 10), groups, gain)
    before = graph.SerializeToString()
    steady(graph)
    assert graph.SerializeToString() == before


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1], [1, 2], [3, 1, 2], [0, 2]])
def test_means_are_the_same(axes, keepdims):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    graph = model([helper.make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=keepdims)], x.shape, {})
    steady(graph)
    found = run(graph, x)
    np.testing.assert_allclose(found, x.mean(tuple(axes), keepdims=bool(keepdims)), atol=1e-6)


def test_halving_stores_large_weights_in_half_the_room():
    rng = np.random.default_rng(0)
    large, small = rng.standard_normal((64, 64)).astype(np.float32), rng.standard_normal(64).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    graph = model(nodes, (1, 64), {"w": large, "b": small})
    whole = len(graph.SerializeToString())
    halve(graph)
    assert len(graph.SerializeToString()) < 0.55 * whole
    x = rng.standard_normal((1, 64)).astype(np.float32)
    np.testing.assert_allclose(run(graph, x), x @ large.astype(np.float16).astype(np.float32) + small, atol=1e-5)


def test_weights_that_float16_cannot_hold_stay():
    graph = model([helper.make_node("MatMul", ["x", "w"], ["y"])], (1, 64), {"w": np.full((64, 64), 1e6, np.float32)})
    before = graph.SerializeToString()
    halve(graph)
    assert graph.SerializeToString() == before
