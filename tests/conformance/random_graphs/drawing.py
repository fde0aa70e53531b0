"""Whole graphs, drawn by hypothesis: from a name, so that each can be made again, or as a strategy that shrinks."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import onnx
from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from actcache.passes.cuts.feeds import Feed
from actcache.passes.graph.nodes import node_reads
from tests.conformance.random_graphs import (  # noqa: F401 (imported for the builders they register)
    bodies,
    borrowed,
    elementwise,
    indexing,
    products,
    quantised,
    reducing,
    selecting,
    sequences,
    shaping,
    spatial,
)
from tests.conformance.random_graphs.families import Family, deck
from tests.conformance.random_graphs.sketch import Draw, Sketch, Unfit, drawn_below, ir_version, opset_imports
from tests.conformance.random_graphs.values import BATCHES, Known, element_type, numbers
from tests.conformance.subject import Subject

PREFIX = "random"
OPSETS = (18, 17, 13, 21, 11, 23, 26, 9)
DTYPES = ("float32",) * 12 + ("int64",) * 4 + ("float16", "float64", "bool", "uint8", "int32", "object")
MOST_STEPS = 13
#: How often another operator is tried where one does not fit.
TRIES = 3


class Graph:
    """A model and calls of it. Not a dataclass: hypothesis would write out all values of every one it finds."""

    def __init__(self, model: onnx.ModelProto, feeds: list[Feed]) -> None:
        self.model = model
        self.feeds = feeds


class _DrawnError(BaseException):
    """Leaves hypothesis as soon as there is a graph that will do; it would draw it a second time."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph


@st.composite
def graphs(draw: Draw, focus: str = "", most: int = MOST_STEPS) -> Graph:
    """Draw a model and calls of it.

    Args:
        draw: Given by hypothesis.
        focus: An operator (or a family of builders) that must be in it.
        most: The most steps, each of one node or a few.
    """
    dice = Sketch(draw, 18, 0, False)
    opset = dice.one_of(OPSETS)
    batches = dice.one_of(BATCHES)
    others = dice.one_of(BATCHES)
    sketch = Sketch(draw, opset, len(batches), tame=not dice.chance(35))
    inputs = _inputs(sketch, batches, others)
    steps = 1 + sketch.below(most)
    focused = sketch.below(steps) if focus else -1
    for step in range(steps):
        draw(_step(sketch, focus if step == focused else ""))
    return Graph(_model(sketch, inputs), [{k.name: k.arrays[f] for k, _ in inputs} for f in range(sketch.feeds)])


@st.composite
def _step(draw: Draw, s: Sketch, focus: str) -> None:
    """Add one operator or idiom. A strategy of its own: hypothesis shrinks it as a whole, to nothing."""
    families = deck(s.opset, focus)
    total = sum(weight for _, weight in families)
    for _ in range(TRIES * (4 if focus else 1)):
        place = drawn_below(draw, total + 1)
        if place == 0:
            return
        family = _weighted(families, place - 1)
        op = focus if focus in family.operators else s.one_of(family.operators) if family.operators else ""
        before = len(s.nodes)
        try:
            family.build(s, op)
        except Unfit:
            if len(s.nodes) == before:
                continue
        return


def _weighted(families: list[tuple[Family, int]], place: int) -> Family:
    for family, weight in families:
        place -= weight
        if place < 0:
            return family
    raise AssertionError("the weights add up")


# -- inputs ----------------------------------------------------------------------------------------------


def _inputs(s: Sketch, batches: tuple[int, ...], others: tuple[int, ...]) -> list[tuple[Known, list[int | str | None]]]:
    """One to four graph inputs with their declared sizes; many sizes are equal to each other and to a batch."""
    base = s.one_of((batches[0], 4, 2))
    symbol = s.one_of(("N", "N", "N", None))
    result: list[tuple[Known, list[int | str | None]]] = []
    for place in range(1 + s.below(4)):
        second = place > 0 and s.chance(15)
        sizes = others if second else batches
        name = ("M" if second else "N") if symbol else None
        dtype = s.one_of(DTYPES)
        rank = s.one_of((2, 3, 3, 4, 1, 2, 3, 4, 0))
        shape: list[int] = [s.one_of((base, base, base, 4, 6, 2, 1, 8)) for _ in range(rank)]
        where = s.one_of((0, 0, 0, 0, 0, 0, 1, -1, None)) if rank else None
        where = None if where is None else where % rank if where < 0 else min(where, rank - 1)
        dims: list[int | str | None] = list(shape)
        loose = [a for a in range(rank) if a != where and s.chance(10)]
        for a in loose:
            dims[a] = f"d{a}" if symbol else None
        if where is not None:
            dims[where] = name
        known = Known(f"x{place}", _arrays(s, shape, where, sizes, dtype))
        s.known.append(known)
        s.tensors[known.name] = known
        result.append((known, dims))
    return result


def _arrays(s: Sketch, shape: list[int], where: int | None, sizes: tuple[int, ...], dtype: str) -> tuple[Any, ...]:
    seed, high = s.below(1000), s.one_of((3, 3, 0))
    if where is None:  # the same for all rows, other values in other calls
        return tuple(numbers(seed + f, tuple(shape), dtype, high=high) for f in range(len(sizes)))
    made = []
    for feed, count in enumerate(sizes):
        full = tuple(count if a == where else n for a, n in enumerate(shape))
        made.append(numbers(seed + feed, full, dtype, where, high))
    return tuple(made)


# -- the model -------------------------------------------------------------------------------------------


def _model(s: Sketch, inputs: list[tuple[Known, list[int | str | None]]]) -> onnx.ModelProto:
    read = {name for node in s.nodes for name in node_reads(node)}
    written = [name for node in s.nodes for name in node.output if name]
    ends = [s.tensors[name] for name in written if name not in read]
    if not ends:  # nothing fitted: the input itself
        s.add("Identity", [inputs[0][0]])
        return _model(s, inputs)
    constants = [k for k in s.tensors.values() if k.constant and k.name in read]
    graph = onnx.helper.make_graph(
        s.nodes,
        "random",
        [k.declaration(dims=dims) for k, dims in inputs],
        [onnx.helper.make_tensor_value_info(k.name, element_type(k.arrays[0].dtype), None) for k in ends],
        [onnx.numpy_helper.from_array(k.arrays[0], k.name) for k in constants],
    )
    return onnx.helper.make_model(
        graph, opset_imports=opset_imports(s.opset), ir_version=ir_version(s.opset), functions=s.functions
    )


# -- by name ---------------------------------------------------------------------------------------------


def names(examples: int, seed: int, focus: str = "") -> list[str]:
    """Names of as many subjects, each of which :func:`make` makes from its name alone."""
    return [f"{PREFIX}|{seed}|{number}" + (f"|{focus}" if focus else "") for number in range(examples)]


def make(name: str) -> Subject:
    """Make the subject of this name."""
    drawn: list[Graph] = []

    def second(graph: Graph) -> bool:
        drawn.append(graph)
        if len(drawn) > 1:
            raise _DrawnError(graph)
        return False

    try:
        _find(name, second, (Phase.generate,))
    except _DrawnError as found:
        return Subject(name, found.graph.model, found.graph.feeds)
    except NoSuchExample:  # the second draw was abandoned: there is the simplest graph alone
        return Subject(name, drawn[0].model, drawn[0].feeds)
    raise AssertionError("the condition holds for no graph")


def shrunk(name: str, fails: Callable[[Subject], bool], tries: int = 400) -> Subject:
    """Shrink the subject of this name, which fails, to a small one that still does.

    Args:
        name: Of the subject.
        fails: Says whether a subject fails.
        tries: How often to ask: then the smallest so far has to do.

    Raises:
        hypothesis.errors.NoSuchExample: It does not fail.
    """
    seen = 0
    best: Graph | None = None

    def wrong(graph: Graph) -> bool:
        nonlocal seen, best
        seen += 1
        if best is not None and seen > tries:
            raise _DrawnError(best)
        if seen == 1 or not fails(Subject(f"{name} shrunk", graph.model, graph.feeds)):
            return False
        if best is None or len(graph.model.graph.node) <= len(best.model.graph.node):
            best = graph
        return True

    try:
        smallest = _find(name, wrong, (Phase.generate, Phase.shrink))
    except _DrawnError as enough:
        smallest = enough.graph
    return Subject(f"{name} shrunk", smallest.model, smallest.feeds)


def _find(name: str, condition: Callable[[Graph], bool], phases: tuple[Phase, ...]) -> Graph:
    """The first graph that hypothesis tries is the simplest there is; the second follows from the seed."""
    focus = name.split("|")[3] if name.count("|") == 3 else ""
    chosen = settings(
        max_examples=2,
        phases=phases,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    return find(graphs(focus), condition, settings=chosen, random=Random(name))
