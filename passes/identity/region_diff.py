"""Which part of a region changed: two regions side by side, ingredient by ingredient of their fingerprints.

Operators are paired in the canonical order that the fingerprint walks, by their types: the longest common parts belong
together. Of a pair, versions, attributes, constants and what else it reads are compared; what is left over was added or
removed. Names count nowhere, as in the fingerprint; they are used to say where something is.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from actcache.passes.graph.nodes import captured, node_attribute, type_name
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import attribute_digest, canonical_walk, constant_digest
from actcache.passes.identity.tensor_diff import tensor_difference

#: What a fingerprint covers.
INGREDIENTS = ("operators", "opsets", "attributes", "wiring", "weights", "frontier", "live-outs")


@dataclass(frozen=True)
class Change:
    """One thing in which two regions differ.

    Attributes:
        ingredient: One of :data:`INGREDIENTS`, or another part of the keys.
        text: What it is, in a sentence.
        details: The same for programs; keys depend on the ingredient.
    """

    ingredient: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the change as ``--json`` prints it."""
        return {"ingredient": self.ingredient, "text": self.text, **self.details}


@dataclass
class Side:
    """One of the two regions.

    Attributes:
        view: Its model.
        nodes: Indices of its nodes.
        live_outs: Its live-outs, in order.
        home: The path beside which the model's external data lies.
        weights: Digests of external tensors by their offset.
    """

    view: GraphView
    nodes: frozenset[int]
    live_outs: Sequence[str]
    home: Path
    weights: Mapping[int, str]

    def __post_init__(self) -> None:
        leaves, self.order = canonical_walk(self.view, self.nodes, self.live_outs)
        self.frontier = [name for name in leaves if name not in self.view.constants]
        self.constants = frozenset(leaves) - frozenset(self.frontier)
        #: What stands for each tensor: the same on both sides for those that correspond.
        self.numbers = {name: f"frontier tensor {position}" for position, name in enumerate(self.frontier)}

    def node(self, position: int) -> onnx.NodeProto:
        """Return the node at a position of the canonical order."""
        node: onnx.NodeProto = self.view.model.graph.node[self.order[position]]
        return node

    def label(self, position: int) -> str:
        """Return how messages name it."""
        return self.view.label(self.order[position])

    def operator(self, position: int) -> tuple[str, str]:
        """Return domain and type of a node."""
        return canonical_domain(self.node(position).domain), self.node(position).op_type

    def operators(self) -> list[tuple[str, str]]:
        """Return those of all nodes in canonical order."""
        return [self.operator(position) for position in range(len(self.order))]

    def version(self, position: int) -> int:
        """Return the opset version of a node's domain."""
        return self.view.opsets.get(canonical_domain(self.node(position).domain), 0)

    def name_outputs(self, position: int, number: str) -> None:
        """Let `number` stand for the outputs of a node."""
        for slot, name in enumerate(self.node(position).output):
            if name:
                self.numbers[name] = f"{number}.{slot}"

    def tensor(self, name: str) -> onnx.TensorProto | None:
        """Return the value of a constant that is stored as it is."""
        stored = self.view.initializer(name)
        if stored is not None:
            return stored
        index = self.view.producer.get(name)
        value = None if index is None else node_attribute(self.view.model.graph.node[index], "value")
        return value.t if value is not None and value.type == onnx.AttributeProto.TENSOR else None


def region_changes(one: Side, two: Side) -> list[Change]:
    """Return in what two regions differ; nothing: their fingerprints are equal, or made by different rules.

    Raises:
        InvalidModel: A weight has to be read and cannot.
    """
    return [*_Comparison(one, two).changes()]


class _Comparison:
    def __init__(self, one: Side, two: Side) -> None:
        self.one, self.two = one, two
        self.pairs = list(_aligned(one.operators(), two.operators()))
        for number, (i, j) in enumerate(self.pairs):
            if i is not None:
                one.name_outputs(i, f"result {number}" if j is not None else f"removed {number}")
            if j is not None:
                two.name_outputs(j, f"result {number}" if i is not None else f"added {number}")
        self.compared: set[tuple[str, str]] = set()

    def changes(self) -> Iterator[Change]:
        yield from self._frontier()
        yield from self._operators()
        both = [(i, j) for i, j in self.pairs if i is not None and j is not None]
        alike = [(i, j) for i, j in both if self.one.operator(i) == self.two.operator(j)]
        yield from self._opsets(alike)
        for i, j in alike:
            yield from self._attributes(i, j)
        for i, j in both:
            yield from self._inputs(i, j)
        yield from self._live_outs()

    def _frontier(self) -> Iterator[Change]:
        one, two = self.one.frontier, self.two.frontier
        if len(one) != len(two):
            yield Change("frontier", f"reads {', '.join(one)} in the first and {', '.join(two)} in the second")
        for a, b in zip(one, two, strict=False):
            types = (_type(self.one.view.dtype(a)), _type(self.two.view.dtype(b)))
            if types[0] != types[1]:
                text = f"{_either(a, b)} is {types[0]} in the first and {types[1]} in the second"
                yield Change("frontier", text, {"tensor": [a, b], "types": list(types)})

    def _operators(self) -> Iterator[Change]:
        for i, j in self.pairs:
            one, two = None if i is None else self.one.label(i), None if j is None else self.two.label(j)
            if i is not None and j is not None:
                if self.one.operator(i) != self.two.operator(j):
                    yield _operator("replaced", f"{one} is {two} in the second", one, two)
            elif two is None:
                yield _operator("removed", f"{one} is in the first only", one, two)
            else:
                yield _operator("added", f"{two} is in the second only", one, two)

    def _opsets(self, both: Sequence[tuple[int, int]]) -> Iterator[Change]:
        found: Counter[tuple[str, int, int]] = Counter()
        for i, j in both:
            versions = (self.one.version(i), self.two.version(j))
            if versions[0] != versions[1]:
                found[canonical_domain(self.one.node(i).domain), versions[0], versions[1]] += 1
        for (domain, a, b), count in found.items():
            text = f"{count} operators are of {domain or 'ai.onnx'} {a} in the first and {b} in the second"
            yield Change("opsets", text, {"domain": domain or "ai.onnx", "versions": [a, b], "operators": count})

    def _attributes(self, i: int, j: int) -> Iterator[Change]:
        one = {a.name: a for a in self.one.node(i).attribute}
        two = {a.name: a for a in self.two.node(j).attribute}
        where = _either(self.one.label(i), self.two.label(j))
        if getattr(self.one.node(i), "overload", "") != getattr(self.two.node(j), "overload", ""):
            yield Change("attributes", f"{where} calls another overload of its function")
        for name in sorted({*one, *two}):
            a, b = one.get(name), two.get(name)
            details = {"operator": where, "attribute": name}
            if a is None or b is None:
                which = "second" if a is None else "first"
                yield Change("attributes", f"{where}: '{name}' is set in the {which} only", details)
            elif a.type == b.type == onnx.AttributeProto.TENSOR:
                yield from self._tensors(a.t, b.t, f"'{name}' of {where}")
            elif self._digest(self.one, a) != self._digest(self.two, b):
                yield Change("attributes", f"{where}: '{name}' {_values(a, b)}", details)

    def _digest(self, side: Side, attribute: onnx.AttributeProto) -> str:
        bodies = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
        read = side.constants.intersection(name for body in bodies for name in captured(body))
        numbers = side.numbers | {name: constant_digest(side.view, name, side.weights) for name in read}
        return attribute_digest(side.view, attribute, numbers, side.weights)

    def _inputs(self, i: int, j: int) -> Iterator[Change]:
        one, two = self.one.node(i), self.two.node(j)
        where = _either(self.one.label(i), self.two.label(j))
        if len(one.input) != len(two.input) or list(map(bool, one.output)) != list(map(bool, two.output)):
            yield Change("wiring", f"{where} has other inputs or outputs", {"operator": where})
        for slot, (a, b) in enumerate(zip(one.input, two.input, strict=False)):
            if a in self.one.constants and b in self.two.constants:
                yield from self._constants(a, b)
            elif self.one.numbers.get(a, a and "constant") != self.two.numbers.get(b, b and "constant"):
                text = f"{where}: input {slot} is '{a}' in the first and '{b}' in the second"
                yield Change("wiring", text, {"operator": where, "input": slot, "tensors": [a, b]})

    def _constants(self, a: str, b: str) -> Iterator[Change]:
        """Compare two constants that are read from outside the region, once."""
        if (a, b) in self.compared:
            return
        self.compared.add((a, b))
        one, two = self.one.tensor(a), self.two.tensor(b)
        if one is not None and two is not None and _stored(self.one, a) == _stored(self.two, b):
            yield from self._tensors(one, two, _either(a, b))
        elif constant_digest(self.one.view, a, self.one.weights) != constant_digest(self.two.view, b, self.two.weights):
            yield Change("weights", f"{_either(a, b)} is computed in another way", {"tensors": [a, b]})

    def _tensors(self, one: onnx.TensorProto, two: onnx.TensorProto, where: str) -> Iterator[Change]:
        found = tensor_difference(one, self.one.home, two, self.two.home)
        if found is None:
            return
        shown = [f"{_type(tensor.data_type)}[{', '.join(map(str, tensor.dims))}]" for tensor in (one, two)]
        details = {"tensor": where, "types": shown, "elements": found.elements, "changed": found.changed}
        if found.changed is None:
            text = f"{where} is {shown[0]} in the first and {shown[1]} in the second"
        else:
            most = "" if found.largest is None else f", by {found.largest:.3g} at most"
            text = f"{where} {shown[0]}: {found.changed} of {found.elements} elements differ{most}"
        yield Change("weights", text, {**details, "largest": found.largest})

    def _live_outs(self) -> Iterator[Change]:
        one = [self.one.numbers[name] for name in self.one.live_outs]
        two = [self.two.numbers[name] for name in self.two.live_outs]
        if one != two:
            names = (", ".join(self.one.live_outs), ", ".join(self.two.live_outs))
            yield Change("live-outs", f"gives {names[0]} in the first and {names[1]} in the second: other results")


def _aligned(one: Sequence[object], two: Sequence[object]) -> Iterator[tuple[int | None, int | None]]:
    """Pair the positions of two sequences: of equal elements in longest common parts, and of as many between them on
    either side, which replace each other. What is left has no partner.
    """
    start, shorter = 0, min(len(one), len(two))
    while start < shorter and one[start] == two[start]:
        yield start, start
        start += 1
    matcher = difflib.SequenceMatcher(None, one[start:], two[start:], autojunk=False)
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        left, right = range(start + i1, start + i2), range(start + j1, start + j2)
        if len(left) == len(right):
            yield from zip(left, right, strict=True)
        else:
            yield from ((position, None) for position in left)
            yield from ((None, position) for position in right)


def _operator(what: str, text: str, one: str | None, two: str | None) -> Change:
    return Change("operators", text, {"change": what, "operators": [one, two]})


def _stored(side: Side, name: str) -> bool:
    """Whether a constant is an initializer: the fingerprint tells one from a node that makes the same value."""
    return side.view.initializer(name) is not None


def _either(a: str, b: str) -> str:
    return a if a == b else f"{a} ({b} in the second)"


def _type(element_type: int | None) -> str:
    return type_name(element_type) or "undefined"


def _values(a: onnx.AttributeProto, b: onnx.AttributeProto) -> str:
    if onnx.AttributeProto.GRAPH in (a.type, b.type) or onnx.AttributeProto.GRAPHS in (a.type, b.type):
        return "is another body"
    one, two = (_short(onnx.helper.get_attribute_value(attribute)) for attribute in (a, b))
    return f"is {one} in the first and {two} in the second"


def _short(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
