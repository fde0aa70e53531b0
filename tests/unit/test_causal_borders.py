"""Entries beside positions that no position changes: zeros joined in front, sinks behind scores.

Each trap is one that onnxruntime computes with later positions.
"""

from __future__ import annotations

import numpy as np
import pytest
from causal_checks import assert_goes_on, assert_refused

from tests.conformance.causal.sketches import EMBEDDED, POSITIONS, SCORES, WIDTH, Sketch, build
from tests.conformance.causal.truth import looks_ahead

ACROSS = "x = Transpose<perm=[0,2,1]>(h)"
BACK = "y = Transpose<perm=[0,2,1]>(c)"
OPEN = "ok = LessOrEqual(pj, pi) sc2 = Where(ok, sc1, low)"
MIXED = """o = MatMul(w, v)  o1 = Transpose<perm=[0,2,1,3]>(o)  o2 = Reshape(o1, joined)  o3 = MatMul(o2, wo)
    y = Add(o3, h)"""
#: A column of one number for each head and query.
SINK = """b1 = Gather(sh, axis0) s1 = Unsqueeze(s, axis0) column = Concat<axis=0>(b1, two1, s1, axis1)
    sink = Expand(sinks, column)"""
FRONT = "b1 = Gather(sh, axis0) one_more = Concat<axis=0>(b1, axis1, width1) none = Expand(nothing, one_more)"


def layer(nodes: str) -> Sketch:
    """A graph from h [B, S, 8] to y."""
    random = np.random.default_rng(3)
    weights: dict[str, np.ndarray] = {
        "kernel": random.standard_normal((WIDTH, WIDTH, 3)).astype(np.float32),
        "front": random.standard_normal((1, WIDTH, 2)).astype(np.float32),
        "sinks": random.standard_normal((1, 2, 1, 1)).astype(np.float32),
        "few": np.array(-30, np.float32),
    }
    weights |= {"last": np.array([-1]), "two1": np.array([2]), "width1": np.array([WIDTH]), "far": np.array([2**31])}
    weights |= {"pad_keys": np.array([0, 0, 0, 0, 0, 0, 0, 1])}
    weights |= {"infinite": np.array(-np.inf, np.float32), "less2": np.array([-2])}
    return build("int64[B, S] ids", f"{POSITIONS} {EMBEDDED} {nodes}", {"ids": 1}, weights=weights)


FRONTS = "b1 = Gather(sh, axis0) shape = Concat<axis=0>(b1, width1, two1) many = Expand(front, shape)"
GOOD: dict[str, Sketch] = {
    "joined in front, then a convolution": layer(
        f"{ACROSS} {FRONTS} p = Concat<axis=2>(many, x) c = Conv(p, kernel) {BACK}"
    ),
    "moved on by one": layer(f"{FRONT} l = Slice(h, axis0, last, axis1) p = Concat<axis=1>(none, l) y = Add(h, p)"),
    "joined in front, cut behind": layer(
        f"{FRONT} p = Concat<axis=1>(none, h) l = Slice(p, axis0, last, axis1) y = Add(h, l)"
    ),
    "joined behind, and cut off": layer(
        f"{FRONT} p = Concat<axis=1>(h, none) t = Tanh(p) y = Slice(t, axis0, last, axis1)"
    ),
    "joined at both ends": layer(
        f"""{ACROSS} {FRONTS} p = Concat<axis=2>(many, x, many) c0 = Conv(p, kernel)
        c = Slice(c0, axis0, less2, axis2) {BACK}"""
    ),
    "a sink behind scores": layer(
        f"{SCORES} {OPEN} {SINK} all = Concat<axis=3>(sc2, sink) w0 = Softmax<axis=-1>(all) "
        f"w = Slice(w0, axis0, last, last) {MIXED}"
    ),
    "a sink, less the largest": layer(
        f"""{SCORES} {OPEN} {SINK} all = Concat<axis=3>(sc2, sink) most = ReduceMax<axes=[3]>(all) a = Sub(all, most)
        w0 = Softmax<axis=-1>(a) w = Slice(w0, axis0, last, last) {MIXED}"""
    ),
    "a padded score": layer(
        f"{SCORES} {OPEN} all = Pad(sc2, pad_keys) w0 = Softmax<axis=-1>(all) w = Slice(w0, axis0, last, last) {MIXED}"
    ),
    "scores less the largest": layer(
        f"{SCORES} {OPEN} most = ReduceMax<axes=[-1]>(sc2) less = Sub(sc2, most) w = Softmax<axis=-1>(less) {MIXED}"
    ),
    "scores of -inf less the largest": layer(
        f"""{SCORES} ok = LessOrEqual(pj, pi) sc2 = Where(ok, sc1, infinite) most = ReduceMax<axes=[-1]>(sc2)
        less = Sub(sc2, most) w = Softmax<axis=-1>(less) {MIXED}"""
    ),
    "a sum of scores, later ones 0": layer(
        f"""{SCORES} ok = LessOrEqual(pj, pi) f = Cast<to=1>(ok) z = Mul(sc1, f) m = ReduceSum<keepdims=0>(z, last)
        t = Transpose<perm=[0,2,1]>(m) y = Tanh(t)"""
    ),
    "the largest score, without its axis": layer(
        f"{SCORES} {OPEN} m = ReduceMax<axes=[3], keepdims=0>(sc2) t = Transpose<perm=[0,2,1]>(m) y = Tanh(t)"
    ),
}
AHEAD: dict[str, tuple[str, Sketch]] = {
    "moved back by one": (
        "positions-misaligned",
        layer(f"{FRONT} l = Slice(h, axis1, far, axis1) p = Concat<axis=1>(l, none) y = Add(h, p)"),
    ),
    "joined behind itself, then a convolution": (
        "concat-positions",
        layer(f"{ACROSS} p = Concat<axis=2>(x, x) c = Conv(p, kernel) {BACK}"),
    ),
    "joined behind, and the first cut off": (
        "slice-positions",
        layer(f"{FRONT} p = Concat<axis=1>(h, none) l = Slice(p, axis1, far, axis1) y = Add(h, l)"),
    ),
    "joined behind, then a convolution": (
        "conv-looks-ahead",
        layer(f"{ACROSS} {FRONTS} p = Concat<axis=2>(x, many) c = Conv(p, kernel) {BACK}"),
    ),
    "one joined in front, then a convolution over three": (
        "conv-looks-ahead",
        layer(
            f"""{ACROSS} {FRONT} n = Transpose<perm=[0,2,1]>(none) p = Concat<axis=2>(n, x)
            c = Conv<pads=[0,1]>(p, kernel) {BACK}"""
        ),
    ),
    "a sink, and nothing is closed": (
        "bidirectional",
        layer(
            f"""{SCORES} {SINK} all = Concat<axis=3>(sc1, sink) w0 = Softmax<axis=-1>(all)
            w = Slice(w0, axis0, last, last) {MIXED}"""
        ),
    ),
    "the largest of all scores": (
        "bidirectional",
        layer(
            f"""{SCORES} m = ReduceMax<axes=[3]>(sc1) sc2 = Sub(sc1, m) ok = LessOrEqual(pj, pi)
            sc3 = Where(ok, sc2, low) w = Exp(sc3) {MIXED}"""
        ),
    ),
    "the largest of what is closed a little": (
        "not-causal",
        layer(
            f"{SCORES} ok = LessOrEqual(pj, pi) b = Where(ok, nothing, few) sc2 = Add(sc1, b) "
            f"most = ReduceMax<axes=[-1]>(sc2) less = Sub(sc2, most) w = Softmax<axis=-1>(less) {MIXED}"
        ),
    ),
    "the smallest of closed scores": (
        "over-positions",
        layer(
            f"""{SCORES} ok = LessOrEqual(pj, pi) b = Where(ok, sc1, few) m = ReduceMin<axes=[3], keepdims=0>(b)
            t = Transpose<perm=[0,2,1]>(m) y = Tanh(t)"""
        ),
    ),
    "a sum of what is not 0": (
        "over-positions",
        layer(
            f"{SCORES} e = Sigmoid(sc1) m = ReduceSum<keepdims=0>(e, last) t = Transpose<perm=[0,2,1]>(m) y = Tanh(t)"
        ),
    ),
    "a mean of what is 0": (
        "over-positions",
        layer(
            f"""{SCORES} {OPEN} w = Softmax<axis=-1>(sc2) m = ReduceMean<axes=[3], keepdims=0>(w)
            t = Transpose<perm=[0,2,1]>(m) y = Tanh(t)"""
        ),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_it_goes_on_from_every_prefix(name: str) -> None:
    assert_goes_on(GOOD[name], optimised=(False, True))


@pytest.mark.parametrize("name", AHEAD)
def test_later_positions_are_seen(name: str) -> None:
    rule, sketch = AHEAD[name]
    assert_refused(sketch, rule)
    assert looks_ahead(sketch)
