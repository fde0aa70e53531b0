"""What to change, ranked by what it would save as far as a log can tell.

Each rule looks at one thing and returns a change or None: ``changes_of_room.py``, ``changes_of_use.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actcache.report import changes_of_room as room
from actcache.report import changes_of_use as use
from actcache.report.change import Change
from actcache.report.facts import Facts

#: Share of the time below which a change is not worth making.
_WORTH_IT = 0.005

_RULES: Sequence[Callable[[Facts], Change | None]] = (
    use.differences, use.nothing_looked_up, room.budget, room.lost_prefixes, room.quota, use.expired, use.verification,
    use.bypass_is_off, use.keys, use.idle, use.nothing_repeats, use.whole_calls, room.large_entries, room.tiers,
    room.disk, room.too_much, use.events,
)  # fmt: skip


def changes(facts: Facts) -> list[Change]:
    """Return what to change: what is urgent, then by gain, then what has no known gain."""
    least = facts.uncached_seconds * _WORTH_IT
    found = [change for rule in _RULES if (change := rule(facts)) is not None]
    wanted = [c for c in found if c.urgent or c.seconds is None or c.seconds > least]
    return sorted(wanted, key=lambda c: (not c.urgent, c.seconds is None, -(c.seconds or 0.0)))
