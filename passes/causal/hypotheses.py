"""Guesses at which axis of which graph input holds the positions of a sequence. The proof decides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import onnx

from actcache.passes.graph.pasts import NUMBERS
from actcache.passes.graph.view import GraphView

_TOKENS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)


def position_hypotheses(view: GraphView, pasts: Collection[str] = ()) -> list[dict[str, int]]:
    """Return candidate maps from graph input to the axis of its positions, the most promising first.

    Tokens are whole numbers [positions] or [batch, positions]; frames are numbers [batch, positions, values], or for
    convolutions [batch, values, positions]. What has one name with the positions of the first such input belongs to
    them, and if sizes have no names, every input of that kind. `pasts`: inputs that hold positions of earlier calls
    (:mod:`~actcache.passes.graph.pasts`), none of this one. A mask for both has another name then than the tokens: it
    is tried with them first.
    """
    inputs = [name for name in view.inputs if name not in pasts]
    first = {name: axis for name in inputs for axis in _sequence_axes(view, name)[-1:]}
    found: list[dict[str, int]] = []
    for name, axis in first.items():
        symbol = (view.shape(name) or ())[axis]
        same = dict(_namesakes(view, inputs, symbol)) if isinstance(symbol, str) else {}
        candidates = ({name: axis, **same}, first)
        for candidate in reversed(candidates) if pasts else candidates:
            if candidate not in found:
                found.append(candidate)
    return found


def _sequence_axes(view: GraphView, name: str) -> list[int]:
    """The axes of an input that may hold positions."""
    shape, dtype = view.shape(name) or (), view.dtype(name)
    varying = [axis for axis, size in enumerate(shape) if _varies(size)]
    if dtype in _TOKENS and len(shape) <= 2:
        return [axis for axis in varying if axis == len(shape) - 1]
    if dtype in NUMBERS and len(shape) == 3:
        return [axis for axis in varying if axis == (1 if 1 in varying else 2)]
    return []


def _varies(size: int | str | None) -> bool:
    return not isinstance(size, int) or size <= 0


def _namesakes(view: GraphView, inputs: Iterable[str], symbol: str) -> Iterator[tuple[str, int]]:
    """Inputs with exactly one axis of this name: of two, neither is more likely."""
    for name in inputs:
        axes = [axis for axis, size in enumerate(view.shape(name) or ()) if size == symbol]
        if len(axes) == 1:
            yield name, axes[0]
