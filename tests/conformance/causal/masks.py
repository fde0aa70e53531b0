"""Masks as exporters write them, and such as look like them and let later positions through.

Each is a layer of attention (:func:`~tests.conformance.causal.sketches.attention`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.causal.sketches import MIXED, MOST, WIDTH, Sketch, attention

TRIANGLE = np.tril(np.ones((1, 1, MOST, MOST), bool))
LOW = np.array(np.finfo(np.float32).min)
INFINITE = np.array(-np.inf, np.float32)
AXIS3 = np.array([3])


def where(nodes: str, apply: str = "Where(ok, sc1, low)", **weights: Any) -> Sketch:
    """Scores are replaced where ``ok`` is false."""
    return attention(nodes, apply=apply, weights=weights)


def added(nodes: str, **weights: Any) -> Sketch:
    """A mask ``m`` is added to the scores."""
    return attention(f"ok = LessOrEqual(pj, pi) {nodes}", apply="Add(sc1, m)", weights=weights)


def triangle(array: np.ndarray = TRIANGLE, *, rest: str = "ok = Identity(cut)", start: str = "axis0") -> Sketch:
    """The first S rows and columns of a constant."""
    nodes = f"""s1 = Unsqueeze(s, axis0)  past = Sub(s, s)  p1 = Unsqueeze(past, axis0)
        rows = Slice(tri, {start}, s1, axis2, axis1)  cut = Slice(rows, axis0, s1, axis3, axis1)  {rest}"""
    return attention(nodes, weights={"tri": array, "axis3": AXIS3})


def least(limit: int) -> Sketch:
    """As many rows and columns of the constant as there are positions, or as a limit says."""
    nodes = """m0 = Min(s, most)  s1 = Unsqueeze(m0, axis0)  rows = Slice(tri, axis0, s1, axis2, axis1)
        ok = Slice(rows, axis0, s1, axis3, axis1)"""
    return attention(nodes, weights={"tri": TRIANGLE, "axis3": AXIS3, "most": np.array(limit)})


def given(inputs: str, nodes: str, positions: dict[str, int], apply: str, **weights: Any) -> Sketch:
    """The caller hands in a mask."""
    return attention(nodes, apply=apply, given=inputs, positions=positions, weights=weights)


def _weights(factor: float) -> np.ndarray:
    return (np.random.default_rng(3).standard_normal((WIDTH, WIDTH)) * factor).astype(np.float32)


def half(
    nodes: str,
    apply: str,
    below: float,
    *,
    softmax: str = "wh = Softmax<axis=-1>(sc2)",
    large: bool = False,
    **more: Any,
) -> Sketch:
    """Scores ``half`` of float16. `large`: weights do not keep them small."""
    weights = {"below": np.array(below, np.float16), "open": np.array(0, np.float16), "unit": np.array(1, np.float16)}
    weights |= {"wq": _weights(1e4)} if large else {}
    mixed = MIXED.replace("w = Softmax<axis=-1>(sc2)", f"{softmax} w = Cast<to=1>(wh)")
    return attention(f"half = Cast<to=10>(sc1) {nodes}", apply=apply, mixed=mixed, weights=weights, **more)


def _with(array: np.ndarray, place: tuple[int, ...], value: Any) -> np.ndarray:
    changed = np.array(array)
    changed[place] = value
    return changed


OUTWEIGHED = "m = Where(ok, nothing, little)"
SQUARE = "s1 = Unsqueeze(s, axis0)  square = Concat<axis=0>(s1, s1)"
UPPER = f"{SQUARE}  fill = Expand(below, square)  m = Trilu<upper=1>(fill, one)"
BOTH = "a = LessOrEqual(pj, pi)  ok = And(a, mask)"
ONES = f"{SQUARE} t1 = ConstantOfShape<value=int8[1] {{1}}>(square)  t2 = Cast<to=9>(t1)"

#: Every one of these closes all later positions.
CAUSAL: dict[str, Sketch] = {
    "compared": where("ok = LessOrEqual(pj, pi)"),
    "compared the other way": where("ok = GreaterOrEqual(pi, pj)"),
    "not later": where("later = Greater(pj, pi) ok = Not(later)"),
    "later ones filled": where("ok = Greater(pj, pi)", "Where(ok, low, sc1)"),
    "before the next": where("next = Add(pi, one) ok = Less(pj, next)"),
    "by difference": where("d = Sub(pi, pj) ok = GreaterOrEqual(d, zero)"),
    "as floats": where("fi = Cast<to=1>(pi) fj = Cast<to=1>(pj) ok = LessOrEqual(fj, fi)"),
    "as int32": where("a = Cast<to=6>(pi) b = Cast<to=6>(pj) ok = LessOrEqual(b, a)"),
    "as int32, by distance": where(
        "a = Cast<to=6>(pi) b = Cast<to=6>(pj) d = Sub(b, a) e = Mul(d, many) ok = LessOrEqual(e, zero32)",
        many=np.array(1000, np.int32),
        zero32=np.array(0, np.int32),
    ),
    "many times, as floats": where(
        "a = Mul(pi, many) b = Mul(pj, many) fi = Cast<to=1>(a) fj = Cast<to=1>(b) ok = LessOrEqual(fj, fi)",
        many=np.array(16),
    ),
    "flattened": where("rows = Mul(pi, s) a = Add(rows, pj) b = Add(rows, pi) ok = LessOrEqual(a, b)"),
    "with S on both sides": where("a = Add(pi, s) b = Add(pj, s) ok = LessOrEqual(b, a)"),
    "window": where("a = LessOrEqual(pj, pi) d = Sub(pi, pj) b = Less(d, wide) ok = And(a, b)", wide=np.array(3)),
    "-inf": where("ok = LessOrEqual(pj, pi)", "Where(ok, sc1, below)", below=INFINITE),
    "triangle": triangle(),
    "triangle after a past": triangle(start="p1"),
    "window of a constant": triangle(TRIANGLE & ~np.tril(TRIANGLE, -3)),
    "triangle, as much as there is": least(MOST),
    "triangle of bytes": triangle(TRIANGLE.astype(np.uint8), rest="ok = Cast<to=9>(cut)"),
    "added": added("m = Where(ok, nothing, low)"),
    "added -inf": added("m = Where(ok, nothing, below)", below=INFINITE),
    "added product": added("f = Cast<to=1>(ok) n = Sub(unit, f) m = Mul(n, low)", unit=np.array(1, np.float32)),
    "added -1e30": added("m = Where(ok, nothing, below)", below=np.array(-1.1e30, np.float32)),
    "added -10000": added(OUTWEIGHED, little=np.array(-1e4, np.float32)),
    "added -1e9, and large weights": added(OUTWEIGHED, little=np.array(-1e9, np.float32), wq=_weights(50)),
    "replaced by -1e9": where("ok = LessOrEqual(pj, pi)", "Where(ok, sc1, below)", below=np.array(-1e9, np.float32)),
    "scores times the mask, and -10000": attention(
        "a = LessOrEqual(pj, pi) f = Cast<to=1>(a) kept = Mul(sc1, f) n = Sub(unit, f) shut = Mul(n, little)",
        apply="Sub(kept, shut)",
        weights={"unit": np.array(1, np.float32), "little": np.array(1e4, np.float32)},
    ),
    "Trilu -inf": added(UPPER, below=INFINITE),
    "Trilu finite": added(UPPER, below=LOW),
    "Trilu of truths": where(f"{ONES} ok = Trilu<upper=0>(t2)"),
    "triu times comparison": added(
        f"{SQUARE} full = Expand(low, square) up = Trilu<upper=1>(full, one) gt = Greater(pj, pi) "
        "f = Cast<to=1>(gt) m = Mul(up, f)"
    ),
    "numbers of keys as well": added(
        "f = Cast<to=1>(pj) slope = Mul(f, scale) c = Where(ok, nothing, low) m = Add(c, slope)"
    ),
    "distances as well": added(
        "d = Sub(pj, pi) f = Cast<to=1>(d) slope = Mul(f, scale) c = Where(ok, nothing, low) m = Add(c, slope)"
    ),
}

#: Of a mask that the caller hands in it has to be known that it holds 0 and 1, and 1 at position 0.
BINARY: dict[str, Sketch] = {
    "and a given one, -inf": given("bool[B, 1, 1, S] mask", BOTH, {"mask": 3}, "Where(ok, sc1, below)", below=INFINITE),
    "and a given one of numbers, -inf": given(
        "int64[B, S] mask",
        "a = LessOrEqual(pj, pi) b = Cast<to=9>(mask) c = Unsqueeze(b, axis12) ok = And(a, c)",
        {"mask": 1},
        "Where(ok, sc1, below)",
        below=INFINITE,
    ),
    "and a given one": given("bool[B, 1, 1, S] mask", BOTH, {"mask": 3}, "Where(ok, sc1, low)"),
    "added to one of numbers": given(
        "int64[B, S] mask",
        """ok = LessOrEqual(pj, pi) c = Where(ok, nothing, low) u = Unsqueeze(mask, axis12) f = Cast<to=1>(u)
           n = Sub(unit, f) g = Mul(n, low) m = Add(c, g)""",
        {"mask": 1},
        "Add(sc1, m)",
        unit=np.array(1, np.float32),
    ),
    "filled where both are nothing": given(
        "int64[B, S] mask",
        """ok = LessOrEqual(pj, pi) c = Where(ok, nothing, low) u = Unsqueeze(mask, axis12) f = Cast<to=1>(u)
           t = Add(c, f) e = Equal(t, nothing) m = Where(e, low, c)""",
        {"mask": 1},
        "Add(sc1, m)",
    ),
}

WINDOW = "c = LessOrEqual(pj, pi) d = Sub(pi, pj) near = Less(d, many) b = And(c, near)"
MANY = {"many": np.array(3)}
NUMBERED = "g = Cast<to=9>(mask) g4 = Unsqueeze(g, axis12)"


def opened(sketch: Sketch) -> Sketch:
    """With a mask that is 1 everywhere."""
    return replace(sketch, ones=("mask",))


#: These close all that a position may see, unless the mask that is handed in closes nothing.
OPENED: dict[str, Sketch] = {
    name: opened(sketch)
    for name, sketch in {
        "window and a given one": given(
            "int64[B, S] mask", f"{WINDOW} {NUMBERED} ok = And(b, g4)", {"mask": 1}, "Where(ok, sc1, low)", **MANY
        ),
        "window and a given one, added": given(
            "int64[B, S] mask",
            f"{WINDOW} {NUMBERED} ok = And(b, g4) m = Where(ok, nothing, low)",
            {"mask": 1},
            "Add(sc1, m)",
            **MANY,
        ),
        "at most as far as a given one counts": given(
            "int64[B, S] mask",
            """n0 = ReduceSum(mask, axis1) n1 = Unsqueeze(n0, axis12) u = Add(pj, n1) t = Add(pi, s)
            ok = LessOrEqual(u, t)""",
            {"mask": 1},
            "Where(ok, sc1, low)",
        ),
        "by numbers counted in a given one": given(
            "int64[B, S] mask",
            """n0 = CumSum(mask, one) pq = Unsqueeze(n0, axis2) pk = Unsqueeze(n0, axis1) a = LessOrEqual(pk, pq)
            ok = Unsqueeze(a, axis1)""",
            {"mask": 1},
            "Where(ok, sc1, low)",
        ),
    }.items()
}
#: These let later positions through whatever is handed in.
OPENED_AHEAD: dict[str, Sketch] = {
    name: opened(sketch)
    for name, sketch in {
        "a given one for keys alone": given("bool[B, 1, 1, S] mask", "", {"mask": 3}, "Where(mask, sc1, low)"),
        "or a given one": given(
            "bool[B, 1, 1, S] mask", "a = LessOrEqual(pj, pi) ok = Or(a, mask)", {"mask": 3}, "Where(ok, sc1, low)"
        ),
        "window around it and a given one": given(
            "int64[B, S] mask",
            f"d = Sub(pi, pj) e = Abs(d) near = Less(e, many) {NUMBERED} ok = And(near, g4)",
            {"mask": 1},
            "Where(ok, sc1, low)",
            **MANY,
        ),
        "as far as a given one counts": given(
            "int64[B, S] mask",
            "n0 = ReduceSum(mask, axis1) n1 = Unsqueeze(n0, axis12) ok = LessOrEqual(pj, n1)",
            {"mask": 1},
            "Where(ok, sc1, low)",
        ),
        "by numbers counted from the end": given(
            "int64[B, S] mask",
            """n0 = CumSum<reverse=1>(mask, one) pq = Unsqueeze(n0, axis2) pk = Unsqueeze(n0, axis1)
            a = LessOrEqual(pk, pq) ok = Unsqueeze(a, axis1)""",
            {"mask": 1},
            "Where(ok, sc1, low)",
        ),
    }.items()
}


def powers(of: str) -> str:
    """The second, fourth, eighth and twelfth power of the length: ``s2`` and so on."""
    return f"s2 = Mul({of}, {of}) s4 = Mul(s2, s2) s8 = Mul(s4, s4) s12 = Mul(s8, s4)"


#: Positions of a square, numbered one row after the other, and those of its diagonal.
FLATTENED = "rows = Mul(pi, s) a = Add(rows, pj) b = Add(rows, pi)"
DISTANCE = "d = Sub(pj, pi) f = Cast<to=1>(d)"
SHORT_INTEGERS = "d0 = Sub(pj, pi) d = Cast<to=6>(d0)"
LATER = "later = Greater(pj, pi)"
#: Open are a position's own, and those where ``a`` is negative.
OR_OWN = "b = Less(a, none) own = Equal(pj, pi) ok = Or(b, own)"
TINY, HUGE = np.array(1e-30, np.float32), np.array(2**25, np.float32)
#: These would close later positions if numbers had no ends and all their digits.
ROUNDED: dict[str, Sketch] = {
    "products too small for float32": where(
        f"{DISTANCE} a = Mul(f, tiny) b = Mul(a, tiny) ok = LessOrEqual(b, nothing)", tiny=TINY
    ),
    "quotients too small for float32": where(
        f"{DISTANCE} a = Div(f, huge) b = Div(a, huge) ok = LessOrEqual(b, nothing)", huge=1 / TINY
    ),
    "lost beside 1": where(
        f"{DISTANCE} a = Mul(f, tiny) b = Add(a, unit) ok = LessOrEqual(b, unit)",
        tiny=TINY,
        unit=np.array(1, np.float32),
    ),
    "lost beside a large number": where(
        f"{DISTANCE} a = Add(f, huge) b = Sub(a, huge) ok = LessOrEqual(b, nothing)", huge=HUGE
    ),
    "lost in a sum": where(f"{DISTANCE} b = Sum(f, huge, back) ok = LessOrEqual(b, nothing)", huge=HUGE, back=-HUGE),
    "larger than float32 counts": where(
        "a = Add(pj, huge) b = Add(pi, huge) c = Cast<to=1>(a) d = Cast<to=1>(b) ok = LessOrEqual(c, d)",
        huge=HUGE.astype(np.int64),
    ),
    "more than an integer holds": where(
        f"{SHORT_INTEGERS} a = Mul(d, huge) b = Mul(a, huge) ok = LessOrEqual(b, zero32)",
        huge=np.array(2**16, np.int32),
        zero32=np.array(0, np.int32),
    ),
    "more than an integer holds, once": where(
        f"{SHORT_INTEGERS} a = Mul(d, huge) ok = LessOrEqual(a, zero32)",
        huge=np.array(2**30, np.int32),
        zero32=np.array(0, np.int32),
    ),
    "more than int32 holds, by the length": where(
        f"{SHORT_INTEGERS} s1 = Cast<to=6>(s) {powers('s1')} a = Mul(d, s12) {OR_OWN}", none=np.array(0, np.int32)
    ),
    "more than int64 holds, by the length": where(
        f"d = Sub(pj, pi) {powers('s')} s24 = Mul(s12, s12) a = Mul(d, s24) {OR_OWN}", none=np.array(0)
    ),
    "larger than float32 counts, by the length": where(
        f"{powers('s')} a = Add(pj, s12) b = Add(pi, s12) c = Cast<to=1>(a) d = Cast<to=1>(b) ok = LessOrEqual(c, d)"
    ),
    "larger than float32 counts, times the length": where(
        f"{powers('s')} a = Mul(pi, s12) b = Add(a, pj) c = Add(a, pi) e = Cast<to=1>(b) f = Cast<to=1>(c) "
        "ok = LessOrEqual(e, f)"
    ),
    "a length that int8 does not hold": where(
        f"{powers('s')} s3 = Mul(s2, s) n = Cast<to=3>(s3) m = Cast<to=7>(n) a = Add(pj, m) b = Sub(a, s3) "
        "ok = LessOrEqual(b, pi)"
    ),
    "more than an integer holds, replaced": where(
        f"{LATER} a = Where(later, huge, zero32) b = Mul(a, four) ok = LessOrEqual(b, zero32)",
        huge=np.array(2**30, np.int32),
        four=np.array(4, np.int32),
        zero32=np.array(0, np.int32),
    ),
    "cut off by a cast": where(
        f"{LATER} a = Where(later, huge, zero) b = Cast<to=6>(a) ok = LessOrEqual(b, zero32)",
        huge=np.array(2**32),
        zero32=np.array(0, np.int32),
    ),
    "a float that no integer holds": where(
        f"{LATER} a = Where(later, huge, nothing) b = Cast<to=7>(a) ok = LessOrEqual(b, zero)",
        huge=np.array(1e30, np.float32),
    ),
    "infinity less infinity": added(
        "a = Where(ok, nothing, low) b = Mul(a, ten) c = Mul(b, scale) m = Sub(b, c)", ten=np.array(10, np.float32)
    ),
}

#: None of these does.
AHEAD: dict[str, Sketch] = {
    "no mask": where("", "Identity(sc1)"),
    "flipped": where("ok = GreaterOrEqual(pj, pi)"),
    "the next one as well": where("next = Add(pi, one) ok = LessOrEqual(pj, next)"),
    "not its own, finite": where("ok = Less(pj, pi)"),
    "branches swapped": where("ok = LessOrEqual(pj, pi)", "Where(ok, low, sc1)"),
    "prefix": where("a = LessOrEqual(pj, pi) b = Less(pj, many) ok = Or(a, b)", many=np.array(3)),
    "half of S": where("half = Div(s, two) a = LessOrEqual(pj, pi) b = Less(pj, half) ok = Or(a, b)", two=np.array(2)),
    "window around it": where("d = Sub(pi, pj) e = Abs(d) ok = Less(e, wide)", wide=np.array(3)),
    "one wrong entry": triangle(_with(TRIANGLE, (0, 0, 2, 4), True)),
    "wrong in the first row": triangle(_with(TRIANGLE, (0, 0, 0, 1), True)),
    "window of a constant, one ahead": triangle(np.tril(np.ones_like(TRIANGLE), 1) & ~np.tril(TRIANGLE, -3)),
    "triangle upside down": triangle(np.swapaxes(TRIANGLE, 2, 3).copy()),
    "triangle, at most a part": least(3),
    "-10000, which weights make scores outweigh": added(
        OUTWEIGHED, little=np.array(-1e4, np.float32), wq=_weights(5e3)
    ),
    "-1e9, which weights make scores outweigh": added(OUTWEIGHED, little=np.array(-1e9, np.float32), wq=_weights(5e8)),
    "-10000 beside numbers that the caller hands in": attention(
        "ok = LessOrEqual(pj, pi) m = Where(ok, nothing, little) more = Mul(sc1, given)",
        apply="Add(more, m)",
        given="float given",
        weights={"little": np.array(-1e4, np.float32)},
    ),
    "-1": added("m = Where(ok, nothing, little)", little=np.array(-1, np.float32)),
    "Trilu from the second diagonal": added(UPPER.replace("(fill, one)", "(fill, two)"), below=LOW, two=np.array(2)),
    "Trilu of the lower half": added(UPPER.replace("upper=1", "upper=0"), below=INFINITE),
    "given alone": given("float[B, 1, S, S] bias", "", {"bias": 2}, "Add(sc1, bias)"),
    "given for keys alone": given("bool[B, 1, 1, S] mask", "", {"mask": 3}, "Where(mask, sc1, low)"),
    "or a given one": given(
        "bool[B, 1, 1, S] mask", "a = LessOrEqual(pj, pi) ok = Or(a, mask)", {"mask": 3}, "Where(ok, sc1, low)"
    ),
    "and a given one, finite": BINARY["and a given one"],
    "not its own, -inf": where("ok = Less(pj, pi)", "Where(ok, sc1, below)", below=INFINITE),
    "compared as float16": where("a = Cast<to=10>(pj) b = Cast<to=10>(pi) ok = LessOrEqual(a, b)"),
    "compared as bfloat16": where(
        "a0 = Cast<to=16>(pj) b0 = Cast<to=16>(pi) a = Cast<to=1>(a0) b = Cast<to=1>(b0) ok = LessOrEqual(a, b)"
    ),
    "compared as int8": where("a = Cast<to=3>(pj) b = Cast<to=3>(pi) ok = LessOrEqual(a, b)"),
    "difference of uint64": where(
        "a = Cast<to=13>(pj) b = Cast<to=13>(pi) d = Sub(a, b) ok = LessOrEqual(d, zero64)",
        zero64=np.array(3, np.uint64),
    ),
    "distances": added("d = Sub(pi, pj) m = Cast<to=1>(d)"),
    **ROUNDED,
    "products too small for float16": where(
        "d = Sub(pj, pi) f = Cast<to=10>(d) a = Mul(f, tiny) b = Mul(a, tiny) ok = LessOrEqual(b, none)",
        tiny=np.array(1e-4, np.float16),
        none=np.array(0, np.float16),
    ),
    "Tanh near its end": where(
        f"{DISTANCE} a = Mul(f, nine) b = Tanh(a) ok = Less(b, unit)",
        nine=np.array(9, np.float32),
        unit=np.array(1, np.float32),
    ),
    "flattened numbers as int32": where(f"{FLATTENED} c = Cast<to=6>(a) e = Cast<to=6>(b) ok = LessOrEqual(c, e)"),
    "flattened numbers as float32": where(f"{FLATTENED} c = Cast<to=1>(a) e = Cast<to=1>(b) ok = LessOrEqual(c, e)"),
    "position as length": where("last = Sub(s, one) d = Sub(last, pj) ok = LessOrEqual(d, pi)"),
}

LOWEST = float(np.finfo(np.float16).min)
CLOSE = "ok = LessOrEqual(pj, pi) m = Where(ok, open, below)"
PADDED = f"""{CLOSE} u = Unsqueeze(mask, axis12) f = Cast<to=10>(u) n = Sub(unit, f) g = Mul(n, below)
    both = Add(m, g)"""
IN_FLOAT = "wide = Cast<to=1>(sc2) ww = Softmax<axis=-1>(wide) wh = Cast<to=10>(ww)"

#: Masks of float16 that close all later positions, if scores are within 30,000.
HALF: dict[str, Sketch] = {
    "replaced by the lowest": half("ok = LessOrEqual(pj, pi)", "Where(ok, half, below)", LOWEST),
    "replaced by -inf": half("ok = LessOrEqual(pj, pi)", "Where(ok, half, below)", -np.inf),
    "replaced by less than any score": half("ok = LessOrEqual(pj, pi)", "Where(ok, half, below)", -40000),
    "the lowest added": half(CLOSE, "Add(half, m)", LOWEST),
    "-inf added": half(CLOSE, "Add(half, m)", -np.inf),
    "the lowest added, softmax of float": half(CLOSE, "Add(half, m)", LOWEST, softmax=IN_FLOAT),
    "the lowest of float, cast": half(
        "ok = LessOrEqual(pj, pi) wide = Where(ok, nothing, low) m = Cast<to=10>(wide)", "Add(half, m)", LOWEST
    ),
}
HALF_BINARY = {
    "a given one as well": half(PADDED, "Add(half, both)", LOWEST, given="int64[B, S] mask", positions={"mask": 1})
}
#: Masks of float16 that scores within 30,000 may outweigh.
HALF_AHEAD: dict[str, Sketch] = {
    "not low enough to replace": half("ok = LessOrEqual(pj, pi)", "Where(ok, half, below)", -30000, large=True),
    "not low enough to add": half(CLOSE, "Add(half, m)", -60000, large=True),
    "-10000 of float16": half(CLOSE, "Add(half, m)", -10000, large=True),
    "not low enough, softmax of float": half(CLOSE, "Add(half, m)", -60000, softmax=IN_FLOAT, large=True),
}
