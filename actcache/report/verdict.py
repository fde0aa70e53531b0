"""Is it worth it? The answer, and the sentence that gives the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actcache.audit.outcomes import DIFFERENT
from actcache.report.facts import Facts
from actcache.report.summary import REUSED_ROWS
from actcache.report.wording import count, duration, percent, several

#: Rows below which nothing is said: a few calls after a start tell little.
_FEWEST_ROWS = 100
#: Share of the time below which a saving, or a loss, makes no difference.
_NO_DIFFERENCE = 0.01
#: Points of reuse by which the end of a log has to differ from all of it to be mentioned.
_CHANGED = 0.05


@dataclass(frozen=True)
class Verdict:
    """What a reader wants to know first.

    Attributes:
        kind: Its class in the style sheet, too.
        title: The answer in a few words.
        why: The reason, in one or two sentences.
    """

    kind: Literal["pays", "even", "loses", "unknown", "wrong"]
    title: str
    why: str


def judge(facts: Facts) -> Verdict:
    """Return the verdict on an audit log."""
    different = sum(region.results[DIFFERENT] for region in facts.regions)
    if different:
        found = f"Verification found {several(different, facts.unit[:-1])} different from what was stored"
        return Verdict("wrong", "Check the results first.", f"{found}. {_reuse(facts)}")
    if not facts.looked_up:
        passed = f"All {count(facts.rows)} {facts.unit} passed by the cache" if facts.rows else "Nothing was looked up"
        return Verdict("unknown", "Not known yet.", f"{passed} while this was recorded.")
    if facts.looked_up < _FEWEST_ROWS or not facts.uncached_seconds:
        few = f"Only {several(facts.looked_up, facts.unit[:-1])} were looked up, too few to tell."
        return Verdict("unknown", "Not known yet.", f"{few} {_reuse(facts)}")
    why = _reuse(facts) + _lately(facts)
    if abs(facts.saved_share) < _NO_DIFFERENCE:
        return Verdict("even", "It makes no difference.", why)
    return Verdict("pays", "It pays.", why) if facts.net_seconds > 0 else Verdict("loses", "It does not pay.", why)


def _reuse(facts: Facts) -> str:
    reused = f"{percent(facts.hit_ratio)} of the {facts.unit} were not computed again"
    if facts.net_seconds < 0:
        more = duration(-facts.net_seconds)
        return f"{reused}, but looking for them cost {more} more than that saved."
    whole = f" ({percent(facts.net_seconds / facts.model_seconds)} of the whole model)" if facts.model_seconds else ""
    return f"{reused}. That saved {duration(facts.net_seconds)}{whole}."


def _lately(facts: Facts) -> str:
    """Say what share was reused in the last quarter of the time, if it was another: a store fills, traffic changes."""
    sums = facts.summary.timeline.sums()[:, :2]
    last = sums[-(len(sums) // 4) :] if len(sums) >= 4 else sums  # of reused and computed rows
    rows = last.sum()
    if rows < _FEWEST_ROWS:
        return ""
    lately = float(last[:, REUSED_ROWS].sum() / rows)
    if abs(lately - facts.hit_ratio) < _CHANGED:
        return ""
    return f" In the last quarter of the time, {percent(lately)} were reused."
