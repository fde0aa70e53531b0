"""What holds for a tensor that one of two branches makes, when it is not known which."""

from __future__ import annotations

from actcache.passes.refusal import Refusal
from actcache.passes.rows.sizes import Size, Symbols
from actcache.passes.rows.state import ALWAYS_FAILS, BATCH_SIZE, Mixed, Shape, Value


def join(a: Value, b: Value, symbols: Symbols) -> Value:
    """Return what holds for both values. The branch taken is the same for all rows and any N.

    A branch that fails in every run says nothing about the runs that succeed.
    """
    if fails(a) or fails(b):
        return b if fails(a) else a
    for value in (a, b):
        if isinstance(value.state, Mixed):
            return Value(value.state)
    if a.state != b.state:
        if a.number and b.number:
            return Value(BATCH_SIZE)
        reason = "the branches of an If do not agree on where the rows are"
        return Value(Mixed(Refusal("branches-differ", reason)))
    return Value(a.state, _joined(a.shape, b.shape, symbols))


def fails(value: Value) -> bool:
    """Return whether no run that computes `value` succeeds."""
    return isinstance(value.state, Mixed) and value.state.refusal.rule == ALWAYS_FAILS


def disagree(a: Value, b: Value) -> bool:
    """Return whether joining loses what is known of either value alone: another state, or another rank."""
    if isinstance(a.state, Mixed) or isinstance(b.state, Mixed):
        return False
    ranks = [None if value.shape is None else len(value.shape) for value in (a, b)]
    return a.state != b.state or ranks[0] != ranks[1]


def _joined(a: Shape | None, b: Shape | None, symbols: Symbols) -> Shape | None:
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(_either(left, right, symbols) for left, right in zip(a, b, strict=True))


def _either(a: Size, b: Size, symbols: Symbols) -> Size:
    return a if a == b else symbols.fresh("?", batch=a.batch or b.batch)
