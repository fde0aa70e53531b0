"""Where positions lie when operands are broadcast, and when axes are matched by label (matrix products)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from actcache.passes.causal.bounds import ZERO, Never, Order, Scene, bounds_anywhere
from actcache.passes.causal.forms import Affine, Form, Some, Weights, is_stable, substitute
from actcache.passes.causal.registry import Result, known, stable
from actcache.passes.causal.state import LooksAhead, Place, Places, Value
from actcache.passes.rows.broadcasting import broadcast_size
from actcache.passes.rows.sizes import ONE, Symbols
from actcache.passes.rows.state import Shape


def broadcast_shape(shapes: Sequence[Shape], symbols: Symbols) -> Shape:
    """Return the shape that numpy's broadcasting gives."""
    rank = max(map(len, shapes), default=0)
    padded = [(ONE,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(broadcast_size(sizes, symbols) for sizes in zip(*padded, strict=True))


def broadcast_places(values: Sequence[Value], rank: int) -> Places:
    """Return where positions lie in the elementwise combination of `values`, aligned from the right."""
    found: dict[int, Place] = {}
    for value in values:
        shift = rank - len(known(value))
        for place in value.places:
            moved = replace(place, axis=place.axis + shift)
            if found.setdefault(moved.axis, moved) != moved:
                raise LooksAhead("positions-misaligned", "the operands flatten their positions differently")
    return tuple(found[axis] for axis in sorted(found))


def broadcast_axes(value: Value, rank: int) -> dict[int, int]:
    """Return the axes of an operand in the result."""
    shift = rank - len(known(value))
    return {axis: axis + shift for axis in range(len(known(value)))}


def joined(op_inputs: Sequence[Value | None], symbols: Symbols) -> Result:
    """Return the result of an elementwise operator, without its form."""
    values = [value for value in op_inputs if value is not None]
    shape = broadcast_shape([known(value) for value in values], symbols)
    places = broadcast_places(values, len(shape))
    axes = {i: broadcast_axes(value, len(shape)) for i, value in enumerate(op_inputs) if value is not None}
    return Result([Value(stable(places, values), shape)], axes)


def fitted(form: Form | None, own: Shape, result: Shape) -> Form | None:
    """Return the form of an operand of shape `own` in a result it is broadcast to."""
    if form is None:
        return None
    places: dict[int, Affine | None] = {}
    for axis in range(1, len(own) + 1):
        if own[-axis] == ONE:
            places[-axis] = Affine()
        elif own[-axis] != result[-axis]:
            places[-axis] = None
    return substitute(form, places) if places else form


def of_single(form: Form | None, shape: Shape | None) -> Form | None:
    """Return a form in which positions along axes of one entry are 0."""
    single = {axis - len(shape): Affine() for axis, size in enumerate(shape) if size == ONE} if shape else {}
    return substitute(form, single) if form is not None and single else form


def lost(form: Form | None) -> Form | None:
    """Return what is left of the form of entries that lie elsewhere now: between which numbers they are."""
    return None if form is None else Some(*bounds_anywhere(form), is_stable(form))


def unknown(form: Form | None) -> Form | None:
    """Return what is left of a form that something else is computed from."""
    return None if form is None else Some(stable=is_stable(form))


Labels = Sequence[str]


def labelled(
    operands: Sequence[tuple[int, Value, Labels]], result: Labels, symbols: Symbols, conditions: set[str] | None
) -> Result:
    """Return the product of operands whose axes carry labels, summed over labels that are not in `result`.

    A sum over positions j looks ahead, unless one factor is 0 wherever j is later than position t of the result.

    Args:
        operands: Number, value and labels of each.
        result: The labels of the result.
        symbols: Makes new sizes.
        conditions: See :class:`~actcache.passes.causal.registry.Op`.
    """
    sizes: dict[str, list[object]] = {}
    places: dict[str, Place] = {}
    for _, value, labels in operands:
        if len(labels) != len(known(value)) or len(set(labels)) < len(labels):
            raise LooksAhead("malformed-node", "the operands of a product do not have the axes it multiplies")
        for label, size in zip(labels, known(value), strict=True):
            sizes.setdefault(label, []).append(size)
        for place in value.places:
            own = replace(place, axis=0)
            if places.setdefault(labels[place.axis], own) != own:
                raise LooksAhead("positions-misaligned", "the factors flatten their positions differently")
    for label, place in places.items():
        if label not in result:
            _summed(operands, label, place, [other for other in places if other in result], conditions)
    kept = tuple(replace(places[label], axis=axis) for axis, label in enumerate(result) if label in places)
    shape = tuple(broadcast_size(sizes[label], symbols) for label in result)  # type: ignore[arg-type]
    where = {label: axis for axis, label in enumerate(result)}
    axes = {i: {a: where[x] for a, x in enumerate(labels) if x in where} for i, _, labels in operands}
    return Result([Value(stable(kept, [value for _, value, _ in operands]), shape)], axes)


def _summed(
    operands: Sequence[tuple[int, Value, Labels]],
    key: str,
    place: Place,
    queries: Sequence[str],
    conditions: set[str] | None,
) -> None:
    """Require that a sum over the positions of `key` leaves out those that are later than the result's own."""
    for _, value, labels in operands:
        for query in queries:
            if place.plain and key in labels and query in labels and value.form is not None:
                axes = labels.index(query) - len(labels), labels.index(key) - len(labels)
                if is_zero(value.form, axes, conditions):
                    return
                if isinstance(value.form, Weights):
                    raise LooksAhead("mask-closes-all", CLOSES_ALL)
    raise LooksAhead(
        "sum-over-positions", "it sums over positions, later ones included, and no causal mask closes them"
    )


CLOSES_ALL = "a position may find all positions up to its own closed: it then looks at all alike, or is no number"


def is_zero(form: Form, axes: tuple[int, int], conditions: set[str] | None) -> bool:
    """Whether a form is 0 where the key is later than the query; what that takes is added to `conditions`."""
    for binary in (False, True) if conditions is not None else (False,):
        scene = Scene(*axes, Order.AHEAD, binary)
        try:
            zero = scene.bounds(form) == ZERO
        except Never:
            return True
        if zero:
            if conditions is not None:
                conditions.update(scene.assumed)
            return True
    return False


def axes_of(value: Value) -> Mapping[int, int]:
    """Return the axes of a result that has those of its operand."""
    return {axis: axis for axis in range(len(known(value)))}
