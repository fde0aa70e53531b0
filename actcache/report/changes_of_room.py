"""Changes of where entries are kept: memory, quotas, tiers."""

from __future__ import annotations

from actcache.audit.outcomes import DISK, REFUSED, REMOTE
from actcache.model.manifest import region_entry
from actcache.report.change import Change, names
from actcache.report.facts import Facts
from actcache.report.regions import RegionSums
from actcache.report.wording import count, percent, size

#: Share of what a larger budget could give at which a budget is large enough.
_NEARLY_ALL = 0.9
#: Rows below which a log is no usual day.
_MANY_ROWS = 100
#: Share of the reused rows that came from a tier from which on memory is small.
_OFTEN = 0.3
#: Evictions for the want of room.
_FOR_ROOM = ("room", "budget", "quota")


def budget(facts: Facts) -> Change | None:
    """A larger store, by the curve."""
    curve, now = facts.curve, facts.summary.budget
    here = curve.at(now) if curve and now else None
    if curve is None or now is None or here is None:
        return None
    possible = [point for point in curve.points if now < point.budget <= (facts.summary.memory or point.budget)]
    most = max((point.time for point in possible), default=here.time)
    if most <= here.time:
        return None
    point = next(p for p in possible if p.time - here.time >= (most - here.time) * _NEARLY_ALL)
    why = (
        f"{facts.unit.capitalize()} came back after their entries had left, or had found no room."
        f" {size(point.budget)} would reuse {percent(point.reuse)} instead of {percent(here.reuse)}. All entries"
        f" together would take {size(curve.working_set)}."
    )
    seconds = (point.time - here.time) * facts.uncached_seconds
    return Change("Give the store more memory", why, _budget_knob(point.budget), seconds)


def lost_prefixes(facts: Facts) -> Change | None:
    """More memory, where no curve can be drawn: logs of earlier versions do not tell the sequences of a call apart."""
    if facts.curve is not None:
        return None
    lost = [(r, rows) for r, rows in zip(facts.regions, facts.lost, strict=True) if rows and _pushed_out(r)]
    if not lost:
        return None
    why = (
        f"About {count(sum(rows for _, rows in lost))} {facts.unit} of {names([r for r, _ in lost])} were computed"
        " again after their entries had left, or had found no room. How much memory they need, the log cannot tell:"
        " try twice as much."
    )
    seconds = sum(rows * region.row_cost_seconds for region, rows in lost)
    return Change(
        "Give the store more memory", why, _budget_knob(2 * (facts.summary.budget or 0)), seconds, at_most=True
    )


def quota(facts: Facts) -> Change | None:
    """A larger quota for namespaces."""
    evicted = sum(region.evicted["quota"] for region in facts.regions)
    lost = sum(n * r.row_cost_seconds for r, n in zip(facts.regions, facts.lost, strict=True) if r.evicted["quota"])
    if not lost:
        return None
    why = (
        f"{count(evicted)} entries had to leave as their namespace was at its quota, and {facts.unit} came back later."
    )
    how = "actcache.configure(namespace_quota_bytes=...)"
    return Change("Raise the quota of namespaces", why, how, lost, at_most=True)


def large_entries(facts: Facts) -> Change | None:
    """Outputs that nobody reads, and that fill entries where room is short."""
    model = facts.model
    if model is None or model.manifest is None or len(model.view.outputs) < 2:
        return None
    if model.manifest.get("policy", {}).get("outputs"):
        return None
    short = {r.fingerprint for r, rows in zip(facts.regions, facts.lost, strict=True) if rows and _pushed_out(r)}
    for lookup in model.lookups:
        kept = region_entry(model.manifest, lookup.id).get("kept_bytes") or {}
        name, whole = max(kept, key=lambda n: kept[n], default=""), sum(kept.values())
        if lookup.fingerprint in short and name in model.view.outputs and kept[name] > whole / 2:
            why = (
                f"{percent(kept[name] / whole)} of an entry of {lookup.id} is the output {name}. If your program does"
                " not read it, leave it out: smaller entries make room for more."
            )
            return Change("Keep only the outputs that you read", why, "actcache-compile MODEL --outputs NAME,..")
    return None


def tiers(facts: Facts) -> Change | None:
    """More memory, where much is fetched from a disk or a server."""
    fetched = sum(region.outcomes[DISK] + region.outcomes[REMOTE] for region in facts.regions)
    if not fetched or fetched < _OFTEN * facts.reused:
        return None
    why = (
        f"{percent(fetched / facts.reused)} of the reused {facts.unit} came from a disk or a server. That takes longer"
        " than memory. It is as it should be after a start."
    )
    return Change("Keep more of it in memory", why, "actcache.configure(budget_bytes=...)")


def disk(facts: Facts) -> Change | None:
    """A store that outlives processes, where several began anew."""
    processes = len(facts.summary.processes)
    if processes < 2 or facts.has_tier:
        return None
    why = (
        f"{processes} processes each began with an empty store. A store on disk outlives its process, and several"
        " processes can use it at the same time."
    )
    return Change("Keep entries across restarts", why, 'actcache.configure(disk_path="/var/cache/my-service")')


def too_much(facts: Facts) -> Change | None:
    """A smaller store, where a small part of it holds everything."""
    curve, now = facts.curve, facts.summary.budget
    if curve is None or not curve.complete or not now or facts.looked_up < _MANY_ROWS:
        return None
    enough = next((point for point in curve.points if point.budget >= 2 * curve.working_set), None)
    if enough is None or enough.budget > now / 4:
        return None
    why = f"All entries of this log together take {size(curve.working_set)} of {size(now)}. Was this a usual day?"
    return Change("Give memory back", why, _budget_knob(enough.budget))


def _pushed_out(region: RegionSums) -> bool:
    return bool(region.results[REFUSED] or any(region.evicted[reason] for reason in _FOR_ROOM))


def _budget_knob(wanted: int) -> str:
    """The knob with a number of bytes, rounded up to a whole number of its unit; 0: not known."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if wanted >= 2 * scale or wanted == scale:
            return f'actcache.configure(budget_bytes="{-(-wanted // scale)}{unit}")'
    return f"actcache.configure(budget_bytes={wanted or '...'})"
