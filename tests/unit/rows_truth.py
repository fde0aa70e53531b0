"""What the analysis knows of tensors beside their rows (sizes, elements, bounds, positions), held to onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from rows_support import ROWS, Array, Sample, session

from actcache.passes.graph.view import GraphView
from actcache.passes.rows.analysis import Interpreter
from actcache.passes.rows.sizes import BATCH, Size, Symbol
from actcache.passes.rows.state import RowCoords, RowIndex, RowOffset, Value

#: Batches of so many rows are run.
BATCHES = (ROWS, 3, 1)


def known(tried: Sample) -> dict[str, Value]:
    """What is known of every tensor that a node of the sample gives."""
    axes = {n: t.axis for n, t in tried.tensors.items() if t.axis is not None and not t.constant}
    view = GraphView(tried.model)
    interpreter = Interpreter(view, {})
    interpreter.inputs(axes)
    interpreter.run(view.model.graph, interpreter.values, main=True)
    made = [name for node in view.model.graph.node for name in node.output if name]
    return {name: interpreter.values[name] for name in made if name in interpreter.values}


def lies(tried: Sample) -> list[str]:
    """Return what is known and not so in a run."""
    values = known(tried)
    runner = session(replace(tried, claims=dict.fromkeys(values, "mixed")))
    found: list[str] = []
    constant: dict[Symbol, int] = {}
    for count in BATCHES:
        try:
            results = runner.run(list(values), tried.feed(range(count)))
        except Exception:
            continue  # it runs for some numbers of rows only
        made: list[Any] = list(results)  # sequences and maps, too
        actual = {name: result for name, result in zip(values, made, strict=True) if isinstance(result, np.ndarray)}
        bound: dict[Symbol, Any] = {BATCH: count, **constant}
        pairs = [pair for name, result in actual.items() for pair in _numbers(name, values[name], result)]
        for what, size, number in pairs:
            symbol = _symbol(size)
            if symbol is not None and bound.setdefault(symbol, number) != number:
                found.append(f"{what} is {number} for {count} rows, and {bound[symbol]} elsewhere")
            if symbol is not None and symbol.dimension and not number >= 0:
                found.append(f"{what} is {number}")
        constant = {symbol: number for symbol, number in bound.items() if not symbol.batch}
        wrong = ((what, size, number, evaluated(size, bound)) for what, size, number in pairs)
        found += [f"{what} is {number}, not {said}" for what, _, number, said in wrong if said not in (None, number)]
        for name, result in actual.items():
            found += _wrong_bounds(name, values[name], result, bound)
    return found


def evaluated(size: Size, bound: Mapping[Symbol, Any]) -> Any:
    """Return the number that a size is, None if a symbol of it is not known."""
    if any(symbol not in bound for monomial in size.terms for symbol in monomial):
        return None
    return sum(factor * np.prod([bound[s] for s in monomial], initial=1) for monomial, factor in size.terms.items())


def _symbol(size: Size) -> Symbol | None:
    """The symbol that a size is, if it is one alone."""
    ((monomial, factor),) = size.terms.items() if len(size.terms) == 1 else (((), 0),)
    return monomial[0] if len(monomial) == 1 and factor == 1 else None


def _numbers(name: str, value: Value, result: Array) -> Iterator[tuple[str, Size, Any]]:
    """What is known as a size, beside the number that it is."""
    if value.shape is not None:
        if len(value.shape) != result.ndim:
            raise AssertionError(f"{name} has the rank {result.ndim}, not {len(value.shape)}")
        for axis, size in enumerate(value.shape):
            yield f"axis {axis} of {name}", size, result.shape[axis]
    if value.content is not None:
        assert value.content.shape == result.shape, f"{name} has the shape {result.shape}, not {value.content.shape}"
        for index in np.ndindex(*result.shape):
            yield f"element {index} of {name}", value.content[index], result[index].item()


def _wrong_bounds(name: str, value: Value, result: Array, bound: Mapping[Symbol, Any]) -> Iterator[str]:
    if value.constant is not None and not np.array_equal(value.constant, result):
        yield f"{name} is {result}, not {value.constant}"
    state = value.state
    numbers: Any = result
    below = None if value.below is None else evaluated(value.below, bound)
    if isinstance(state, RowOffset):
        block = evaluated(state.block, bound)
        below = block if below is None else min(below, block)
        numbers = numbers - _positions(numbers, state.axis) * (0 if block is None else block)
    if below is not None and numbers.size and not ((numbers >= 0) & (numbers < below)).all():
        yield f"{name} is not in 0 … {below - 1}: {result}"
    if isinstance(state, RowIndex) and state.stride is not None:
        stride = evaluated(state.stride, bound)
        if stride is not None and (numbers != _positions(numbers, state.axis) * stride).any():
            yield f"{name} is not the position times {stride}: {result}"
    if isinstance(state, RowCoords) and (numbers[..., 0] != _positions(numbers[..., 0], state.axis)).any():
        yield f"{name} does not begin with the position: {result}"


def _positions(like: Array, axis: int) -> Any:
    """The position along an axis, for every element."""
    return np.indices(like.shape)[axis]
