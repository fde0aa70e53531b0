"""onnx infers types without taking the process along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from graphs import model

from actcache.passes.graph.inference import inferred
from actcache.passes.graph.view import GraphView

FLOAT, INT64, STRING = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.STRING
DOMAINS = '"ai.onnx.ml" : 1, "my.ops" : 1'
TO_NUMBER = 'ai.onnx.ml.LabelEncoder<classes_strings = ["a", "b"]>'


def test_no_operator_of_onnx_dies_of_an_input_without_a_type() -> None:
    program = Path(__file__).with_name("untyped_inputs.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    said = done.stdout.split()
    assert done.returncode == 0, f"{said[-1:]} ended it: {done.stderr[-300:]}"
    assert int(said[-1]) > 3000 and "ai.onnx.ml.LabelEncoder-1" in said


def test_what_was_hidden_is_shown_once_its_inputs_have_types() -> None:
    """Also one behind another, and in a body."""
    text = f"""g (string[N, 2] x, bool c) => (int64[N, 2] y, string[N, 2] z, int64[N, 2] b) {{
        k = {TO_NUMBER}(x)
        s = {TO_NUMBER}(k)
        y = {TO_NUMBER}(s)
        z = Identity(s)
        b = If(c) <then_branch = t () => (i) {{ i = {TO_NUMBER}(s) }}, else_branch = e () => (j) {{ j = Identity(k) }}>
    }}"""
    proto = model(text, domains=DOMAINS)
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in "yzb")
    before = proto.SerializeToString()
    view = GraphView(proto)
    assert [view.dtype(name) for name in "ksyzb"] == [INT64, STRING, INT64, STRING, INT64]
    assert proto.SerializeToString() == before
    assert [node.op_type for node in inferred(proto).graph.node] == [node.op_type for node in proto.graph.node]


def test_what_has_no_type_stays_without_one() -> None:
    """Until it is told; a name that has a type in one branch may have none in the other."""
    text = f"""g (string[N, 2] x, bool c) => (float[N] o) {{
        u = my.ops.Anything(x)
        y = {TO_NUMBER}(u)
        o = If(c) <then_branch = t () => (q) {{ p = Identity(x) q = {TO_NUMBER}(p) }},
                   else_branch = e () => (q) {{ p = my.ops.Anything(x) q = {TO_NUMBER}(p) }}>
        f = EyeLike<dtype = 1>(u)
    }}"""
    proto = model(text, domains=DOMAINS)
    del proto.graph.output[:]
    assert GraphView(proto).dtype("y") is None and GraphView(proto).untyped
    told = GraphView(proto, {"u": STRING})
    assert told.dtype("y") == INT64 and told.dtype("f") == FLOAT


def test_the_body_of_a_function_is_as_dangerous() -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "my.ops" : 1, "my.functions" : 1]>
        g (float[2, 2] x) => (float[2, 2] y, float[2, 2] z) {
            u = my.ops.Anything(x) y = my.functions.eye(u) z = my.functions.eye(x)
        }
        <domain: "my.functions", opset_import: ["" : 17]>
        eye (v) => (w) { w = EyeLike(v) }""")
    del proto.graph.output[:]
    found = GraphView(proto)
    assert found.dtype("y") is None and found.dtype("z") is None


def test_a_model_that_onnx_refuses_has_the_types_that_it_states() -> None:
    proto = model("g (float[N] x) => (float[N] y) { z = Neg(x) y = EyeLike(z) }")
    assert GraphView(proto).dtype("z") == FLOAT
    proto.graph.input[0].type.tensor_type.elem_type = 999
    assert GraphView(proto).dtype("y") == FLOAT


@pytest.mark.parametrize("told", [{}, {"z": FLOAT}])
def test_a_view_without_inference_has_what_is_stated_and_told(told: dict[str, int]) -> None:
    proto = model("g (float[N, 2] x) => (float[N, 2] y) { z = Neg(x) y = Abs(z) }")
    view = GraphView(proto, told, infers=False)
    assert view.dtype("z") == told.get("z") and view.untyped == (() if told else ("z",))
    assert view.shape("z") is None and view.shape("y") == ("N", 2)
    again = view.of(model("g (float[N, 2] x) => (float[N, 2] y) { z = Exp(x) w = Abs(z) y = Exp(w) }"))
    assert again.dtype("z") == told.get("z") and again.dtype("w") is None


def test_another_process_infers_the_same() -> None:
    proto = model(f"g (string[N, 2] x) => (string[N, 2] y) {{ t = Transpose(x) k = {TO_NUMBER}(t) y = Identity(x) }}",
                  domains=DOMAINS)  # fmt: skip
    here, elsewhere = GraphView(proto), GraphView(proto, elsewhere=True)
    assert elsewhere.dtype("k") == here.dtype("k") == INT64
    assert elsewhere.shape("t") == here.shape("t") == (2, "N")
    proto.graph.input[0].type.tensor_type.elem_type = 999
    assert GraphView(proto, elsewhere=True).dtype("k") is None, "onnx refuses it"
