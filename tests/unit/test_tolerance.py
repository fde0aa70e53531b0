"""What difference is accepted: by the type of an output, by the user, or by the original's own spread."""

# mypy: allow-untyped-calls
from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import parser

from actcache import CompileResult, compile_model
from actcache.base.tolerance import (
    BATCH_SPREAD_LIMIT,
    FINEST,
    SPREAD_MULTIPLE,
    Spread,
    accepted_by_spread,
    type_tolerance,
)
from actcache.passes.cuts import RowDivision
from actcache.passes.cuts.feeds import Feed
from actcache.passes.graph.nodes import all_nodes
from actcache.verification.spread import measure_spread
from actcache.verification.verify import compare, references

AXES = {"x": 0}


@pytest.mark.parametrize(
    ("dtype", "steps"),
    [
        (np.float16, 4),
        (ml_dtypes.bfloat16, 4),
        (ml_dtypes.float8_e4m3fn, 1),
        (ml_dtypes.float8_e4m3fnuz, 1),
        (ml_dtypes.float8_e5m2, 1),
    ],
)
def test_a_coarse_type_is_judged_by_its_own_steps(dtype: Any, steps: int) -> None:
    assert type_tolerance(dtype) == steps * float(ml_dtypes.finfo(dtype).eps)


def test_fine_types_and_types_without_rounding() -> None:
    assert {type_tolerance(t) for t in (np.float32, np.float64, np.complex64)} == {FINEST}
    assert {type_tolerance(t) for t in (np.int64, np.uint8, np.bool_, object, "U4")} == {0.0}


def sample(dtype: Any = np.float32) -> Feed:
    return {"x": np.linspace(-1, 1, 12).reshape(3, 4).astype(dtype)}


def judged(dtype: Any, off: float, **options: Any) -> Any:
    """Compare a model whose results are `off` away, relative to the largest, which is 1."""
    answers = references(lambda feed: [feed["x"]], [sample(dtype)], [])
    wrong = (sample(np.float64)["x"] + off).astype(dtype)
    return compare(lambda _: [wrong], lambda: None, answers, **options)


def test_one_step_of_float16_is_accepted_and_many_are_not() -> None:
    assert judged(np.float16, 2**-10).failure is None
    assert judged(np.float16, 2**-6).failure is not None
    assert judged(np.float32, 2**-10).failure is not None
    assert judged(ml_dtypes.bfloat16, 2**-6).failure is None


def test_what_the_user_says_goes_first() -> None:
    assert "--tolerance 0" in (judged(np.float16, 2**-10, tolerance=0.0).failure or "")
    assert judged(np.float32, 0.01, tolerance=0.1).failure is None
    asked: list[str] = []
    judged(np.float32, 0.01, tolerance=1e-3, spread=lambda: asked.append("spread"))
    assert asked == []


def test_the_spread_is_asked_only_where_it_decides() -> None:
    def asked() -> Spread:
        raise AssertionError("nobody needs it")

    assert judged(np.float32, 1e-6, spread=asked).failure is None
    result = judged(np.float32, 0.01, spread=lambda: Spread(runtime=(0.008,), batch=(0.0,)))
    assert result.failure is None
    assert [(o["judged_by"], o["spread"]) for o in result.outputs] == [("spread", SPREAD_MULTIPLE * 0.008)]
    assert accepted_by_spread(result.outputs, None) == pytest.approx(0.016)
    assert accepted_by_spread(result.outputs, 0.5) == 0.5
    assert "own spread" in (judged(np.float32, 0.02, spread=lambda: Spread((0.008,), (0.0,))).failure or "")


def test_a_spread_over_batches_does_not_excuse_mixed_rows() -> None:
    wide = Spread(runtime=(0.0,), batch=(5.0,))
    assert wide.accepts(0, 1e-4) == SPREAD_MULTIPLE * BATCH_SPREAD_LIMIT * 1e-4
    assert judged(np.float32, 0.1, spread=lambda: wide).failure is not None


def test_the_spread_of_an_original_is_measured() -> None:
    def opened(optimised: bool, threads: int) -> Any:
        off = (0.0 if optimised else 0.25) + (0.125 if threads == 2 else 0.0)
        return lambda feed: [feed["x"] + off + (0.5 if len(feed["x"]) == 1 else 0.0), np.array(["text"], object)]

    found = measure_spread(opened, [{"x": np.zeros((3, 4))}], [RowDivision(AXES)])
    assert found == Spread(runtime=(0.25, 0.0), batch=(0.5, 0.0))
    assert measure_spread(opened, [{"x": np.zeros((3, 4))}], []).batch == (0.0, 0.0)


# -- compiled --------------------------------------------------------------------------------------------


def compiled(folder: Path, text: str, **options: Any) -> CompileResult:
    proto = parser.parse_model(text)
    source = folder / "model.onnx"
    onnx.save(proto, source)
    return compile_model(source, min_saving=0, **options)


HALF = """<ir_version: 9, opset_import: ["" : 21]>
g (float16[N, 8] x) => (float16[N, 8] y) { t = Tanh(x) y = Softmax<axis = 1>(t) }"""


def store_tolerances(result: CompileResult) -> list[float | None]:
    nodes = [n for n in all_nodes(onnx.load(result.output).graph.node) if n.op_type == "CacheStore"]
    return [next((a.f for a in node.attribute if a.name == "tolerance"), None) for node in nodes]


def test_the_store_is_told_of_a_coarse_tolerance_and_of_no_other(tmp_path: Path) -> None:
    assert store_tolerances(compiled(tmp_path, HALF)) == [pytest.approx(2**-8)]
    assert store_tolerances(compiled(tmp_path, HALF, tolerance=0.5)) == [pytest.approx(0.5)]
    assert store_tolerances(compiled(tmp_path, HALF.replace("float16", "float"))) == [None]
