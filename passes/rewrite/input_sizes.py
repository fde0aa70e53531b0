"""Which tensors are made of sizes of graph inputs, and nodes that compute them from these alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import onnx

from actcache.passes.graph.cones import cones, slices_without_elements
from actcache.passes.graph.view import GraphView
from actcache.passes.rows import prove_rows
from actcache.passes.rows.declared import is_scalar
from actcache.passes.rows.sizes import Size, Symbol

#: Graph input, and axis.
Axis = tuple[str, int]


@dataclass(frozen=True)
class KnownSizes:
    """Tensors of int64, of rank 0 or 1, whose elements are made of sizes of graph inputs in every run.

    Attributes:
        of: The axis of a graph input whose size a symbol is.
        elements: Per tensor its elements.
        axes: Per tensor the axes that its elements are made of; none for a constant.
        scalars: The tensors of rank 0.
    """

    of: Mapping[Symbol, Axis]
    elements: Mapping[str, Sequence[Size]]
    axes: Mapping[str, frozenset[Axis]]
    scalars: frozenset[str]


def known_sizes(view: GraphView) -> KnownSizes:
    """Find the tensors that nodes write and that are such sizes. The proof is that of rows, of calls without any."""
    proof = prove_rows(view, {})
    of = {}
    for given in view.inputs:
        for axis, size in enumerate(() if view.shape(given) is None else proof.shape(given) or ()):
            if size.value is None:
                of[next(iter(size.terms))[0]] = (given, axis)
    unsure = {given for given in view.inputs if is_scalar(view, given)}  # it may have any rank
    reached = cones(view)
    elements: dict[str, list[Size]] = {}
    axes, scalars = {}, set()
    for name in (name for names in view.writes for name in names if name not in view.constants):
        content = proof.content(name) if view.dtype(name) == onnx.TensorProto.INT64 else None
        if content is None or content.ndim > 1 or not content.size or not unsure.isdisjoint(reached[name]):
            continue
        found = list(content.reshape(-1))
        symbols = {symbol for size in found for monomial in size.terms for symbol in monomial}
        if of.keys() >= symbols:
            elements[name], axes[name] = found, frozenset(of[symbol] for symbol in symbols)
            scalars |= {name} if content.ndim == 0 else set()
    return KnownSizes(of, elements, axes, frozenset(scalars))


@dataclass
class InputSizes:
    """Writes nodes that compute sizes.

    Attributes:
        view: The model.
        known: Its sizes.
        nodes: The nodes.
        constants: What they read besides.
    """

    view: GraphView
    known: KnownSizes
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = {*self.view.producer, *self.view.initializers, *self.view.inputs}
        self._slices = set(slices_without_elements(self.view))

    def computed(self, name: str, target: str, direct: frozenset[str]) -> str:
        """Compute tensor `name` as `target`, from graph inputs: those in `direct`, or slices of others."""
        elements, sources, target = self.known.elements[name], self._sources(name, direct), self._unused(target)
        if name in self.known.scalars:
            part = self._elements(elements, f"{target}.all", sources)
            return self._node("Gather", [part, self._constant(f"{target}.first", 0)], target)
        kinds = [self._kind(size) for size in elements]
        runs = [list(run) for _, run in groupby(range(len(elements)), key=lambda i: kinds[i] or i)]
        if len(runs) == 1:
            return self._elements(elements, target, sources)
        parts = [self._elements([elements[i] for i in run], f"{target}.{run[0]}", sources) for run in runs]
        return self._node("Concat", parts, target, axis=0)

    def _kind(self, size: Size) -> str:
        """Return what elements have in common that are read together: they are constants, or sizes of one input."""
        if size.value is not None:
            return "constant"
        axis = self._axis(size)
        return "" if axis is None else f"of {axis[0]}"

    def _axis(self, size: Size) -> Axis | None:
        """Return the axis whose size it is; None: it is a constant, or computed from several."""
        (monomial, factor), *more = size.terms.items()
        return self.known.of[monomial[0]] if not more and factor == len(monomial) == 1 else None

    def _elements(self, elements: Sequence[Size], target: str, sources: Mapping[str, str]) -> str:
        """Compute elements of one kind as a tensor of rank 1."""
        axes = [axis for size in elements if size.value is None and (axis := self._axis(size)) is not None]
        if axes:
            shape = self._node("Shape", [sources[axes[0][0]]], f"{target}.shape")
            return self._node("Gather", [shape, self._constant(f"{target}.axes", [a for _, a in axes])], target)
        if all(size.value is not None for size in elements):
            return self._constant(target, [size.value for size in elements])
        (size,) = elements
        terms = [self._term(size, number, target, sources) for number in range(len(size.terms))]
        return self._all("Add", terms, f"{target}.sum")

    def _term(self, size: Size, number: int, target: str, sources: Mapping[str, str]) -> str:
        """Compute a product of sizes and a number."""
        monomial, factor = list(size.terms.items())[number]
        factors = [self._constant(f"{target}.{number}.factor", [factor])]
        for position, symbol in enumerate(monomial):
            given, axis = self.known.of[symbol]
            shape = self._node("Shape", [sources[given]], f"{target}.{number}.{position}.shape")
            index = self._constant(f"{target}.{number}.{position}.axis", [axis])
            factors.append(self._node("Gather", [shape, index], f"{target}.{number}.{position}"))
        return self._all("Mul", factors, f"{target}.{number}.product")

    def _all(self, op: str, parts: Sequence[str], target: str) -> str:
        found = parts[0]
        for number, part in enumerate(parts[1:]):
            found = self._node(op, [found, part], f"{target}{number}")
        return found

    # -- where sizes are read ------------------------------------------------------------------------

    def _sources(self, name: str, direct: frozenset[str]) -> dict[str, str]:
        """Return what to read the sizes of each graph input from."""
        axes: dict[str, set[int]] = {}
        for given, axis in self.known.axes[name]:
            axes.setdefault(given, set()).add(axis)
        return {given: given if given in direct else self._nothing_of(given, kept) for given, kept in axes.items()}

    def _nothing_of(self, given: str, kept: set[int]) -> str:
        """Return an input cut to nothing along its other axes; itself, if there are none."""
        cut = [axis for axis in range(len(self.view.shape(given) or ())) if axis not in kept]
        target = ".".join([given, *map(str, sorted(kept)), "sizes"])
        if not cut or target in self._slices:
            return target if cut else given
        self._slices.add(target)
        bounds = {"starts": [0] * len(cut), "ends": [0] * len(cut), "axes": cut}
        return self._node(
            "Slice", [given, *(self._constant(f"{target}.{what}", n) for what, n in bounds.items())], target
        )

    # -- nodes ---------------------------------------------------------------------------------------

    def _constant(self, name: str, values: Any) -> str:
        self.constants.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def _node(self, op: str, reads: Sequence[str], target: str, **attributes: Any) -> str:
        self.nodes.append(onnx.helper.make_node(op, reads, [target], f"{op} {target}", **attributes))
        return target

    def _unused(self, target: str) -> str:
        """Return a name that no tensor begins with."""
        while any(name.startswith(target) for name in self._names):
            target += "'"
        return target
