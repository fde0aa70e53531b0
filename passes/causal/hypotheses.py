"""Guesses at which axis of which graph input holds the positions of a sequence, and at masks. The proof decides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import onnx

from actcache.passes.graph.pasts import NUMBERS
from actcache.passes.graph.view import GraphView

_TOKENS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
_RECURRENCES = frozenset({"GRU", "LSTM", "RNN", "Scan"})


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


def mask_hypotheses(view: GraphView, positions: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Return which inputs with positions may be taken for masks that are 1 everywhere: first none, then each by itself.

    A mask is [batch, positions], or of truths. What is looked up by its elements is none, such as tokens.
    """
    looked_up = {node.input[1] for node in view.model.graph.node if node.op_type == "Gather"}
    found = [name for name in positions if name not in looked_up and _may_be_mask(view, name)]
    return [(), *((name,) for name in found if len(positions) > 1)]


def _may_be_mask(view: GraphView, name: str) -> bool:
    dtype = view.dtype(name)
    return dtype == onnx.TensorProto.BOOL or (dtype in (*_TOKENS, *NUMBERS) and len(view.shape(name) or ()) == 2)


def time_first_hypotheses(view: GraphView, pasts: Collection[str] = ()) -> list[dict[str, int]]:
    """Return further candidates, for models with recurrences: those often take tokens [positions, batch], or frames
    [positions, batch, values].

    Along the batch, most of a model would be proven as well. That later positions read earlier ones tells the
    difference.
    """
    if _RECURRENCES.isdisjoint(node.op_type for node in view.model.graph.node):
        return []
    found: list[dict[str, int]] = []
    for name in (name for name in view.inputs if name not in pasts):
        shape, dtype = view.shape(name) or (), view.dtype(name)
        if len(shape) == (2 if dtype in _TOKENS else 3 if dtype in NUMBERS else 0) and _varies(shape[0]):
            same = dict(_namesakes(view, view.inputs, shape[0])) if isinstance(shape[0], str) else {}
            candidate = {name: 0, **same}
            found += [] if candidate in found else [candidate]
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
