"""Masks: whether scores are closed where the key is later than the query, so that a softmax gives them no weight."""

from __future__ import annotations

import math

import onnx

from actcache.passes.causal.bounds import Never, Order, Scene
from actcache.passes.causal.forms import Form, Weights
from actcache.passes.causal.joining import CLOSES_ALL
from actcache.passes.causal.registry import Op
from actcache.passes.causal.state import LooksAhead

#: A mask is closed where it is at most this: no score of a model is near it, so that exp(score - largest) is 0.
CLOSED = -1e30
#: And open where it is at least this.
OPEN = -1e29


def closed(op: Op, dtype: int | None, form: Form | None, query: int, key: int) -> Weights:
    """Return the weights that a softmax gives to scores, of a type and a form, along axes counted from the back.

    Requires a mask that closes later positions, and leaves each position one to look at.

    Where all that a position may see is closed by a finite number, its weights are equal for all S positions. Where it
    is by -∞, they are no numbers, which is harmless only if what follows replaces them.
    """
    if form is None:
        raise LooksAhead("bidirectional", "attention to all positions, later ones included: no mask closes them")
    half = dtype == onnx.TensorProto.FLOAT16
    for binary in (False, True) if op.conditions is not None else (False,):
        scene = Scene(query, key, Order.AHEAD, binary)
        try:
            _, high = scene.bounds(form)
        except Never:
            return Weights(query, key)
        if high == -math.inf or (high <= CLOSED and not half):
            break
    else:
        raise LooksAhead("not-causal", _why(form, Scene(query, key, Order.AHEAD), dtype))
    needed = _opening(op, form, query, key)
    if high != -math.inf and needed is None:
        raise LooksAhead("mask-closes-all", CLOSES_ALL)
    if op.conditions is not None:
        op.conditions.update(scene.assumed, needed if high != -math.inf and needed is not None else ())
    return Weights(query, key, needed)


def _opening(op: Op, form: Form, query: int, key: int) -> frozenset[str] | None:
    """Return the masks of the caller that have to be as :attr:`Scene.binary` says for each position to see one; None:
    some may see none in any case.
    """
    scenes = [Scene(query, key, order) for order in (Order.OWN, Order.FIRST)]
    if op.conditions is not None:
        scenes.append(Scene(query, key, Order.FIRST, binary=True))
    for scene in scenes:
        try:
            low, _ = scene.bounds(form)
        except Never:
            return frozenset()
        if low >= OPEN:
            return frozenset(scene.assumed)
    return None


def _why(form: Form, scene: Scene, dtype: int | None) -> str:
    low, high = scene.bounds(form)
    if high <= -1e3:
        kind = " of float16" if dtype == onnx.TensorProto.FLOAT16 else ""
        return f"the mask of later positions adds {high:.3g}{kind}, which large scores may outweigh"
    if low <= CLOSED:
        return "the mask depends on what is handed in, or closes only some of the later positions"
    return "the mask does not close later positions"
