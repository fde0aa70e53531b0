"""Calls that contradict what a model declares, and whether onnxruntime lets them pass: docs/declarations.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser

Array: TypeAlias = "npt.NDArray[np.generic]"

_SAME = "(float y) { y = Identity(x) }"
_LOOP = """(float[M, K] x, int64 k) => (float y) { y = Loop(k, , x) <body = b (int64 i, bool c, %s v) => (bool d, %s w)
    { d = Identity(c) w = Add(v, v) }> }"""


@dataclass(frozen=True)
class Case:
    """One declaration, and a call that contradicts it.

    Attributes:
        graph: Text of the graph, without its name.
        shapes: The input and its fed shape; ``k`` and ``c`` are a trip count and a condition.
        passes: Whether the call runs, in every supported onnxruntime.
        unshaped: Inputs without a shape field.
        dtype: Element type of what is fed.
    """

    graph: str
    shapes: Mapping[str, tuple[int, ...]]
    passes: bool
    unshaped: tuple[str, ...] = ()
    dtype: str = "float32"

    def model(self) -> onnx.ModelProto:
        """The model. Its outputs declare no shape unless the text gives them axes."""
        made = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {self.graph}')
        for value in [*made.graph.input, *made.graph.output]:
            dims = value.type.tensor_type.shape.dim
            if value.name in self.unshaped or (not dims and value.name == "y"):
                value.type.tensor_type.ClearField("shape")
        return made

    def feed(self) -> dict[str, Array]:
        """The call."""
        made: dict[str, Array] = {}
        for name, shape in self.shapes.items():
            dtype = {"k": "int64", "c": "bool"}.get(name, self.dtype)
            made[name] = np.full(shape, "a", object) if dtype == "str" else np.ones(shape, dtype)
        return made


def _optional() -> onnx.ModelProto:
    optional = onnx.helper.make_optional_type_proto(onnx.helper.make_tensor_type_proto(1, [2, 3]))
    return _handed_on(optional, onnx.helper.make_node("OptionalGetElement", ["x"], ["y"]))


def _handed_on(type_proto: onnx.TypeProto, node: onnx.NodeProto) -> onnx.ModelProto:
    value, output = onnx.ValueInfoProto(name="x", type=type_proto), onnx.ValueInfoProto(name="y")
    output.type.tensor_type.elem_type = 1
    graph = onnx.helper.make_graph([node], "g", [value], [output])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


#: Slug, as the table of the document has it, to the call.
CASES: dict[str, Case] = {
    "scalar": Case("(float x) => " + _SAME, {"x": (5, 3)}, True),
    "scalar as [1]": Case("(float x) => " + _SAME, {"x": (1,)}, True),
    "string scalar": Case("(string x) => (string y) { y = Identity(x) }", {"x": (4,)}, True, dtype="str"),
    "no shape": Case("(float x) => " + _SAME, {"x": (5, 3)}, True, ("x",)),
    "rank too high": Case("(float[N, 3] x) => " + _SAME, {"x": (5, 3, 1)}, False),
    "rank too low": Case("(float[N, M] x) => " + _SAME, {"x": (5,)}, False),
    "rank 1 as scalar": Case("(float[N] x) => " + _SAME, {"x": ()}, False),
    "fixed size": Case("(float[N, 3] x) => " + _SAME, {"x": (5, 4)}, False),
    "size 1": Case("(float[1, 3] x) => " + _SAME, {"x": (5, 3)}, False),
    "size 0": Case("(float[0, 3] x) => " + _SAME, {"x": (5, 3)}, False),
    "string size": Case("(string[3] x) => (string y) { y = Identity(x) }", {"x": (4,)}, False, dtype="str"),
    "unnamed size": Case("(float[?, 3] x) => " + _SAME, {"x": (5, 3)}, True),
    "one name in one input": Case("(float[N, N] x) => " + _SAME, {"x": (5, 4)}, True),
    "one name in two inputs": Case(
        "(float[N] x, float[N] z) => (float y, float u) { y = Identity(x) u = Identity(z) }",
        {"x": (5,), "z": (4,)},
        True,
    ),
    "element type": Case("(float[N] x) => " + _SAME, {"x": (3,)}, False, dtype="float64"),
    "overridable size": Case(
        "(float[M, 3] z, float[3] x) => (float y) <float[3] x = {1, 2, 3}> { y = Add(x, z) }",
        {"z": (5, 3), "x": (1,)},
        False,
    ),
    "overridable scalar": Case(
        "(float[M, 3] z, float x) => (float y) <float x = {1}> { y = Add(x, z) }", {"z": (5, 3), "x": (5, 1)}, True
    ),
    "overridable without shape": Case(
        "(float[M, 3] z, float x) => (float y) <float x = {1}> { y = Add(x, z) }",
        {"z": (5, 3), "x": (5, 1)},
        True,
        ("x",),
    ),
    "output": Case("(float[M, K] x) => (float[7, 7] y) { y = Identity(x) }", {"x": (5, 3)}, True),
    "output rank": Case("(float[M, K] x) => (float[7] y) { y = Identity(x) }", {"x": (5, 3)}, True),
    "value_info": Case("(float[M, K] x) => (float y) <float[7, 7] t> { t = Relu(x) y = Tanh(t) }", {"x": (5, 3)}, True),
    "value_info rank": Case(
        "(float x) => (float y) <float[7] t> { t = Relu(x) y = Tanh(t) }", {"x": (5, 3)}, True, ("x",)
    ),
    "branch output": Case(
        """(float[M, K] x, bool c) => (float y) { y = If(c) <then_branch = t () => (float[A, A] a) { a = Neg(x) },
        else_branch = e () => (float[A, A] b) { b = Abs(x) }> }""",
        {"x": (5, 3), "c": ()},
        True,
    ),
    "branch output of fixed size": Case(
        """(float[M, K] x, bool c) => (float y) { y = If(c) <then_branch = t () => (float[7, 7] a) { a = Neg(x) },
        else_branch = e () => (float[7, 7] b) { b = Abs(x) }> }""",
        {"x": (5, 3), "c": ()},
        False,
    ),
    "condition of one element": Case(
        """(float[M, K] x, bool c) => (float y) { y = If(c) <then_branch = t () => (float[M, K] a) { a = Neg(x) },
        else_branch = e () => (float[M, K] b) { b = Abs(x) }> }""",
        {"x": (5, 3), "c": (1, 1)},
        True,
    ),
    "condition of two elements": Case(
        """(float[M, K] x, bool c) => (float y) { y = If(c) <then_branch = t () => (float[M, K] a) { a = Neg(x) },
        else_branch = e () => (float[M, K] b) { b = Abs(x) }> }""",
        {"x": (5, 3), "c": (2,)},
        False,
    ),
    "carried value": Case(_LOOP % ("float[7, 7]", "float[7, 7]"), {"x": (5, 3), "k": ()}, True),
    "carried rank": Case(_LOOP % ("float[7]", "float[7]"), {"x": (5, 3), "k": ()}, True),
    "trip count of one element": Case(_LOOP % ("float[A, B]", "float[A, B]"), {"x": (5, 3), "k": (1,)}, True),
    "trip count of two elements": Case(_LOOP % ("float[A, B]", "float[A, B]"), {"x": (5, 3), "k": (2,)}, False),
}

#: As CASES, of inputs that the text has no words for.
OTHER_MODELS = {"optional element": (_optional(), {"x": np.ones((5, 4), np.float32)}, False)}
