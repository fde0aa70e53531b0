"""What an audit log says of the rows of a call of prefixes: up to where each was known, and why not further.

The rows of a call are told apart by the input that is explained, as logs of earlier versions do not say how long they
are. The key of a position covers all before it in its row, so that equal keys are equal beginnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from actcache.audit.logged_decisions import Decision, History
from actcache.audit.outcomes import AGAIN, BYPASSED, REFRESHED, REUSED
from actcache.inspection.array_difference import row_bits
from actcache.inspection.call_comparison import Array, Why
from actcache.inspection.logged_reasons import Reasons
from actcache.inspection.prefix_comparison import sequences_of
from actcache.model.compiled_model import Lookup
from actcache.passes.cuts import PrefixCut


def equal_beginnings(lookup: Lookup, cut: PrefixCut, values: Mapping[str, Array]) -> list[int]:
    """Return for every unit of a call, row by row, the first one that begins as it does up to there."""
    sequences = sequences_of(lookup, cut, values)
    axes = zip(lookup.frontier, cut.frontier_axes, cut.frontier_positions, strict=True)
    whole = [row_bits(values[name], rows) for name, rows, positions in axes if rows is not None and positions is None]
    first: dict[Any, int] = {}
    found: list[int] = []
    for row in range(sequences.count):
        before: Any = tuple(tuple(tensor[row]) for tensor in whole)
        for start in range(0, sequences.length // cut.block * cut.block, cut.block):
            parts = (sequences.row(tensor, row)[start : start + cut.block] for tensor in sequences.tensors)
            block = tuple(tuple(part.ravel()) if part.dtype.kind == "O" else part.tobytes() for part in parts)
            before = first.setdefault((before, block), len(found))
            found.append(before)
    return found


def explain_beginnings(history: History, position: int, decision: Decision, cut: PrefixCut, rows: int) -> Iterator[Why]:
    """Yield what became of every row of the lookup `decision`, the step at `position`, which had so many rows."""
    reasons = Reasons(history, position, decision, unit="beginning")
    earlier = [step for step in history.steps[:position] if isinstance(step, Decision)]
    others = [step for step in earlier if step.region == decision.region and step.keys is not None]
    length = len(decision.outcomes) // rows
    for row in range(rows):
        own = slice(row * length, (row + 1) * length)
        yield _of_row(reasons, others, decision, cut, row, own)


def _of_row(
    reasons: Reasons, others: Sequence[Decision], decision: Decision, cut: PrefixCut, row: int, own: slice
) -> Why:
    letters, keys = decision.outcomes[own], None if decision.keys is None else decision.keys[own]
    used = _leading(letters, REUSED) * cut.block
    known = _leading(letters, REUSED + AGAIN)
    details: dict[str, Any] = {"lookup": decision.call, "known": known * cut.block, "used": used}
    details["positions"] = len(letters) * cut.block
    if used == details["positions"]:
        return Why(decision.region[0], row, "hit", "equal", "all its positions were found", details)
    if known == len(letters):
        text = f"all its positions were there; those from {used} on were computed again, with what follows them"
        text += " or with another row of the call"
        return Why(decision.region[0], row, "miss", "prefix", text, details)
    outcome, reason, text, more = reasons.of(letters[known], None if keys is None else keys[known])
    details |= more
    if letters[known] in BYPASSED + REFRESHED or keys is None:
        return Why(decision.region[0], row, outcome, reason, text, details)
    text = f"{known * cut.block} of its {details['positions']} positions were known; the next was not: {text}"
    shared, nearest = max(((_leading(keys, step.keys or ()), step.call) for step in others), default=(0, 0))
    if shared:
        details |= {"nearest_lookup": nearest, "shared": shared * cut.block}
        common = shared * cut.block
        text += f". Of the earlier lookups, number {nearest} has most positions in common with it: the first {common}"
    if used < known * cut.block:
        text += f"; only {used} were known of another row of the call, so all rows were computed from there on"
    return Why(decision.region[0], row, outcome, reason, text, details)


def _leading(units: Sequence[Any], among: Sequence[Any]) -> int:
    """Return how many of the first units are all among some others."""
    there = set(among)
    return sum(1 for _ in takewhile(there.__contains__, units))
