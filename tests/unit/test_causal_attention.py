"""Attention of ai.onnx, versions 23 and 24: in every arrangement of heads and masks."""

from __future__ import annotations

import numpy as np
import pytest
from causal_checks import assert_goes_on, assert_refused

from tests.conformance.causal.sketches import EMBEDDED, POSITIONS, WIDTH, Sketch, build
from tests.conformance.causal.truth import looks_ahead, proven

FOUR = np.array([0, 0, 4, 2])
CAUSAL = "is_causal=1"
OF_FOUR = "q_num_heads=4, kv_num_heads=2"
#: Four heads of queries, two of keys and values; in three axes and in four.
FLAT = "q = MatMul(h, wq)  k = MatMul(h, narrow)  v = MatMul(h, narrow2)"
HEADS = f"""{FLAT} q1 = Reshape(q, four) q4 = Transpose<perm=[0,2,1,3]>(q1) k1 = Reshape(k, two)
    k4 = Transpose<perm=[0,2,1,3]>(k1) v1 = Reshape(v, two) v4 = Transpose<perm=[0,2,1,3]>(v1)"""
BACK = "a1 = Transpose<perm=[0,2,1,3]>(a) y = Reshape(a1, joined)"
OPEN = "ok = LessOrEqual(pj, pi)"
GIVEN = {"inputs": "bool[B, 1, 1, S] mask", "positions": {"mask": 3}}


def layer(nodes: str, *, inputs: str = "", positions: dict[str, int] | None = None, opset: int = 23) -> Sketch:
    """A graph from h [B, S, 8] to y."""
    random = np.random.default_rng(4)
    narrow, narrow2 = random.standard_normal((2, WIDTH, 4)).astype(np.float32)
    constants = {"narrow": narrow, "narrow2": narrow2, "four": FOUR, "two": np.array([0, 0, 2, 2])}
    constants |= {"many": np.array(3), "half": np.array(0.5, np.float32), "past": np.zeros((2, 2, 1, 2), np.float32)}
    named = ", ".join(part for part in ("int64[B, S] ids", inputs) if part)
    where = {"ids": 1, **(positions or {})}
    return build(named, f"{POSITIONS} {EMBEDDED} {nodes}", where, weights=constants, opset=opset)


def flat(attributes: str, mask: str = "", before: str = "", **options: object) -> Sketch:
    """Attention of [batch, positions, heads·size]."""
    operands = "q, k, v" + (f", {mask}" if mask else "")
    node = f"y = Attention<{attributes}, {OF_FOUR}>({operands})"
    return layer(f"{FLAT} {before} {node}", **options)  # type: ignore[arg-type]


def apart(attributes: str, mask: str = "", before: str = "", **options: object) -> Sketch:
    """Attention of [batch, heads, positions, size]."""
    operands = "q4, k4, v4" + (f", {mask}" if mask else "")
    return layer(f"{HEADS} {before} a = Attention<{attributes}>({operands}) {BACK}", **options)  # type: ignore[arg-type]


def window() -> str:
    """Positions that are earlier, and near."""
    return "a0 = LessOrEqual(pj, pi) d = Sub(pi, pj) b0 = Less(d, many) ok = And(a0, b0)"


ADDED = f"{OPEN} m = Where(ok, nothing, low)"
WIDE = f"{OPEN} ok4 = Unsqueeze(ok, axis01)"
ALL = "all1 = GreaterOrEqual(pi, zero) all4 = And(all1, mask)"
SCALE = "scale=0.3"
GOOD: dict[str, Sketch] = {
    f"{name} {what}": made(*arguments)
    for name, made in (("flat", flat), ("apart", apart))
    for what, arguments in {
        "is_causal": (CAUSAL,),
        "is_causal, scaled": (f"{CAUSAL}, scale=0.3",),
        "mask of truths": (SCALE, "ok", OPEN),
        "mask of truths, four axes": (SCALE, "ok4", WIDE),
        "mask that is added": (SCALE, "m", ADDED),
        "window": (SCALE, "ok", window()),
        "is_causal and near ones": (CAUSAL, "ok", "d = Sub(pi, pj) ok = Less(d, many)"),
        "is_causal and distances": (CAUSAL, "m", "d = Sub(pj, pi) f = Cast<to=1>(d) m = Mul(f, half)"),
    }.items()
}
NARROW = FLAT.replace("q =", "q0 =").replace("k =", "k0 =").replace("v =", "v0 =")
NARROW += " q = Cast<to=10>(q0) k = Cast<to=10>(k0) v = Cast<to=10>(v0)"
GOOD["float16, is_causal"] = layer(f"{NARROW} a = Attention<{CAUSAL}, {OF_FOUR}>(q, k, v) y = Cast<to=1>(a)")
GOOD["float16, mask of truths"] = layer(f"{NARROW} {OPEN} a = Attention<{OF_FOUR}>(q, k, v, ok) y = Cast<to=1>(a)")
GOOD["later version"] = flat(CAUSAL, opset=24)
GOOD["later version, mask that is added"] = apart(SCALE, "m", ADDED, opset=24)
BINARY = {
    "flat is_causal and a given mask": flat(CAUSAL, "all4", ALL, **GIVEN),
    "apart is_causal and a given mask": apart(CAUSAL, "all4", ALL, **GIVEN),
    "apart both in one mask": apart(SCALE, "both", f"{OPEN} both = And(ok, mask)", **GIVEN),
}
AHEAD: dict[str, tuple[str, Sketch]] = {
    "to all": ("bidirectional", flat(SCALE)),
    "to all of a mask": ("not-causal", apart(SCALE, "all4", ALL, **GIVEN)),
    "one more": ("not-causal", flat(SCALE, "ok", "n = Add(pi, one) ok = LessOrEqual(pj, n)")),
    "a beginning": ("not-causal", apart(SCALE, "ok", "c = LessOrEqual(pj, pi) e = Less(pj, many) ok = Or(c, e)")),
    "window on both sides": (
        "not-causal",
        flat(SCALE, "ok", "d = Sub(pi, pj) e = Abs(d) ok = Less(e, many)"),
    ),
    "flipped": ("not-causal", apart(SCALE, "ok", "ok = LessOrEqual(pi, pj)")),
}


@pytest.mark.parametrize("name", [*GOOD, *BINARY])
def test_it_goes_on_from_every_prefix(name: str) -> None:
    assert_goes_on((GOOD | BINARY)[name], ("mask",) if name in BINARY else ())


@pytest.mark.parametrize("name", AHEAD)
def test_it_is_refused_and_looks_ahead(name: str) -> None:
    rule, sketch = AHEAD[name]
    assert_refused(sketch, rule)
    assert looks_ahead(sketch)


def test_a_mask_that_closes_all_is_refused() -> None:
    """Versions of onnxruntime differ in what a query gets that sees no key."""
    refusal = proven(flat(SCALE, "ok", "ok = Less(pj, pi)")).refusal("y")
    assert refusal is not None
    assert refusal.rule == "mask-closes-all"


def test_a_past_is_refused() -> None:
    """With one, versions of onnxruntime differ in which keys ``is_causal`` shows."""
    past = "a, pk, pv = Attention<is_causal=1>(q4, k4, v4, , past, past)"
    refusal = proven(layer(f"{HEADS} {past} {BACK}")).refusal("y")
    assert refusal is not None
    assert refusal.rule == "attention-past"
