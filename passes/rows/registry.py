"""The one registry of row rules, by (domain, operator), and what a rule sees of its node.

A rule is a function of one :class:`Op` that returns one :class:`Value` per output, or raises :class:`Mixes`.
The interpreter calls it only when no input is ``Mixed``, and fails closed: ``BatchSize`` inputs reach a rule
only at the positions it registered as `sizes`, row positions only at those registered as `indexes`.
Rules are registered when their module is imported; ``rows/__init__.py`` lists the modules.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx

from actcache.passes.rows.sizes import Size, Symbols, const
from actcache.passes.rows.state import BATCH_SIZE, ROW_FREE, BatchSize, Content, Mixes, Row, Shape, Value

#: Marks all input positions.
ALL: Collection[int] = range(1 << 20)
#: Tensors with at most this many elements have their elements followed.
MAX_CONTENT = 64

RuleFunction = Callable[["Op"], "Value | list[Value]"]


@dataclass(frozen=True)
class Rule:
    """A registered rule.

    Attributes:
        apply: The function.
        sizes: Input positions where a ``BatchSize`` value may stand beside rows.
        indexes: Input positions where states that know the position of a row may stand.
        types: Input positions that give their type and nothing else: whatever they hold, the result is the same.
        barrier: The reason, for an operator that never keeps rows apart.
    """

    apply: RuleFunction
    sizes: Collection[int] = ()
    indexes: Collection[int] = ()
    types: Collection[int] = ()
    barrier: str = ""


RULES: dict[tuple[str, str], Rule] = {}

MICROSOFT = "com.microsoft"
NCHWC = "com.microsoft.nchwc"


def rule(
    *operators: str,
    domain: str = "",
    sizes: Collection[int] = (),
    indexes: Collection[int] = (),
    types: Collection[int] = (),
) -> Callable[[RuleFunction], RuleFunction]:
    """Register the decorated function as the rule of `operators`; see :class:`Rule`."""

    def register(function: RuleFunction) -> RuleFunction:
        for operator in operators:
            if (domain, operator) in RULES:
                raise ValueError(f"two row rules for {domain}:{operator}")
            RULES[domain, operator] = Rule(function, sizes, indexes, types)
        return function

    return register


def barrier(operator: str, slug: str, reason: str, *, domain: str = "") -> None:
    """Register an operator that mixes rows whatever its attributes, with the reason in words."""

    def refuse(op: Op) -> list[Value]:
        raise Mixes(slug, reason)

    RULES[domain, operator] = Rule(refuse, barrier=reason)


@dataclass(frozen=True)
class Op:
    """One node with the abstract values of its inputs.

    Attributes:
        node: The protobuf.
        opset: Version of the node's domain (1 for com.microsoft).
        inputs: One value per input; None where an optional input is left out.
        symbols: Makes new sizes.
        contents: Elements already given to tensors of unknown elements, by the identity of their value.
        seen: Positions of the inputs that the rule has looked at. One that holds rows must not be overlooked.
    """

    node: onnx.NodeProto
    opset: int
    inputs: Sequence[Value | None]
    symbols: Symbols
    contents: dict[int, tuple[Value, Content]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Attribute values by name, bodies left out. Strings are decoded."""
        graphs = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        found = {a.name: onnx.helper.get_attribute_value(a) for a in self.node.attribute if a.type not in graphs}
        return {k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in found.items()}

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value."""
        return self.attributes.get(name, default)

    def get(self, index: int) -> Value | None:
        """Return input `index`, None when it is left out."""
        self.seen.add(index)
        return self.inputs[index] if index < len(self.inputs) else None

    def need(self, index: int) -> Value:
        """Return a required input."""
        value = self.get(index)
        if value is None:
            raise Mixes("malformed-node", f"{self.node.op_type} has no input {index}")
        return value

    @property
    def present(self) -> list[Value]:
        """The inputs that are not left out."""
        self.seen.update(range(len(self.inputs)))
        return [value for value in self.inputs if value is not None]

    def shape(self, index: int) -> Shape:
        """Return the shape of input `index`; its rank must be known."""
        return known(self.need(index))

    def row_free(self, *indices: int) -> None:
        """Require that the inputs at `indices` (where present) do not depend on rows."""
        for index in indices:
            value = self.get(index)
            if value is not None and not value.number:
                what = f"input {index} of {self.node.op_type}"
                raise Mixes("row-dependent-parameter", f"{what} is shared by all rows but depends on them")

    def content(self, index: int) -> Content | None:
        """Return the elements of an input that no row may change; None when they are not followed.

        A small one of unknown elements gets a symbol for each.
        """
        self.row_free(index)
        value = self.get(index)
        if value is None:
            return None
        if value.content is not None or value.constant is not None:
            return value.content
        shape = value.known_shape
        if shape is None or len(shape) > 1 or int(np.prod(shape)) > 16:
            return None
        if id(value) not in self.contents:
            batch = isinstance(value.state, BatchSize)
            count = shape[0] if shape else 1
            new = [self.symbols.fresh("?", batch=batch, dimension=False, integer=False) for _ in range(count)]
            self.contents[id(value)] = (value, objects(new, shape))
        return self.contents[id(value)][1]

    def integers(self, index: int) -> list[int] | None:
        """Return the elements of an integer input, when all are known numbers (flattened)."""
        content = self.content(index)
        if content is None:
            return None
        numbers = [size.value for size in content.reshape(-1)]
        return None if None in numbers else [n for n in numbers if n is not None]

    def axes(self, rank: int, position: int = 1, name: str = "axes") -> list[int] | None:
        """Return axes given as input `position` or as an attribute, made non-negative; None: not given.

        Raises Mixes when they are given but not constant.
        """
        given = self.attribute(name)
        if given is None and self.get(position) is not None:
            given = self.integers(position)
            if given is None:
                raise Mixes("axes-unknown", f"the axes of {self.node.op_type} are not constants")
        if given is None:
            return None
        return [normal_axis(axis, rank) for axis in given]

    def axis(self, default: int, rank: int, name: str = "axis") -> int:
        """Return the attribute `axis`, made non-negative."""
        return normal_axis(int(self.attribute(name, default)), rank)


def normal_axis(axis: int, rank: int) -> int:
    """Return `axis` counted from the front."""
    if not -rank <= axis < rank:
        raise Mixes("malformed-node", f"axis {axis} of a tensor of rank {rank}")
    return axis + rank if axis < 0 else axis


def known(value: Value) -> Shape:
    """Return the value's shape; its rank must be known."""
    if value.shape is None:
        raise Mixes("rank-unknown", "the rank of an input is unknown")
    return value.shape


def bound(value: Value) -> Size | None:
    """Return a size that all elements, integers from 0 on, are below; None when no such size is known."""
    if value.below is not None or value.constant is None:
        return value.below
    if value.constant.dtype.kind not in "iu" or not value.constant.size or value.constant.min() < 0:
        return None
    return const(int(value.constant.max()) + 1)


def row_of(value: Value) -> Row | None:
    """Return the value's row state; None for a row-free value. Anything else cannot be data."""
    if value.row is None and value.state != ROW_FREE:
        raise Mixes("not-data", "a value that depends on the number or position of rows is used as data")
    return value.row


def objects(sizes: Sequence[Size], shape: tuple[int, ...]) -> Content:
    """Return sizes as an array of objects."""
    array = np.empty(len(sizes), dtype=object)
    array[:] = sizes
    return array.reshape(shape)


def numbers(content: Content) -> Value:
    """Return the value of a tensor whose elements are all known as sizes."""
    state = BATCH_SIZE if any(size.batch for size in content.reshape(-1)) else ROW_FREE
    return Value(state, tuple(const(n) for n in content.shape), content)
