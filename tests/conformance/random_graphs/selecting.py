"""What puts tensors together, and cuts parts out, along any axis."""

from __future__ import annotations

from typing import Any

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import BOOL, BYTES, FLOATS, INTEGERS, NUMBERS, Known

MICROSOFT = "com.microsoft"
ANY = (*NUMBERS, *BYTES, *BOOL)
FAR = 2**63 - 1


@builds("Concat", weight=5)
def concat(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(1, 5), noisy=True)
    axis = s.axis(x)
    fitting = [k for k in s.known if k.dtype == x.dtype and not k.noisy and _beside(k, x, axis)]
    parts = [x, s.one_of(fitting) if s.chance(70) else _constant_beside(s, x, axis)]
    s.add(op, s.shuffled(parts), axis=s.sign(axis, x.rank))


def _beside(a: Known, b: Known, axis: int) -> bool:
    def others(k: Known) -> list[tuple[int, ...]]:
        return [array.shape[:axis] + array.shape[axis + 1 :] for array in k.arrays]

    return a.rank == b.rank and others(a) == others(b)


def _constant_beside(s: Sketch, x: Known, axis: int) -> Known:
    if any(a != axis for a in x.varying):
        raise Unfit
    return s.weight([1 + s.below(2) if a == axis else n for a, n in enumerate(x.shape)], x.dtype)


@builds("Split", weight=3)
def split(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(1, 5))
    axis = s.axis(x)
    size = x.shape[axis]
    if axis in x.varying or s.chance(30):
        extra: dict[str, Any] = {"num_outputs": 2} if s.opset >= 18 else {}
        s.add(op, [x], 2, axis=axis, **extra)
        return
    if size < 2:
        raise Unfit
    first = 1 + s.below(size - 1)
    if s.opset >= 13:
        s.add(op, [x, s.integers(first, size - first)], 2, axis=s.sign(axis, x.rank))
    else:
        s.add(op, [x], 2, axis=axis, split=[first, size - first])


@builds("Slice", since=10, weight=6)
def slice_(s: Sketch, op: str) -> None:
    """Forwards, backwards, to the end, up to a size."""
    x = s.pick(ANY, range(1, 5))
    axes = list(dict.fromkeys(s.axis(x) for _ in range(1 + s.below(2))))
    starts: list[int | Known] = []
    ends: list[int | Known] = []
    steps = []
    for axis in axes:
        start, end, step = _range(s, x, axis)
        starts.append(start)
        ends.append(end)
        steps.append(step)
    inputs = [x, s.vector(starts), s.vector(ends), s.integers(*(s.sign(a, x.rank) for a in axes))]
    if steps != [1] * len(steps) or s.chance(20):
        inputs.append(s.integers(*steps))
    s.add(op, inputs)


def _range(s: Sketch, x: Known, axis: int) -> tuple[int | Known, int | Known, int]:
    how = s.below(6)
    if how == 0:
        ends: tuple[int | Known, ...] = (FAR, s.size(x, axis))
        return 0, s.one_of(ends), 1
    if how == 1:
        return s.below(2), s.one_of((FAR, -1, 2**31 - 1)), 1 + s.below(2)
    if how == 2:
        return -1, s.one_of((-FAR, -(2**31), -100)), -1 - s.below(2)
    if how == 3:
        return -1, FAR, 1
    if how == 4:
        like = s.pick(ANY, range(1, 4))
        return 0, s.size(like, s.below(like.rank)), 1
    return s.below(2), 1 + s.below(x.shape[axis] + 1), 1


@builds("Pad", since=11, weight=2)
@builds("Pad", domain=MICROSOFT, weight=1)
def pad(s: Sketch, op: str) -> None:
    contrib = s.chance(15)
    x = s.pick(("float32", "float64") if contrib else (*FLOATS, *INTEGERS), range(1, 5))
    pads: list[int] = [0] * (2 * x.rank)
    axis = s.axis(x)
    pads[axis], pads[axis + x.rank] = s.below(3) - s.chance(20), s.below(2)
    mode = s.one_of(("constant", "constant", "edge", "reflect"))
    s.add(op, [x, s.integers(*pads)], mode=mode, domain=MICROSOFT if contrib else "")


@builds("Pad", since=18)
def pad_some_axes(s: Sketch, op: str) -> None:
    x = s.pick((*FLOATS, *INTEGERS), range(1, 5))
    axis = s.axis(x)
    s.add(op, [x, s.integers(s.below(2), 1), None, s.integers(s.sign(axis, x.rank))])


@builds("OneHot", since=9, weight=2)
def one_hot(s: Sketch, op: str) -> None:
    x = s.indices(5)
    depth = s.constant(5, "int64")
    if s.chance(20):
        like = s.pick(ANY, range(1, 5), lambda k: k.smallest > 0)
        depth = s.scalar_size(like, s.below(like.rank))
    values = s.constant([-0.35, 1.2], "float32")
    s.add(op, [x, depth, values], axis=s.below(x.rank + 2) - 1)


@builds("ReverseSequence", since=10)
def reverse_sequence(s: Sketch, op: str) -> None:
    """Lengths are those of a tensor at hand, or the same for all."""
    x = s.pick(NUMBERS, range(2, 5), lambda k: k.smallest > 0)
    batch = s.below(2)
    sizes = [array.shape[batch] for array in x.arrays]
    most = min(array.shape[1 - batch] for array in x.arrays)

    def are_lengths(k: Known) -> bool:
        return [a.shape for a in k.arrays] == [(n,) for n in sizes] and k.within(0, most + 1)

    fitting = [k for k in s.known if k.dtype == "int64" and are_lengths(k) and not k.noisy]
    if fitting and s.chance(80):
        lengths = s.one_of(fitting)
    else:
        lengths = s.add("Expand", [s.integers(1 + s.below(most)), s.size(x, batch)])[0]
    s.add(op, [x, lengths], batch_axis=batch, time_axis=1 - batch)


@builds("CenterCropPad", since=18)
def center_crop_pad(s: Sketch, op: str) -> None:
    x = s.pick(FLOATS, range(1, 5))
    s.add(op, [x, s.integers(2 + s.below(3))], axes=[s.axis(x)])


@builds("Compress NonZero Unique", since=11, weight=3)
def data_dependent(s: Sketch, op: str) -> None:
    """Sizes that follow from the data."""
    x = s.pick(NUMBERS, range(1, 4), lambda k: k.smallest > 0)
    if op == "NonZero":
        made = s.add(op, [s.add("Relu", [x])[0] if x.dtype in FLOATS else x])
    elif op == "Unique":
        x = _in_steps(s, x)
        made = s.add(op, [x], 1 + s.below(4), axis=s.one_of((None, s.axis(x))), sorted=s.below(2))
    else:
        axis = s.axis(x)
        condition = s.pick(BOOL, (1,)) if s.chance(60) else s.constant([True, False, True])
        made = s.add(op, [x, condition], axis=s.one_of((None, axis)))
    s.mark(made, ragged=True)


@builds("Unique", domain=MICROSOFT, weight=1)
def contrib_unique(s: Sketch, op: str) -> None:
    s.mark(s.add(op, [_in_steps(s, s.pick(("float32",), (1,)))], 3, domain=MICROSOFT), ragged=True)


def _in_steps(s: Sketch, x: Known) -> Known:
    """`x` without its last digits: equal rows may differ there, and what is then unique is not the same in two runs."""
    return s.add("Floor", [x])[0] if x.dtype in FLOATS else x


@builds("NonMaxSuppression", since=11)
def non_max_suppression(s: Sketch, op: str) -> None:
    """Boxes and scores of each image, made of one tensor."""
    x = s.pick(("float32",), (3,), lambda k: k.shape[2] >= 5 and 2 not in k.varying)
    boxes = s.add("Slice", [x, s.integers(0), s.integers(4), s.integers(2)])[0]
    scores = s.add("Slice", [x, s.integers(4), s.integers(5), s.integers(2)])[0]
    scores = s.add("Transpose", [scores], perm=[0, 2, 1])[0]
    s.mark(s.add(op, [boxes, scores, s.integers(2), s.constant(0.4, "float32")]), ragged=True)
