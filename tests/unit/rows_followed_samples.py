"""Samples that are only followed, not run: what is known of them is written down (rows_told.py) and nothing else.

Here belongs what no onnxruntime runs any more (operators before opset 7), what may be told of sizes and elements alone,
and what has to be refused.
"""

from __future__ import annotations

from typing import Any

from rows_followed_inputs import INPUTS
from rows_support import Sample, free, ints, literal, rows, sample, weight

#: n is the number of rows, l a size of each; r are the positions, i those of an entry in each row's own block, and c
#: coordinates of such an entry.
_SIZES = "s = Shape(x) n = Gather(s, zero) l = Gather(s, one)"
_PLACES = f"{_SIZES} r = Range(zero, n, one) f = Flatten<axis = 2>(x) k = ArgMax<axis = 1, keepdims = 0>(q)"
_OFFSETS = f"{_PLACES} m = Mul(r, l) i = Add(m, k)"
_COORDS = f"{_PLACES} ru = Unsqueeze(r, last) ku = Unsqueeze(k, last) c = Concat<axis = 1>(ru, ku)"
_GIVEN: dict[str, Any] = {
    "x": rows(6, 2), "q": rows(6), "zero": literal(0), "one": literal(1), "last": literal([-1]), "two": literal(2),
    "seven": literal(7), "minus": literal(-2), "yes": literal(True, "bool"), "no": literal(False, "bool"),
    "e": literal([1, 2, 3]),
}  # fmt: skip


def _followed(nodes: str, *, opset: int = 18, **tensors: Any) -> Sample:
    return sample(nodes, "mixed", opset=opset, **tensors)


def _positions() -> list[Sample]:
    """States that know the position of a row, through operators that do not keep it."""
    uses = [f"{operator}({{}})" for operator in ("Abs", "Neg", "Sign", "Identity", "Squeeze", "Cast<to = 1>")]
    uses += [
        f"{operator}({{}}, two)" for operator in ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Equal", "Less")
    ]
    uses += [f"{operator}(two, {{}})" for operator in ("Add", "Sub", "Mul", "Div", "Greater")]
    uses += ["Add({0}, {0})", "Mul({0}, k)", "Add({0}, k)", "Add(k, {0})", "Where(yes, {0}, {0})", "Gather(f, {0})",
        "Gather({0}, {0})", "Gather(x, {0})", "GatherElements<axis = 0>(f, {0})", "GatherND(x, {0})",
        "GatherND(f, {0})", "GatherND<batch_dims = 1>(x, {0})", "Unsqueeze({0}, last)", "Concat<axis = 0>({0}, {0})",
        "Shape({0})", "ReduceSum({0})", "Transpose({0})", "Expand({0}, e)", "Reshape({0}, last)", "Slice({0}, e, e)",
        "ScatterND(x, {0}, q)", "ScatterND(x, {0}, x)", "OneHot({0}, seven, e)", "ArgMax({0})"]  # fmt: skip
    return [
        _followed(f"{nodes} y = {use.format(name)}", **_GIVEN)
        for nodes, name in ((_PLACES, "r"), (f"{_PLACES} m = Mul(r, l)", "m"), (_OFFSETS, "i"), (_COORDS, "c"))
        for use in uses
    ]


def _elements() -> list[Sample]:
    """Elements that are followed: sizes that are known, those of the batch, and others."""
    pairs = [("l", "two"), ("n", "two"), ("n", "l"), ("l", "l"), ("n", "n"), ("two", "n"), ("seven", "two"),
        ("seven", "minus"), ("minus", "seven"), ("minus", "minus"), ("seven", "zero"), ("zero", "seven")]  # fmt: skip
    binary = ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Equal", "Less", "Greater", "LessOrEqual",
        "GreaterOrEqual")  # fmt: skip
    found = [_followed(f"{_SIZES} y = {op}({a}, {b})", **_loose()) for op in binary for a, b in pairs]
    found += [_followed(f"{_SIZES} y = {op}({a})", **_loose()) for op in ("Neg", "Abs") for a in ("l", "n", "minus")]
    found += [
        _followed(f"{_SIZES} h = Equal(l, seven) y = {op}({a}, {b})", **_loose())
        for op in ("And", "Or", "Xor")
        for a, b in (("h", "yes"), ("h", "no"), ("yes", "h"), ("no", "h"), ("yes", "no"), ("no", "no"), ("yes", "yes"))
    ]
    found += [_followed(f"{_SIZES} h = Equal(l, seven) y = Not({a})", **_loose()) for a in ("h", "yes", "no")]
    found += [
        _followed(f"{_SIZES} h = Equal(l, seven) y = Where({c}, {a}, {b})", **_loose())
        for c in ("h", "yes", "no")
        for a, b in (("l", "l"), ("l", "two"), ("n", "l"))
    ]
    found += [
        _followed(f"{_SIZES} a = Sub(n, one) b = Mul(n, two) c = Sub(b, two) y = Div({over})", **_loose())
        for over in ("b, n", "b, two", "c, a", "c, two", "b, l")
    ]
    return found


def _loose() -> dict[str, Any]:
    return {**_GIVEN, "x": rows(6, 2, loose=True)}


_OLD: dict[str, Any] = {"x": rows(3), "b": weight(3), "v": rows(), "o": free(3, declared=False)}
OLD: list[Sample] = [
    *(_followed(f"y = {nodes}", opset=6, **_OLD) for nodes in (
        "Add(x, b)", "Add<broadcast = 1>(x, b)", "Add<broadcast = 1, axis = 0>(x, v)", "Add(x, x)", "Add(x, o)",
        "Mul<broadcast = 1>(x, x)", "PRelu(x, b)", "Dropout(x)", "Dropout<is_test = 1>(x)", "Dropout<is_test = 0>(x)",
        "Where(x, x, b)", "Sum(x, b)", "Max(x, x)")),
    *(_followed(f"y = {nodes}", opset=7, **_OLD) for nodes in (
        "Add(x, b)", "Add<broadcast = 1>(x, b)", "Add(x, o)", "Dropout(x)", "Dropout<is_test = 0>(x)")),
]  # fmt: skip

PACKED: list[Sample] = [
    _followed("y = com.microsoft.MRotaryEmbedding<num_heads = 2, mrope_section = [2, 1, 1], is_packed_batching = "
        f"{packed}>(x, p, c, d)", x=rows(3, 16), p=ints(3, 3, high=5, axis=1), c=weight(9, 4), d=weight(9, 4))
    for packed in (0, 1)
]  # fmt: skip

_MORE: list[Sample] = [
    *(_followed(f"{_SIZES} {nodes}", **_loose(), many=literal([1] * 33)) for nodes in (
        "m = Mod(l, two) y = Div(m, two)", "d = Add(l, l) y = Max(l, d)", "d = Add(l, l) y = Max(d, l)",
        "d = Add(l, l) y = Min(l, d, two)", "m = Add(l, many) b = Concat<axis = 0>(m, m) y = Add(l, b)",
        "y = Expand(n, e)", "y = Expand(l, e)",
        "c = Cast<to = 1>(n) y = Sqrt(c)", "y = Sign(n)")),
    *(_followed(f"{_COORDS} k2 = Concat<axis = 1>(ku, ku) c2 = Concat<axis = 1>(ru, k2) y = {use}", **_GIVEN)
        for use in ("Identity(c2)", "com.microsoft.GatherND(x, c)")),
]  # fmt: skip

FOLLOWED: list[Sample] = [*_positions(), *_elements(), *OLD, *PACKED, *_MORE, *INPUTS]
