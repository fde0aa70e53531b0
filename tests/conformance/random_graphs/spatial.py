"""Convolutions, pooling, resizing, signals: axis 0 is the batch, axis 1 the channels, whatever is there."""

from __future__ import annotations

import math
from typing import Any

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import Known

MICROSOFT = "com.microsoft"
NCHWC = "com.microsoft.nchwc"


def image(s: Sketch, ranks: tuple[int, ...] = (3, 4)) -> Known:
    """A tensor with channels on axis 1 and at least one axis of space, not empty."""
    return s.pick(("float32",), ranks, lambda k: k.smallest > 0 and 1 not in k.varying)


def window(s: Sketch, x: Known) -> dict[str, Any]:
    """A kernel that fits, with strides and pads."""
    space = range(2, x.rank)
    kernel = [1 + s.below(min(3, min(array.shape[a] for array in x.arrays))) for a in space]
    result: dict[str, Any] = {"kernel_shape": kernel}
    if s.chance(30):
        result["strides"] = [1 + s.below(2) for _ in space]
    if s.chance(15):
        result["auto_pad"] = s.one_of(("SAME_UPPER", "SAME_LOWER"))
    elif s.chance(40):
        result["pads"] = [s.below(k) for k in kernel] * 2
    return result


@builds("Conv", weight=4)
@builds("FusedConv", domain=MICROSOFT, weight=1)
def conv(s: Sketch, op: str) -> None:
    x = image(s)
    given = window(s, x)
    groups = x.shape[1] if s.chance(20) else 1
    count = groups if groups > 1 else 1 + s.below(4)
    w = s.weight([count, x.shape[1] // groups, *given["kernel_shape"]])
    bias = [s.weight([count])] if s.chance(50) else []
    if op == "FusedConv":
        s.add(op, [x, w, *bias], domain=MICROSOFT, activation="Relu", group=groups, **given)
    else:
        s.add(op, [x, w, *bias], group=groups, **given)


@builds("Conv")
def conv_of_two(s: Sketch, op: str) -> None:
    """Weights that are no constant; mostly it does not fit."""
    x, w = image(s), image(s)
    if w.shape[1] != x.shape[1]:
        w = s.add("Tile", [w, s.integers(1, x.shape[1], *[1] * (w.rank - 2))])[0]
        w = s.add("Slice", [w, s.integers(0), s.integers(x.shape[1]), s.integers(1)])[0]
    s.add(op, [x, w])


@builds("ConvTranspose", weight=2)
def conv_transpose(s: Sketch, op: str) -> None:
    x = image(s)
    strides = [1 + s.below(2) for _ in range(x.rank - 2)]
    s.add(op, [x, s.weight([x.shape[1], 2, *[2] * (x.rank - 2)])], strides=strides)


@builds("DeformConv", since=19)
def deform_conv(s: Sketch, op: str) -> None:
    x = image(s, (4,))
    height, width = x.shape[2] - 1, x.shape[3] - 1
    if x.varying not in ([], [0]) or min(height, width) < 1:
        raise Unfit
    offset = s.add("Conv", [x, s.weight([8, x.shape[1], 2, 2])])[0]
    s.add(op, [x, s.weight([2, x.shape[1], 2, 2]), s.add("Tanh", [offset])[0]])


@builds("MaxPool AveragePool LpPool", weight=4)
@builds("NhwcMaxPool", domain=MICROSOFT, weight=1)
def pool(s: Sketch, op: str) -> None:
    if op == "NhwcMaxPool":
        x = s.pick(("uint8", "int8"), (4,))
        s.add(op, [x], domain=MICROSOFT, kernel_shape=[1, 1 + s.below(2)])
        return
    x = image(s)
    s.add(op, [x], 1 + (op == "MaxPool" and s.chance(15)), **window(s, x))


@builds("GlobalAveragePool GlobalMaxPool GlobalLpPool", weight=2)
def global_pool(s: Sketch, op: str) -> None:
    s.add(op, [image(s)])


@builds("DepthToSpace SpaceToDepth", since=11)
def depth_space(s: Sketch, op: str) -> None:
    x = image(s, (4,))
    if op == "DepthToSpace" and x.shape[1] % 4:
        x = s.add("Concat", [x] * 4, axis=1)[0]
    s.add(op, [x], blocksize=2, mode=s.one_of(("DCR", "CRD")) if op == "DepthToSpace" else None)


@builds("Resize", since=11, weight=3)
def resize(s: Sketch, op: str) -> None:
    """Scales or sizes for all axes, or for some; sizes may be computed."""
    x = s.pick(("float32",), range(2, 5), lambda k: k.smallest > 0)
    mode = s.one_of(("nearest", "linear"))
    axis = s.axis(x)
    if s.chance(50):
        scales = [1.0] * x.rank
        scales[axis] = s.one_of((2.0, 1.6, 0.5))
        s.add(op, [x, None, s.constant(scales, "float32")], mode=mode)
        return
    if s.opset >= 18 and s.chance(30):
        s.add(op, [x, None, None, s.integers(2 + s.below(4))], mode=mode, axes=[axis])
        return
    entries: list[int | Known] = [s.size(x, a) if a in x.varying else x.shape[a] for a in range(x.rank)]
    entries[axis] = 2 + s.below(4) if s.chance(90) else s.size(x, s.below(x.rank))
    s.add(op, [x, None, None, s.vector(entries)], mode=mode)


@builds("Upsample", since=9, until=9)
def upsample(s: Sketch, op: str) -> None:
    x = image(s, (4,))
    s.add(op, [x, s.constant([1.0, 1.0, 2.0, 1.0], "float32")])


@builds("GridSample", since=16)
def grid_sample(s: Sketch, op: str) -> None:
    """At a grid made of another tensor, or of the image itself."""
    x = image(s, (4,))
    grid = s.pick(("float32",), (4,), lambda k: k.smallest > 0)
    if grid.shape[-1] != 2:
        grid = s.add("Concat", [grid, grid], axis=3)[0]
        grid = s.add("Slice", [grid, s.integers(0), s.integers(2), s.integers(3)])[0]
    s.add(op, [x, s.add("Tanh", [grid])[0]])


@builds("AffineGrid", since=20)
def affine_grid(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (3,), lambda k: k.smallest > 0)
    theta = s.add("Tile", [x, s.integers(1, 2, 3)])[0]
    theta = s.add("Slice", [theta, s.integers(0, 0), s.integers(2, 3), s.integers(1, 2)])[0]
    s.add(op, [theta, s.vector([s.size(x, 0), 2, 2, 3])])


@builds("Col2Im", since=18)
def col2im(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (3,), lambda k: k.smallest > 0 and not {1, 2}.intersection(k.varying))
    s.add(op, [x, s.integers(1, x.shape[2] + 1), s.integers(1, 2)] if x.shape[1] % 2 == 0 else [
        x, s.integers(1, x.shape[2]), s.integers(1, 1)])  # fmt: skip


@builds("DFT", since=17)
def dft(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), range(2, 5), lambda k: k.smallest > 0 and k.rank - 1 not in k.varying)
    x = s.with_axes("Unsqueeze", x, [x.rank], since=13) if x.shape[-1] > 2 else x
    axis = s.axis(x)
    if axis == x.rank - 1:
        raise Unfit
    if s.opset >= 20:
        s.add(op, [x, None, s.constant(axis, "int64")])
    else:
        s.add(op, [x], axis=axis)


@builds("STFT", since=17)
def stft(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (2, 3), lambda k: k.smallest > 0 and k.shape[1] >= 2 and 1 not in k.varying)
    if x.rank == 3:
        x = s.add("Slice", [x, s.integers(0), s.integers(1), s.integers(2)])[0]
    else:
        x = s.with_axes("Unsqueeze", x, [2], since=13)
    s.add(op, [x, s.constant(1, "int64"), None, s.constant(2, "int64")])


@builds("TfIdfVectorizer", since=9)
def tfidf(s: Sketch, op: str) -> None:
    s.add(op, [s.indices(4, (1, 2))], max_gram_length=2, min_gram_length=1, max_skip_count=0, mode="TF",
        ngram_counts=[0, 3], ngram_indexes=[0, 1, 2, 3], pool_int64s=[1, 2, 3, 1, 2])  # fmt: skip


@builds("Conv", domain=NCHWC, weight=1)
def blocked(s: Sketch, op: str) -> None:
    """onnxruntime's blocked layout: in, something, out."""
    x = image(s, (4,))
    wide = s.add("Tile", [x, s.integers(1, math.ceil(16 / x.shape[1]), 1, 1)])[0]
    wide = s.add("Slice", [wide, s.integers(0), s.integers(16), s.integers(1)])[0]
    inside = s.add("ReorderInput", [wide], domain=NCHWC)[0]
    how = s.below(4)
    if how == 0:
        inside = s.add("Conv", [inside, s.weight([16, 16, 1, 1])], domain=NCHWC)[0]
    elif how == 1:
        pooled = s.one_of(("MaxPool", "AveragePool"))
        inside = s.add(pooled, [inside], domain=NCHWC, kernel_shape=[1, 1 + s.below(2)])[0]
    elif how == 2:
        inside = s.add(s.one_of(("GlobalMaxPool", "GlobalAveragePool")), [inside], domain=NCHWC)[0]
    else:
        inside = s.add("Upsample", [inside], domain=NCHWC, scales=[1, 1, 2, 1])[0]
    s.add("ReorderOutput", [inside], domain=NCHWC, channels=16)
