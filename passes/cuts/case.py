"""What verification asks of a cut: the calls that show whether its units are put together rightly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from actcache.passes.cuts.feeds import Feed


@dataclass(frozen=True)
class Case:
    """One call to compare.

    Attributes:
        name: What messages call it.
        feed: Its inputs.
        prepare: Calls that come first, from an empty cache: what has been seen before.
        repeat: Whether it is made twice.
        follows: It is made where the case before it ended, not from an empty cache.
        anew: Known units may be computed anew beside new ones, and then differ in their last bits from what is kept.
            The second answer is what later calls get.
    """

    name: str
    feed: Feed
    prepare: tuple[Feed, ...] = ()
    repeat: bool = False
    follows: bool = False
    anew: bool = False


@dataclass(frozen=True)
class Part:
    """Some of the units of a call, as a call of their own.

    Attributes:
        feed: The inputs of that call.
        first, end: Which units they are.
        count: How many the whole call has.
    """

    feed: Feed
    first: int
    end: int
    count: int


class Division(msgspec.Struct, frozen=True, tag=True):
    """How the inputs of a model are divided where a cut divides the frontier of a region."""

    def count(self, sample: Feed) -> int:
        """Return how many units a sample has; 0: this division does not apply to it."""
        raise NotImplementedError

    def cases(self, sample: Feed, sequences: Sequence[Sequence[int]] = ()) -> Iterator[Case]:
        """Yield calls that are made of the units of a sample; none, if it has none.

        Args:
            sample: Inputs for one call.
            sequences: Sizes of growing calls that are tried besides.
        """
        raise NotImplementedError

    def parts(self, sample: Feed) -> Iterator[Part]:
        """Yield parts of a sample whose results the original should give as a part of the whole call's."""
        raise NotImplementedError
