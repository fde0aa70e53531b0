"""What reads, makes and changes shapes: constants, or computed as the exporters compute them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.sketch import Sketch
from tests.conformance.random_graphs.values import BOOL, BYTES, INTEGERS, NUMBERS, Known

ANY = (*NUMBERS, *BYTES, *BOOL)


@builds("Shape Size", weight=2)
def sizes(s: Sketch, op: str) -> None:
    s.add(op, [s.pick(ANY, noisy=False)])


@builds("Transpose", weight=5)
def transpose(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(2, 6), noisy=True)
    s.add(op, [x], perm=s.shuffled(range(x.rank)) if s.chance(80) else None)


@builds("Flatten", weight=2)
def flatten(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(1, 6))
    s.add(op, [x], axis=s.sign(s.below(x.rank + 1), x.rank) if s.opset >= 11 else s.below(x.rank + 1))


@builds("Squeeze", weight=2)
def squeeze(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(1, 7), lambda k: 1 in k.shape)
    axes = s.some_of([a for a, size in enumerate(x.shape) if size == 1], 1)
    if s.chance(10):
        s.add(op, [x])
    else:
        s.with_axes(op, x, [s.sign(a, x.rank) for a in axes], since=13)


@builds("Unsqueeze", weight=3)
def unsqueeze(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(5))
    rank = x.rank + 1 + s.below(2)
    axes = s.shuffled(range(rank))[: rank - x.rank]
    s.with_axes(op, x, [s.sign(a, rank) for a in axes] if s.opset >= 11 else sorted(axes), since=13)


@builds("ExpandDims", domain="com.microsoft")
def expand_dims(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(5))
    s.add(op, [x, s.constant(s.below(x.rank + 1), "int32")], domain="com.microsoft")


@builds("Reshape", weight=6)
def reshape(s: Sketch, op: str) -> None:
    """Axes merged, cut, moved or left: whatever keeps the number of elements in all feeds."""
    x = s.pick(ANY, range(1, 6))
    groups: list[list[int]] = [[a] for a in range(x.rank)]  # a group of axes makes one axis; negative: a number
    for _ in range(1 + s.below(2)):
        how = s.below(4)
        if how == 0 and len(groups) > 1:
            at = s.below(len(groups) - 1)
            groups[at : at + 2] = [groups[at] + groups[at + 1]]
        elif how == 1:
            groups = _cut(s, x, groups)
        elif how == 2:
            groups.insert(s.below(len(groups) + 1), [])
        elif not s.tame or s.chance(10):
            groups = s.shuffled(groups)
    s.add(op, [x, _target(s, x, groups)])


def _cut(s: Sketch, x: Known, groups: list[list[int]]) -> list[list[int]]:
    """Cut one fixed axis in two."""
    able = [(i, g[0]) for i, g in enumerate(groups) if len(g) == 1 and g[0] >= 0 and g[0] in x.fixed]
    able = [(i, a) for i, a in able if x.shape[a] > 3 and any(x.shape[a] % d == 0 for d in (2, 3))]
    if not able:
        return groups
    index, axis = s.one_of(able)
    size = x.shape[axis]
    part = s.one_of([d for d in (2, 3, size // 2) if size % d == 0])
    return [*groups[:index], [-part], [-(size // part)], *groups[index + 1 :]]


def _target(s: Sketch, x: Known, groups: Sequence[Sequence[int]]) -> Known:
    """The shape that has one entry per group: numbers, 0, -1, or computed."""
    unknown = [i for i, g in enumerate(groups) if any(a in x.varying for a in g)]
    free = [*unknown, *(i for i in range(len(groups)) if i not in unknown)]
    rest = -1 if x.smallest == 0 or s.chance(30) else free[0] if unknown or s.chance(30) else -1
    entries: list[int | Known] = []
    for i, group in enumerate(groups):
        if i == rest:
            entries.append(-1)
        elif list(group) == [i] and x.smallest and s.chance(25):
            entries.append(0)
        else:
            entries.append(_entry(s, x, group))
    return s.vector(entries)


def _entry(s: Sketch, x: Known, group: Sequence[int]) -> int | Known:
    """The product of the sizes in a group: a number where it is one, unless it is computed all the same."""
    computed = [a for a in group if a >= 0 and (a in x.varying or s.chance(15))]
    number = math.prod(-a if a < 0 else x.shape[a] for a in group if a not in computed)
    if not computed:
        return number
    result = s.size(x, computed[0])
    for axis in computed[1:]:
        result = s.add("Mul", [result, s.size(x, axis)])[0]
    return result if number == 1 else s.add("Mul", [result, s.integers(number)])[0]


@builds("Reshape", weight=3)
def reshape_like(s: Sketch, op: str) -> None:
    """To the shape of another tensor with as many elements."""
    x = s.pick(ANY, range(1, 6))
    like = [
        k
        for k in s.known
        if not k.noisy
        and [a.shape for a in k.arrays] != [a.shape for a in x.arrays]
        and [a.size for a in k.arrays] == [a.size for a in x.arrays]
    ]
    s.add(op, [x, s.add("Shape", [s.one_of(like)])[0]])


@builds("Reshape", weight=2)
def reshape_by_number(s: Sketch, op: str) -> None:
    """To [-1, k] for any k that divides all sizes: it may cut rows in two, or take two for one."""
    x = s.pick(ANY, range(1, 6), lambda k: k.smallest > 0)
    divisors = [k for k in (2, 3, 4, 6, 9, 12) if all(array.size % k == 0 for array in x.arrays)]
    k = s.one_of(divisors)
    s.add(op, [x, s.vector(s.one_of(([-1, k], [k, -1])))])


@builds("Expand", weight=4)
def expand(s: Sketch, op: str) -> None:
    """To sizes of other axes, numbers, or a mask of them that Where resolves."""
    x = s.pick(ANY, range(5))
    like = s.pick(ANY, range(1, 5), lambda k: k.rank >= x.rank)
    entries: list[int | Known] = []
    for axis in range(like.rank):
        place = axis - (like.rank - x.rank)
        one = place < 0 or all(array.shape[place] == 1 for array in x.arrays)
        if not one:
            entries.append(1)
        elif axis in like.varying or s.chance(15):
            entries.append(s.size(like, axis))
        else:
            entries.append(like.shape[axis])
    target = s.vector(entries)
    s.add(op, [x, _masked(s, target, like) if s.chance(20) else target])


def _masked(s: Sketch, target: Known, like: Known) -> Known:
    """ConstantOfShape → Mul → Equal → Where, as TorchScript writes expand(-1, …)."""
    ones = s.add("ConstantOfShape", [s.integers(target.shape[0])], value=_tensor(1))[0]
    minus = s.add("Mul", [ones, s.constant(-1, "int64")])[0]
    return s.add("Where", [s.add("Equal", [target, minus])[0], ones, target])[0]


def _tensor(value: float, dtype: str = "int64") -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.asarray([value], dtype))


@builds("ConstantOfShape", weight=2)
def filled(s: Sketch, op: str) -> None:
    """One value in the shape of another tensor, or of some of its axes."""
    like = s.pick(ANY, range(1, 4))
    value = s.one_of((_tensor(1.7, "float32"), _tensor(2), _tensor(1, "bool")))
    if s.chance(40):
        s.add(op, s.add("Shape", [like]), value=value)
        return
    entries = [s.size(like, a) if a in like.varying else like.shape[a] for a in s.some_of(range(like.rank), 1)]
    s.add(op, [s.vector(entries)], value=value)


@builds("Range", weight=2)
def positions(s: Sketch, op: str) -> None:
    """0 … size - 1 of an axis: used, or added to values."""
    x = s.pick(ANY, range(1, 5))
    found = s.positions(x, s.axis(x))
    if s.chance(30):
        s.add("Cast", [found], to=onnx.TensorProto.FLOAT)


@builds("Range")
def range_of_numbers(s: Sketch, op: str) -> None:
    start, step = s.constant(s.below(3), "int64"), s.constant(1 + s.below(2), "int64")
    limit = s.pick(INTEGERS, (0,), lambda k: k.within(2, 9))
    s.add(op, [start, limit, step]) if limit.dtype == "int64" else s.add("Cast", [limit], to=onnx.TensorProto.INT64)


@builds("Tile", weight=2)
def tile(s: Sketch, op: str) -> None:
    x = s.pick(ANY, range(1, 5), lambda k: max(a.size for a in k.arrays) < 300)
    repeats: list[int | Known] = [1] * x.rank
    axis = s.axis(x)
    if s.chance(35):
        like = s.pick(ANY, range(1, 5), lambda k: bool(k.varying))
        repeats[axis] = s.size(like, s.one_of(like.varying))
    else:
        repeats[axis] = 2
    s.add(op, [x, s.vector(repeats)])


@builds("EyeLike Trilu", since=14)
@builds("Trilu", domain="com.microsoft")
def triangle(s: Sketch, op: str) -> None:
    x = s.pick(("float32", "int64"), (2,) if op == "EyeLike" else range(2, 5))
    domain = "com.microsoft" if op == "Trilu" and s.chance(30) else ""
    s.add(op, [x], domain=domain, **({"k": s.below(2)} if op == "EyeLike" else {"upper": s.below(2)}))


@builds(weight=3)
def there_and_back(s: Sketch, op: str) -> None:
    """Axes of the batch flattened with others, something done, and cut again: N·S and back."""
    x = s.pick(("float32",), range(2, 5), lambda k: k.smallest > 0)
    first = s.below(x.rank - 1)
    kept = [[a] for a in range(first)]
    merged = [*kept, [first, first + 1], *([a] for a in range(first + 2, x.rank))]
    flat = s.add("Reshape", [x, _target(s, x, merged)])[0]
    done = s.add(s.one_of(("Tanh", "Softsign", "Neg")), [flat])[0]
    if s.chance(50):
        axis = s.axis(done)
        done = s.add("Softmax", [done], axis=axis)[0]
    s.add("Reshape", [done, _target(s, x, [[a] for a in range(x.rank)])])
