"""What the page states: sums over regions, and how they are to be understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from actcache.audit.outcomes import DIFFERENT
from actcache.errors import UnsupportedAudit
from actcache.model.compiled_model import CompiledModel
from actcache.model.manifest import region_entry
from actcache.report.curve import Curve, CurvePoint
from actcache.report.regions import RegionSums
from actcache.report.summary import Summary
from actcache.report.wording import several, some

#: What a busy processor core is taken to draw, in watts, where nobody says: a server's 250 W over 24 cores.
ASSUMED_WATTS = 10.0


@dataclass(frozen=True)
class Facts:
    """An audit log, the model that it is about, and what follows from both.

    Attributes:
        audit: The log.
        summary: What it says.
        curve: What other budgets would give; None: it has no keys.
        budget: The budget to look at: the one asked for, else the log's; None: neither.
        watts: Of a busy core, for the estimate of energy.
        model: The compiled model, if it was given.
        of_model: That model's regions in the log, by their ids.
    """

    audit: Path
    summary: Summary
    curve: Curve | None
    budget: int | None
    watts: float
    model: CompiledModel | None = None
    of_model: Mapping[str, RegionSums] = field(default_factory=dict)

    @property
    def regions(self) -> Sequence[RegionSums]:
        """All regions of the log."""
        return list(self.summary.regions)

    @cached_property
    def lost(self) -> Sequence[int]:
        """Per region the rows that were computed although they had been computed before (an estimate, if sampled)."""
        found: list[int] = self.summary.sample.computed_before(len(self.regions)).tolist()
        return found

    @property
    def held_bytes(self) -> float | None:
        """What the store held at the end, about; None: the log begins too late to tell."""
        held = self.summary.regions.held_bytes
        return None if self.summary.first_part > 1 else min(held, self.summary.budget or held)

    def knob(self, name: str) -> Any:
        """Return what a knob was last, as far as the log says; None: its default."""
        return self.summary.config.get(name)

    @property
    def has_tier(self) -> bool:
        """Whether there was a store on a disk or a server."""
        return bool(self.knob("disk_path") or self.knob("remote_url"))

    @property
    def unit(self) -> str:
        """What is counted: rows; or positions or calls, if all regions have such entries."""
        kinds = {region.granularity for region in self.regions}
        return {"prefix": "positions", "tensor": "calls"}.get(kinds.pop(), "rows") if len(kinds) == 1 else "rows"

    @property
    def rows(self) -> int:
        """Rows of all lookups of all regions."""
        return sum(region.rows for region in self.regions)

    @property
    def reused(self) -> int:
        """Rows that were not computed."""
        return sum(region.reused for region in self.regions)

    @property
    def hit_ratio(self) -> float:
        """Share of the rows looked up that were not computed."""
        return self.reused / self.looked_up if self.looked_up else 0.0

    @property
    def looked_up(self) -> int:
        """Rows that were not bypassed."""
        return sum(region.looked_up for region in self.regions)

    @property
    def overhead_seconds(self) -> float:
        """Spent on looking up and storing."""
        return sum(region.overhead_seconds for region in self.regions)

    @property
    def net_seconds(self) -> float:
        """Time saved, after overheads."""
        return sum(region.saved_seconds for region in self.regions) - self.overhead_seconds

    @property
    def uncached_seconds(self) -> float:
        """What the rows looked up would have taken without a cache.

        Computing a region includes those inside it, which only the model tells.
        """
        return sum(self.own_seconds(region) for region in self.regions)

    def own_seconds(self, region: RegionSums) -> float:
        """What a region's rows would have taken without a cache, without what those inside it were computed in."""
        lookups = self.model.lookups if self.model else ()
        inside = (self.of_model[x.id] for x in lookups if x.id in self.of_model and self._sums(x.outer) is region)
        return max(region.uncached_seconds - sum(inner.computing_seconds for inner in inside), region.saved_seconds)

    def _sums(self, lookup: str | None) -> RegionSums | None:
        return self.of_model.get(lookup) if lookup is not None else None

    @property
    def saved_share(self) -> float:
        """Share of that time that was saved, after overheads."""
        return self.net_seconds / self.uncached_seconds if self.uncached_seconds else 0.0

    @property
    def model_seconds(self) -> float | None:
        """What the whole model would have taken, by the shares that were measured when it was compiled."""
        if self.model is None:
            return None
        entries = {name: region_entry(self.model.manifest, name).get("time_share") for name in self.of_model}
        shares = [share for name, share in entries.items() if share and name not in self._inner_ids]
        return self.uncached_seconds / min(sum(shares), 1.0) if shares else None

    @property
    def _inner_ids(self) -> set[str]:
        return {lookup.id for lookup in self.model.lookups if lookup.outer is not None} if self.model else set()

    @property
    def joules(self) -> float:
        """Energy saved, estimated."""
        return self.net_seconds * self.watts

    @property
    def twice(self) -> CurvePoint | None:
        """What twice the budget would give."""
        return self.curve.at(2 * self.budget) if self.curve and self.budget else None

    @property
    def here(self) -> CurvePoint | None:
        """What the curve says of the budget itself."""
        return self.curve.at(self.budget) if self.curve and self.budget else None

    def notes(self) -> list[str]:
        """What a reader has to know before believing the numbers, in sentences."""
        found = []
        summary = self.summary
        if summary.dropped:
            found.append(
                f"{several(summary.dropped, 'event')} missing: the buffer was full. Sums lack what they would"
                " have added; a larger audit_buffer_bytes keeps more."
            )
        if summary.broken:
            found.append(f"Skipped {several(summary.broken, 'line')} that cannot be read.")
        if summary.unknown:
            found.append(f"Skipped {several(summary.unknown, 'line')} about what this actcache does not know.")
        if len(summary.processes) > 1:
            found.append(
                f"{len(summary.processes)} processes wrote this. Each began with an empty store, and equal inputs have"
                " other keys in each: what is said of keys and budgets counts them apart."
            )
        if summary.first_part > 1:
            found.append("The log was rotated and its first files are gone: what came before is not in these numbers.")
        if not self.rows:
            found.append("Nothing was looked up while this was recorded.")
        idle = [region.id for region in self.regions if region.state != "active"]
        if idle:
            found.append(f"Not looked up at the end: {some(idle)} (see events).")
        different = sum(region.results[DIFFERENT] for region in self.regions)
        if different:
            found.append(f"Verification found {several(different, self.unit[:-1])} different from what was stored.")
        if self.model is not None:
            unseen = [lookup.id for lookup in self.model.lookups if lookup.id not in self.of_model]
            if unseen:
                found.append(f"Regions of the model that the log has no lookups of: {some(unseen)}.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the most important ones, as ``actcache report --json`` prints them."""
        point = self.twice
        return {
            "audit": str(self.audit),
            "unit": self.unit,
            "rows": self.rows,
            "reused": self.reused,
            "hit_ratio": round(self.hit_ratio, 6),
            "saved_seconds": round(self.net_seconds, 6),
            "saved_share": round(self.saved_share, 6),
            "estimated_joules": round(self.joules, 3),
            "budget_bytes": self.budget,
            "working_set_bytes": self.curve.working_set if self.curve else None,
            "hit_ratio_twice_budget": round(point.reuse, 6) if point else None,
            "regions": [
                {
                    "id": region.id,
                    "fingerprint": region.fingerprint,
                    "rows": region.rows,
                    "hit_ratio": round(region.hit_ratio, 6),
                    "saved_seconds": round(region.saved_seconds - region.overhead_seconds, 6),
                }
                for region in self.regions
            ],
            "dropped": self.summary.dropped,
            "broken": self.summary.broken,
            "notes": self.notes(),
        }


def regions_of_model(model: CompiledModel, audit: Path, regions: Sequence[RegionSums]) -> dict[str, RegionSums]:
    """Return a model's regions in a log, by their ids.

    Raises:
        UnsupportedAudit: The log has lookups, and none of this model.
    """
    by_fingerprint = {region.fingerprint: region for region in regions}
    found = {x.id: by_fingerprint[x.fingerprint] for x in model.lookups if x.fingerprint in by_fingerprint}
    if regions and not found:
        named = ", ".join(region.id for region in regions[:3])
        problem = (
            f"it was not recorded with {model.path.name}: no region has the fingerprint of one of its lookups ({named})"
        )
        raise UnsupportedAudit(problem, file=audit, hint="give the compiled model that was in use then")
    return found
