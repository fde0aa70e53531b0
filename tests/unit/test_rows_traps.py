"""Graphs that look like rows and are not: each keeps a shape [N, …] and mixes rows, or works for one N only.

Every trap is shown to be one: run on other rows, onnxruntime's result does not follow (or does not run).
"""

from __future__ import annotations

import pytest
from rows_catalogue import TRAPS
from rows_support import (
    described,
    free,
    literal,
    mixes,
    rows,
    sample,
    weight,
)

from actcache.passes.rows import Mixed


@pytest.mark.parametrize("name", TRAPS)
def test_trap_is_refused_with_its_reason(name: str) -> None:
    trap = TRAPS[name]
    output = next(iter(trap.claims))
    refusal = trap.proof.refusal(output)
    assert refusal is not None, described(trap.proof.state(output))
    assert refusal.rule == name.split()[0] and refusal.node, refusal


@pytest.mark.parametrize("name", TRAPS)
def test_trap_mixes_rows_in_onnxruntime(name: str) -> None:
    assert mixes(TRAPS[name])


def test_training_mode_is_refused() -> None:
    trains = sample(
        "y, _m, _v = BatchNormalization<training_mode = 1>(x, s, s, m, v)",
        "mixed",
        x=rows(2, 3),
        s=weight(2),
        m=weight(2),
        v=weight(2),
    )
    refusal = trains.proof.refusal("y")
    assert refusal is not None and refusal.rule == "training-mode"
    drops = sample("y = Dropout(x, r, t)", "mixed", x=rows(3), r=literal(0.5, "float32"), t=free(dtype="bool"))
    assert isinstance(drops.proof.state("y"), Mixed)


def test_random_numbers_are_not_the_same_for_all_rows_though_no_row_is_read() -> None:
    drops = sample("y = Dropout(w, r, t)", "mixed", w=weight(3), r=literal(0.5, "float32"), t=literal(True, "bool"))
    refusal = drops.proof.refusal("y")
    assert refusal is not None and refusal.rule == "training-mode"


def test_refusal_names_the_first_cause() -> None:
    chain = sample(
        "[one] a = Softmax<axis = 0>(x) [two] b = CumSum(a, zero) [three] y = Add(b, x)",
        "mixed",
        x=rows(3),
        zero=literal(0),
    )
    refusal = chain.proof.refusal("y")
    assert refusal is not None and refusal.node == "Softmax 'one'"
