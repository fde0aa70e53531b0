"""Changes of how the cache is used: what is looked up, how often, and by which keys."""

from __future__ import annotations

from actcache.audit.outcomes import DIFFERENT, EXPIRED, VERIFIED
from actcache.report.change import Change, names
from actcache.report.facts import Facts
from actcache.report.regions import RegionSums
from actcache.report.wording import count, duration, percent, several, some

#: Rows from which on it counts that none was reused.
_MANY_ROWS = 100
#: Share of reused rows at which a region counts as one in which nothing repeats.
_HARDLY_ANY = 0.02
#: Share of reused rows from which on whole calls are found often enough.
_OFTEN = 0.5
#: xxh3 takes about a tenth of the time of blake3.
_XXH3_SAVES = 0.9


def differences(facts: Facts) -> Change | None:
    """Results that were not what was stored."""
    bad = [region for region in facts.regions if region.results[DIFFERENT]]
    if not bad:
        return None
    why = (
        f"{several(sum(region.results[DIFFERENT] for region in bad), 'row')} of {names(bad)} differed from the stored"
        " results when computed again. Either the program changed weights or options under the cache, or the model is"
        " not deterministic. Until this is clear, let a region with a difference turn itself off."
    )
    return Change("Find out why results differ", why, 'actcache.configure(on_mismatch="disable")', urgent=True)


def nothing_looked_up(facts: Facts) -> Change | None:
    """The cache is off, or the program uses another model."""
    if facts.rows:
        return None
    if facts.summary.budget == 0:
        how = 'actcache.configure(budget_bytes="256MiB")'
        return Change("Turn the cache on", "Its budget was 0 at the end.", how, urgent=True)
    why = "No call of a compiled model was recorded. Does the program load the compiled model, and was it called?"
    return Change("See whether the compiled model is in use", why, "actcache inspect MODEL", urgent=True)


def expired(facts: Facts) -> Change | None:
    """Entries that were too old when they were wanted."""
    rows = sum(region.outcomes[EXPIRED] for region in facts.regions)
    if not rows:
        return None
    seconds = sum(region.outcomes[EXPIRED] * region.row_cost_seconds for region in facts.regions)
    why = f"{count(rows)} {facts.unit} had an entry that was too old. The results of a fixed model do not age."
    how = "actcache.configure(ttl_seconds=..., max_entry_age=...)"
    return Change("Let entries live longer", why, how, seconds, at_most=True)


def verification(facts: Facts) -> Change | None:
    """Hits that were computed all the same."""
    rows = sum(region.outcomes[VERIFIED] for region in facts.regions)
    if not rows or any(region.results[DIFFERENT] for region in facts.regions):
        return None
    seconds = sum(region.outcomes[VERIFIED] * region.row_cost_seconds for region in facts.regions)
    why = (
        f"{count(rows)} {facts.unit} that were found were computed all the same, to be compared; none was different. To"
        " compare one of a thousand is enough to notice a change."
    )
    return Change("Verify fewer hits", why, "actcache.configure(verify_fraction=0.001)", seconds)


def bypass_is_off(facts: Facts) -> Change | None:
    """Regions that lose, and may not stop."""
    losing = [region for region in facts.regions if region.saved_seconds < region.overhead_seconds]
    if facts.knob("bypass") != "off" or not losing:
        return None
    seconds = sum(region.overhead_seconds - region.saved_seconds for region in losing)
    why = f"In {names(losing)} looking up costs more than it saves. As bypass is off, they cannot stop by themselves."
    return Change("Let regions stop that do not pay", why, 'actcache.configure(bypass="auto")', seconds)


def keys(facts: Facts) -> Change | None:
    """A faster hash. Values on a disk or a server always have keys of blake3."""
    if facts.summary.hashes != {"blake3"} or facts.has_tier:
        return None
    seconds = sum(region.times["hash_ns"] for region in facts.regions) * 1e-9
    why = f"Making keys took {duration(seconds)}. If nobody crafts inputs to your service, a faster hash is enough."
    return Change("Hash trusted inputs faster", why, 'actcache.configure(hash="xxh3")', seconds * _XXH3_SAVES)


def idle(facts: Facts) -> Change | None:
    """Regions that stopped looking up."""
    stopped = [region for region in facts.regions if region.state != "active"]
    if not stopped:
        return None
    rows = sum(region.rows - region.looked_up for region in stopped)
    why = (
        f"{names(stopped)}: {count(rows)} {facts.unit} were computed without being looked up, as that did not pay,"
        " or a difference turned the region off. Compiled with recorded calls, a model leaves out what does not repeat."
    )
    return Change("Leave out what does not pay", why, "actcache-compile MODEL --trace calls/")


def nothing_repeats(facts: Facts) -> Change | None:
    """No key came back: often one of several inputs changes in each call."""
    found = [
        region
        for region, lost in zip(facts.regions, facts.lost, strict=True)
        if region.looked_up >= _MANY_ROWS and region.reused + lost <= _HARDLY_ANY * region.looked_up
    ]
    if not found:
        return None
    inputs = _reads(facts, found[0])
    part = f"one of the inputs of {found[0].id} ({some(inputs)})" if len(inputs) > 1 else "a part of the input"
    why = f"Of {names(found)} at most {percent(_HARDLY_ANY)} of the {facts.unit} came back. "
    if all(region.granularity == "prefix" for region in found):
        why += "A position is found only if all before it are: what changes in each call belongs behind what stays."
    else:
        why += f"If {part} changes in each call (a time, a number, noise), nothing is found."
    why += " Two recorded calls show what differs."
    seconds = sum(region.computing_seconds for region in found) or None
    how = "actcache explain-miss MODEL first.npz second.npz"
    return Change("See what changes in each call", why, how, seconds, at_most=True)


def whole_calls(facts: Facts) -> Change | None:
    """Entries that are whole calls, and seldom found."""
    whole = [r for r in facts.regions if r.granularity == "tensor" and r.looked_up and r.hit_ratio < _OFTEN]
    if not whole:
        return None
    why = f"An entry of {names(whole)} is a whole call: a batch is found only if all of it is equal."
    return Change("Find out why rows are not reused alone", why, "actcache-compile MODEL --explain")


def events(facts: Facts) -> Change | None:
    """A log that lacks events."""
    if not facts.summary.dropped:
        return None
    why = f"{several(facts.summary.dropped, 'event')} found no room in the buffer. What is said here lacks them."
    return Change("Record all events", why, 'actcache.configure(audit_buffer_bytes="64MiB")')


def _reads(facts: Facts, region: RegionSums) -> tuple[str, ...]:
    """What the keys of a region cover; nothing without the model."""
    lookups = facts.model.lookups if facts.model else ()
    return next((lookup.frontier for lookup in lookups if facts.of_model.get(lookup.id) is region), ())
