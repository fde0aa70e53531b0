"""Gathering and scattering, and the arithmetic on positions that exporters do for it."""

# mypy: no-warn-return-any
from __future__ import annotations

import onnx

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import BOOL, BYTES, FLOATS, INTEGERS, NUMBERS, Known

ANY = (*NUMBERS, *BYTES, *BOOL)


def _least(x: Known, axis: int) -> int:
    """The smallest size of an axis in any feed."""
    least = min(array.shape[axis] for array in x.arrays)
    if least == 0:
        raise Unfit
    return least


@builds("Gather", weight=6)
def gather(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(1, 5)) if s.chance(75) else s.weight([4, 3], "float32")
    axis = s.axis(x)
    s.add(op, [x, s.indices(_least(x, axis))], axis=s.sign(axis, x.rank))


@builds("Gather", weight=3)
def gather_by_position(s: Sketch, op: str) -> None:
    """Rows of one tensor at the positions of rows of another, as they are or turned around."""
    x = s.pick(ANY, range(1, 5), lambda k: bool(k.varying))
    axis = s.one_of(x.varying)
    positions = s.positions(x, axis)
    if s.chance(25):
        last = s.add("Sub", [s.scalar_size(x, axis), s.constant(1, "int64")])[0]
        positions = s.add("Sub", [last, positions])[0]
    counts = [array.shape[axis] for array in x.arrays]
    # No strings: onnxruntime's Gather copies the first one of each slice, and leaves the others empty.
    like = [k for k in s.known if k.rank >= 1 and not k.noisy and k.dtype in ANY]
    like = [k for k in like if [array.shape[0] for array in k.arrays] == counts]
    other = s.one_of(like) if like and s.chance(40) else x
    s.add(op, [other, positions], axis=axis if other is x else 0)


@builds("GatherElements", since=11, weight=3)
def gather_elements(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(1, 4))
    axis = s.axis(x)
    index = s.indices(_least(x, axis), (x.rank,))
    s.add(op, [x, index], axis=s.sign(axis, x.rank))


@builds("GatherElements", since=11, weight=2)
def pick_the_best(s: Sketch, op: str) -> None:
    """ArgMax along an axis, and the entries there."""
    x = s.pick(FLOATS, range(1, 5), lambda k: k.smallest > 0)
    axis = s.axis(x)
    best = s.add("ArgMax", [x], axis=axis, keepdims=1)[0]
    s.add(op, [x, best], axis=axis)


@builds("ScatterElements", since=11, weight=3)
@builds("Scatter", since=9, until=10)
def scatter_elements(s: Sketch, op: str) -> None:
    x = s.pick(("float32", "int64"), range(1, 4))
    axis = s.axis(x)
    index = s.indices(_least(x, axis), (x.rank,))
    same = [k for k in s.known if k.dtype == x.dtype and [a.shape for a in k.arrays] == [a.shape for a in index.arrays]]
    if same and s.chance(50):
        updates = s.one_of(same)
    elif index.varying:
        updates = s.add("Cast", [index], to=x.element)[0]
    else:
        updates = s.weight(index.shape, x.dtype)
    reduction = s.one_of((None, None, "add", "max")) if s.opset >= 18 else None
    s.add(op, [x, index, updates], axis=axis, reduction=reduction)


@builds("GatherND", since=12, weight=3)
def gather_nd(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(1, 4))
    batch = s.below(2) if x.rank > 1 else 0
    index = s.indices(_least(x, batch), range(1 + batch, 4))
    index = s.with_axes("Unsqueeze", index, [index.rank], since=13) if s.chance(70) else index
    s.add(op, [x, index], batch_dims=batch)


def _coordinates(s: Sketch, x: Known) -> Known:
    """[position of the row, an index into its entries] for every row of `x`."""
    rows = s.with_axes("Unsqueeze", s.positions(x, 0), [1], since=13)
    sizes = [array.shape[0] for array in x.arrays]
    fitting = [
        k
        for k in s.known
        if k.dtype == "int64"
        and [a.shape for a in k.arrays] in ([(n, 1) for n in sizes], [(n,) for n in sizes])
        and k.within(0, _least(x, 1))
    ]
    if fitting and s.chance(60):
        index = s.one_of(fitting)
    else:
        score = s.pick(("float32",), (2, 3))
        index = s.add("ArgMax", [score], axis=1, keepdims=0)[0]
        index = s.add("Mod", [index, s.constant(_least(x, 1), "int64")])[0]
    if index.rank == 1:
        index = s.with_axes("Unsqueeze", index, [1], since=13)
    parts = [rows, index] if s.chance(85) else [index, rows]
    return s.add("Concat", parts, axis=s.sign(1, 2))[0]


@builds("GatherND", since=12, weight=4)
def gather_own_entry(s: Sketch, op: str) -> None:
    """Range → Unsqueeze → Concat → GatherND: one entry of each row, as dynamo exports pool the end of a text."""
    x = s.pick(ANY, range(2, 5), lambda k: 0 in k.varying and 1 not in k.varying)
    s.add(op, [x, _coordinates(s, x)])


@builds("ScatterND", since=11, weight=3)
def scatter_own_entry(s: Sketch, op: str) -> None:
    """The same places written to."""
    x = s.pick(("float32",), range(2, 4), lambda k: 0 in k.varying and 1 not in k.varying)
    where = _coordinates(s, x)
    updates = s.add("GatherND", [x, where])[0]
    if s.chance(50):
        updates = s.add("Neg", [updates])[0]
    s.add(op, [x, where, updates])


@builds("ScatterND", since=11, weight=2)
def scatter_nd(s: Sketch, op: str) -> None:
    """Whole slices along axis 0, after a Transpose mostly not those of the batch."""
    x = s.pick(("float32", "int64"), range(1, 4))
    axis = s.axis(x)
    if axis:
        x = s.add("Transpose", [x], perm=[axis, *(a for a in range(x.rank) if a != axis)])[0]
    places = s.weight([1 + s.below(2), 1], "int64", high=_least(x, 0))
    if set(x.varying) <= {0} and s.chance(50):
        updates = s.weight([places.shape[0], *x.shape[1:]], x.dtype)
    else:
        updates = s.add("Gather", [x, s.constant(places.arrays[0].reshape(-1))], axis=0)[0]
        updates = s.add("Neg", [updates])[0]
    reduction = s.one_of((None, "add")) if s.opset >= 18 else None
    s.add(op, [x, places, updates], reduction=reduction)


@builds("Gather", weight=3)
def gather_flattened(s: Sketch, op: str) -> None:
    """Entry i·S + v of rows flattened in blocks of S, as TorchScript pools: v may or may not be below S."""
    x = s.pick(("float32", "int64"), range(2, 4), lambda k: 0 in k.varying and 1 not in k.varying and k.smallest > 0)
    stride = s.scalar_size(x, 1) if s.chance(50) else s.constant(x.shape[1], "int64")
    first = s.add("Mul", [s.positions(x, 0), stride])[0]
    score = s.pick(FLOATS, (2, 3), lambda k: 0 in k.varying and k.smallest > 0)
    within = s.add("ArgMax", [score], axis=1, keepdims=0)[0]
    if s.chance(50):
        within = s.add("Mod", [within, s.constant(x.shape[1], "int64")])[0]
    place = s.add("Add", s.shuffled([first, within]))[0]
    rest = [1] * (x.rank - 2)
    flat = s.add("Reshape", [x, s.vector([-1, *x.shape[2:]])])[0] if rest or s.chance(50) else None
    if flat is None:
        flat = s.with_axes("Squeeze", s.add("Flatten", [x], axis=0)[0], [0], since=13)
    s.add(op, [flat, place], axis=0)


@builds(weight=2)
def mask_of_lengths(s: Sketch, op: str) -> None:
    """Range(S) < length of each row, as masks are made, used in Where."""
    x = s.pick(("float32",), range(2, 4), lambda k: k.smallest > 0)
    axis = s.axis(x)
    positions = s.positions(x, axis)
    lengths = s.pick(INTEGERS, range(2))
    lengths = s.with_axes("Unsqueeze", lengths, [lengths.rank], since=13)
    if lengths.dtype != "int64":
        lengths = s.add("Cast", [lengths], to=onnx.TensorProto.INT64)[0]
    mask = s.add("Less", [positions, lengths])[0]
    if axis == x.rank - 1:
        s.add("Where", [mask, x, s.constant(-9.5, "float32")])


@builds(weight=1)
def positions_in_data(s: Sketch, op: str) -> None:
    """The position of a row added to its values."""
    x = s.pick(("float32",), range(1, 4), lambda k: k.smallest > 0)
    axis = s.axis(x)
    positions = s.add("Cast", [s.positions(x, axis)], to=onnx.TensorProto.FLOAT)[0]
    new = list(range(1, x.rank - axis))
    if new:
        positions = s.with_axes("Unsqueeze", positions, new, since=13)
    s.add("Add", [x, positions])
