"""Masks: whether scores are closed where the key is later than the query, so that a softmax gives them no weight."""

from __future__ import annotations

import math
from collections.abc import Callable

from actcache.passes.causal.bounds import Never, Order, Scene
from actcache.passes.causal.forms import Affine, Apply, Computed, Form, Weights
from actcache.passes.causal.joining import CLOSES_ALL
from actcache.passes.causal.registry import Op
from actcache.passes.causal.state import LooksAhead

#: exp(-GAP) is 0 in every type: a score that lies so far below another one gets no weight beside it.
GAP = 1000.0
#: And rounding moves no score by such a part of it, bfloat16 included.
ROUNDING = 0.02


def closed(op: Op, form: Form | None, query: int, key: int) -> Weights:
    """Return the weights that a softmax gives to scores of a form, along axes counted from the back.

    Requires a mask that closes later positions, and leaves each position one to look at: the scores of all later
    positions lie by :data:`GAP` below one that is open.

    Where all that a position may see is closed by a finite number, its weights are equal for all S positions. Where it
    is by -∞, they are no numbers, which is harmless only if what follows replaces them.
    """
    if form is None:
        raise LooksAhead("bidirectional", "attention to all positions, later ones included: no mask closes them")
    closes = False
    for measure in (None, op.measure) if _names(form) else (None,):
        for binary in (False, True) if op.conditions is not None else (False,):
            scene = Scene(query, key, Order.AHEAD, binary, measure=measure)
            try:
                _, high = scene.bounds(form)
            except Never:
                return Weights(query, key)
            needed = _opening(op, form, scene, high)
            if needed is not None or high == -math.inf:
                if op.conditions is not None:
                    # Closed by -∞ all it may see gives no number: that is up to what follows.
                    op.conditions.update(scene.assumed, needed if needed and high != -math.inf else ())
                return Weights(query, key, needed)
            closes = closes or high < -_largest_score(form, measure)
    if closes:
        raise LooksAhead("mask-closes-all", CLOSES_ALL)
    raise LooksAhead("not-causal", _why(form, Scene(query, key, Order.AHEAD, measure=op.measure)))


def _opening(op: Op, form: Form, ahead: Scene, high: float) -> frozenset[str] | None:
    """Return the masks of the caller that have to be as :attr:`Scene.binary` says for each position to see one, whose
    score lies well above `high`; None: some may see none in any case.
    """
    orders = [(Order.OWN, False), (Order.FIRST, False), *([(Order.FIRST, True)] if op.conditions is not None else [])]
    for order, binary in orders:
        scene = Scene(ahead.query, ahead.key, order, binary, measure=ahead.measure)
        try:
            low, _ = scene.bounds(form)
        except Never:
            return frozenset()
        if low > high + (0 if high == -math.inf else GAP + ROUNDING * max(abs(low), abs(high))):
            return frozenset(scene.assumed)
    return None


def _why(form: Form, scene: Scene) -> str:
    largest = _largest_score(form, scene.measure)
    low, high = scene.bounds(_masks_of(form))
    if high <= -GAP:
        allowed = f"{largest:.2g} by the weights" if largest < _largest_score(form, None) else f"{largest:.0e}"
        return f"the mask of later positions is {high:.5g}, which scores may outweigh (up to {allowed} is allowed for)"
    if low < -largest:
        return "the mask depends on what is handed in, or closes only some of the later positions"
    return "the mask does not close later positions"


def _names(form: Form) -> list[str]:
    """The tensors that scores in a form are in."""
    if isinstance(form, Apply):
        return [name for operand in form.operands for name in _names(operand)]
    return [form.tensor] if isinstance(form, Computed) and form.tensor else []


def _largest_score(form: Form, measure: Callable[[str], float] | None) -> float:
    """How large the scores in a form may be."""
    if isinstance(form, Apply):
        return max(_largest_score(operand, measure) for operand in form.operands)
    if not isinstance(form, Computed):
        return 0.0
    return min(form.high, measure(form.tensor)) if measure is not None and form.tensor else form.high


def _masks_of(form: Form) -> Form:
    """The form with 0 for all scores."""
    if isinstance(form, Apply):
        return Apply(form.operator, tuple(map(_masks_of, form.operands)))
    return Affine() if isinstance(form, Computed) else form
