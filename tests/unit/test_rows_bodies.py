"""What is proven, and refused, of nodes is proven and refused of the same nodes in a branch and in a loop."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from rows_catalogue import SAMPLES, TRAPS
from rows_support import Claim, Sample, described

from actcache.passes.graph.view import GraphView
from actcache.passes.rows import RowProof, prove_rows

_BOOL, _INT64 = onnx.TensorProto.BOOL, onnx.TensorProto.INT64
_make = onnx.helper


def in_branches(tried: Sample) -> RowProof:
    """Put all nodes into both branches of an ``If``; the outputs have names that end in an underscore."""
    model = tried.model
    outputs = [onnx.ValueInfoProto(name=name) for name in tried.claims]
    branches = {f"{name}_branch": _make.make_graph(model.graph.node, name, [], outputs) for name in ("then", "else")}
    model.graph.input.append(_make.make_tensor_value_info("flag_", _BOOL, []))
    return _proof_of(tried, model, _make.make_node("If", ["flag_"], [f"{name}_" for name in tried.claims], **branches))


def in_loop(tried: Sample) -> RowProof:
    """Put all nodes into a ``Loop`` of one iteration, which stacks up their outputs."""
    model = tried.model
    go_on = _make.make_node("Identity", ["c_"], ["d_"])
    arguments = [_make.make_tensor_value_info("i_", _INT64, []), _make.make_tensor_value_info("c_", _BOOL, [])]
    outputs = [onnx.ValueInfoProto(name=name) for name in ("d_", *tried.claims)]
    body = _make.make_graph([go_on, *model.graph.node], "body", arguments, outputs)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1), "once_"))
    loop = _make.make_node("Loop", ["once_", ""], [f"{name}_" for name in tried.claims], body=body)
    return _proof_of(tried, model, loop)


def _proof_of(tried: Sample, model: onnx.ModelProto, node: onnx.NodeProto) -> RowProof:
    del model.graph.node[:]
    model.graph.node.append(node)
    for output in model.graph.output:
        output.name += "_"
    axes = {n: t.axis for n, t in tried.tensors.items() if t.axis is not None and not t.constant}
    return prove_rows(GraphView(model), axes)


def _behind(claim: Claim) -> Claim:
    """The claim about a tensor with one more axis in front."""
    if isinstance(claim, tuple):
        return claim[0] + 1, claim[1]
    return claim + 1 if isinstance(claim, int) else claim


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_in_a_body_is_refused(name: str) -> None:
    trap = TRAPS[name]
    output = f"{next(iter(trap.claims))}_"
    for proof in (in_branches(trap), in_loop(trap)):
        refusal = proof.refusal(output)
        assert refusal is not None and refusal.rule == name.split()[0] and refusal.node


@pytest.mark.parametrize(
    "tried", [s for s in SAMPLES if all(not isinstance(c, str) for c in s.claims.values())], ids=str
)
def test_rows_that_are_proven_are_proven_in_a_body(tried: Sample) -> None:
    branches, loop = in_branches(tried), in_loop(tried)
    expected = tried.claims if not _whole_body_is_refused(tried) else dict.fromkeys(tried.claims, "mixed")
    assert {name: described(branches.state(f"{name}_")) for name in tried.claims} == expected
    expected = {name: _behind(claim) for name, claim in expected.items()}
    assert {name: described(loop.state(f"{name}_")) for name in tried.claims} == expected


def _whole_body_is_refused(tried: Sample) -> bool:
    """Whether a node beside those that make the outputs mixes rows: a body runs as a whole."""
    written = [[name for name in node.output if name] for node in tried.model.graph.node]
    return any(all(tried.proof.refusal(name) is not None for name in names) for names in written)
