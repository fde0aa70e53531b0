"""What recurrences remember behind the last position of a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from actcache.passes.causal.registry import Result
from actcache.passes.graph.view import GraphView


@dataclass(frozen=True)
class Last:
    """What a recurrence remembers behind the last position of a call.

    Attributes:
        of: An output of it that has something for each position.
        what: A name for what is remembered; "": what `of` holds at the last position.
    """

    of: str
    what: str


def remembered(view: GraphView, results: Mapping[int, Result]) -> Iterator[tuple[str, Last]]:
    """Yield the tensors that hold it. `results`: of the nodes, by their indices."""
    for index, result in results.items():
        written, recurrence = view.model.graph.node[index].output, result.recurrence
        if recurrence is None or not recurrence.gives:
            continue
        for carried in recurrence.carried:
            if carried.last < len(written) and written[carried.last]:
                shown = carried.shown if recurrence.shows_all else None
                of = recurrence.first if shown is None else shown
                yield written[carried.last], Last(written[of], carried.name if shown is None else "")
