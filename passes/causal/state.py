"""The lattice of the causal analysis, and the abstract value it gives every tensor.

A call has S positions. f is *stable* along some axes of size S if it gives the first P positions alone what it gives
them in the whole: f(x[:P]) = f(x)[:P], along all of these axes together, for every P. With one such axis, position t
of the result depends on positions 0 … t of the inputs, and not on S. With two, entry (t, j) depends on positions up to
the larger one: scores are like that. Each state is a statement that holds for every S and every (finite) data:

===========  ========================================================================================
``Fixed``    neither the value nor the shape depends on what lies at positions, or on S
``Counted``  depends on S and on the numbers of positions, not on data; stable along its places if it says so
``Causal``   depends on data, and is stable along its places
``Ahead``    nothing is proven; carries the refusal that says where it began
===========  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from actcache.passes.causal.forms import Form
from actcache.passes.refusal import Refusal
from actcache.passes.rows.sizes import ONE, N, Size, const
from actcache.passes.rows.state import Content, Shape

#: The number of positions of a call. (The sizes of the row analysis have one distinguished unknown: here it is S.)
S = N


@dataclass(frozen=True, slots=True)
class Place:
    """Where positions lie.

    Axis `axis` has size before·S·block, and position t has `block` entries in each part. Or there are `lead` entries
    in front that no position changes, and `tail` entries behind that all of them may: padding, for convolutions. Behind
    these are `behind` entries that no position along this axis changes. A `lead` of -1: the first position has no
    entry, so there are S - 1.
    """

    axis: int
    block: Size = ONE
    before: Size = ONE
    lead: int = 0
    tail: int = 0
    behind: int = 0

    @property
    def single(self) -> bool:
        """Whether each position has one entry."""
        return self.block == ONE and self.before == ONE

    @property
    def bounded(self) -> bool:
        """Whether there are other entries at the ends, or the first position has none."""
        return bool(self.lead or self.tail or self.behind)

    @property
    def begins(self) -> bool:
        """Whether the axis begins with exactly the S positions, and no other entry depends on these."""
        return self.single and not self.lead and not self.tail

    @property
    def plain(self) -> bool:
        """Whether the axis holds exactly the S positions."""
        return self.begins and not self.behind

    @property
    def size(self) -> Size:
        """The size of the axis."""
        return self.before * S * self.block + const(self.lead + self.tail + self.behind)

    def bordered(self, front: int, back: int) -> Place | None:
        """Return the place with more entries at both ends that no position changes; None as :meth:`widened`."""
        if front < 0 or back < 0 or self.tail or not self.single:
            return self.widened(front, back)
        return replace(self, lead=self.lead + front, behind=self.behind + back)

    def trimmed(self, front: int, back: int) -> Place | None:
        """Return the place with entries less at both ends; None as :meth:`widened`."""
        if not front and back <= self.behind:
            return replace(self, behind=self.behind - back)
        return self.widened(-front, -back) or self._without_one(front, back)

    def _without_one(self, front: int, back: int) -> Place | None:
        """Without the first position, or without the last: what is left is taken to stand for the next position."""
        one_less = self.plain and (front, back) in ((0, 1), (1, 0))
        return replace(self, lead=-1) if one_less else None

    def widened(self, front: int, back: int) -> Place | None:
        """Return the place with entries more, or less, at both ends; None: then an entry depends on a later position.

        Where more goes than was added behind, what is left stands for later positions than it was made of.
        """
        tail = self.tail + self.behind + back
        lead = self.lead + front + min(0, tail)
        fits = self.single and lead >= 0
        return replace(self, lead=lead, tail=max(0, tail), behind=0) if fits else None


#: By axis, ascending.
Places: TypeAlias = tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same whatever lies at positions, and for every S."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A function of S and of positions' numbers. Not `stable`: it may change with S everywhere."""

    places: Places = ()
    stable: bool = False


@dataclass(frozen=True, slots=True)
class Causal:
    """Data that is stable along its places (at least one)."""

    places: Places


@dataclass(frozen=True, slots=True)
class Ahead:
    """Not proven; `refusal` is the first cause."""

    refusal: Refusal


State: TypeAlias = Fixed | Counted | Causal | Ahead
FIXED = Fixed()


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What is known about one tensor.

    Attributes:
        state: See the module's table.
        shape: Symbolic sizes; None when the rank is unknown. Always known for states with places.
        content: The elements, for small integer tensors that no data changes.
        constant: The value, for constants that were read.
        form: How entries are computed from their positions, where that may matter for masks.
        read: Reads a constant that was not.
    """

    state: State
    shape: Shape | None = None
    content: Content | None = None
    constant: npt.NDArray[np.generic] | None = None
    form: Form | None = None
    read: Callable[[], npt.NDArray[np.generic] | None] | None = None

    def array(self) -> npt.NDArray[np.generic] | None:
        """The elements of a constant; None for others, and where they cannot be read."""
        return self.read() if self.constant is None and self.read is not None else self.constant

    @property
    def is_constant(self) -> bool:
        """Whether it is a constant of the model."""
        return self.constant is not None or self.read is not None

    @property
    def places(self) -> Places:
        """Where its positions lie."""
        return self.state.places if isinstance(self.state, Counted | Causal) else ()

    @property
    def data(self) -> bool:
        """Whether what lies at positions is in it."""
        return isinstance(self.state, Causal)

    @property
    def stable(self) -> bool:
        """Whether the first positions do not depend on how many there are."""
        return not isinstance(self.state, Counted) or self.state.stable


class LooksAhead(Exception):
    """Raised by a rule that cannot prove anything about its result; never seen outside this package.

    Args:
        rule: Slug for counting and tests.
        reason: A sentence for the author of the model.
    """

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason
