"""Which rows of a call would be found after another one, and why not the others (``actcache explain-miss``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from actcache.errors import InvalidRegion
from actcache.inspection.call_comparison import Call, Why, why
from actcache.inspection.frontier_values import Values, frontier_values
from actcache.inspection.prefix_comparison import explain_prefixes
from actcache.model.compiled_model import CompiledModel, Lookup, read_compiled
from actcache.model.model_file import parse_model
from actcache.model.model_inputs import Feed, model_inputs
from actcache.model.samples import load_sample
from actcache.passes.cuts import PrefixCut


def explain_inputs(
    model: str | PathLike[str],
    first: str | PathLike[str],
    second: str | PathLike[str],
    *,
    region: str | None = None,
    libraries: Sequence[str | PathLike[str]] = (),
) -> list[Why]:
    """Return what would happen to every row of the second call, made after the first in one session, store empty.

    What is evicted, expires or is bypassed while a model is in use cannot be seen in two inputs. A region inside
    another is judged by all rows of the call; in truth it sees those that the other one misses, which matters if it
    keeps whole calls.

    Args:
        model: A compiled model.
        first: Inputs of a call (``.npz``, as :func:`actcache.model.samples.load_sample` reads them).
        second: Inputs of the next one.
        region: Id of the only region to look at; None: all.
        libraries: Custom-op libraries that the model itself needs.

    Raises:
        InvalidModel: `model` is no compiled model, or cannot be run up to the regions.
        InvalidSamples: Inputs cannot be read, or do not fit the model.
        InvalidRegion: The model has no such region.
        LibraryError: The native library cannot be used.
    """
    compiled = read_compiled(Path(model))
    chosen = chosen_regions(compiled, region)
    inputs = model_inputs(parse_model(Path(model)))
    feeds = [load_sample(path, inputs) for path in (first, second)]
    names = [fspath(first), fspath(second)]
    values = frontier_values(compiled, chosen, list(zip(names, feeds, strict=True)), libraries)
    found: dict[str, list[Why]] = {}
    for lookup in chosen:
        calls = [call_of(lookup, feed, known) for feed, known in zip(feeds, values, strict=True)]
        found[lookup.id] = _of_region(compiled, lookup, calls, found)
    return [record for lookup in chosen if region in (None, lookup.id) for record in found[lookup.id]]


def to_json(records: Sequence[Why]) -> dict[str, Any]:
    """Return records as ``--json`` prints them.

    Keys, of which none goes away: ``regions``: per region how many rows have which outcome; ``rows``: the records, with
    ``region``, ``row`` (null: the call is one entry), ``outcome``, ``reason``, ``text``, ``details``
    (:class:`actcache.inspection.call_comparison.Why`).
    """
    regions: dict[str, Counter[str]] = {}
    for record in records:
        regions.setdefault(record.region, Counter())[record.outcome] += 1
    return {
        "regions": {name: dict(counts) for name, counts in regions.items()},
        "rows": [record.to_json() for record in records],
    }


def chosen_regions(model: CompiledModel, region: str | None) -> list[Lookup]:
    """The regions to look at: the one named and those around it, which decide whether it is asked."""
    if region is None:
        return list(model.lookups)
    by_id = {lookup.id: lookup for lookup in model.lookups}
    if region not in by_id:
        raise InvalidRegion(f"the model has no region '{region}'", file=model.path, hint=f"it has {', '.join(by_id)}")
    wanted, around = set(), by_id.get(region)
    while around is not None:
        wanted.add(around.id)
        around = by_id.get(around.outer or "")
    return [lookup for lookup in model.lookups if lookup.id in wanted]


def call_of(lookup: Lookup, feed: Feed, values: Values) -> Call:
    """Return what a region sees of a call."""

    def word(name: str | None) -> str | None:
        return str(feed[name].reshape(-1)[0]) if name is not None and name in feed and feed[name].size else None

    return Call(values, word(lookup.namespace_input), word(lookup.control_input) or "use")


def _of_region(
    model: CompiledModel, lookup: Lookup, calls: Sequence[Call], known: Mapping[str, Sequence[Why]]
) -> list[Why]:
    first, second = (not_taken(model, lookup, call) for call in calls)
    if second is not None:
        return [second]
    if first is not None:
        text = "the first call took the other branch: it stored nothing here"
        return [Why(lookup.id, None, "miss", "branch", text, first.details)]
    unreadable = [name for name in lookup.frontier if any(name not in call.values for call in calls)]
    if unreadable:
        text = f"'{unreadable[0]}' has elements that Python cannot read"
        return [Why(lookup.id, None, "unknown", "unreadable", text, {"tensor": unreadable[0]})]
    cut = lookup.cut
    records = explain_prefixes(lookup, cut, *calls) if isinstance(cut, PrefixCut) else why(lookup, *calls)
    if lookup.outer is None:
        return records
    outer = next(other for other in model.lookups if other.id == lookup.outer)
    around = known[outer.id]
    found = {record.row for record in around if record.outcome in ("hit", "duplicate", "not asked")}
    if len(found) == len(around):
        return [_not_asked(record, outer) for record in records]
    if len(around) == len(records) and _share_rows(model, lookup, outer):
        return [_not_asked(record, outer) if record.row in found else record for record in records]
    return records


def not_taken(model: CompiledModel, lookup: Lookup, call: Call) -> Why | None:
    """Say that a call takes the other branch of the If that a region lies in; None: it asks the region."""
    condition = model.condition(lookup)
    if lookup.branch is None or condition is None:
        return None
    if bool(np.all(call.values[condition])) == lookup.branch.taken_if:
        return None
    text = f"'{condition}' has the call take the other branch, without this region"
    return Why(lookup.id, None, "not asked", "branch", text, {"condition": condition})


def _not_asked(record: Why, outer: Lookup) -> Why:
    text = f"region '{outer.id}' around it has the results already"
    return Why(record.region, record.row, "not asked", "outer", text, {"outer": outer.id})


def _share_rows(model: CompiledModel, lookup: Lookup, outer: Lookup) -> bool:
    """Whether the rows of a region are those of the one around it: of the same inputs."""
    by_tensor = model.cones(lookup)

    def inputs_of_rows(of: Lookup) -> frozenset[str]:
        rows = (name for name, axis in zip(of.frontier, of.cut.frontier_axes, strict=True) if axis is not None)
        return frozenset().union(*(by_tensor.get(name, frozenset()) for name in rows))

    return not inputs_of_rows(lookup).isdisjoint(inputs_of_rows(outer))
