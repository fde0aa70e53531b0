"""``--exact bits``: the compiled model gives the original's results in every bit, whatever is cached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

import actcache
from actcache import CompileResult, compile_model
from actcache.errors import InvalidOption, NothingToCache
from actcache.passes.graph.nodes import all_nodes

SIZES = (1, 2, 3, 5, 8, 17)


def saved(folder: Path, body: str, opset: int = 20) -> Path:
    proto = parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}]> g {body}')
    for name, shape in (("w", (64, 32)), ("v", (32, 8))):
        if any(name in node.input for node in proto.graph.node):
            values = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return path


def sessions(path: Path, result: CompileResult) -> tuple[ort.InferenceSession, ort.InferenceSession]:
    original = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return original, actcache.InferenceSession(result.output)


def assert_bits(path: Path, result: CompileResult, shape: tuple[int, ...], low: float = -1.0) -> None:
    """Play batches that overlap, in an order in which single rows are missing, seen alone, and seen before."""
    original, compiled = sessions(path, result)
    rows = np.random.default_rng(2).uniform(low, 1, (40, *shape)).astype(np.float32)
    actcache.invalidate()
    played = 0
    for size in SIZES:
        for first in (0, 1, size // 2, 0):
            x = np.concatenate([rows[first : first + size], rows[first : first + 1]])[:size]
            for given in (x, x[::-1].copy(), rows[first : first + 1]):
                expected, got = original.run(None, {"x": given}), compiled.run(None, {"x": given})
                assert [a.tobytes() for a in got] == [a.tobytes() for a in expected], (size, first)
                played += 1
    assert played == 12 * len(SIZES)


ALONE = "(float[N, 31, 64] x) => (float[N, 8] y) <int64[1] a = {1}> { s = ReduceMean<keepdims = 0>(x, a) t = MatMul(s, w) u = Tanh(t) y = MatMul(u, v) }"  # fmt: skip # noqa: E501


def test_one_row_that_is_a_case_of_its_own_is_told_apart(tmp_path: Path) -> None:
    path = saved(tmp_path, ALONE)
    plain = compile_model(path, tmp_path / "plain.onnx", min_saving=0)
    assert plain.verify is not None and not plain.verify.bit_exact
    assert [r.candidate.region.cut.min_units for r in plain.regions] == [1]
    assert plain.verify.region_bits == {"model": False}
    result = compile_model(path, tmp_path / "exact.onnx", min_saving=0, exact="bits")
    assert result.verify is not None and result.verify.bit_exact and result.verify.region_bits == {"model": True}
    (region,) = (r.candidate.region for r in result.regions)
    assert (region.granularity, region.cut.min_units, region.filled) == ("row", 2, {"s": {"x": 0, "s": 0}})
    assert rows_of_operators(result) == {"CacheLookup": ([2], [1]), "CacheStore": ([2], [1])}
    assert_bits(path, result, (31, 64))


def rows_of_operators(result: CompileResult) -> dict[str, tuple[list[int], list[int]]]:
    """Return per operator how few rows share no entries with others, and are computed out of more."""
    nodes = [n for n in all_nodes(onnx.load(result.output).graph.node) if n.domain == "ai.actcache"]

    def stated(node: onnx.NodeProto, name: str) -> list[int]:
        return [a.i for a in node.attribute if a.name == name]

    return {n.op_type: (stated(n, "min_rows"), stated(n, "min_computed_rows")) for n in nodes}


INSIDE_IF = """(float[N, 31, 64] x, bool c) => (float[N, 8] y) <int64[1] a = {1}> {
    s = If(c) <then_branch = one () => (float[N, 64] s1) { s1 = ReduceMean<keepdims = 0>(x, a) },
               else_branch = two () => (float[N, 64] s2) { s2 = ReduceMax<keepdims = 0>(x, a) }>
    t = MatMul(s, w) y = MatMul(t, v)
}"""


def test_where_no_node_can_be_filled_up_the_whole_region_computes_two_rows(tmp_path: Path) -> None:
    path = saved(tmp_path, INSIDE_IF)
    x = np.random.default_rng(0).standard_normal((6, 31, 64)).astype(np.float32)
    sample = {"x": x, "c": np.array(True)}
    result = compile_model(path, tmp_path / "exact.onnx", samples=[sample], min_saving=0, exact="bits")
    assert rows_of_operators(result) == {"CacheLookup": ([2], []), "CacheStore": ([2], [])}
    original, compiled = sessions(path, result)
    for rows in ([0, 1, 2], [0, 1, 2, 3], [4], [0, 4], [5, 0]):
        feed = {**sample, "x": x[rows]}
        assert compiled.run(None, feed)[0].tobytes() == original.run(None, feed)[0].tobytes()


LOG = "(float[N, 64] x) => (float[N, 8] y) { a = MatMul(x, w) b = Sigmoid(a) c = Log(b) y = MatMul(c, v) }"


def test_a_region_ends_before_what_depends_on_the_batch_and_names_it(tmp_path: Path) -> None:
    path = saved(tmp_path, LOG)
    result = compile_model(path, tmp_path / "exact.onnx", min_saving=0, exact="bits")
    rows = [r.candidate.region for r in result.regions if r.candidate.region.granularity == "row"]
    assert [region.live_outs for region in rows] == [("b",)]
    refused = [refusal for refusal in result.refusals if refusal.rule == "exact-bits"]
    assert len(refused) == 1 and "Log" in refused[0].reason and "Log" in refused[0].node
    assert_bits(path, result, (64,), low=0.1)


def test_what_cannot_be_equal_is_refused_by_rows(tmp_path: Path) -> None:
    path = saved(tmp_path, "(float[N, 5] x) => (float[N, 5] y) { y = Log(x) }")
    with pytest.raises(NothingToCache) as refused:
        compile_model(path, tmp_path / "exact.onnx", min_saving=0, exact="bits", granularity="row")
    assert "exact-bits" in {refusal.rule for refusal in refused.value.refusals}
    result = compile_model(path, tmp_path / "exact.onnx", min_saving=0, exact="bits")
    assert [r.candidate.region.granularity for r in result.regions] == ["tensor"]
    assert_bits(path, result, (5,), low=0.1)


def test_progress_tells_how_far_verification_is(tmp_path: Path) -> None:
    said: list[str] = []
    compile_model(saved(tmp_path, LOG), tmp_path / "exact.onnx", min_saving=0, exact="bits", progress=said.append)
    told = [line for line in said if line.startswith("verifying 'model' by row: ")]
    assert told and any(" of " in line for line in told)


@pytest.mark.parametrize("options", [{"exact": "nearly"}, {"exact": "bits", "verify": False}])
def test_wrong_options_say_so(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        compile_model(saved(tmp_path, LOG), **options)
