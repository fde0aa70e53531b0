"""Prefixes of sequences, where positions are proven to depend on earlier ones only (:mod:`actcache.passes.causal`).

A unit is a block of positions of one row of the batch. Its results hold for whatever follows it, and only behind what
stands before it: so its key covers all earlier blocks of its row. A call takes the longest known chain of blocks that
all its rows have, P positions, and the region computes the positions behind them: the *suffix*.

Beside live-outs an entry holds **states**: what later positions of the region read of earlier ones. The branch reads
those of the first P positions from ``CacheLookup``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.cuts.conditions import (
    MOST_UNITS,
    SizeRule,
    broken_rule,
    condition_attributes,
    other_rank,
    other_size,
    size_rules,
    size_rules_of,
)
from actcache.passes.cuts.cut import Cut, Granularity, OneUnit, TensorShape, Units, axes_of, numbers_of
from actcache.passes.cuts.ends import End, Layout

if TYPE_CHECKING:  # those who read cuts of compiled models prove nothing
    from actcache.passes.causal import CausalProof
    from actcache.passes.rows import RowProof

#: Fewest positions that are computed if any are: kernels for a single one give other bits.
MIN_SUFFIX = 2


@dataclass(frozen=True)
class PrefixCut(Cut):
    """Blocks of positions of every row. A call to which the proof does not apply is computed without the cache.

    `frontier_axes` and `live_out_axes` are those of the batch; where all of them are None the batch is one row.
    `live_out_axes` and what follows per live-out is of the live-outs and then of the states.

    Attributes:
        frontier_positions: Per frontier tensor the axis of the positions; None: it belongs to all positions, and every
            key covers it. At least one has positions.
        live_out_positions: Likewise per live-out and state. All have positions.
        live_out_ranks: Their ranks, by which ``CacheLookup`` hands out empty tensors where nothing is known.
        live_out_sizes: Per live-out and state the sizes of its axes, as far as they are fixed. Without them a call of
            no positions may fail, where the original does not: onnxruntime cannot put empty tensors of different
            sizes together.
        states: How many of the last live-outs are states.
        ends: How many of the last states are ends: what is known behind the last position of a call alone, such as the
            cell state of an LSTM. The entry of that position has it.
        ends_handed_on: Whether ends are read behind the region. Then a call is found as a whole only if its last
            position has them in all rows.
        block: Positions of a unit. What is left over at the end of a call is computed, and not stored.
        min_suffix: Fewest positions that are computed, if any are (and the call has so many).
        sizes: As :attr:`RowCut.sizes`.
        ranks: As :attr:`RowCut.ranks`.
        binary: Numbers of frontier tensors that have to be masks: all elements 0 or 1, and 1 at the first position.
        ones: Numbers of those that have to be 1 everywhere.
    """

    granularity: ClassVar[Granularity] = "prefix"

    frontier_positions: tuple[int | None, ...] = ()
    live_out_positions: tuple[int | None, ...] = ()
    live_out_ranks: tuple[int, ...] = ()
    live_out_sizes: tuple[tuple[int | None, ...], ...] = ()
    states: int = 0
    ends: int = 0
    ends_handed_on: bool = False
    block: int = 1
    min_suffix: int = MIN_SUFFIX
    sizes: tuple[SizeRule, ...] = ()
    ranks: tuple[int | None, ...] = ()
    binary: tuple[int, ...] = ()
    ones: tuple[int, ...] = ()

    @classmethod
    def proven(
        cls,
        proof: CausalProof,
        rows: RowProof | None,
        frontier: Sequence[str],
        kept: Sequence[str],
        states: int,
        positions: Mapping[str, int],
        ends: Sequence[End] = (),
    ) -> PrefixCut:
        """Return the cut that proofs allow for a region.

        Args:
            proof: Of the positions.
            rows: Of the rows of the batch; None: all of it is one row.
            frontier: What the region reads.
            kept: Its live-outs and then its states, without ends. All have an axis of positions.
            states: How many of them are states.
            positions: The frontier tensors with positions, and their axes.
            ends: Its ends.
        """
        equations = [*(proof.size_equations(frontier) or ()), *((rows and rows.size_equations(frontier)) or ())]
        ranks = proof.ranks(frontier) | (rows.ranks(frontier) if rows else {})
        layouts = [Layout.proven(proof, rows, each) for each in (*map(End, kept), *ends)]
        return cls(
            tuple(rows.row_axis(name) if rows else None for name in frontier),
            tuple(layout.row_axis for layout in layouts),
            frontier_positions=tuple(positions.get(name) for name in frontier),
            live_out_positions=tuple(layout.position_axis for layout in layouts),
            live_out_ranks=tuple(len(layout.sizes) for layout in layouts),
            live_out_sizes=tuple(layout.sizes for layout in layouts),
            states=states + len(ends),
            ends=len(ends),
            sizes=tuple(size_rules_of(equations, frontier)),
            ranks=tuple(ranks.get(name) for name in frontier) if ranks else (),
            binary=tuple(map(list(frontier).index, proof.binary_inputs)),
            ones=tuple(map(list(frontier).index, proof.ones_inputs)),
        )

    @property
    def position_axes(self) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
        """The axes of positions; see :attr:`Cut.position_axes`."""
        return self.frontier_positions, self.live_out_positions

    @property
    def compact_axes(self) -> tuple[int | None, ...]:
        """The positions; see :attr:`Cut.compact_axes`."""
        return self.frontier_positions

    @classmethod
    def read(cls, attributes: Mapping[str, Any]) -> PrefixCut:
        """Return the cut that attributes of a ``CacheLookup`` describe; see :meth:`Cut.read`."""
        masks = attributes.get("binary_inputs", [])
        return cls(
            axes_of(attributes["input_row_axes"]),
            axes_of(attributes["output_row_axes"]),
            frontier_positions=axes_of(attributes["input_position_axes"]),
            live_out_positions=axes_of(attributes["output_position_axes"]),
            live_out_ranks=tuple(attributes["output_ranks"]),
            live_out_sizes=_per_tensor(axes_of(attributes.get("output_sizes", [])), attributes["output_ranks"]),
            states=attributes.get("states", 0),
            ends=attributes.get("ends", 0),
            ends_handed_on=bool(attributes.get("ends_handed_on", 0)),
            block=attributes.get("block", 1),
            min_suffix=attributes.get("min_suffix", MIN_SUFFIX),
            sizes=tuple(size_rules(attributes.get("size_equations", []))),
            ranks=axes_of(attributes.get("input_ranks", [])),
            binary=tuple(number for number in masks if number >= 0),
            ones=tuple(-1 - number for number in masks if number < 0),
        )

    def attributes(self) -> list[onnx.AttributeProto]:
        """Return the attributes that both operators have."""
        make = onnx.helper.make_attribute
        counts = {"states": self.states, "ends": self.ends}
        return [
            *super().attributes(),
            make("output_position_axes", numbers_of(self.live_out_positions)),
            make("block", self.block),
            *(make(name, count) for name, count in counts.items() if count),
        ]

    def lookup_attributes(self) -> list[onnx.AttributeProto]:
        """Return those that only ``CacheLookup`` has."""
        make = onnx.helper.make_attribute
        masks = [*self.binary, *(-1 - number for number in self.ones)]
        return [
            *super().lookup_attributes(),
            make("input_position_axes", numbers_of(self.frontier_positions)),
            make("output_ranks", self.live_out_ranks),
            make("min_suffix", self.min_suffix),
            *([make("output_sizes", numbers_of(list(chain(*self.live_out_sizes))))] if self.live_out_sizes else []),
            *condition_attributes(self.ranks, self.sizes),
            *([make("ends_handed_on", 1)] if self.ends_handed_on else []),
            *([make("binary_inputs", masks)] if masks else []),
        ]

    def closed_mask(self, frontier: Sequence[object]) -> int | None:
        """Return the number of a frontier tensor that has to be a mask, as :attr:`binary` and :attr:`ones` say, and is
        none; None: all are.
        """
        for number in (*self.binary, *self.ones):
            wanted = MaskOpen.ALL if number in self.ones else MaskOpen.FIRST
            if mask_open(np.asarray(frontier[number]), self.frontier_positions[number] or 0) < wanted:
                return number
        return None

    def units(self, frontier: Sequence[TensorShape], names: Sequence[str] = ()) -> Units:
        """Return the blocks of a call, all rows' together; none where it is computed without the cache. See
        :meth:`Cut.units`.
        """
        names = names or [str(number) for number in range(len(frontier))]
        breach = other_rank(self.ranks, frontier, names, "positions")
        if breach is not None:
            return Units(0, breach.why, breach.text)
        counts: dict[str, dict[str, int]] = {"rows": {}, "positions": {}}
        for name, tensor, *axes in zip(names, frontier, self.frontier_axes, self.frontier_positions, strict=True):
            for (what, known), axis in zip(counts.items(), axes, strict=True):
                breach = None if axis is None else other_size(known, name, tensor, axis, what)
                if breach is not None:
                    return Units(0, breach.why, breach.text)
        rows = next(iter(counts["rows"].values()), 1)
        positions = next(iter(counts["positions"].values()), None)
        if positions is None:
            return Units(0, OneUnit.NO_AXIS, "no input of its region has positions")
        if rows * positions > MOST_UNITS:
            text = f"it has {rows} rows of {positions} positions, together more than {MOST_UNITS}"
            return Units(0, OneUnit.TOO_MANY, text)
        breach = broken_rule(self.sizes, frontier, names)
        return Units(rows * (positions // self.block)) if breach is None else Units(0, breach.why, breach.text)


class MaskOpen(IntEnum):
    """How far a mask of 0 and 1 is open."""

    NO = 0  #: It holds something else, or closes the first position.
    FIRST = 1  #: It closes some positions, but not the first one.
    ALL = 2  #: It closes none.


def mask_open(array: npt.NDArray[Any], axis: int) -> MaskOpen:
    """Return how far an array is a mask of positions along an axis."""
    mask = np.moveaxis(array, axis, 0)
    if (mask == 1).all():
        return MaskOpen.ALL
    return MaskOpen(bool(((mask == 0) | (mask == 1)).all() and (mask[:1] == 1).all()))


def _per_tensor(sizes: Sequence[int | None], ranks: Sequence[int]) -> tuple[tuple[int | None, ...], ...]:
    rest = iter(sizes)
    return tuple(tuple(islice(rest, rank)) for rank in ranks) if sizes else ()
