"""Fused attention gives what the written-out one gives."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from ensemble.networks.fused_attention import fuse_attention


def attention_graph(batch, heads, queries, keys, features, spare_output=False):
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["answer"]),
    ]
    outputs = [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [batch, heads, queries, features])]
    if spare_output:
        nodes.append(helper.make_node("Identity", ["weights"], ["seen"]))
        outputs.append(helper.make_tensor_value_info("seen", TensorProto.FLOAT, [batch, heads, queries, keys]))
    shapes = {"q": [queries, features], "k": [features, keys], "v": [keys, features]}
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, heads, *s]) for n, s in shapes.items()]
    graph = helper.make_graph(nodes, "attention", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model, tensors):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, tensors)[0]


@pytest.mark.parametrize(("batch", "heads", "queries", "keys"), [(1, 8, 50, 50), (2, 4, 33, 70), (1, 1, 1, 5)])
def test_same_numbers(batch, heads, queries, keys):
    rng = np.random.default_rng(queries)
    shapes = {"q": (queries, 16), "k": (16, keys), "v": (keys, 16)}
    tensors = {n: rng.standard_normal((batch, heads, *s)).astype(np.float32) for n, s in shapes.items()}
    model = attention_graph(batch, heads, queries, keys, 16)
    expected = run(model, tensors)
    assert fuse_attention(model) == 1
    assert [node.op_type for node in model.graph.node].count("Softmax") == 0
    np.testing.assert_allclose(run(model, tensors), expected, atol=1e-5)


def test_weights_that_someone_else_reads_are_kept():
    model = attention_graph(1, 2, 8, 8, 4, spare_output=True)
    before = model.SerializeToString()
    assert fuse_attention(model) == 0
    assert model.SerializeToString() == before


def test_every_attention_of_htdemucs_is_fused(htdemucs):
    assert fuse_attention(onnx.load(htdemucs)) == 10
