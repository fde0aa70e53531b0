"""A constant batch made variable: each way in which exporters bake it in, and what must be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import model

import actcache
from actcache.passes.cuts.feeds import Feed
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.dynamic_batch import DynamicBatch, make_dynamic
from actcache.verification.verify import in_batches

_W = "float[8, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6}"
_CELL = """float[1, 8, 3] w = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4},
           float[1, 8, 2] r = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5}"""

#: What is baked in → the graph, and the operators that replace it.
BAKED = {
    "a reshape": (
        "g (float[4, 16, 8] x) => (float[4, 2, 64] y) <int64[3] s = {4, 2, 64}> { y = Reshape(x, s) }", "Concat"),
    "a reshape to the size of the heads": (
        "g (float[4, 2, 8] x) => (float[4, 2, 4, 2] y) <int64[4] s = {4, 2, 4, -1}> { y = Reshape(x, s) }", "Concat"),
    "rows flattened with another axis, and back": (
        """g (float[4, 16, 8] x) => (float[4, 16, 8] y) <int64[2] s = {64, 8}, int64[3] b = {4, -1, 8}> {
           f = Reshape(x, s) t = Tanh(f) y = Reshape(t, b) }""", "Mul Concat Concat"),
    "an expansion": ("g (float[4, 1] x) => (float[4, 3] y) <int64[2] s = {4, 3}> { y = Expand(x, s) }", "Concat"),
    "a resize": (
        """g (float[4, 3, 8, 8] x) => (float[4, 3, 16, 16] y) <int64[4] s = {4, 3, 16, 16}> {
           y = Resize<mode = "nearest">(x, , , s) }""", "Concat"),
    "a slice of all rows": (
        "g (float[4, 8] x) => (float[4, 8] y) <int64[1] a = {0}, int64[1] b = {4}> { y = Slice(x, a, b) }", "Concat"),
    "equal rows that are added": (
        "g (float[4, 2] x) => (float[4, 2] y) <float[4, 2] c = {1, 2, 1, 2, 1, 2, 1, 2}> { y = Add(x, c) }",
        "Concat Expand"),
    "equal rows, where their number is that of the columns": (
        "g (float[2, 2] x) => (float[2, 2] y) <float[2, 2] c = {1, 2, 1, 2}> { y = Add(x, c) }", "Concat Expand"),
    "equal rows that are joined on": (
        """g (float[4, 2] x) => (float[4, 3] y) <int64[2] s = {4, 1}> {
           z = ConstantOfShape(s) y = Concat<axis = 1>(x, z) }""", "Concat Expand"),
    "equal rows of a linear layer": (
        f"g (float[2, 8] x) => (float[2, 3] y) <{_W}, float[2, 3] c = {{1, 2, 3, 1, 2, 3}}> {{ y = Gemm(x, w, c) }}",
        "Concat Expand"),
    "flattened equal rows": (
        """g (float[2, 3, 2] x) => (float[2, 3, 2] y)
           <float[6, 1] c = {1, 2, 3, 1, 2, 3}, int64[2] s = {6, 2}, int64[3] b = {2, 3, 2}> {
           f = Reshape(x, s) m = Mul(f, c) y = Reshape(m, b) }""", "Mul Concat Concat Expand Reshape Concat"),
    "the state that a recurrent operator begins with": (
        f"""g (float[3, 2, 3] x) => (float[3, 2, 2] y)
            <{_CELL}, float[1, 2, 2] h0 = {{1, 2, 1, 2}}, float[1, 2, 2] c0 = {{0, 0, 0, 0}}> {{
            a, b, c = LSTM<hidden_size = 2>(x, w, r, , , h0, c0) one = Constant<value_ints = [1]>()
            y = Squeeze(a, one) }}""", "Concat Expand Concat Expand"),
    "the number of each row": (
        """g (float[3, 5, 2] x) => (float[3, 2] y) <int64[3, 1] b = {0, 1, 2}, int64[1] two = {2}> {
           a = ArgMax<axis = 1>(x) f = ReduceMax<axes = [2], keepdims = 0>(a) i = Concat<axis = 1>(b, f)
           y = GatherND(x, i) }""", "Squeeze Range Reshape"),
    "coordinates": (
        """g (float[3, 5, 2] x) => (float[3, 2] y) <int64[3, 2] i = {0, 4, 1, 4, 2, 4}> { y = GatherND(x, i) }""",
        "Concat Expand Squeeze Range Reshape Expand Concat"),
    "a batch of one: a class token": (
        "g (float[1, 5, 2] x) => (float[1, 6, 2] y) <float[1, 1, 2] c = {1, 2}> { y = Concat<axis = 1>(c, x) }",
        "Concat Expand"),
    "a batch of one: a reshape": (
        "g (float[1, 8] x) => (float[1, 2, 4] y) <int64[3] s = {1, 2, 4}> { y = Reshape(x, s) }", "Concat"),
    "nothing": (
        "g (float[4, 8] x, float[1, 4, 2] h) => (float[4, 8] y, float[1, 4, 2] k) { y = Exp(x) k = Neg(h) }", ""),
}  # fmt: skip

#: What stands against it → the graph, the node that is named, and words of the reason.
REFUSED = {
    "a constant of different rows": (
        "g (float[2, 2] x) => (float[2, 2] y) <float[2, 2] c = {1, 2, 1, 3}> { y = Add(x, c) }",
        "Add → y", "'c' of shape [2, 2] differs from row to row"),
    "rows that are mixed": ("g (float[4, 8] x) => (float[4, 8] y) { y = Softmax<axis = 0>(x) }", "Softmax → y", "rows"),
    "a value of the whole batch": (
        "g (float[4, 8] x) => (float[1, 1] y) { y = ReduceMean(x) }", "ReduceMean → y", "combines the rows"),
    "some of the rows": (
        "g (float[4, 8] x) => (float[2, 8] y) <int64[1] a = {0}, int64[1] b = {2}> { y = Slice(x, a, b) }",
        "Slice → y", "some rows"),
    "the size of the batch as a number": (
        """g (float[4, 8] x) => (float[4, 8] y) {
           s = Shape(x) f = Cast<to = 1>(s) n = ReduceMax<keepdims = 0>(f) y = Div(x, n) }""",
        "Div → y", "the number of rows"),
    "a constant that is an output": (
        "g (float[4, 2] x) => (float[4, 2] y, float[4] z) <float[4] c = {1, 1, 1, 1}> { y = Neg(x) z = Neg(c) }",
        "", "output 'z'"),
    "no batch": ("g (float x) => (float y) { y = Exp(x) }", "", "no batch"),
    "a variable batch": ("g (float[N, 4] x) => (float[N, 4] y) { y = Exp(x) }", "", "no batch"),
}  # fmt: skip


def not_external(tensor: onnx.TensorProto) -> np.ndarray:
    raise AssertionError(f"{tensor.name} is stored in the model")


def fixed_feed(session: ort.InferenceSession) -> Feed:
    generator = np.random.default_rng(0)
    return {i.name: generator.standard_normal(i.shape).astype(np.float32) for i in session.get_inputs()}


def sized(feed: Feed, axes: dict[str, int], rows: list[int]) -> Feed:
    return {name: np.take(a, rows, axes[name]) if name in axes else a for name, a in feed.items()}


@pytest.mark.parametrize("name", BAKED)
def test_what_is_baked_in_is_computed_from_the_batch(name: str) -> None:
    text, new = BAKED[name]
    proto = model(text)
    made = make_dynamic(GraphView(proto), not_external)
    assert isinstance(made, DynamicBatch), made
    onnx.checker.check_model(made.model, full_check=True)
    before = [node.op_type for node in proto.graph.node]
    added = [node.op_type for node in made.model.graph.node if node.name.startswith("dynamic_batch/")]
    assert [o for o in added if o not in ("Shape", "Gather")] == new.split()
    kept = [node.op_type for node in made.model.graph.node if not node.name.startswith("dynamic_batch/")]
    assert kept == [operator for operator in before if operator != "ConstantOfShape"]
    assert not {t.name for t in made.model.graph.initializer} & {"s", "c", "c0", "h0", "i"}

    original = ort.InferenceSession(proto.SerializeToString())
    dynamic = ort.InferenceSession(made.model.SerializeToString())
    feed = fixed_feed(original)
    for mine, theirs in zip(dynamic.run(None, feed), original.run(None, feed), strict=True):
        assert mine.tobytes() == theirs.tobytes() and mine.shape == theirs.shape
    in_groups = in_batches(lambda f: original.run(None, f), made.size, made.inputs, made.outputs)
    for rows in ([0], [0, 0, 0], list(range(made.size)) * 2 + [0]):
        batch = sized(feed, dict(made.inputs), rows)
        for mine, theirs in zip(dynamic.run(None, batch), in_groups(batch), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)

    assert not isinstance(make_dynamic(GraphView(made.model), not_external), DynamicBatch)


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_the_batch_is_refused(name: str) -> None:
    text, node, reason = REFUSED[name]
    refusal = make_dynamic(GraphView(model(text)), not_external)
    assert not isinstance(refusal, DynamicBatch)
    assert refusal.rule == "fixed-batch" and refusal.node == node and reason in refusal.reason


def test_the_model_says_where_its_rows_are() -> None:
    proto = model(BAKED["rows flattened with another axis, and back"][0])
    proto.graph.input.append(onnx.helper.make_tensor_value_info("unread", onnx.TensorProto.FLOAT, [4, "batch"]))
    for name in ("f", "t"):
        proto.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [64, 8]))
    proto.graph.value_info[0].doc_string = "every position of every row"
    made = make_dynamic(GraphView(proto), not_external)
    assert isinstance(made, DynamicBatch)

    def dims(value: onnx.ValueInfoProto) -> list[int | str]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    graph = made.model.graph
    assert [dims(value) for value in graph.input] == [["batch_0", 16, 8], ["batch_0", "batch"]]
    assert dims(graph.output[0]) == ["batch_0", 16, 8]
    assert [(v.name, dims(v)) for v in graph.value_info] == [("f", [0, 8]), ("t", [0, 8])]
    assert not graph.value_info[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    assert graph.value_info[0].doc_string == "every position of every row"


def fixed_model(
    batch: int = 4, *, rows_differ: bool = False, operator: str = "Tanh", width: int = 64
) -> onnx.ModelProto:
    text = """g (float[B, 5, W] x) => (float[B, 5, W] y) <int64[2] s = {-1, W}, int64[3] b = {B, 5, W}> {
              f = Reshape(x, s) h = MatMul(f, w) r = Reshape(h, b) t = Operator(r) y = Add(t, c) }"""
    proto = model(text.replace("B", str(batch)).replace("W", str(width)).replace("Operator", operator))
    generator = np.random.default_rng(0)
    c = generator.standard_normal((batch if rows_differ else 1, 5, width)).astype(np.float32)
    weights: dict[str, np.ndarray] = {
        "w": generator.standard_normal((width, width)),
        "c": np.broadcast_to(c, (batch, 5, width)),
    }
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items())
    return proto


def compiled(path: Path, proto: onnx.ModelProto, **options: object) -> actcache.CompileResult:
    onnx.save(proto, path / "m.onnx")
    return actcache.compile_model(path / "m.onnx", min_saving=0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_model_of_fixed_batch_is_compiled_by_rows(tmp_path: Path, batch: int) -> None:
    proto = fixed_model(batch)
    result = compiled(tmp_path, proto, dynamic_batch=True)
    assert {r.candidate.region.granularity for r in result.regions} == {"row"}
    assert result.verify is not None and result.verify.cases > 9 and not result.verify.skipped
    assert any(f"a constant {batch}" in note for note in result.notes)
    onnx.checker.check_model(onnx.load(result.output), full_check=True)

    options = ort.SessionOptions()
    actcache.register(options)
    session = ort.InferenceSession(str(result.output), options)
    original = ort.InferenceSession(proto.SerializeToString())
    x = np.random.default_rng(1).standard_normal((7, 5, 64)).astype(np.float32)
    expected = in_batches(lambda f: original.run(None, f), batch, {"x": 0}, [0])({"x": x})[0]
    actcache.invalidate()
    for rows in ([0, 1], [1, 2, 3, 4, 5, 6], [6], [0, 3, 3, 5]):
        np.testing.assert_allclose(session.run(None, {"x": x[rows]})[0], expected[rows], rtol=1e-4, atol=1e-4)
    found = next(r for r in actcache.stats()["regions"].values() if r["fingerprint"] == result.regions[-1].fingerprint)
    assert found["misses"] == 7 and found["hits"] == 6


def test_without_the_option_calls_are_cached_and_the_refusal_names_it(tmp_path: Path) -> None:
    result = compiled(tmp_path, fixed_model())
    assert {r.candidate.region.granularity for r in result.regions} == {"tensor"}
    refusal = next(r for r in result.refusals if r.rule == "fixed-batch")
    assert "--dynamic-batch" in refusal.reason and "axis 0 of 'x'" in refusal.reason
    assert any("--dynamic-batch" in line for line in result.explain)
    one = compiled(tmp_path, fixed_model(1))
    assert all(r.rule != "fixed-batch" for r in one.refusals)


def test_a_batch_that_must_stay_is_compiled_as_it_is(tmp_path: Path) -> None:
    proto = fixed_model(rows_differ=True)
    result = compiled(tmp_path, proto, dynamic_batch=True)
    assert {r.candidate.region.granularity for r in result.regions} == {"tensor"}
    assert [r.node for r in result.refusals if r.rule == "fixed-batch"] == ["Add → y"]
    assert onnx.load(result.output).graph.input[0] == proto.graph.input[0]


def test_a_batch_that_verification_rejects_is_compiled_as_it_is(tmp_path: Path) -> None:
    """Sin may differ in its last bit with the place of a value in the batch: too much for a tolerance of 0."""
    proto = fixed_model(operator="Sin", width=27)
    made = make_dynamic(GraphView(proto), not_external)
    assert isinstance(made, DynamicBatch)
    session = ort.InferenceSession(made.model.SerializeToString())
    x = fixed_feed(ort.InferenceSession(proto.SerializeToString()))["x"]
    alone = [session.run(None, {"x": row[np.newaxis]})[0] for row in x]
    if np.array_equal(session.run(None, {"x": x})[0], np.concatenate(alone)):
        pytest.skip("on this machine it does not")
    result = compiled(tmp_path, proto, dynamic_batch=True, tolerance=0.0, samples=[{"x": x}])
    assert {r.candidate.region.granularity for r in result.regions} == {"tensor"}
    assert "verification" in {r.rule for r in result.refusals} and not any("made variable" in n for n in result.notes)
    assert onnx.load(result.output).graph.input[0] == proto.graph.input[0]
