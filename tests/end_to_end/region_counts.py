"""What the process has counted for a region of a compiled model, however many others have its nodes, or its name."""

from __future__ import annotations

from typing import Any

import actcache
from actcache.compile.result import CompiledRegion


def counts_of(region: CompiledRegion) -> dict[str, Any]:
    """Return its entry of ``stats()``; empty as long as no session has it."""
    regions: dict[str, dict[str, Any]] = actcache.stats()["regions"]
    own = region.candidate.region.id
    mine = [
        counts
        for name, counts in regions.items()
        # Behind the @ stands a fingerprint, where another region was the first to have the name.
        if (name == own or name.startswith(f"{own}@")) and counts["fingerprint"] == region.fingerprint
    ]
    assert len(mine) <= 1, "two regions of one name have the same nodes"
    return mine[0] if mine else {}
