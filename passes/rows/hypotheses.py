"""Guesses at which axis of which graph input holds the rows. A guess is only that: the proof decides."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

from actcache.passes.graph.view import GraphView

#: At most this many candidates are worth a proof each.
MAX_HYPOTHESES = 6


def row_hypotheses(view: GraphView, inputs: Collection[str]) -> list[dict[str, int]]:
    """Return candidate maps from graph input to the axis of its rows, the most promising first.

    Exporters name the batch axis with one dim_param on all inputs, or leave it unnamed on all of them; recurrent
    states have it on axis 1. Only sizes that may vary are candidates. Inputs that a candidate leaves out are
    taken to be the same for all rows.

    Args:
        view: The model.
        inputs: The graph inputs to consider (a cone).
    """
    found: list[dict[str, int]] = []
    for guess in (_same_symbol, _first_varying, _all_first, _each_symbol):
        for candidate in guess(view, inputs):
            if candidate and candidate not in found:
                found.append(candidate)
    return found[:MAX_HYPOTHESES]


def with_namesakes(view: GraphView, axes: Mapping[str, int]) -> dict[str, int]:
    """Return `axes` and the axes of other inputs that the model gives the same name.

    onnxruntime takes axes of one name for equally long when it plans buffers: a call in which they differ may fail.
    """
    sizes = {name: view.shape(name) or () for name in view.inputs}
    symbols = {sizes[name][axis] for name, axis in axes.items() if isinstance(sizes[name][axis], str)}
    others = {n: axis for n, shape in sizes.items() for axis, size in enumerate(shape) if size in symbols}
    return {**others, **axes}


def _varying(view: GraphView, name: str) -> dict[int, Hashable]:
    """The axes whose size may vary, with their symbol (None: unnamed)."""
    return {
        axis: size if isinstance(size, str) else None
        for axis, size in enumerate(view.shape(name) or ())
        if not isinstance(size, int) or size <= 0
    }


def _names(view: GraphView, inputs: Collection[str]) -> list[str]:
    return [name for name in view.inputs if name in inputs and _varying(view, name)]


def _same_symbol(view: GraphView, inputs: Collection[str]) -> list[dict[str, int]]:
    """The symbol of the first input's first varying axis, wherever it stands first in each input."""
    names = _names(view, inputs)
    symbols = [symbol for name in names for symbol in list(_varying(view, name).values())[:1] if symbol]
    best = sorted(dict.fromkeys(symbols), key=lambda s: -symbols.count(s))
    return [_with_symbol(view, names, symbol) for symbol in best]


def _each_symbol(view: GraphView, inputs: Collection[str]) -> list[dict[str, int]]:
    names = _names(view, inputs)
    every = dict.fromkeys(s for name in names for s in _varying(view, name).values() if s)
    return [_with_symbol(view, names, symbol) for symbol in every]


def _with_symbol(view: GraphView, names: list[str], symbol: Hashable) -> dict[str, int]:
    axes = {name: [a for a, s in _varying(view, name).items() if s == symbol] for name in names}
    return {name: found[0] for name, found in axes.items() if found}


def _first_varying(view: GraphView, inputs: Collection[str]) -> list[dict[str, int]]:
    """The first varying axis of every input: axis 0 mostly, axis 1 of a state [layers, N, H]."""
    return [{name: next(iter(_varying(view, name))) for name in _names(view, inputs)}]


def _all_first(view: GraphView, inputs: Collection[str]) -> list[dict[str, int]]:
    return [{name: 0 for name in _names(view, inputs) if 0 in _varying(view, name)}]
