"""Reductions, softmax, scans along an axis, normalisation."""

from __future__ import annotations

from typing import Any

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import FLOATS, INTEGERS, NUMBERS

MICROSOFT = "com.microsoft"
_REDUCTIONS = "ReduceSum ReduceMean ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp"


@builds(_REDUCTIONS, weight=6)
@builds("ReduceProd ReduceLogSum")
def reduce(s: Sketch, op: str) -> None:
    whole = op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare")
    x = s.pick(NUMBERS if whole else FLOATS, range(1, 7))
    if op == "ReduceLogSum":
        x = s.add("Abs", [x])[0]
    elif op in ("ReduceProd", "ReduceLogSumExp") and x.dtype in FLOATS:
        x = s.add("Tanh", [x])[0]
    keep = s.below(2)
    since = 13 if op == "ReduceSum" else 18
    if s.chance(0 if s.tame else 20):
        s.add(op, [x], keepdims=keep)
    elif s.opset >= since and s.chance(8):
        s.add(op, [x], keepdims=keep, noop_with_empty_axes=1)
    else:
        s.with_axes(op, x, [s.sign(a, x.rank) for a in s.axes(x, 1)], since=since, keepdims=keep)


@builds(weight=2)
def centred(s: Sketch, op: str) -> None:
    """x - mean(x), over whatever axes."""
    x = s.pick(FLOATS, range(1, 5))
    mean = s.with_axes("ReduceMean", x, s.axes(x, 1), since=18, keepdims=1)
    s.add("Sub", [x, mean])


@builds("ArgMax ArgMin", weight=3)
def argument(s: Sketch, op: str) -> None:
    x = s.pick(NUMBERS, range(1, 5), lambda k: k.smallest > 0)
    extra: dict[str, Any] = {"select_last_index": 1} if s.opset >= 12 and s.chance(20) else {}
    s.add(op, [x], axis=s.sign(s.axis(x), x.rank), keepdims=s.below(2), **extra)


@builds("TopK", since=10, weight=2)
def top_k(s: Sketch, op: str) -> None:
    x = s.pick(NUMBERS, range(1, 5))
    axis = s.axis(x)
    most = min(array.shape[axis] for array in x.arrays)
    count = s.size(x, axis) if s.chance(10) else s.integers(1 + s.below(max(most, 1)))
    s.add(op, [x, count], 2, axis=s.sign(axis, x.rank), largest=s.below(2))


@builds("Softmax LogSoftmax Hardmax", weight=5)
def softmax(s: Sketch, op: str) -> None:
    x = s.pick(FLOATS, range(1, 5))
    s.add(op, [x], axis=s.sign(s.axis(x), x.rank) if s.chance(80) else None)


@builds("CumSum", since=11, weight=2)
@builds("CumProd", since=26)
def cumulative(s: Sketch, op: str) -> None:
    x = s.pick(NUMBERS if op == "CumSum" else ("float32",), range(1, 5))
    axis = s.constant(s.sign(s.axis(x), x.rank), s.one_of(INTEGERS))
    s.add(op, [x, axis], exclusive=s.below(2), reverse=s.below(2))


@builds("LpNormalization MeanVarianceNormalization LRN")
def plain_normalisation(s: Sketch, op: str) -> None:
    if op == "LpNormalization":
        x = s.pick(FLOATS, range(1, 5))
        s.add(op, [x], axis=s.axis(x), p=1 + s.below(2))
    elif op == "LRN":
        s.add(op, [s.pick(FLOATS, (4,))], size=1 + 2 * s.below(2))
    else:
        x = s.pick(FLOATS, (4,) if s.chance(50) else range(1, 5))
        s.add(op, [x], axes=s.axes(x, 1) if x.rank != 4 or s.chance(60) else None)


@builds("LayerNormalization", since=17, weight=3)
@builds("RMSNormalization", since=23)
@builds("SimplifiedLayerNormalization")
def layer_normalisation(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), range(1, 5))
    first = x.rank - 1 - (s.chance(20) if x.rank > 1 else 0)
    scale = [s.weight(x.shape[first:])]
    if any(a in x.varying for a in range(first, x.rank)):
        raise Unfit
    bias = [s.weight(x.shape[first:])] if op == "LayerNormalization" and s.chance(60) else []
    outputs = 3 if op == "LayerNormalization" and s.chance(15) else 1
    s.add(op, [x, *scale, *bias], outputs, axis=s.sign(first, x.rank))


@builds("BatchNormalization", since=9, weight=2)
@builds("InstanceNormalization", weight=2)
@builds("GroupNormalization", since=18)
def channel_normalisation(s: Sketch, op: str) -> None:
    """BatchNormalization in inference; the others take statistics over space."""
    x = s.pick(("float32",), range(2 if op == "BatchNormalization" else 3, 5), lambda k: k.smallest > 0)
    count = x.shape[1]
    groups = s.one_of([g for g in (1, 2, 3) if count % g == 0])
    size = groups if op == "GroupNormalization" and s.opset < 21 else count
    parameters = [s.weight([size]), s.weight([size])]
    if op == "BatchNormalization":
        parameters += [s.weight([size]), s.weight([size], positive=True)]
    s.add(op, [x, *parameters], num_groups=groups if op == "GroupNormalization" else None)


@builds("SkipLayerNormalization SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_normalisation(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (3,), lambda k: 2 not in k.varying)
    same = [k for k in s.known if k.dtype == x.dtype and [a.shape for a in k.arrays] == [a.shape for a in x.arrays]]
    other = s.one_of([k for k in same if not k.noisy]) if s.chance(70) else s.weight(x.shape)
    s.add(op, [x, other, s.weight([x.shape[2]])], domain=MICROSOFT)
