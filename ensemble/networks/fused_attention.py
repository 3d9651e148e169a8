"""Fused attention: a pass over ONNX graphs before they run.

Exporters write attention as product, softmax, product. The intermediate (heads, queries, keys) is the largest tensor of
a transformer. ONNX Runtime's MultiHeadAttention computes the same result without ever storing it.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import Any

import onnx
from onnx import NodeProto, helper

DOMAIN = "com.microsoft"
AS_BATCH = "fusion.as_batch"  # the constant [-1]: batch and heads become one axis


@dataclass(frozen=True)
class Attention:
    """The nodes of softmax(queries @ keys) @ values."""

    scores: NodeProto
    softmax: NodeProto
    product: NodeProto


def fuse_attention(model: onnx.ModelProto) -> int:
    """Replace all attentions in the model, in place, and return their number."""
    found = _attentions(model.graph)
    gone = {node.output[0] for attention in found for node in (attention.scores, attention.softmax)}
    fused = {attention.product.output[0]: _fused(attention) for attention in found}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.output[0] not in gone:
            nodes += fused.get(node.output[0], [node])
    if found:
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        model.graph.initializer.append(helper.make_tensor(AS_BATCH, onnx.TensorProto.INT64, [1], [-1]))
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return len(found)


def _attentions(graph: onnx.GraphProto) -> list[Attention]:
    producer = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    found = []
    for product in graph.node:
        softmax = _producer(product, "MatMul", producer)
        scores = _producer(softmax, "Softmax", producer)
        if (
            softmax is not None
            and scores is not None
            and scores.op_type == "MatMul"
            and uses[softmax.output[0]] == uses[scores.output[0]] == 1
        ):
            found.append(Attention(scores, softmax, product))
    return found


def _producer(node: NodeProto | None, op_type: str, producer: dict[str, NodeProto]) -> NodeProto | None:
    """The node that makes the first input of a node of that type."""
    return producer.get(node.input[0]) if node is not None and node.op_type == op_type else None


def _fused(attention: Attention) -> list[NodeProto]:
    """Nodes that compute one head, with all heads as a batch, so that the pass need not know their number."""
    names = (f"fusion.{attention.softmax.output[0]}.{n}" for n in count())
    nodes: list[NodeProto] = []

    def add(op_type: str, *inputs: str, **attributes: Any) -> str:
        name = next(names)
        nodes.append(helper.make_node(op_type, list(inputs), [name], **attributes))
        return name

    def as_batch(tensor: str) -> str:
        return add("Reshape", tensor, add("Concat", AS_BATCH, add("Shape", tensor, start=2), axis=0))

    queries, transposed = attention.scores.input
    values, result = attention.product.input[1], attention.product.output[0]
    keys = add("Transpose", transposed, perm=[0, 1, 3, 2])
    inputs = [as_batch(tensor) for tensor in (queries, keys, values)]
    answer = add("MultiHeadAttention", *inputs, domain=DOMAIN, num_heads=1, scale=1.0)
    shape = add("Concat", add("Shape", queries, end=3), add("Shape", values, start=3), axis=0)
    nodes.append(helper.make_node("Reshape", [answer, shape], [result]))
    return nodes
