"""The proof that positions depend on earlier ones only: an abstract interpretation of the model, for every number S.

The hypothesis says along which axis of which tensors positions lie. The interpreter follows every tensor through the
rules of :mod:`registry`. It fails closed: what no rule proves is ``Ahead``, with the first cause. The proof holds for
every S and all finite data, given what the runtime checks: that all these tensors have the same size along those axes,
the ranks of what the region reads, what :mod:`~actcache.passes.rows.named_sizes` asks of other sizes,
:attr:`CausalProof.binary_inputs`, :attr:`CausalProof.ones_inputs`, and that the pasts are empty.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import onnx

from actcache.passes.causal.forms import Affine, Given
from actcache.passes.causal.joining import of_single, unknown
from actcache.passes.causal.magnitudes import Magnitudes
from actcache.passes.causal.ranges import held_content
from actcache.passes.causal.registry import RULES, Op, Result, by_row_rules
from actcache.passes.causal.remembered import Last, remembered
from actcache.passes.causal.state import (
    FIXED,
    Ahead,
    Causal,
    Counted,
    Fixed,
    LooksAhead,
    Place,
    S,
    State,
    Value,
)
from actcache.passes.graph.constant_values import ConstantValues, ReadTensor
from actcache.passes.graph.nodes import all_nodes, is_constant_node, subgraphs
from actcache.passes.graph.nodes import captured as captured_by
from actcache.passes.graph.op_facts import NON_TENSOR, RANDOM, canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rows.declared import Believed
from actcache.passes.rows.named_sizes import NamedSizes, SizeEquation
from actcache.passes.rows.registry import MAX_CONTENT, objects
from actcache.passes.rows.sizes import ONE, ZERO, Size, Symbols, const
from actcache.passes.rows.state import Mixes, Shape


class CausalProof:
    """What is proven about every tensor of the main graph under one hypothesis.

    Attributes:
        binary_inputs: Masks that the caller hands in, of which the proof believes that all their elements are 0 or 1,
            and those at position 0 are 1. The lookup has to check that in every call.
        ones_inputs: Likewise masks that are 1 everywhere.
        pasts: Graph inputs that have no entries, each with the axis along which that is so.
        told: Constants whose values the proof rests on, besides small integers: masks, and what bounds scores.
    """

    def __init__(
        self,
        values: Mapping[str, Value],
        results: Mapping[int, Result],
        believed: Believed,
        named: NamedSizes,
        conditions: Collection[str],
        ones: Mapping[str, int],
        pasts: Mapping[str, int],
        last: Mapping[str, Last],
        told: Collection[str],
    ) -> None:
        self._values, self._results, self._believed, self._named = values, results, believed, named
        self._last = last
        self.pasts = pasts
        self.binary_inputs = tuple(sorted(conditions))
        self.ones_inputs = tuple(sorted(ones))
        self.told = frozenset(told)

    def value(self, name: str) -> Value:
        """Return what is known about a tensor of the main graph; of unknown names that nothing is."""
        return self._values.get(name) or _ahead("unknown-tensor", f"nothing is known about the tensor '{name}'")

    def state(self, name: str) -> State:
        """Return the state of a tensor."""
        return self.value(name).state

    def result(self, node: int) -> Result | None:
        """Return how a node's operands lie in its outputs; None where no rule was needed."""
        return self._results.get(node)

    def position_axis(self, name: str) -> int | None:
        """Return the axis that holds exactly the S positions of data; None for other tensors."""
        places = self.state(name).places if isinstance(self.state(name), Causal) else ()  # type: ignore[union-attr]
        return places[0].axis if len(places) == 1 and places[0].plain else None

    def last(self, name: str) -> Last | None:
        """Return what a tensor is, if it holds what a recurrence remembers behind the last position; else None."""
        return self._last.get(name)

    def refusal(self, name: str) -> Refusal | None:
        """Return, for an ``Ahead`` tensor, why and at which node it first looks ahead."""
        state = self.state(name)
        return state.refusal if isinstance(state, Ahead) else None

    def shape(self, name: str) -> Shape | None:
        """Return the symbolic sizes of a tensor; S is :data:`~actcache.passes.causal.state.S`. None: rank unknown."""
        return self.value(name).shape

    def size_equations(self, frontier: Collection[str]) -> tuple[SizeEquation, ...] | None:
        """Return what else has to hold in a call of a region with this frontier; None: that cannot be told from it."""
        named = self._named.equations(frontier)
        empty = [SizeEquation((name, axis), 0, ()) for name, axis in self.pasts.items() if name in frontier]
        return None if named is None else (*empty, *named)

    def ranks(self, frontier: Collection[str]) -> dict[str, int]:
        """Return the ranks that tensors of a frontier have to have in a call; of the others any will do."""
        shapes = {name: self.shape(name) for name in frontier}
        return {name: len(shape) for name, shape in shapes.items() if shape is not None}

    def is_told_by(self, frontier: Collection[str]) -> bool:
        """Whether a frontier tells if a call is one that the proof is about."""
        return (
            self.size_equations(frontier) is not None
            and self._believed.is_told_by(frontier)
            and {*self.binary_inputs, *self.ones_inputs}.issubset(frontier)
        )


def prove_causal(
    view: GraphView,
    positions: Mapping[str, int],
    *,
    pasts: Mapping[str, int] | None = None,
    binary_masks: bool = False,
    ones: Collection[str] = (),
    read: ReadTensor | None = None,
) -> CausalProof:
    """Prove which tensors depend, at each position, on earlier positions only.

    Args:
        view: The model.
        positions: Graph inputs, or other tensors that a region reads, with the axis of their positions. All other
            inputs are the same for all positions.
        pasts: Other graph inputs, with an axis along which they have no entries: positions of earlier calls, in calls
            that have none.
        binary_masks: Believe of masks that the caller hands in what :attr:`CausalProof.binary_inputs` says, where
            that is needed.
        ones: Inputs with positions that are masks. They are believed to be 1 everywhere: nothing is closed, and their
            sum is S.
        read: Reads constants that are stored outside the model; without it those are not looked at.
    """
    empty = {} if pasts is None else pasts
    opened = {name: positions[name] for name in ones}
    interpreter = _Interpreter(view, positions, empty, opened, binary_masks, read)
    interpreter.run()
    return CausalProof(
        interpreter.values,
        interpreter.results,
        interpreter.believed,
        interpreter.named,
        interpreter.conditions or (),
        opened,
        empty,
        dict(remembered(view, interpreter.results)),
        interpreter.constants.told,
    )


class _Interpreter:
    def __init__(
        self,
        view: GraphView,
        positions: Mapping[str, int],
        pasts: Mapping[str, int],
        ones: Collection[str],
        binary_masks: bool,
        read: ReadTensor | None,
    ) -> None:
        self.view, self.positions, self.pasts, self.ones = view, positions, pasts, ones
        self.symbols = Symbols()
        self.believed = Believed(view, ())
        inputs = {name: axis for name, axis in positions.items() if name in view.inputs}
        self.named = NamedSizes(view, inputs, self.symbols)
        self.constants = ConstantValues(view, read or _nothing)
        self.magnitudes = Magnitudes(view, self.constants, self.shape)
        self.conditions: set[str] | None = set() if binary_masks else None
        self.values: dict[str, Value] = {}
        self.results: dict[int, Result] = {}

    def run(self) -> None:
        for name in self.view.inputs:
            self.values[name] = self.given(name, self.view.shape(name))
        for name in self.view.initializers:
            self.values[name] = self.constant(name)
        for index, node in enumerate(self.view.model.graph.node):
            for name, value in zip(node.output, self.outputs(index, node), strict=False):
                if name:
                    self.values[name] = self.assumed(name, value) if name in self.positions else value

    def shape(self, name: str) -> Shape | None:
        """What is proven of a tensor's sizes so far."""
        value = self.values.get(name)
        return None if value is None else value.shape

    def given(self, name: str, declared: tuple[int | str | None, ...] | None) -> Value:
        """The value of a tensor that is handed in: declared sizes, S along the axis of its positions."""
        axis = self.positions.get(name)
        if declared is None:
            unknown = _ahead("rank-unknown", f"the rank of '{name}' is unknown")
            return Value(FIXED) if axis is None else unknown
        sizes = [self.size(name, number, size) for number, size in enumerate(declared)]
        return self.handed_in(name, sizes, axis)

    def handed_in(self, name: str, sizes: list[Size], axis: int | None) -> Value:
        rank, kind = len(sizes), self.kind(name)
        if axis is None:
            form = None if kind is None else Given(name, None, kind)
            return Value(FIXED, tuple(sizes), form=form)
        if not -rank <= axis < rank:
            return _ahead("rank-unknown", f"'{name}' has no axis {axis}")
        axis %= rank
        sizes[axis] = S
        if name in self.ones:
            return Value(Counted((Place(axis),), True), tuple(sizes), form=Affine((), ONE))
        form = None if kind is None else Given(name, axis - rank, kind)
        return Value(Causal((Place(axis),)), tuple(sizes), form=form)

    def assumed(self, name: str, computed: Value) -> Value:
        """A tensor that a region reads: sizes that do not count positions are those computed."""
        if computed.shape is None:
            return _ahead("rank-unknown", f"the rank of '{name}' is unknown")
        sizes = [self.symbols.fresh(f"{name}[{a}]") if s.batch else s for a, s in enumerate(computed.shape)]
        return self.handed_in(name, sizes, self.positions[name])

    def size(self, name: str, axis: int, declared: int | str | None) -> Size:
        if self.pasts.get(name) == axis:
            return ZERO
        if isinstance(declared, int) and declared > 0:
            return const(declared)
        return self.named.size(name, axis) or self.symbols.fresh(f"{name}[{axis}]")

    def kind(self, name: str) -> str | None:
        """numpy's kind of a tensor of numbers."""
        dtype = self.view.dtype(name)
        if dtype is None or dtype == onnx.TensorProto.STRING:
            return None
        if dtype == onnx.TensorProto.BOOL:
            return "b"
        integer = dtype in _INTEGERS
        return "i" if integer else "f"

    def constant(self, name: str) -> Value:
        """The value of a constant: the elements of few integers, and how others are read where a rule asks for them."""
        array = self.view.value(name)
        if array is None and self.is_parameter(name):
            array = self.constants.value(name)
        shape = self.view.shape(name) if array is None else array.shape
        sizes = None
        if shape is not None and all(isinstance(size, int) for size in shape):
            sizes = tuple(const(size) for size in shape if isinstance(size, int))
        if array is not None and array.dtype.kind not in "iub":
            array = None
        content = None
        if array is not None and array.size <= MAX_CONTENT:
            content = objects([const(int(n)) for n in array.reshape(-1)], array.shape)
        reader = None if array is not None else lambda: self.constants.value(name)
        return Value(FIXED, sizes, content, array, read=reader)

    def is_parameter(self, name: str) -> bool:
        """Whether a constant is a few integers that tell an operator what to do, such as the pads of a Pad."""
        sizes = self.view.shape(name)
        if self.view.dtype(name) not in _INTEGERS or sizes is None:
            return False
        if math.prod(size if isinstance(size, int) else MAX_CONTENT + 1 for size in sizes) > MAX_CONTENT:
            return False
        return any(not self.view.constants.issuperset(self.view.writes[i]) for i in self.view.consumers.get(name, ()))

    def outputs(self, index: int, node: onnx.NodeProto) -> list[Value]:
        if is_constant_node(node) or (node.output and all(o in self.view.constants for o in node.output if o)):
            return [self.constant(name) for name in node.output]
        label = self.view.label(index)
        inputs = [self.values.get(name) if name else None for name in node.input]
        read = [self.values.get(name) for name in self.view.reads[index]]
        domain = canonical_domain(node.domain)
        for value in read:
            if value is None:
                return [_ahead("unknown-tensor", "it reads a tensor of which nothing is known", label)] * len(
                    node.output
                )
            if isinstance(value.state, Ahead):
                return [Value(value.state)] * len(node.output)
        if not _NO_FUNCTIONS.isdisjoint((canonical_domain(n.domain), n.op_type) for n in all_nodes([node])):
            reason = f"{node.op_type} draws random numbers, or handles no tensors"
            return [_ahead("not-followed", reason, label)] * len(node.output)
        types = [self.view.dtype(name) if name else None for name in node.input]
        captured = {name: self.values[name] for body in subgraphs(node) for name in captured_by(body)}
        version = self.view.opsets.get(domain, 1)
        op = Op(node, version, inputs, types, self.symbols, self.conditions, captured, self.view, self.magnitudes.most)
        try:
            return self.applied(index, op, domain, [value for value in read if value is not None], label)
        except (LooksAhead, Mixes) as cause:
            rule, reason = cause.rule, cause.reason
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            rule, reason = "rule-error", f"the causal rule of {node.op_type} does not fit this node: {error}"
        if any(isinstance(value.state, Causal) for value in read if value is not None):
            return [_ahead(rule, reason, label)] * len(node.output)
        return [_unknown(read)] * len(node.output)

    def applied(self, index: int, op: Op, domain: str, read: list[Value], label: str) -> list[Value]:
        data = any(value.data for value in read)
        if not data:
            by_rows = self.held(op.node, by_row_rules(op))
            if by_rows is not None and all(value.content is not None for value in by_rows):
                return by_rows
            if all(isinstance(value.state, Fixed) for value in read):
                return self.fixed(op, by_rows)
        found = RULES.get((domain, op.node.op_type))
        if found is None:
            what = f"{domain + ':' if domain else ''}{op.node.op_type}"
            raise LooksAhead("no-causal-rule", _NOT_FOLLOWED.get(what, f"no causal rule for {what}"))
        result = found(op)
        if len(result.values) < len(op.node.output):
            raise LooksAhead("malformed-node", f"{op.node.op_type} has more outputs than its causal rule knows")
        self.results[index] = result
        return [_checked(value, label) for value in result.values]

    def held(self, node: onnx.NodeProto, values: list[Value] | None) -> list[Value] | None:
        """Leave out small integers that their types may not hold."""
        if values is None:
            return None
        types = [self.view.dtype(name) if name else None for name in node.output]
        return [
            replace(value, content=held_content(value.content, dtype))
            for value, dtype in zip(values, types, strict=False)
        ]

    def fixed(self, op: Op, by_rows: list[Value] | None) -> list[Value]:
        """What depends on no position. Forms are followed, as masks may be made of it."""
        try:
            found = RULES.get((canonical_domain(op.node.domain), op.node.op_type))
            values = found(op).values if found is not None else []
        except (LooksAhead, Mixes, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            values = []
        forms = [value.form for value in values if isinstance(value.state, Fixed)]
        forms += [None] * (len(op.node.output) - len(forms))
        given = next((value.form for value in op.present if value.form is not None), None)
        known = by_rows or [Value(FIXED)] * len(op.node.output)
        return [
            Value(FIXED, v.shape, v.content, v.constant, of_single(f, v.shape) or unknown(given))
            for v, f in zip(known, forms, strict=False)
        ]


_INTEGERS = frozenset(
    int(number) for name, number in onnx.TensorProto.DataType.items() if name.startswith(("INT", "UINT"))
)


_NO_FUNCTIONS = RANDOM | NON_TENSOR

#: Of operators with bodies that have no rule: what stands against it, and what to do.
_NOT_FOLLOWED = {
    "If": "the branches of an If are not followed; if it takes most of the time, each is compiled by itself",
    "Loop": (
        "the body of a Loop is not followed: it may read any position. Where it reads one position after the other, "
        "write it as a Scan"
    ),
}


def _nothing(tensor: onnx.TensorProto) -> np.ndarray:
    raise FileNotFoundError(tensor.name)


def _unknown(read: list[Value | None]) -> Value:
    """What is computed without data by an operator that is not followed."""
    fixed = all(isinstance(value.state, Fixed) for value in read if value is not None)
    return Value(FIXED if fixed else Counted())


def _checked(value: Value, label: str) -> Value:
    """Hold a result to the definition of its state, whatever the rule said."""
    state, shape = value.state, value.shape
    if isinstance(state, Ahead) and not state.refusal.node:
        return replace(value, state=Ahead(replace(state.refusal, node=label)))
    if isinstance(state, Ahead):
        return value
    if shape is None:
        lost_axis = isinstance(state, Causal) or (isinstance(state, Counted) and state.places)
        return _ahead("rank-unknown", "the axis of positions is lost", label) if lost_axis else value
    places = {place.axis: place for place in value.places}
    for axis, size in enumerate(shape):
        place = places.get(axis)
        if place is None and not size.batch:
            continue
        if place is None or size != place.size:
            if isinstance(state, Causal):
                return _ahead("size-from-positions", "the number of positions sets the size of another axis", label)
            state = Counted()
            break
    return Value(state, shape, value.content, value.constant, of_single(value.form, shape))


def _ahead(rule: str, reason: str, label: str = "") -> Value:
    return Value(Ahead(Refusal(rule, reason, label)))
