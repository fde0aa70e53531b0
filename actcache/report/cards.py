"""The pictures of one region, and of all together: where its rows came from, and when they were reused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actcache.audit import outcomes
from actcache.report.facts import Facts
from actcache.report.plots import Shape, share_steps
from actcache.report.regions import RegionSums
from actcache.report.wording import count, percent

#: Steps of a region's small timeline.
_STEPS = 40

#: What an entry is, by granularity: in a word or two, and in a sentence.
GRANULARITIES = {
    "row": ("rows", "Each row of a batch has an entry of its own. Equal rows of a batch are computed once."),
    "prefix": (
        "prefixes",
        "A sequence is computed from where it differs from all that were read before. Positions are counted.",
    ),
    "tensor": ("whole calls", "An entry is a whole call: it is found if all inputs are the same."),
}


@dataclass(frozen=True)
class Part:
    """A part of some rows.

    Attributes:
        look: Its class in the style sheet.
        name: What became of these rows.
        rows: How many.
        share: Their share of all.
    """

    look: str
    name: str
    rows: int
    share: float

    @property
    def text(self) -> str:
        """The part in words."""
        return f"{self.name}: {count(self.rows)}, {percent(self.share)}"


@dataclass(frozen=True)
class Card:
    """A region, as it is shown.

    Attributes:
        number: Unique on the page.
        label: Its name.
        region: Its sums.
        kind: What an entry is, in a word or two.
        net_seconds: Time saved, after overheads.
        time_share: Of the time without a cache.
        parts: Where its rows came from.
        timeline: Shares of its rows over time, in a plane as plots have it.
        reads: What its keys cover, if the model was given.
    """

    number: int
    label: str
    region: RegionSums
    kind: str
    net_seconds: float
    time_share: float
    parts: Sequence[Part]
    timeline: Sequence[Shape]
    reads: Sequence[str]


#: Look, letters and name of what became of rows. Misses are told apart below.
_KINDS = (
    ("reused", outcomes.HIT, "found in memory"),
    ("shared", outcomes.DUPLICATE, outcomes.LOOKED_UP[outcomes.DUPLICATE].kind),
    ("shared", outcomes.JOINED, outcomes.LOOKED_UP[outcomes.JOINED].kind),
    ("tier", outcomes.DISK, outcomes.LOOKED_UP[outcomes.DISK].kind),
    ("tier", outcomes.REMOTE, outcomes.LOOKED_UP[outcomes.REMOTE].kind),
    ("lost", "", "computed again: the entry had left, or found no room"),
    ("computed", "", "computed: new"),
    ("load", outcomes.AGAIN, "known, but computed with what follows"),
    ("lost", outcomes.EXPIRED, outcomes.LOOKED_UP[outcomes.EXPIRED].kind),
    ("checked", outcomes.VERIFIED, outcomes.LOOKED_UP[outcomes.VERIFIED].kind),
    ("checked", outcomes.REFRESHED, outcomes.LOOKED_UP[outcomes.REFRESHED].kind),
    ("bypassed", outcomes.BYPASSED, "passed by, not looked up"),
)


def parts(regions: Sequence[RegionSums], lost: int) -> list[Part]:
    """Return what became of the rows of some regions, `lost` of which were computed again; empty parts are left out."""
    rows = sum(region.rows for region in regions)
    missed = sum(region.outcomes[outcomes.MISS] for region in regions)
    lost = min(lost, missed)
    found = []
    for look, letters, name in _KINDS:
        number = sum(region.outcomes[letter] for region in regions for letter in letters)
        if not letters:
            number = lost if look == "lost" else missed - lost
        found.append((look, name, number))
    known = sum(number for _, _, number in found)
    found.append(("computed", "other", rows - known))
    return [Part(look, name, number, number / rows) for look, name, number in found if number]


def cards(facts: Facts) -> list[Card]:
    """Return all regions, those first that saved or lost most."""
    labels = facts.summary.regions.labels()
    reads = (
        {id(facts.of_model[x.id]): x.frontier for x in facts.model.lookups if x.id in facts.of_model}
        if facts.model
        else {}
    )
    whole = facts.uncached_seconds
    found = []
    for number, (label, region, lost) in enumerate(zip(labels, facts.regions, facts.lost, strict=True)):
        sums = region.timeline.steps(facts.summary.timeline, _STEPS)
        share = facts.own_seconds(region) / whole if whole else 0.0
        net = region.saved_seconds - region.overhead_seconds
        kind = GRANULARITIES[region.granularity][0] if region.granularity in GRANULARITIES else ""
        shapes, inputs = share_steps(sums), reads.get(id(region), ())
        found.append(Card(number, label, region, kind, net, share, parts([region], lost), shapes, inputs))
    return sorted(found, key=lambda card: -abs(card.net_seconds))


def kinds(facts: Facts) -> list[tuple[str, str]]:
    """Return what entries of these regions are: each kind with a sentence."""
    present = {region.granularity for region in facts.regions}
    return [wording for granularity, wording in GRANULARITIES.items() if granularity in present]
