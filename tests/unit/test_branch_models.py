"""Branches of an If as models of their own: taken out, and put back."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from actcache.errors import InvalidOption
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.branch_models import branch_model, branches_of, move_constants, put_back
from actcache.passes.rewrite.key_constants import number_of, renumber
from actcache.passes.rewrite.last_in_branches import read_last_anywhere
from benchmarks.decoders import Decoder
from benchmarks.merged_decoders import CONDITION, merged_decoder

#: An If between other nodes: `w` is large, `one` is read in both branches, `two` outside as well, `three` is a node.
AROUND = """<ir_version: 9, opset_import: ["" : 20]> g (float[N, 40] x, bool c) => (float[N, M] y, float[N, 40] z)
    <float[40, 40] w, float[1] one = {1}, float[1] two = {2}> {
        three = Constant <value = float[1] {3}> ()
        a = Mul(x, two)
        b = If(c) <
            then_branch = t () => (float[N, K] p) { p1 = MatMul(a, w) p2 = Add(p1, one) p = Mul(p2, three) },
            else_branch = e () => (float[N, K] q) { q1 = MatMul(x, w) q2 = Sub(q1, two) q = Add(q2, one) }>
        y = Relu(b)  z = Neg(a) }"""


def around() -> onnx.ModelProto:
    model = onnx.parser.parse_model(AROUND)
    weights = np.random.default_rng(0).standard_normal((40, 40), np.float32)
    del model.graph.value_info[:]  # the parser takes a weight without data for a value
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return model


def run(model: onnx.ModelProto, feed: dict[str, Any]) -> list[Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return list(ort.InferenceSession(model.SerializeToString(), options).run(None, feed))


def test_what_only_branches_read_moves_and_all_else_stays() -> None:
    model = around()
    (node,) = (node for node in model.graph.node if node.op_type == "If")
    branches = branches_of(node)
    assert [branch.taken_if for branch in branches] == [True, False]
    move_constants(model, branches)
    onnx.checker.check_model(model, full_check=True)
    assert {tensor.name for tensor in model.graph.initializer} == {"two"}
    assert "Constant" not in {node.op_type for node in model.graph.node}
    then, other = (branch.body(model) for branch in branches)
    assert [sorted(tensor.name for tensor in body.initializer) for body in (then, other)] == [["one", "w"]] * 2
    assert then.node[0].op_type == "Constant" and other.node[0].op_type != "Constant"
    x = np.random.default_rng(1).standard_normal((3, 40), np.float32)
    for flag in (True, False):
        feed = {"x": x, "c": np.array(flag)}
        for mine, expected in zip(run(model, feed), run(around(), feed), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-5)


def test_a_branch_is_a_model_that_gives_what_the_branch_gives_and_can_be_put_back() -> None:
    model = around()
    branches = branches_of(model.graph.node[2])
    move_constants(model, branches)
    view = GraphView(model)
    x = np.random.default_rng(1).standard_normal((3, 40), np.float32)
    values = {"x": x, "a": 2 * x, "two": np.array([2], np.float32)}
    taken = onnx.ModelProto.FromString(model.SerializeToString())
    for branch, reads in zip(branches, (["a"], ["x"]), strict=True):
        own = branch_model(view, branch)
        assert isinstance(own, onnx.ModelProto)
        onnx.checker.check_model(own, full_check=True)
        assert [value.name for value in own.graph.input] == reads
        assert "w" in {tensor.name for tensor in own.graph.initializer}
        (given,) = run(own, {name: values[name] for name in reads})
        expected = run(around(), {"x": x, "c": np.array(branch.taken_if)})[0]
        np.testing.assert_allclose(np.maximum(given, 0), expected, rtol=0, atol=1e-5)
        put_back(taken, branch, own)
    assert taken.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_of_what_other_nodes_compute_only_what_is_certain_is_stated() -> None:
    model = around()
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [7, 40]))
    branch = branches_of(model.graph.node[2])[0]
    own = branch_model(GraphView(model), branch)
    assert isinstance(own, onnx.ModelProto)
    (value,) = (value for value in own.graph.input if value.name == "a")
    first, second = value.type.tensor_type.shape.dim
    assert not first.HasField("dim_value") and second.dim_value == 40


def test_a_branch_that_reads_no_tensor_is_none() -> None:
    model = onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 20]> g (float[N] x, bool c) => (float[M] y) {
        s = SequenceConstruct(x, x)  zero = Constant <value = int64 {0}> ()
        y = If(c) <then_branch = t () => (float[M] p) { p = SequenceAt(s, zero) },
            else_branch = e () => (float[M] q) { q = Neg(x) }> }""")
    then, other = branches_of(model.graph.node[2])
    refusal = branch_model(GraphView(model), then)
    assert isinstance(refusal, Refusal) and "'s'" in refusal.reason
    assert isinstance(branch_model(GraphView(model), other), onnx.ModelProto)


def test_constants_of_one_name_in_two_branches_have_numbers_of_their_own() -> None:
    names = ["w", "mine"]
    nodes = [onnx.helper.make_node("CacheLookup", names, [], constants=list(map(number_of, names))) for _ in range(2)]
    for node, scope in zip(nodes, ("then", "else"), strict=True):
        renumber(node, {number_of("w")}, scope)
    found = [list(node.attribute[0].ints) for node in nodes]
    assert found[0][0] == found[1][0] == number_of("w")
    assert len({found[0][1], found[1][1], number_of("mine")}) == 3


SIZES = Decoder(layers=1, past=True, padding=True)


def test_the_last_position_alone_is_read_in_both_branches() -> None:
    original = merged_decoder(SIZES)
    model = onnx.ModelProto.FromString(original.SerializeToString())
    assert read_last_anywhere(GraphView(model), ["logits"]) == {"logits": 1}
    onnx.checker.check_model(model)
    ids = np.random.default_rng(0).integers(0, SIZES.vocabulary, (2, 7))
    for flag, before in ((False, 0), (True, 3)):
        mask = np.ones((2, before + 7), np.int64)
        past = {f"past_key_values.0.{part}": np.ones((2, 4, before, 8), np.float32) for part in ("key", "value")}
        call = {"input_ids": ids, "attention_mask": mask, **past, CONDITION: np.array([flag])}
        expected, given = run(original, call), run(model, call)
        assert np.isnan(given[0][:, :-1]).all() and given[0].shape == expected[0].shape
        np.testing.assert_allclose(given[0][:, -1], expected[0][:, -1], rtol=0, atol=1e-5)
        for mine, other in zip(given[1:], expected[1:], strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5)
    with pytest.raises(InvalidOption, match="no output 'other'"):
        read_last_anywhere(GraphView(merged_decoder(SIZES)), ["other"])
