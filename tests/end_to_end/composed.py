"""Models with several inputs, composed from real encoders of the catalogue."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.compose
import onnx.parser


def _prefixed(path: Path, prefix: str, batch: str) -> onnx.ModelProto:
    """The model with all names prefixed, and its batch called `batch`."""
    proto = onnx.compose.add_prefix(onnx.load(path), prefix)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = batch
    del proto.graph.value_info[:]
    proto.ir_version = 8
    return proto


def _joined(parts: list[onnx.ModelProto], head: str, opset: int) -> onnx.ModelProto:
    """One model of several that share no name, with the nodes of `head` behind them."""
    tail = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {head}')
    made = onnx.ModelProto(ir_version=8)
    made.opset_import.add(version=opset)
    made.graph.name = "composed"
    for part in parts:
        made.graph.node.extend(part.graph.node)
        made.graph.initializer.extend(part.graph.initializer)
        made.graph.input.extend(part.graph.input)
        known = {(o.domain, o.version) for o in made.opset_import}
        made.opset_import.extend(o for o in part.opset_import if o.domain and (o.domain, o.version) not in known)
    written = {name for node in made.graph.node for name in node.output}
    made.graph.input.extend(value for value in tail.graph.input if value.name not in written)
    made.graph.node.extend(tail.graph.node)
    made.graph.initializer.extend(tail.graph.initializer)
    made.graph.output.extend(tail.graph.output)
    return made


def two_towers(query: Path, candidate: Path) -> onnx.ModelProto:
    """``scores[Q, C]``: queries through one text encoder against candidates through another, 384 features each.

    `query` is a catalogue model with a pooled output ``461``, `candidate` one whose first token is the embedding.
    """
    head = """
    scores (float[Q, 384] "q/461", float[C, S, 384] "c/last_hidden_state") => (float[Q, C] scores)
    {
        first = Constant<value_int = 0>()
        embedded = Gather<axis = 1>("c/last_hidden_state", first)
        turned = Transpose<perm = [1, 0]>(embedded)
        scores = MatMul("q/461", turned)
    }"""
    head = head.replace('"q/461"', "q_461").replace('"c/last_hidden_state"', "c_last_hidden_state")
    return _joined([_prefixed(query, "q_", "Q"), _prefixed(candidate, "c_", "C")], head, 17)


def twin_towers(encoder: Path) -> onnx.ModelProto:
    """Queries and candidates, each through a copy of the same text encoder with a pooled output ``461``."""
    head = """
    twins (float[Q, 384] q_461, float[C, 384] c_461) => (float[Q, 384] queries, float[C, 384] candidates)
    {
        queries = Neg(q_461)
        candidates = Neg(c_461)
    }"""
    return _joined([_prefixed(encoder, "q_", "Q"), _prefixed(encoder, "c_", "C")], head, 17)


def image_and_point(image: Path) -> onnx.ModelProto:
    """An image encoder with a point that is cheap to look up in its feature map, as a prompt is."""
    head = """
    prompted (float[N, 1, H, W] i_output_importance, float[N, 1, 1, 2] point) => (float[N, 1, 1, 1] at)
    {
        at = GridSample(i_output_importance, point)
    }"""
    return _joined([_prefixed(image, "i_", "N")], head, 17)
