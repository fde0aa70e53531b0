"""Causal rules of operators that go along the sequence: running sums, convolutions, recurrences."""

from __future__ import annotations

from dataclasses import dataclass

from actcache.passes.causal.bounds import constant_of
from actcache.passes.causal.forms import Affine, Form, Some, along, applied, is_stable
from actcache.passes.causal.joining import axes_of, unknown
from actcache.passes.causal.ranges import held, holds
from actcache.passes.causal.registry import Carried, Op, Recurrence, Result, known, rule, stable
from actcache.passes.causal.state import Ahead, LooksAhead, Place, S, Value
from actcache.passes.refusal import Refusal
from actcache.passes.rows.sizes import ONE, Size, const
from actcache.passes.rows.state import Shape


@rule("CumSum", "CumProd")
def cumulative(op: Op) -> Result:
    """Forwards, or along an axis of features."""
    x, axes = op.need(0), op.integers(1)
    if axes is None:
        raise LooksAhead("axes-unknown", f"the axis of {op.node.op_type} is not a constant")
    axis = axes[0] % len(known(x))
    along = axis in {place.axis for place in x.places}
    if along and (op.attribute("reverse", 0) or not _is_plain(x, axis)):
        raise LooksAhead("reversed", f"{op.node.op_type} goes over the sequence backwards, or over flattened positions")
    value = Value(x.state, known(x), form=_running_sum(op, x, axis))
    return Result([value], {0: axes_of(x)}, whole=frozenset({axis}), resumed=along)


def _running_sum(op: Op, x: Value, axis: int) -> Form | None:
    """Of one number everywhere it is known; of others, how far it may get."""
    if x.form is None or op.node.op_type != "CumSum" or op.attribute("reverse", 0):
        return unknown(x.form)
    number = constant_of(x.form)
    if number is None or number != int(number):
        return held(applied("CumSum", (x.form,)), op.types[0], known(x))
    counted = along(axis - len(known(x))).plus(Affine((), const(0 if op.attribute("exclusive", 0) else 1)))
    sums = Affine().plus(counted, const(int(number)))
    dtype = op.types[0]
    return sums if dtype is not None and holds(sums, dtype, known(x)) else Some(stable=is_stable(sums))


def _is_plain(x: Value, axis: int) -> bool:
    return any(place.plain for place in x.places if place.axis == axis)


@rule("Conv")
def convolution(op: Op) -> Result:
    """Along positions, if it reads earlier ones only: what it reaches further on has to be padding in front."""
    op.fixed(1, 2)
    kernel = [size.value for size in known(op.need(1))[2:]]
    window = _window(op, kernel)
    place = _behind_window(op, window)
    value = Value(stable((place,), [op.need(0)]), _swept(op, window, known(op.need(1))[0], place))
    return Result([value], {0: {place.axis: place.axis}}, resumed=window.front > 0)


@rule("MaxPool", "AveragePool", "LpPool")
def pooling(op: Op) -> Result:
    """The same, with padding that another operator has put in front."""
    window = _window(op, list(op.attribute("kernel_shape")))
    if window.front or window.back or len(op.node.output) > 1:  # where it found them counts through the batch
        raise LooksAhead("conv-over-positions", f"{op.node.op_type} that pads positions, or tells where it found them")
    place = _behind_window(op, window)
    value = Value(stable((place,), [op.need(0)]), _swept(op, window, op.shape(0)[1], place))
    return Result([value], {0: {place.axis: place.axis}})


@dataclass(frozen=True)
class _Window:
    """What an operator sweeps over space, of which one axis is that of positions.

    Attributes:
        axis: Of positions.
        reach: How many positions before its own it reads.
        front: Padding in front of positions.
        back: Behind them.
        spans: Along each axis of space: how many entries the kernel covers; None: unknown.
    """

    axis: int
    reach: int
    front: int
    back: int
    spans: tuple[int | None, ...]


def _window(op: Op, kernel: list[int | None]) -> _Window:
    x, count = op.need(0), len(known(op.need(0))) - 2
    if len(x.places) != 1 or x.places[0].axis < 2 or not x.places[0].single or len(kernel) != count:
        raise LooksAhead(
            "conv-over-positions", f"{op.node.op_type} over flattened positions, or along no axis of space"
        )
    along = x.places[0].axis - 2
    padded, strides = str(op.attribute("auto_pad", "NOTSET")), list(op.attribute("strides", [1] * count))
    if padded != "NOTSET" or strides[along] != 1 or op.opset < 11:
        raise LooksAhead("conv-over-positions", "the padding or stride of this convolution moves positions")
    pads, dilations = list(op.attribute("pads", [0] * 2 * count)), list(op.attribute("dilations", [1] * count))
    spans = tuple(None if n is None else (n - 1) * each + 1 for n, each in zip(kernel, dilations, strict=True))
    span = spans[along]
    if span is None:
        raise LooksAhead("conv-over-positions", "the kernel of a convolution has no known size")
    return _Window(along + 2, span - 1, pads[along], pads[along + count], spans)


def _behind_window(op: Op, window: _Window) -> Place:
    """Where positions lie behind an operator that sweeps over them."""
    x = op.need(0).places[0]
    place = x.widened(window.front - window.reach, window.back)
    if place is None:
        ahead = window.reach - window.front - x.lead
        raise LooksAhead("conv-looks-ahead", f"the convolution reads {ahead} positions ahead of its own")
    return place


def _swept(op: Op, window: _Window, channels: Size, place: Place) -> Shape:
    """The sizes of what an operator gives that sweeps over space."""
    sizes, count = known(op.need(0)), len(window.spans)
    pads, strides = op.attribute("pads", [0] * 2 * count), op.attribute("strides", [1] * count)
    whole = op.attribute("ceil_mode", 0)
    found = []
    for number, (size, span) in enumerate(zip(sizes[2:], window.spans, strict=True)):
        known_size = size.value is not None and span is not None and not whole
        room = (size.value or 0) + pads[number] + pads[number + count] - (span or 0)
        found.append(const(room // strides[number] + 1) if known_size else op.symbols.fresh("size"))
    found[window.axis - 2] = place.size
    return (sizes[0], channels, *found)


@rule("RNN", "GRU", "LSTM")
def recurrent(op: Op) -> Result:
    """Forwards. The first output is h at each position; the others are those of the last one.

    An LSTM tells c of the last position alone: what goes on from an earlier call begins where that one ended.
    """
    op.fixed(1, 2, 3, 5, 6, 7)
    x = op.need(0)
    if [place.axis for place in x.places] != [0] or not _is_plain(x, 0) or op.attribute("layout", 0):
        raise LooksAhead("recurrent-over-rows", f"{op.node.op_type} does not go along the positions")
    if op.attribute("direction", "forward") != "forward":
        raise LooksAhead("reversed", f"{op.node.op_type} goes over the sequence backwards")
    if op.get(4) is not None:
        raise LooksAhead("sequence-lengths", f"{op.node.op_type} is told where each sequence ends")
    hidden = op.attribute("hidden_size")
    width = known(op.need(2))[2] if hidden is None else const(int(hidden))
    every = Value(stable((Place(0),), [x]), (S, ONE, known(x)[1], width))
    last = Value(Ahead(Refusal("last-position", "what reads h or c of its last position is computed in every call")))
    axes = {0: axes_of(x)} | {slot: {} for slot in (5, 6) if op.get(slot) is not None}
    carried = [Carried("h", 5, 1, shown=0, like=0)]
    carried += [Carried("c", 6, 2, like=0)] if op.node.op_type == "LSTM" else []
    recurrence = Recurrence(tuple(carried), {0: 0}, {0: 0} if op.node.output[0] else {})
    values = [every, last, last][: len(op.node.output)]
    return Result(values, axes, whole=frozenset({0}), resumed=True, recurrence=recurrence)
