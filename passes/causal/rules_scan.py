"""The causal rule of Scan along the positions.

A step of its body gets what it carries, one position of each operand, and what is captured of the graph around it. It
does not get its number, or how many steps there are. So what it gives at a position comes from that position and
earlier ones, whatever the body computes, if nothing that it captures depends on positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from actcache.passes.causal.registry import Carried, Op, Recurrence, Result, known, row_value, rule, stable
from actcache.passes.causal.state import Ahead, Fixed, LooksAhead, Place, S, Value
from actcache.passes.graph.nodes import subgraphs
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.refusal import Refusal
from actcache.passes.rows import registry as rows
from actcache.passes.rows import state as row_states
from actcache.passes.rows.analysis import Interpreter
from actcache.passes.rows.registry import normal_axis
from actcache.passes.rows.state import ROW_FREE, Mixed

#: Before, the batch was an axis of its own.
_OLDEST = 9
_LAST = Refusal("last-position", "what reads what a Scan carries last is computed in every call")


@rule("Scan")
def scan(op: Op) -> Result:
    """Forwards, along the positions of all that it takes slices of."""
    if op.opset < _OLDEST:
        raise LooksAhead("not-followed", "Scan before opset 9 has the batch as an axis of its own")
    parts = _Parts.of(op)
    _refuse(op, parts)
    carried, given = _sizes(op, parts)
    gives = {parts.states + number: axis for number, axis in enumerate(_axes(op, "scan_output_axes", given))}
    scanned = [op.need(slot) for slot in parts.reads]
    values = [Value(Ahead(_LAST), shape) for shape in carried]
    for shape, axis in zip(given, gives.values(), strict=True):
        values.append(Value(stable((Place(axis),), scanned), (*shape[:axis], S, *shape[axis + 1 :])))
    if not gives:
        return Result(values)
    shown = _shown(parts.body, parts.states, gives)
    remembered = [Carried(f"state{number}", number, number, shown.get(number)) for number in range(parts.states)]
    recurrence = Recurrence(tuple(remembered), parts.reads, gives)
    moved = {slot: {axis: gives[recurrence.first]} for slot, axis in parts.reads.items()}
    return Result(values, moved, whole=frozenset(gives.values()), resumed=True, recurrence=recurrence)


@dataclass(frozen=True)
class _Parts:
    """The parts of a Scan.

    Attributes:
        body: What it does at each position.
        states: How many values it carries: its first operands and outputs.
        reads: The other operands, each with the axis of which it takes slices.
    """

    body: onnx.GraphProto
    states: int
    reads: Mapping[int, int]

    @classmethod
    def of(cls, op: Op) -> _Parts:
        bodies = list(subgraphs(op.node))
        count = int(op.attribute("num_scan_inputs", 0))
        states = len(op.inputs) - count
        named = len(bodies) == 1 and len(bodies[0].output) == len(op.node.output) and all(op.node.output)
        if not named or count < 1 or states < 0:  # onnxruntime refuses all of these
            raise LooksAhead("malformed-node", "a Scan whose body does not fit it, or with outputs that have no names")
        slots = range(states, len(op.inputs))
        ranks = [len(known(op.need(slot))) for slot in slots]
        axes = op.attribute("scan_input_axes", [0] * count)
        return cls(
            bodies[0],
            states,
            {slot: normal_axis(int(axis), rank) for slot, axis, rank in zip(slots, axes, ranks, strict=True)},
        )


def _refuse(op: Op, parts: _Parts) -> None:
    """Raise where it does not go forwards along the positions, or is told more than what stands before."""
    for slot, axis in parts.reads.items():
        if op.need(slot).places != (Place(axis),):
            reason = f"Scan takes slices of its input {slot} along another axis than that of the positions"
            raise LooksAhead("recurrent-over-rows", reason)
    if not any(op.need(slot).data for slot in parts.reads):
        raise LooksAhead("positions-lost", "Scan reads no data at positions")
    directions = (*op.attribute("scan_input_directions", []), *op.attribute("scan_output_directions", []))
    if any(directions):
        raise LooksAhead("reversed", "Scan goes over the sequence backwards, or hands it out backwards")
    for slot in range(parts.states):
        if not isinstance(op.need(slot).state, Fixed):
            raise LooksAhead("begins-with-positions", "what a Scan begins with depends on positions")
    for name, value in op.captured.items():
        if not isinstance(value.state, Fixed):
            reason = f"the body of Scan reads '{name}' of the graph around it, which depends on positions"
            raise LooksAhead("captured-positions", reason)


def _axes(op: Op, name: str, given: Sequence[Sequence[object]]) -> list[int]:
    """Return the axes of the outputs that have something for each position."""
    axes = op.attribute(name, [0] * len(given))
    return [normal_axis(int(axis), len(shape)) for axis, shape in zip(axes, given, strict=True)]


def _sizes(op: Op, parts: _Parts) -> tuple[list[row_states.Shape | None], list[row_states.Shape]]:
    """Return the sizes of what it carries, and of what it gives at all positions, by the rules of the row analysis."""
    inputs: list[row_states.Value | None] = [None if v is None else row_value(v) for v in op.inputs]
    length = op.symbols.fresh("slices")
    for slot, axis in parts.reads.items():
        shape = op.shape(slot)
        inputs[slot] = row_states.Value(ROW_FREE, (*shape[:axis], length, *shape[axis + 1 :]))
    if op.view is None:
        raise LooksAhead("rank-unknown", "the sizes of what a Scan gives are not known")
    interpreter = Interpreter(op.view, {})
    interpreter.symbols = op.symbols
    captured = {name: row_value(value) for name, value in op.captured.items()}
    (values,) = interpreter.control_flow(rows.Op(op.node, op.opset, inputs, op.symbols), captured)
    refused = next((value.state.refusal for value in values if isinstance(value.state, Mixed)), None)
    if refused is not None:
        raise LooksAhead(refused.rule, refused.reason)
    given = [value.shape for value in values[parts.states :]]
    if None in given:
        raise LooksAhead("rank-unknown", "the rank of what a Scan gives at each position is unknown")
    return [value.shape for value in values[: parts.states]], [shape for shape in given if shape is not None]


def _shown(body: onnx.GraphProto, states: int, gives: Mapping[int, int]) -> dict[int, int]:
    """Return which of what it carries it gives at each position as it is: the output, by the number of the state."""
    origins = {
        node.output[0]: node.input[0]
        for node in body.node
        if node.op_type == "Identity" and canonical_domain(node.domain) == ""
    }

    def origin(number: int) -> str:
        name: str = body.output[number].name
        while name in origins:
            name = origins[name]
        return name

    found = {origin(number): number for number in reversed(gives)}
    return {state: found[origin(state)] for state in range(states) if origin(state) in found}
