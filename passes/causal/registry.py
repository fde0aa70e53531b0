"""The registry of causal rules, and what a rule sees of its node.

A rule is a function of one :class:`Op` that returns a :class:`Result`, or raises :class:`LooksAhead`. It is called only
where no input is ``Ahead`` and some input depends on positions or on S. Small integers (sizes, axes, bounds) are
computed by the rules of the row analysis, in which the number of rows stands for S.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import onnx

from actcache.passes.causal.forms import Form, is_exact, is_stable
from actcache.passes.causal.state import FIXED, Causal, Counted, Fixed, LooksAhead, Places, Value
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.rows import registry as rows
from actcache.passes.rows import state as row_states
from actcache.passes.rows.sizes import Symbols
from actcache.passes.rows.state import BATCH_SIZE, ROW_FREE, Content, Mixes, Row, Shape

MICROSOFT = rows.MICROSOFT
SIZE_IN_DATA = "a value computed from the number of positions enters the data"


@dataclass(frozen=True)
class Carried:
    """What an operator carries from each position to the next.

    Attributes:
        name: Tells it from the others of its node.
        begin: The operand that it begins with. Left out, where the operator allows that: zeros.
        last: The output that it is behind the last position.
        shown: The output that it is at each position; None: there is none.
        like: An output that it has the axes of at each position; None: those of `last`, behind an axis of positions.
    """

    name: str
    begin: int
    last: int
    shown: int | None = None
    like: int | None = None


@dataclass(frozen=True)
class Recurrence:
    """How an operator goes along the positions, one after the other.

    Attributes:
        carried: What it carries.
        reads: Operands of which it reads one position after the other, with the axes of their positions.
        gives: Outputs that have something for each position, likewise; those that have names.
    """

    carried: tuple[Carried, ...]
    reads: Mapping[int, int]
    gives: Mapping[int, int]

    @property
    def first(self) -> int:
        """The first output that has something for each position."""
        return min(self.gives)

    @property
    def shows_all(self) -> bool:
        """Whether outputs tell at each position all that it carries: it goes on from anywhere."""
        return all(carried.shown is not None for carried in self.carried)


@dataclass(frozen=True)
class Result:
    """What a rule says of its node.

    Attributes:
        values: One per output.
        axes: Per operand, its axes to those of the outputs that hold the same positions. An operand is read at all
            positions along axes that are not here.
        sizes: Operands that are sizes: per element the axis of the outputs of which it is the size, or None.
        whole: Axes of the outputs along which all positions are computed together, or none.
        resumed: The branch of a suffix has a way of its own to go on from the earlier positions
            (:mod:`actcache.passes.rewrite.suffix_resumed`).
        recurrence: For operators that go along the positions one after the other. Such a node is resumed.
    """

    values: list[Value]
    axes: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    sizes: Mapping[int, Sequence[int | None]] = field(default_factory=dict)
    whole: frozenset[int] = frozenset()
    resumed: bool = False
    recurrence: Recurrence | None = None


RuleFunction = Callable[["Op"], Result]
RULES: dict[tuple[str, str], RuleFunction] = {}


def rule(*operators: str, domain: str = "") -> Callable[[RuleFunction], RuleFunction]:
    """Register the decorated function as the rule of `operators`."""

    def register(function: RuleFunction) -> RuleFunction:
        for operator in operators:
            if (domain, operator) in RULES:
                raise ValueError(f"two causal rules for {domain}:{operator}")
            RULES[domain, operator] = function
        return function

    return register


def refused(operator: str, slug: str, reason: str, *, domain: str = "") -> None:
    """Register an operator that always looks ahead, with the reason in words."""

    def refuse(op: Op) -> Result:
        raise LooksAhead(slug, reason)

    RULES[domain, operator] = refuse


@dataclass(frozen=True)
class Op:
    """One node with the abstract values of its inputs.

    Attributes:
        node: The protobuf.
        opset: Version of the node's domain.
        inputs: One value per input; None where an optional input is left out.
        types: Element types of the inputs (``TensorProto.DataType``); None: unknown.
        symbols: Makes new sizes.
        conditions: Takes the names of masks that the result holds for only if they hold 0 and 1, and 1 at position 0;
            None: no such result is wanted.
        captured: What its bodies read of the graph around it, by name.
        view: The model.
        measure: Says how large numbers of a tensor may get.
    """

    node: onnx.NodeProto
    opset: int
    inputs: Sequence[Value | None]
    types: Sequence[int | None]
    symbols: Symbols
    conditions: set[str] | None = None
    captured: Mapping[str, Value] = field(default_factory=dict)
    view: GraphView | None = None
    measure: Callable[[str], float] | None = None

    @cached_property
    def rows(self) -> rows.Op:
        """The node as the row analysis sees it: its attributes, and the elements of small integers."""
        read = self.node.op_type in _READS_SCALES
        values = [None if v is None else row_value(v, read=read) for v in self.inputs]
        return rows.Op(self.node, self.opset, values, self.symbols)

    def get(self, index: int) -> Value | None:
        """Return input `index`, None when it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def need(self, index: int) -> Value:
        """Return a required input."""
        value = self.get(index)
        if value is None:
            raise LooksAhead("malformed-node", f"{self.node.op_type} has no input {index}")
        return value

    @property
    def present(self) -> list[Value]:
        """The inputs that are not left out."""
        return [value for value in self.inputs if value is not None]

    def shape(self, index: int) -> Shape:
        """Return the shape of input `index`; its rank must be known."""
        return known(self.need(index))

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value."""
        return self.rows.attribute(name, default)

    def content(self, index: int) -> Content | None:
        """Return the elements of a small integer input; None when they are not known."""
        return self.rows.content(index)

    def integers(self, index: int) -> list[int] | None:
        """Return the elements of an integer input, when all are known numbers (flattened)."""
        return self.rows.integers(index)

    def axis(self, default: int, rank: int, name: str = "axis") -> int:
        """Return the attribute `axis`, made non-negative."""
        return self.rows.axis(default, rank, name)

    def axes(self, rank: int, position: int = 1) -> list[int] | None:
        """Return axes given as input `position` or as an attribute, made non-negative; None: not given."""
        return self.rows.axes(rank, position)

    def fixed(self, *indices: int) -> None:
        """Require that the inputs at `indices` (where present) do not depend on positions."""
        for index in indices:
            value = self.get(index)
            if value is not None and not isinstance(value.state, Fixed):
                what = f"input {index} of {self.node.op_type}"
                raise LooksAhead("parameter-from-positions", f"{what} is one for all positions but depends on them")


def known(value: Value) -> Shape:
    """Return the value's shape; its rank must be known."""
    if value.shape is None:
        raise LooksAhead("rank-unknown", "the rank of an input is unknown")
    return value.shape


#: Operators whose row rules read constants that are no integers.
_READS_SCALES = frozenset({"Resize", "Upsample"})


def row_value(value: Value, *, read: bool = False) -> row_states.Value:
    """Return a value as the row analysis has it. `read`: with the elements of any constant."""
    state: row_states.State = ROW_FREE
    if isinstance(value.state, Counted):
        state = BATCH_SIZE
    elif isinstance(value.state, Causal):
        first = value.places[0]
        state = Row(first.axis, first.block, first.before)
    return row_states.Value(state, value.shape, value.content, value.array() if read else value.constant)


def by_row_rules(op: Op) -> list[Value] | None:
    """Return what the row analysis knows of a node that reads no data of positions: its sizes, its small integers."""
    found = rows.RULES.get((canonical_domain(op.node.domain), op.node.op_type))
    if found is None or any(value.data for value in op.present):
        return None
    try:
        made = found.apply(op.rows)
    except (Mixes, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    values = made if isinstance(made, list) else [made]
    if len(values) < len(op.node.output) or not all(value.number for value in values):
        return None
    return [_counted(value) for value in values]


def _counted(value: row_states.Value) -> Value:
    sized = isinstance(value.state, row_states.BatchSize)
    if value.content is not None:
        sized = any(size.batch for size in value.content.reshape(-1))
    return Value(Counted() if sized else FIXED, value.shape, value.content, value.constant)


def stable(places: Places, values: Sequence[Value]) -> Fixed | Counted | Causal:
    """Return the state of what has its positions at `places`, made of `values`."""
    all_stable = all(value.stable for value in values)
    if any(value.data for value in values):
        if not all_stable:
            raise LooksAhead("size-in-data", SIZE_IN_DATA)
        if not places:
            raise LooksAhead("positions-lost", "the axis of positions is lost")
        return Causal(places)
    if places or any(isinstance(value.state, Counted) for value in values):
        return Counted(places, all_stable)
    return FIXED


def counted(places: Places, form: Form | None, *, kept: bool) -> Counted:
    """Return the state of what holds no data: stable if what it is made of is (`kept`), or if its form shows that.

    What two parts have of S may go, as in a difference. Only an exact form shows that.
    """
    if form is None:
        return Counted(places, kept)
    return Counted(places, is_stable(form) and (kept or is_exact(form)))
