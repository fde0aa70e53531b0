"""The table of operators whose bits depend on the batch, against onnxruntime on this machine."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import parser

from actcache.passes.choice.bits import known_barriers
from actcache.passes.graph.op_bits import ALONE, BY_PLACE
from actcache.passes.graph.view import GraphView

ROWS, WIDTHS = 37, (3, 5, 17, 64)
PARTS = [(0, 1), (3, 4), (0, 2), (1, 4), (0, 7), (3, 8), (7, 24), (1, 36), (20, 33)]
PLACED = sorted(op for domain, op in BY_PLACE if domain == "" and op != "LRN")
EQUAL = (
    "Abs Ceil Erf Exp Floor HardSigmoid HardSwish LeakyRelu Neg Reciprocal Relu Round Sigmoid Sign Softmax LogSoftmax"
    " Softsign Sqrt Tanh ThresholdedRelu Gelu Sinh Cosh Tan Atanh"
).split()


REDUCE = "(float[N, 31, 64] x) => (float[N, 64] y) <int64[1] a = {1}> { y = Op<keepdims = 0>(x, a) }"


def model(text: str) -> str:
    return f'<ir_version: 9, opset_import: ["" : 20]> g {text}'


def differing(text: str, shape: tuple[int, ...], low: float = -3.0, high: float = 3.0) -> set[int]:
    """Return the sizes of batches in which rows are not what they are in a batch of 37, bit for bit."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 2
    proto = parser.parse_model(model(text))
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    rest = {
        value.name: generator.standard_normal(value.shape).astype(np.float32)
        for value in session.get_inputs()
        if value.name != "x"
    }
    x = generator.uniform(low, high, (ROWS, *shape)).astype(np.float32)
    (whole,) = session.run(None, {"x": x, **rest})
    found = set()
    for first, end in PARTS:
        (part,) = session.run(None, {"x": x[first:end], **rest})
        if part.tobytes() != whole[first:end].tobytes():
            found.add(end - first)
    return found


def elementwise(op: str, width: int) -> str:
    return f"(float[N, {width}] x) => (float[N, {width}] y) {{ y = {op}(x) }}"


@pytest.mark.parametrize("op", EQUAL)
def test_what_is_in_no_table_is_equal_in_every_bit(op: str) -> None:
    assert ("", op) not in BY_PLACE and ("", op) not in ALONE
    low, high = (0.05, 0.95) if op in ("Sqrt", "Atanh") else (-3.0, 3.0)
    assert [differing(elementwise(op, width), (width,), low, high) for width in WIDTHS] == [set()] * len(WIDTHS)


@pytest.mark.parametrize("op", PLACED)
def test_what_depends_on_its_place_is_refused(op: str) -> None:
    """Other instruction sets may have no such tails; a table that refuses more than it must is no fault."""
    view = GraphView(parser.parse_model(model(elementwise(op, 5))))
    assert [refusal.rule for refusal in known_barriers(view).barriers.values()] == ["exact-bits"]


@pytest.mark.parametrize(
    ("op", "text", "shape"),
    [
        ("MatMul", "(float[N, 64] x, float[64, 20] w) => (float[N, 20] y) { y = MatMul(x, w) }", (64,)),
        ("Gemm", "(float[N, 64] x, float[64, 20] w) => (float[N, 20] y) { y = Gemm(x, w) }", (64,)),
        ("ReduceSum", REDUCE.replace("Op", "ReduceSum"), (31, 64)),
        ("ReduceMean", REDUCE.replace("Op", "ReduceMean"), (31, 64)),
    ],
)
def test_what_one_row_alone_may_change_nothing_else_does(op: str, text: str, shape: tuple[int, ...]) -> None:
    assert ("", op) in ALONE
    assert differing(text, shape) <= {1}


def test_other_sums_are_equal_in_every_bit() -> None:
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2"):
        text = f"(float[N, 31, 64] x) => (float[N, 31] y) <int64[1] a = {{2}}> {{ y = {op}<keepdims = 0>(x, a) }}"
        assert differing(text, (31, 64)) == set(), op


def test_a_signal_is_resized_by_place_and_a_picture_is_not() -> None:
    line = '(float[N, 4, 17] x) => (float[N, 4, 34] y) <float[3] s = {1, 1, 2}> { y = Resize<mode = "linear">(x, , s) }'
    picture = (
        "(float[N, 4, 17, 17] x) => (float[N, 4, 34, 34] y) <float[4] s = {1, 1, 2, 2}>"
        ' { y = Resize<mode = "linear">(x, , s) }'
    )
    assert known_barriers(GraphView(parser.parse_model(model(line)))).barriers
    assert not known_barriers(GraphView(parser.parse_model(model(picture)))).barriers
    assert differing(picture, (4, 17, 17)) == set()


def test_what_depends_on_no_batch_is_no_barrier() -> None:
    text = "(float[N, 4] x) => (float[N, 4] y) <float[4] c = {1, 2, 3, 4}> { t = Log(c) y = Mul(x, t) }"
    assert not known_barriers(GraphView(parser.parse_model(model(text)))).barriers
