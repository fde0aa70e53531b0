"""Writing the page: everything that `actcache report` does but reading its options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from actcache._version import __version__
from actcache.audit.log import AuditLog
from actcache.base.files import write_whole
from actcache.errors import OutputError
from actcache.model.compiled_model import read_compiled
from actcache.passes.choice.store_simulation import ENTRY_OVERHEAD
from actcache.report import plots, wording
from actcache.report.cards import cards, kinds, parts
from actcache.report.changes import changes
from actcache.report.curve import miss_ratio_curve
from actcache.report.diagram import diagram
from actcache.report.facts import ASSUMED_WATTS, Facts, regions_of_model
from actcache.report.summary import AGE_STEPS, Summary, summarise
from actcache.report.verdict import judge

#: Regions that are shown without being asked for.
_OPEN_CARDS = 8
#: Repeated inputs that are listed.
_TOP = 10


def write_report(
    audit: str | PathLike[str],
    output: str | PathLike[str],
    *,
    model: str | PathLike[str] | None = None,
    budget_bytes: int | None = None,
    watts: float = ASSUMED_WATTS,
) -> Facts:
    """Write a page about an audit log.

    Args:
        audit: The file that the knob ``audit_path`` named; what it was rotated to is read, too.
        output: The HTML file to write. It needs nothing beside it, and no network.
        model: The compiled model that ran, for a picture of it.
        budget_bytes: Look at this budget; default: the one that was in effect.
        watts: What a busy processor core draws, for the estimate of energy (:mod:`actcache.report.energy`).

    Returns:
        What the page states.

    Raises:
        UnsupportedAudit: The log cannot be read, or is of another model.
        InvalidModel: The model cannot be read.
        OutputError: The page cannot be written.
    """
    compiled = read_compiled(Path(model)) if model is not None else None
    with AuditLog(audit) as log:
        if any(Path(output).resolve() == file.resolve() for file in log.files):
            raise OutputError("is the audit log itself", file=output, hint="name another file with -o")
        summary = summarise(log)
    regions = list(summary.regions)
    recorded = summary.budget or None
    budget = budget_bytes or recorded
    also = [size for size in (recorded, budget) if size]
    curve = miss_ratio_curve(summary.sample, regions, budget, also)
    of_model = regions_of_model(compiled, log.path, regions) if compiled else {}
    facts = Facts(log.path, summary, curve, budget, watts, compiled, of_model)
    text = render(facts)
    write_whole(output, text)
    return facts


def render(facts: Facts) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("actcache.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        duration=wording.duration, percent=wording.percent, count=wording.count, joules=wording.joules,
        moment=wording.moment, size=wording.size, some=wording.some,
    )  # fmt: skip
    style = environment.get_template("page.css").render()
    return environment.get_template("page.html").render(style=style, **_context(facts))


def _context(facts: Facts) -> dict[str, Any]:
    summary = facts.summary
    return {
        "facts": facts,
        "summary": summary,
        "version": __version__,
        "verdict": judge(facts),
        "changes": changes(facts),
        "parts_of_all": parts(facts.regions, sum(facts.lost)),
        "cards": cards(facts),
        "kinds": kinds(facts),
        "most_cards": _OPEN_CARDS,
        "reuse": plots.reuse_over_time(summary, facts.unit),
        "load": plots.load_over_time(summary, facts.unit),
        "columns": _columns(facts),
        "regions": list(zip(summary.regions.labels(), facts.regions, strict=True)),
        "diagram": diagram(facts.model, facts.of_model) if facts.model else None,
        "ages": _age_bars(summary),
        "sizes": _size_bars(summary),
        "budget_plot": _budget_plot(facts),
        "entry_overhead": ENTRY_OVERHEAD,
        "frequent": _frequent(facts),
    }


def _columns(facts: Facts) -> plots.Plot:
    times = [facts.own_seconds(region) for region in facts.regions]
    rest = (facts.model_seconds or 0.0) - facts.uncached_seconds
    hits = [region.hit_ratio for region in facts.regions]
    return plots.hits_against_time(facts.summary.regions.labels(), times, hits, max(rest, 0.0), facts.unit)


def _budget_plot(facts: Facts) -> plots.Plot | None:
    if facts.curve is None:
        return None
    recorded = facts.summary.budget
    measured = (recorded, facts.hit_ratio) if recorded else None
    return plots.reuse_by_budget(facts.curve, facts.budget, measured, facts.unit)


def _bars(counts: Sequence[tuple[str, int]]) -> list[tuple[str, int, float]]:
    """Label, count and length in percent of the longest bar."""
    most = max((number for _, number in counts), default=0) or 1
    return [(label, number, 100 * number / most) for label, number in counts]


def _age_bars(summary: Summary) -> list[tuple[str, int, float]]:
    names = [f"up to {wording.duration(step)}" for step in AGE_STEPS if step < math.inf]
    names.append(f"over {wording.duration(AGE_STEPS[-2])}")
    return _bars(_without_empty_ends(list(zip(names, summary.ages.tolist(), strict=True))))


def _size_bars(summary: Summary) -> list[tuple[str, int, float]]:
    if not summary.sizes:
        return []
    low, high = min(summary.sizes).bit_length(), max(summary.sizes).bit_length()
    steps = (1 << (bits - 1) for bits in range(low, high + 1))
    return _bars([(f"from {wording.size(step)}", summary.sizes[step]) for step in steps])


def _without_empty_ends(counts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    filled = [place for place, (_, number) in enumerate(counts) if number]
    return counts[filled[0] : filled[-1] + 1] if filled else []


@dataclass(frozen=True)
class _Frequent:
    """An input that came often, or the beginning of some.

    Attributes:
        region: What looked it up.
        key: Its key; of a beginning, that of its last position.
        times: How often it came, at least.
        error: How often more, at most.
        positions: Of a beginning, how long it is; else 1.
        share: Of all that the region looked up.
    """

    region: str
    key: str
    times: int
    error: int
    positions: int
    share: float


def _frequent(facts: Facts) -> list[_Frequent]:
    """The most frequent keys of all regions."""
    labels = facts.summary.regions.labels()
    found = []
    for index, keys in facts.summary.frequent.items():
        region = facts.regions[index]
        beginnings = region.granularity == "prefix"
        top = keys.beginnings(_TOP) if beginnings else [(key, times, 1) for key, times in keys.top(_TOP)]
        for key, times, positions in top:
            if times > 1:
                share = times * positions / (region.looked_up or 1)
                found.append(_Frequent(labels[index], f"{key:016x}", times, keys.error, positions, share))
    return sorted(found, key=lambda entry: -entry.times)[:_TOP]
