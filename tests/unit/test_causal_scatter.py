"""Masks and states that are written into, as exporters fill them: proven where each entry is written at its place."""

from __future__ import annotations

import numpy as np
import pytest
from causal_checks import assert_goes_on, assert_refused

from tests.conformance.causal.sketches import EMBEDDED, POSITIONS, WIDTH, Sketch, attention, build
from tests.conformance.causal.truth import looks_ahead

LOW, INFINITE = np.array(np.finfo(np.float32).min), np.array(-np.inf, np.float32)
SQUARE = "s1 = Unsqueeze(s, axis0)  square = Concat<axis=0>(s1, s1)"
#: The triangle, nothing closed, everything closed: [S, S].
PARTS = f"""{SQUARE} ok = LessOrEqual(pj, pi)  tri = Where(ok, nothing, low)  open = Expand(nothing, square)
    shut = Expand(low, square)"""
#: The coordinates of all entries of [S, S].
AT = """ri = Expand(pi, square)  rj = Expand(pj, square)  i3 = Unsqueeze(ri, axis2)  j3 = Unsqueeze(rj, axis2)
    at = Concat<axis=-1>(i3, j3)"""
#: Of [B, 1, S, S], with the mask of the caller: as torch writes ``mask[:, :, :, :n] = …``.
FOUR = """bs = Gather<axis=0>(sh, axis0)  b0 = Squeeze(bs, axis0)  rows = Range(zero, b0, one)
    r4 = Reshape(rows, to_b)  h4 = Reshape(first, to_b)  i4 = Reshape(pos, to_i)  size = Shape(mask)
    wide = Gather<axis=0>(size, axis1)  cut = Slice(pos, axis0, wide, axis0)  j4 = Reshape(cut, to_j)
    sum1 = Add(r4, h4)  sum2 = Add(sum1, i4)  sum3 = Add(sum2, j4)  all = Shape(sum3)
    rx = Expand(r4, all)  hx = Expand(h4, all)  ix = Expand(i4, all)  jx = Expand(j4, all)
    ry = Unsqueeze(rx, last)  hy = Unsqueeze(hx, last)  iy = Unsqueeze(ix, last)  jy = Unsqueeze(jx, last)
    at = Concat<axis=-1>(ry, hy, iy, jy)"""
WIDE = (
    f"{PARTS} {FOUR} tri4 = Unsqueeze(tri, axis01)  tall = Concat<axis=0>(bs, axis1, s1, s1)  big = Expand(tri4, tall)"
)
PADDED = (
    "u = Unsqueeze(mask, axis12)  f = Cast<to=1>(u)  t = Add(big, f)  e = Equal(t, nothing)  new = Where(e, low, big)"
)
CONSTANTS = {
    "first": np.array([0]),
    "last": np.array([-1]),
    "end": np.array([2**31]),
    "to_b": np.array([-1, 1, 1, 1]),
    "to_i": np.array([-1, 1]),
    "to_j": np.array([-1]),
    "corner": np.array([[0, 0]]),
    "row0": np.array([[0]]),
    "row_last": np.array([[-1]]),
    "rows01": np.array([[0], [1]]),
    "two1": np.array([2]),
    "zero1": np.zeros(1, np.float32),
    "begin": np.ones((1, 1, WIDTH), np.float32),
    "width1": np.array([WIDTH]),
    "seven": np.array(WIDTH - 1),
    "infinite": INFINITE,
}


def added(nodes: str) -> Sketch:
    """A mask ``m`` is added to the scores."""
    return attention(f"{PARTS} {nodes}", apply="Add(sc1, m)", weights=CONSTANTS)


def padded(nodes: str) -> Sketch:
    """The caller hands in which positions are there."""
    where = {"given": "int64[B, S] mask", "positions": {"mask": 1}}
    return attention(f"{WIDE} {PADDED} {nodes}", apply="Add(sc1, m)", weights=CONSTANTS, **where)  # type: ignore[arg-type]


def layer(nodes: str) -> Sketch:
    """A graph from h and g [B, S, 8] to y; hs and gs are [S, B, 8]; i3 and j3 the numbers of rows and positions."""
    given = """g0 = MatMul(h, wq)  g = Tanh(g0)  hs = Transpose<perm=[1,0,2]>(h)  gs = Transpose<perm=[1,0,2]>(g)
        s1 = Unsqueeze(s, axis0)  bs = Gather<axis=0>(sh, axis0)  b0 = Squeeze(bs, axis0)  rows = Range(zero, b0, one)
        rr = Unsqueeze(rows, axis1)  both = Concat<axis=0>(bs, s1)  ri = Expand(rr, both)  rj = Expand(pj, both)
        i3 = Unsqueeze(ri, axis2)  j3 = Unsqueeze(rj, axis2)  one_of_all = Concat<axis=0>(axis1, bs, width1)
        begun = Expand(begin, one_of_all)"""
    return build("int64[B, S] ids", f"{POSITIONS} {EMBEDDED} {given} {nodes}", {"ids": 1}, weights=CONSTANTS)


BACK = "y = Transpose<perm=[1,0,2]>(y0)"
GOOD = {
    "all of an open mask": added(f"{AT} m = ScatterND(open, at, tri)"),
    "all of a closed mask": added(f"{AT} m = ScatterND(shut, at, tri)"),
    "all of it, by -inf": added(f"{AT} never = Where(ok, nothing, infinite) m = ScatterND(open, at, never)"),
    "each row by its number": added("m = ScatterND(open, pi, tri)"),
    "the first entry": added("m = ScatterND(tri, corner, zero1)"),
    "columns by elements": added(f"{AT} m = ScatterElements<axis=1>(open, rj, tri)"),
    "rows by elements": added(f"{AT} m = ScatterElements<axis=0>(shut, ri, tri)"),
    "states by row and position": layer("at = Concat<axis=-1>(i3, j3)  y = ScatterND(h, at, g)"),
    "states by position": layer(f"y0 = ScatterND(hs, pi, gs)  {BACK}"),
    "states of the first position": layer(f"y0 = ScatterND(hs, row0, begun)  {BACK}"),
    "features by tokens": layer(
        """t3 = Unsqueeze(ids, axis2)  which = Min(t3, seven)  g1 = ReduceMean<axes=[2], keepdims=1>(g)
        y0 = ScatterElements<axis=2>(h, which, g1)  y = Add(y0, g)"""
    ),
}
BINARY = {
    "with a mask of the caller": padded("m = ScatterND(big, at, new)"),
    "with a mask of the caller, over nothing": padded("clear = Sub(big, big) m = ScatterND(clear, at, new)"),
}
REVERSED = "most = Sub(s, one)"
#: With the rule that refuses them.
AHEAD = {
    "rows and columns swapped": ("not-causal", added(f"{AT} ta = Concat<axis=-1>(j3, i3) m = ScatterND(tri, ta, tri)")),
    "rows upside down": ("size-in-data", added(f"{REVERSED} back = Sub(most, pi) m = ScatterND(open, back, tri)")),
    "what a later row had": (
        "size-in-data",
        added("few = Slice(pi, first, last, axis0) more = Slice(tri, axis1, end, axis0) m = ScatterND(tri, few, more)"),
    ),
    "opened again": ("not-causal", added(f"{AT} m = ScatterND(tri, at, open)")),
    "the first two rows opened": (
        "not-causal",
        added("part = Concat<axis=0>(two1, s1) clear = Expand(nothing, part) m = ScatterND(tri, rows01, clear)"),
    ),
    "columns turned round": (
        "size-in-data",
        added(f"{AT} {REVERSED} back = Sub(most, rj) m = ScatterElements<axis=1>(open, back, tri)"),
    ),
    "the mask of the caller alone": (
        "not-causal",
        padded(
            "b = Cast<to=9>(u) shown = Where(b, nothing, low) keys = Expand(shown, tall) m = ScatterND(big, at, keys)"
        ),
    ),
    "states at other positions": (
        "scatter-positions",
        layer(f"{REVERSED} back = Sub(most, j3) at = Concat<axis=-1>(i3, back)  y = ScatterND(h, at, g)"),
    ),
    "states where tokens say": (
        "scatter-positions",
        layer("to = Min(ids, zero) to3 = Unsqueeze(to, axis2) at = Concat<axis=-1>(i3, to3)  y = ScatterND(h, at, g)"),
    ),
    "states of the last position": ("scatter-positions", layer(f"y0 = ScatterND(hs, row_last, begun)  {BACK}")),
}


@pytest.mark.parametrize("name", [*GOOD, *BINARY])
def test_it_goes_on_from_every_prefix(name: str) -> None:
    assert_goes_on((GOOD | BINARY)[name], ("mask",) if name in BINARY else ())


@pytest.mark.parametrize("name", AHEAD)
def test_it_is_refused_and_looks_ahead(name: str) -> None:
    rule, sketch = AHEAD[name]
    assert_refused(sketch, rule)
    assert looks_ahead(sketch)


def test_what_is_combined_with_what_was_there_is_refused() -> None:
    assert_refused(layer(f'y0 = ScatterND<reduction="add">(hs, pi, gs)  {BACK}'), "not-followed")


#: Sines of the position [S, 4] at even features of [S, 8], as torch writes ``pe[:, 0::2] = …``: by coordinates, and by
#: rows of the transposed.
WAVES = """f = Cast<to=1>(pi)  turned = Mul(f, rates)  sines = Sin(turned)  s1 = Unsqueeze(s, axis0)
    flat = Concat<axis=0>(s1, width1)  none = Expand(nothing, flat)"""
EVEN = "every = Range(zero, eight, one)  even = Slice(every, axis0, end, axis0, two1)"
BY_COORDINATES = """both = Shape(sum)  ix = Expand({own}, both)  jx = Expand(even, both)
    iy = Unsqueeze(ix, last)  jy = Unsqueeze(jx, last)  at = Concat<axis=-1>(iy, jy)"""
BY_ROWS = "column = Unsqueeze(even, last)  n = Transpose(none)  u = Transpose({read})  w = ScatterND(n, column, u)"


def waves(nodes: str) -> Sketch:
    weights = CONSTANTS | {"rates": np.array([1, 0.5, 0.2, 0.1], np.float32), "eight": np.array(WIDTH)}
    nodes = f"{POSITIONS} {EMBEDDED} {WAVES} {EVEN} {nodes}"
    return build("int64[B, S] ids", nodes, {"ids": 1}, weights=weights)


SUM = "sum = Add(pi, even)"


@pytest.mark.parametrize(
    "nodes",
    [
        f"{SUM} {BY_COORDINATES.format(own='pi')} p = ScatterND(none, at, sines) y = Add(h, p)",
        f"{BY_ROWS.format(read='sines')} p = Transpose(w) y = Add(h, p)",
    ],
)
def test_features_of_position_numbers_that_are_written_in_place_go_on(nodes: str) -> None:
    assert_goes_on(waves(nodes), optimised=(False, True))


@pytest.mark.parametrize(
    "nodes",
    [
        f"""{SUM} left = Sub(s, pi) before = Sub(left, one) {BY_COORDINATES.format(own="before")}
        p = ScatterND(none, at, sines) y = Add(h, p)""",
        f"""left = Sub(s, pi) g = Cast<to=1>(left) away = Mul(g, rates) {BY_ROWS.format(read="away")} p = Transpose(w)
        y = Add(h, p)""",
    ],
)
def test_features_that_are_written_from_the_end_are_refused(nodes: str) -> None:
    sketch = waves(nodes)
    assert_refused(sketch, "size-in-data")
    assert looks_ahead(sketch)
