"""A graph under construction: what can be drawn for it, and nodes added one by one, each tried in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from hypothesis import strategies as st

from actcache.passes.graph.nodes import captured, subgraphs
from tests.conformance.random_graphs.values import (
    BOOL,
    FLOATS,
    INTEGERS,
    MOST_ELEMENTS,
    Known,
    element_type,
    numbers,
)

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[Any]], Any]
LOCAL = "local"
#: onnxruntime takes an empty operand whose sizes do not fit, and leaves its part of the result unwritten.
UNCHECKED = ("Concat", "QLinearConcat")
#: Numbers beyond this are not followed further: sums of them say nothing.
LARGEST = 1e7


class Unfit(Exception):
    """No tensor at hand fits the operator, or onnxruntime refuses the node."""


#: What every choice is drawn from. Not integers: hypothesis would mix in those that it finds in the source of whatever
#: modules are loaded, and the same name would make other graphs in other processes.
_CHOICE = st.binary(min_size=2, max_size=2)


def drawn_below(draw: Draw, count: int) -> int:
    """An integer in 0 … count - 1."""
    return int.from_bytes(draw(_CHOICE), "big") * count >> 16


class Sketch:
    """A graph, or the body of a node, that grows.

    Attributes:
        opset: Version of ai.onnx.
        tame: Draw axes that are not the batch's, where there is a choice: rows stay apart for longer.
        known: The tensors that nodes may read, oldest first.
        nodes: The nodes so far.
        tensors: Every tensor by name, constants included.
        functions: Local functions.
    """

    def __init__(self, draw: Draw, opset: int, feeds: int, tame: bool) -> None:
        self._draw = draw
        self.opset = opset
        self.feeds = feeds
        self.tame = tame
        self.known: list[Known] = []
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, Known] = {}
        self.functions: list[onnx.FunctionProto] = []
        self._names = iter(range(1 << 30))
        self.depth = 0

    def inner(self, inputs: Iterable[Known] = ()) -> Sketch:
        """A body that sees this graph's tensors and has inputs of its own."""
        body = Sketch(self._draw, self.opset, self.feeds, self.tame)
        body.known = [*self.known, *inputs]
        body.tensors = self.tensors
        body.tensors.update((k.name, k) for k in inputs)
        body.functions = self.functions
        body._names = self._names
        body.depth = self.depth + 1
        return body

    # -- drawing ---------------------------------------------------------------------------------------

    def below(self, count: int) -> int:
        """An integer in 0 … count - 1."""
        return drawn_below(self._draw, count) if count > 1 else 0

    def chance(self, percent: int) -> bool:
        """True that often; shrinks to False."""
        return self.below(100) >= 100 - percent

    def one_of(self, choices: Sequence[T]) -> T:
        """One of these; shrinks to the first."""
        if not choices:
            raise Unfit
        return choices[self.below(len(choices))]

    def some_of(self, choices: Sequence[T], least: int = 0) -> list[T]:
        """Some of these, in order."""
        left = [choice for choice in choices if self.chance(45)]
        return left if len(left) >= least else list(choices[:least])

    def shuffled(self, choices: Sequence[T]) -> list[T]:
        """All of these, in some order."""
        left, result = list(choices), []
        while left:
            result.append(left.pop(self.below(len(left))))
        return result

    def axis(self, x: Known) -> int:
        """An axis of `x`; tame graphs mostly leave that of the batch alone."""
        if x.rank == 0:
            raise Unfit
        if self.tame and x.fixed and not self.chance(8):
            return self.one_of(x.fixed)
        return self.below(x.rank)

    def axes(self, x: Known, least: int = 0) -> list[int]:
        """Some axes of `x`."""
        axes = self.some_of(x.fixed if self.tame and not self.chance(8) else range(x.rank), 0)
        if len(axes) < least:
            axes = [self.axis(x)]
        return axes

    def sign(self, axis: int, rank: int) -> int:
        """The axis as it is, or counted from the back."""
        return axis - rank if self.chance(25) else axis

    # -- picking ---------------------------------------------------------------------------------------

    def pick(
        self,
        dtypes: Collection[str] = FLOATS,
        ranks: Collection[int] = range(7),
        where: Callable[[Known], bool] = lambda _: True,
        *,
        noisy: bool = False,
    ) -> Known:
        """A tensor of one of these types and ranks; one is made of another where there is none."""
        fitting = [
            k for k in self.known if k.dtype in dtypes and k.rank in ranks and (noisy or not k.noisy) and where(k)
        ]
        if not fitting:
            made = self.shaped(self.cast(dtypes), ranks)
            if not where(made):
                raise Unfit
            return made
        recent = fitting[-4:] if self.chance(50) else fitting
        return self.one_of(recent)

    def cast(self, dtypes: Collection[str]) -> Known:
        """A tensor of one of these types; cast to the first of them where there is none."""
        quiet = [k for k in self.known if not k.noisy and k.dtype != "object"]
        fitting = [k for k in quiet if k.dtype in dtypes]
        if fitting:
            return self.one_of(fitting)
        target = next(iter(dtypes))
        if target == "object" or not quiet:
            raise Unfit
        x = self.one_of(quiet)
        if target in BOOL and x.dtype in FLOATS:
            return self.add("Greater", [x, self.constant(np.asarray(0.1, x.dtype))])[0]
        return self.add("Cast", [x], to=element_type(np.dtype(target)))[0]

    def shaped(self, x: Known, ranks: Collection[int]) -> Known:
        """`x` with axes put in or taken out until its rank is one of these."""
        if x.rank in ranks:
            return x
        target = min(ranks, key=lambda rank: abs(rank - x.rank))
        if target > x.rank:
            new = sorted(self.shuffled(range(1, target))[: target - x.rank]) or [0]
            return self.with_axes("Unsqueeze", x, new[: target - x.rank], since=13)
        if target == 2 and x.rank > 2:
            return self.add("Flatten", [x], axis=1 if self.tame else self.below(x.rank))[0]
        out = self.shuffled(x.fixed)[: x.rank - target]
        if len(out) < x.rank - target:
            raise Unfit
        return self.with_axes("ReduceSum", x, sorted(out), since=13, keepdims=0)

    def partner(self, x: Known, dtypes: Collection[str] = ()) -> Known:
        """A tensor that is broadcast with `x`: one of the graph, or a constant."""
        wanted = dtypes or (x.dtype,)
        if self.chance(60):
            fitting = [k for k in self.known if k.dtype in wanted and not k.noisy and _broadcasts(k, x)]
            if fitting:
                return self.one_of(fitting[-4:] if self.chance(50) else fitting)
        return self.weight(self.factor_shape(x), next(iter(wanted)))

    def factor_shape(self, x: Known) -> tuple[int, ...]:
        """A shape that is broadcast to that of `x`: some of its last axes, some of them 1."""
        axes = range(self.below(x.rank + 1), x.rank)
        return tuple(1 if a in x.varying or self.chance(25) else x.shape[a] for a in axes)

    # -- constants -------------------------------------------------------------------------------------

    def constant(self, values: npt.ArrayLike, dtype: str | None = None) -> Known:
        """An initializer."""
        made = np.asarray(values, dtype)
        known = Known(f"c{next(self._names)}", (made,) * self.feeds, constant=True)
        self.tensors[known.name] = known
        return known

    def integers(self, *values: int) -> Known:
        """An initializer int64[n]."""
        return self.constant(list(values), "int64")

    def weight(self, shape: Sequence[int], dtype: str = "float32", *, positive: bool = False, high: int = 0) -> Known:
        """An initializer of made-up values; `high` as in :func:`numbers`."""
        made = numbers(self.below(1000), tuple(shape), dtype, high=high)
        return self.constant(np.abs(made) + np.asarray(0.3, dtype) if positive else made)

    # -- nodes -----------------------------------------------------------------------------------------

    def with_axes(self, op: str, x: Known, axes: Sequence[int], *, since: int, **attributes: Any) -> Known:
        """Add a node whose axes are an attribute before opset `since`, and its second input from then on."""
        if self.opset >= since:
            return self.add(op, [x, self.integers(*axes)], **attributes)[0]
        return self.add(op, [x], axes=list(axes), **attributes)[0]

    def add(
        self, op: str, inputs: Sequence[Known | None], outputs: int = 1, domain: str = "", **attributes: Any
    ) -> list[Known]:
        """Add a node and return what it writes.

        Raises:
            Unfit: onnxruntime refuses it, or its results are of no use.
        """
        names = [f"t{next(self._names)}" for _ in range(outputs)]
        read = [k.name if k is not None else "" for k in inputs]
        while read and not read[-1]:
            read.pop()
        given = {name: value for name, value in attributes.items() if value is not None}
        node = onnx.helper.make_node(op, read, names, domain=domain, **given)
        bodies = [self.tensors[n] for body in subgraphs(node) for n in sorted(set(captured(body))) if n in self.tensors]
        sources = {k.name: k for k in (*(k for k in inputs if k is not None), *bodies)}
        if any(k.name not in self.tensors for k in sources.values()):
            raise Unfit
        if op in UNCHECKED and not all(k.smallest for k in sources.values()):
            raise Unfit
        arrays = self._tried(node, list(sources.values()))
        results = [self.tensors[v.name] for body in subgraphs(node) for v in body.output if v.name in self.tensors]
        noisy = any(k.noisy for k in (*sources.values(), *results))
        ragged = any(k.ragged for k in sources.values())
        made = [Known(name, values, noisy=noisy, ragged=ragged) for name, values in zip(names, arrays, strict=True)]
        if not all(map(_useful, made)):
            raise Unfit
        self.nodes.append(node)
        self.known += made
        self.tensors.update((k.name, k) for k in made)
        return made

    def mark(self, made: Iterable[Known], *, noisy: bool = False, ragged: bool = False) -> list[Known]:
        """Say of results that they are random, or that their size depends on data."""
        result = []
        for old in made:
            new = Known(old.name, old.arrays, noisy=noisy or old.noisy, ragged=ragged or old.ragged)
            self.known[self.known.index(old)] = new
            self.tensors[new.name] = new
            result.append(new)
        return result

    def _tried(self, node: onnx.NodeProto, sources: list[Known]) -> list[tuple[Any, ...]]:
        try:
            session = self._session(node, sources)
            feeds = [{k.name: k.arrays[f] for k in sources if not k.constant} for f in range(self.feeds)]
            runs = [session.run(None, feed) for feed in feeds]
        except Exception as error:
            raise Unfit(str(error)) from error
        return list(zip(*runs, strict=True))

    def _session(self, node: onnx.NodeProto, sources: list[Known]) -> ort.InferenceSession:
        graph = onnx.helper.make_graph(
            [node],
            "tried",
            [k.declaration(dims=[None] * k.rank) for k in sources if not k.constant],
            [onnx.ValueInfoProto(name=name) for name in node.output],
            [onnx.numpy_helper.from_array(k.arrays[0], k.name) for k in sources if k.constant],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=opset_imports(self.opset), ir_version=ir_version(self.opset), functions=self.functions
        )
        return ort.InferenceSession(model.SerializeToString(), _options(), providers=["CPUExecutionProvider"])

    # -- sizes as tensors ------------------------------------------------------------------------------

    def size(self, x: Known, axis: int) -> Known:
        """The size of an axis as int64[1], as one of the exporters computes it."""
        if self.opset >= 15 and self.chance(40):
            return self.add("Shape", [x], start=axis, end=axis + 1)[0]
        shape = self.add("Shape", [x])[0]
        if self.chance(30):
            return self.sliced(shape, axis)
        scalar = self.add("Gather", [shape, self.constant(axis, "int64")], axis=0)[0]
        return self.with_axes("Unsqueeze", scalar, [0], since=13)

    def sliced(self, x: Known, place: int) -> Known:
        """Element `place` of a vector as a vector."""
        if self.opset < 10:
            return self.add("Slice", [x], starts=[place], ends=[place + 1], axes=[0])[0]
        return self.add("Slice", [x, self.integers(place), self.integers(place + 1), self.integers(0)])[0]

    def scalar_size(self, x: Known, axis: int) -> Known:
        """The size of an axis as a scalar."""
        return self.with_axes("Squeeze", self.size(x, axis), [0], since=13)

    def vector(self, entries: Sequence[int | Known]) -> Known:
        """These numbers and int64[1] tensors as one vector."""
        if all(isinstance(entry, int) for entry in entries):
            return self.integers(*(int(e) for e in entries if isinstance(e, int)))
        parts = [self.integers(entry) if isinstance(entry, int) else entry for entry in entries]
        return parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=0)[0]

    def positions(self, x: Known, axis: int) -> Known:
        """0 … size - 1 for an axis of `x`."""
        zero, one = self.constant(0, "int64"), self.constant(1, "int64")
        return self.add("Range", [zero, self.scalar_size(x, axis), one])[0]

    def indices(self, limit: int, ranks: Collection[int] = range(4), dtypes: Collection[str] = INTEGERS) -> Known:
        """Integers in 0 … limit - 1: found, made of others, or constant."""
        found = [k for k in self.known if k.dtype in dtypes and k.rank in ranks and not k.noisy and k.within(0, limit)]
        if found and self.chance(60):
            return self.one_of(found)
        if self.chance(50):
            return self.weight([self.below(3) + 1 for _ in range(self.one_of(list(ranks)))], "int64", high=limit)
        x = self.shaped(self.cast(INTEGERS), ranks)
        return self.add("Mod", [x, self.constant(limit, x.dtype)])[0]


def _broadcasts(a: Known, b: Known) -> bool:
    try:
        for x, y in zip(a.arrays, b.arrays, strict=True):
            np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return True


def _useful(made: Known) -> bool:
    for array in made.arrays:
        if not isinstance(array, np.ndarray) or array.size > MOST_ELEMENTS or array.ndim != made.rank:  # type: ignore[redundant-expr]
            return False
        if array.dtype.kind == "f" and array.size:
            with np.errstate(invalid="ignore"):
                if not (np.abs(array.astype(np.float64)) < LARGEST).mean() > 0.9:
                    return False
    return True


def opset_imports(opset: int) -> list[onnx.OperatorSetIdProto]:
    """What every model imports."""
    versions = {"": opset, "ai.onnx.ml": 5 if opset > 21 else 3, "com.microsoft": 1, "com.microsoft.nchwc": 1, LOCAL: 1}
    return [onnx.helper.make_opsetid(domain, version) for domain, version in versions.items()]


def ir_version(opset: int) -> int:
    """The IR version that goes with an opset."""
    return 8 if opset < 21 else 10


@cache
def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return options
