"""Sizes, elements, bounds and positions that the analysis knows are what onnxruntime makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rows_catalogue import SAMPLES
from rows_support import Sample, literal, rows, sample
from rows_truth import evaluated, known, lies

from actcache.passes.rows.sizes import BATCH


@pytest.mark.parametrize("tried", [tried for tried in SAMPLES if set(tried.claims.values()) != {"mixed"}], ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_known_is_so(tried: Sample) -> None:
    assert not lies(tried)


#: Sizes and numbers: N, 3, 1, 0 and -4, each with each; a divisor is never 0.
_NUMBERS = "a0 = Shape(x) a1 = Concat<axis = 0>(a0, more) a = Unsqueeze(a1, last)"
_PAIRS = f"{_NUMBERS} b = Concat<axis = 0>(a0, other)"
_TENSORS: dict[str, Any] = {
    "x": rows(3, 1),
    "more": literal([0, -4, 7, 2]),
    "other": literal([-4, 7, 2, -3]),
    "last": literal([1]),
}
_ARITHMETIC = {
    **dict.fromkeys("Add Div Max Min Mod Mul Sub".split(), "y = {}(a, b)"),
    **dict.fromkeys("Equal Greater GreaterOrEqual Less LessOrEqual".split(), "y = {}(a, b)"),
    **dict.fromkeys("And Or".split(), "c = Less(a, two) d = Less(b, two) y = {}(c, d)"),
    "Not": "c = Less(a, b) y = {}(c)",
    "Neg": "y = {}(a)",
    "Abs": "y = {}(a)",
    "Where": "c = Less(a, b) y = {}(c, a, b)",
    "Where same": "c = Equal(a, b) y = Where(c, b, b)",
}


@pytest.mark.parametrize("op", _ARITHMETIC)
def test_numbers_are_computed_with_as_onnxruntime_does(op: str) -> None:
    nodes = f"{_PAIRS} {_ARITHMETIC[op].format(op)}"
    tensors: dict[str, Any] = {**_TENSORS, "two": literal(2)} if "two" in nodes else _TENSORS
    tried = sample(nodes, {"y": "mixed"}, **tensors)
    assert not lies(tried)
    content = known(tried)["y"].content
    assert content is not None
    # Row and column 0 hold N; what has no N in it is a number, and what does not depend on a condition is no unknown.
    first = 0 if op == "Where same" else 1
    told = [content[i, j].value for i, j in np.ndindex(*content.shape) if i >= first and (j or content.shape[1] == 1)]
    assert len(told) >= 6
    # Remainders of negative numbers and the size of one are not followed.
    assert told.count(None) == {"Mod": 6 * 6 - 5 * 4, "Abs": 1}.get(op, 0), told


@pytest.mark.parametrize(("op", "number", "decided"), [("And", 0, 0), ("Or", 1, 1)])
def test_one_side_decides_without_the_other(op: str, number: int, decided: int) -> None:
    tried = sample(
        f"a = Shape(x) c = Less(a, three) d = Less(none, k) y = {op}(c, d) z = {op}(d, c)",
        {"y": "mixed", "z": "mixed"},
        x=rows(),
        three=literal([3]),
        none=literal([0]),
        k=literal([number]),
    )
    for name in ("y", "z"):
        content = known(tried)[name].content
        assert content is not None and content[0].value == decided
    assert not lies(tried)


def test_a_size_is_evaluated() -> None:
    (size,) = known(sample("y = Shape<end = 1>(x)", "mixed", x=rows()))["y"].content  # type: ignore[misc]
    assert evaluated(size + size * size, {BATCH: 5}) == 30 and evaluated(size, {}) is None
