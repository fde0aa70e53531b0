"""The lattice of the row analysis, and the abstract value it gives every tensor.

Let the row inputs be cut into N rows along their hypothesised axes. Each state is a statement about a tensor
that holds for every N and every choice of rows:

==================  =================================================================================
``RowFree``         neither the value nor the shape depends on the rows or on N
``Row(axis, b)``    axis `axis` has size N·b; the b entries from i·b on, called *row i*, depend only on
                    row i of the inputs and on row-free values, neither on i nor on N. With p `before`,
                    the size is p·N·b, and row i has b entries in each of the p parts: [S, N] flattened
``RowIndex(axis)``  axis `axis` has size N and the value there is i·stride, the row's position for stride 1;
                    without a stride it is some function of the position and of row-free values
``RowCoords(axis)`` rows along `axis`; the last axis holds coordinates: first the row's own position i,
                    then values that depend on row i only (what ``GatherND`` reads)
``RowOffset(axis)`` axis `axis` has size N and the value there is i·block + v, where v depends on row i only
                    and 0 ≤ v < block: it points into row i of rows flattened in blocks
``BatchSize``       a function of N and row-free values
``Mixed``           nothing is known; carries the refusal that says where it began
==================  =================================================================================

So if the rows of all row inputs are permuted, duplicated or cut to a subset, the rows of a ``Row`` tensor
follow in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from actcache.passes.refusal import Refusal
from actcache.passes.rows.sizes import ONE, Size

#: Sizes of all axes.
Shape: TypeAlias = tuple[Size, ...]
#: Elements of a small integer tensor: a numpy array of :class:`Size` objects.
Content: TypeAlias = "npt.NDArray[np.object_]"


@dataclass(frozen=True, slots=True)
class RowFree:
    """Depends neither on the rows nor on N."""


@dataclass(frozen=True, slots=True)
class Row:
    """Row i along `axis`, `block` consecutive entries in each of `before` parts, depends on row i of the inputs."""

    axis: int
    block: Size = ONE
    before: Size = ONE

    @property
    def plain(self) -> bool:
        """Whether the axis holds exactly the N rows."""
        return self.block == ONE and self.before == ONE


@dataclass(frozen=True, slots=True)
class RowIndex:
    """The row's position along `axis` times `stride`; with no stride, some function of the position."""

    axis: int
    stride: Size | None = ONE

    @property
    def exact(self) -> bool:
        """Whether the value is the position itself."""
        return self.stride == ONE


@dataclass(frozen=True, slots=True)
class RowCoords:
    """Coordinates on the last axis: the row's own position, then values of that row alone."""

    axis: int


@dataclass(frozen=True, slots=True)
class RowOffset:
    """A place within the row's own block of a flattened tensor: i·block + v, 0 ≤ v < block."""

    axis: int
    block: Size


@dataclass(frozen=True, slots=True)
class BatchSize:
    """A function of N and of row-free values."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """Not proven; `refusal` is the first cause."""

    refusal: Refusal


#: States that know where in the batch a row stands.
Positional: TypeAlias = RowIndex | RowCoords | RowOffset
State: TypeAlias = RowFree | Row | Positional | BatchSize | Mixed
ROW_FREE = RowFree()
BATCH_SIZE = BatchSize()

#: Rule of the refusal of a node that no run gets past: what follows it holds of no successful run.
ALWAYS_FAILS = "always-fails"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What is known about one tensor.

    Attributes:
        state: See the module's table.
        shape: Symbolic sizes; None when the rank is unknown. Always known for the states with an axis.
        content: The elements, for small integer tensors that are ``RowFree`` or ``BatchSize``.
        constant: The value, for small constants of any type.
        below: For integers: all elements are known to be in 0 … below - 1; those of ``RowOffset`` after i·block.
    """

    state: State
    shape: Shape | None = None
    content: Content | None = None
    constant: npt.NDArray[np.generic] | None = None
    below: Size | None = None

    @property
    def row(self) -> Row | None:
        """The state, when the tensor is proven to be rows."""
        return self.state if isinstance(self.state, Row) else None

    @property
    def number(self) -> bool:
        """Whether no row's data is in it: ``RowFree`` or ``BatchSize``."""
        return isinstance(self.state, RowFree | BatchSize)

    @property
    def known_shape(self) -> tuple[int, ...] | None:
        """The shape, when every size is a known number."""
        if self.shape is None:
            return None
        sizes = [size.value for size in self.shape]
        return None if None in sizes else tuple(s for s in sizes if s is not None)


class Mixes(Exception):
    """Raised by a rule that cannot prove anything about its result; never seen outside this package.

    Args:
        rule: Slug for counting and tests.
        reason: A sentence for the author of the model.
    """

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason


class Draws(Mixes):
    """Raised by a rule for a node that draws random numbers: no two runs agree, whatever it reads."""
