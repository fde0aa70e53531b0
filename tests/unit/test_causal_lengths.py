"""Numbers that depend on how many positions there are: whatever is made of them, they must not enter the data."""

from __future__ import annotations

import numpy as np
import pytest
from causal_checks import assert_goes_on

from actcache.passes.causal import Ahead
from tests.conformance.causal.sketches import EMBEDDED, MOST, POSITIONS, Sketch, attention, build
from tests.conformance.causal.truth import looks_ahead, proven

CONSTANTS = {
    "back1": np.array([0, 1]),
    "front1": np.array([1, 0]),
    "seven1": np.array([7]),
    "two": np.array(2),
}
#: S - 1, and how states are scaled by numbers [S].
LAST = "last = Sub(s, one)  last1 = Unsqueeze(last, axis0)  s1 = Unsqueeze(s, axis0)  to = Add(s1, axis1)"
SCALED = "f = Cast<to=1>(n)  u = Unsqueeze(f, axis1)  y = Mul(h, u)"


def layer(nodes: str) -> Sketch:
    """A graph from h [B, S, 8] to y."""
    return build("int64[B, S] ids", f"{POSITIONS} {EMBEDDED} {LAST} {nodes}", {"ids": 1}, weights=CONSTANTS)


AHEAD = {
    "the last number, looked up": layer("n = Gather(pos, last) f = Cast<to=1>(n) y = Mul(h, f)"),
    "the last number, by coordinates": layer("n = GatherND(pos, last1) f = Cast<to=1>(n) y = Mul(h, f)"),
    "what is learnt for the last position": layer("e = Gather(wpe, last) t = Tanh(e) y = Add(h, t)"),
    "a number behind the others": layer(f"c = Concat<axis=0>(pos, seven1) n = Slice(c, axis1, to, axis0) {SCALED}"),
    "numbers moved back": layer(f"p = Pad(pos, back1) n = Slice(p, axis1, to, axis0) {SCALED}"),
    "the second half of twice as many": layer(
        f"many = Add(s, s) all = Range(zero, many, one) a, n0 = Split<axis=0>(all) n = Add(n0, one) {SCALED}"
    ),
    "added up from the end": layer(f"n = CumSum<reverse=1>(pos, zero) {SCALED}"),
    "in a mask, numbers below 0, which count from the end": attention(
        """before = Sub(pi, one)  flat1 = Squeeze(before, axis1)  w0 = Gather(numbers, flat1)  wi = Unsqueeze(w0, axis1)
        a = LessOrEqual(pj, wi)  own = Equal(pj, pi)  ok = Or(a, own)""",
        weights={"numbers": np.arange(MOST)},
    ),
    "in a mask, a border that is open": attention(
        """s1 = Unsqueeze(s, axis0)  to = Add(s1, two1)  ok = LessOrEqual(pj, pi)  m0 = Where(ok, nothing, low)
        m1 = Pad(m0, right)  m = Slice(m1, two1, to, axis1)""",
        apply="Add(sc1, m)",
        weights={"right": np.array([0, 0, 0, 2]), "two1": np.array([2])},
    ),
}
GOOD = {
    "numbers moved on": layer(f"p = Pad(pos, front1) n = Slice(p, axis0, s1, axis0) {SCALED}"),
    "numbers and S, without it": layer(f"a = Add(pos, s) n = Sub(a, s) {SCALED}"),
    "added up": layer(f"n = CumSum(pos, zero) {SCALED}"),
    "looked up by their own number": layer(f"double = Mul(pos, two) n = Gather(double, pos) {SCALED}"),
}


@pytest.mark.parametrize("name", AHEAD)
def test_what_depends_on_the_length_is_refused_and_looks_ahead(name: str) -> None:
    state = proven(AHEAD[name], binary_masks=True).state("y")
    assert isinstance(state, Ahead)
    assert state.refusal.node
    assert looks_ahead(AHEAD[name])


@pytest.mark.parametrize("name", GOOD)
def test_numbers_that_do_not_depend_on_the_length_go_on(name: str) -> None:
    assert_goes_on(GOOD[name])
