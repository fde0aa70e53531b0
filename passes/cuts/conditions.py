"""What a proof believes of ranks and sizes that onnxruntime does not check, so that the operators do, in every call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

from actcache.passes.cuts.cut import OneUnit, TensorShape, numbers_of
from actcache.passes.graph.nodes import element_bits

if TYPE_CHECKING:
    from actcache.passes.rows import SizeEquation

#: Most units of a call that the operators have numbers for (kMaxPlanRows in custom_ops/src/units/call_plan.h).
MOST_UNITS = 0x7FFFFFFF

#: Number of a frontier tensor, and axis.
Place = tuple[int, int]


@dataclass(frozen=True)
class SizeRule:
    """The size of `place` is `constant` and the sizes of `terms` together."""

    place: Place
    constant: int
    terms: tuple[Place, ...]

    def text(self, names: Sequence[str]) -> str:
        """Return it for people: ``mask[1] = ids[1] + 1``."""
        total, *terms = (f"{names[number]}[{axis}]" for number, axis in (self.place, *self.terms))
        if self.constant or not terms:
            terms.append(str(self.constant))
        return f"{total} = {' + '.join(terms)}"

    def problem(self, frontier: Sequence[TensorShape]) -> str | None:
        """Return in words why it does not hold; None if it does."""
        sizes = [frontier[number].sizes for number, _ in (self.place, *self.terms)]
        axes = [axis for _, axis in (self.place, *self.terms)]
        if any(axis >= len(own) for own, axis in zip(sizes, axes, strict=True)):
            return "an axis is missing"
        total, *terms = (own[axis] for own, axis in zip(sizes, axes, strict=True))
        wanted = self.constant + sum(terms)
        return None if total == wanted else f"{total} is not {wanted}"


@dataclass(frozen=True)
class Breach:
    """Why a proof does not apply to a call: the number for the operators, and in words."""

    why: OneUnit
    text: str


def other_rank(
    ranks: Sequence[int | None], frontier: Sequence[TensorShape], names: Sequence[str], what: str
) -> Breach | None:
    """Return a tensor that has another rank than was believed, if one has. No `ranks`: any. `what` is proven."""
    for name, tensor, rank in zip(names, frontier, ranks, strict=False):
        if rank is not None and rank != len(tensor.sizes):
            return Breach(OneUnit.RANK, f"'{name}' has {len(tensor.sizes)} axes, its {what} are proven for {rank}")
    return None


def broken_rule(rules: Sequence[SizeRule], frontier: Sequence[TensorShape], names: Sequence[str]) -> Breach | None:
    """Return the first rule that does not hold."""
    for rule in rules:
        problem = rule.problem(frontier)
        if problem is not None:
            return Breach(OneUnit.SIZES, f"{rule.text(names)} does not hold: {problem}")
    return None


def other_size(known: dict[str, int], name: str, tensor: TensorShape, axis: int, what: str) -> Breach | None:
    """Add to `known` how many `what` the tensor has along `axis`; return why it cannot be divided like the others."""
    if axis >= len(tensor.sizes):
        return Breach(OneUnit.NO_AXIS, f"'{name}' has no axis {axis}")
    if not _has_whole_bytes(tensor.dtype):
        return Breach(OneUnit.PART_BYTES, f"the {what} of '{name}' are not whole bytes")
    known[name] = tensor.sizes[axis]
    if len(set(known.values())) == 1:
        return None
    sizes = ", ".join(f"'{earlier}' {count}" for earlier, count in known.items())
    return Breach(OneUnit.UNEQUAL, f"its inputs have different numbers of {what}: {sizes}")


def _has_whole_bytes(dtype: int) -> bool:
    """Whether units of a type can be told apart by the operators, which know the types up to int4."""
    known = dtype <= onnx.TensorProto.INT4 and element_bits(dtype) >= 8
    return known or dtype == onnx.TensorProto.STRING


def condition_attributes(ranks: Sequence[int | None], sizes: Sequence[SizeRule]) -> list[onnx.AttributeProto]:
    """Return the attributes of ``CacheLookup``. Several tools cannot write an empty list: it is left out."""
    found = []
    if sizes:
        numbers = [number for rule in sizes for number in _numbers(rule)]
        found.append(onnx.helper.make_attribute("size_equations", numbers))
    if ranks:
        found.append(onnx.helper.make_attribute("input_ranks", numbers_of(ranks)))
    return found


def size_rules_of(equations: Iterable[SizeEquation], frontier: Sequence[str]) -> Iterator[SizeRule]:
    """Yield what has to hold between the sizes of a frontier, each rule once."""
    place = {name: number for number, name in enumerate(frontier)}
    for equation in dict.fromkeys(equations):
        total, axis = equation.axis
        terms = tuple((place[name], axis) for name, axis in equation.terms)
        yield SizeRule((place[total], axis), equation.constant, terms)


def size_rules(flat: Sequence[int]) -> Iterator[SizeRule]:
    """Read the attribute ``size_equations`` back."""
    at = 0
    while at < len(flat):
        end = at + 2 + 2 * flat[at]
        place, *terms = zip(flat[at + 2 : end : 2], flat[at + 3 : end : 2], strict=True)
        yield SizeRule(place, flat[at + 1], tuple(terms))
        at = end


def _numbers(rule: SizeRule) -> list[int]:
    """The attribute: how many axes, the constant, then tensor and axis of the sum and of each term."""
    places = (rule.place, *rule.terms)
    return [len(places), rule.constant, *(number for place in places for number in place)]
