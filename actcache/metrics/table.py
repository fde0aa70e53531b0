"""The metrics, in the one table of the Python side: names, units, meanings, and where ``stats()`` has them.

The native library writes the same under the same Prometheus names (``custom_ops/src/metrics/prometheus_text.cc``); a
test compares the two. What is held for each namespace is left out: a process can have thousands.

Names follow https://prometheus.io/docs/practices/naming/ (base units, ``_total`` for counters) and OpenTelemetry's
general metric conventions (dotted names without units, UCUM units, ``{row}`` for what is counted).
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from actcache._version import __version__
from actcache.serve.runtime import stats

Stats = Mapping[str, Any]
Labels = tuple[tuple[str, str], ...]

#: What became of a row. Disjoint: their sum is the number of rows looked up.
OUTCOMES = ("hit", "duplicate", "joined", "miss", "expired", "verified", "bypassed")

STATES = ("active", "bypassed", "disabled")


class Kind(Enum):
    """How a metric's values behave."""

    COUNTER = "counter"  # only grows while the process lives
    AMOUNT = "amount"  # what is held now; amounts of several processes add up
    LEVEL = "level"  # what is now, of something that processes share: theirs do not add up
    INFO = "info"  # always 1; its labels are what it tells


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name for Prometheus.
        otel_name: Its name for OpenTelemetry.
        otel_unit: Its unit for OpenTelemetry, in UCUM.
        kind: How its values behave.
        help: What it is, in a sentence.
        labels: Names of its labels.
        read: Yields the values of the labels and the value, for all that ``stats()`` has.
    """

    name: str
    otel_name: str
    otel_unit: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Callable[[Stats], Iterator[tuple[tuple[str, ...], float]]]


Sample = tuple[Labels, float]


def _of_region(field: str) -> Callable[[Stats], Iterator[tuple[tuple[str, ...], float]]]:
    def read(found: Stats) -> Iterator[tuple[tuple[str, ...], float]]:
        for name, region in found["regions"].items():
            yield (name, region["fingerprint"]), region[field]

    return read


def _of_process(part: str, field: str) -> Callable[[Stats], Iterator[tuple[tuple[str, ...], float]]]:
    def read(found: Stats) -> Iterator[tuple[tuple[str, ...], float]]:
        yield (), found[part][field]

    return read


def _rows(found: Stats) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, region in found["regions"].items():
        whole = {
            "hit": region["hits"] - region["duplicates"] - region["joined"],
            "duplicate": region["duplicates"],
            "joined": region["joined"],
            "miss": region["misses"] - region["expired"] - region["verified"],
            "expired": region["expired"],
            "verified": region["verified"],
            "bypassed": region["bypassed"],
        }
        for outcome in OUTCOMES:
            yield (name, region["fingerprint"], outcome), whole[outcome]


def _of_tier(field: str) -> Callable[[Stats], Iterator[tuple[tuple[str, ...], float]]]:
    def read(found: Stats) -> Iterator[tuple[tuple[str, ...], float]]:
        for name, tier in found["tiers"].items():
            yield (name,), int(tier[field])

    return read


def _states(found: Stats) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, region in found["regions"].items():
        for state in STATES:
            yield (name, region["fingerprint"], state), int(region["state"] == state)


def _build(_found: Stats) -> Iterator[tuple[tuple[str, ...], float]]:
    yield (__version__,), 1


_REGION = ("region", "fingerprint")


def _region_counter(name: str, otel_name: str, unit: str, help: str, field: str) -> Metric:
    return Metric(name, otel_name, unit, Kind.COUNTER, help, _REGION, _of_region(field))


def _region_time(what: str, help: str) -> Metric:
    name = f"actcache_{what}_seconds_total"
    return _region_counter(name, f"actcache.{what}.time", "s", help, f"{what}_seconds")


def _region_amount(name: str, otel_name: str, help: str, field: str) -> Metric:
    return Metric(name, otel_name, "By", Kind.AMOUNT, help, _REGION, _of_region(field))


def _store_counter(what: str, help: str, field: str) -> Metric:
    name = f"actcache_{what}_total"
    return Metric(name, f"actcache.{what}", "{entry}", Kind.COUNTER, help, (), _of_process("store", field))


def _store_amount(name: str, otel_name: str, unit: str, help: str, field: str) -> Metric:
    return Metric(name, otel_name, unit, Kind.AMOUNT, help, (), _of_process("store", field))


def _audit_counter(what: str, unit: str, help: str, field: str) -> Metric:
    name = f"actcache_audit_{what}_total"
    otel_name = f"actcache.audit.{'size' if unit == 'By' else what}"
    return Metric(name, otel_name, unit, Kind.COUNTER, help, (), _of_process("audit", field))


def _tier_counter(what: str, unit: str, help: str) -> Metric:
    name = f"actcache_tier_{what}_total"
    return Metric(name, f"actcache.tier.{what}", unit, Kind.COUNTER, help, ("tier",), _of_tier(what))


def _tier_level(field: str, otel_name: str, unit: str, help: str) -> Metric:
    return Metric(f"actcache_tier_{field}", otel_name, unit, Kind.LEVEL, help, ("tier",), _of_tier(field))


METRICS: tuple[Metric, ...] = (
    Metric(
        "actcache_build_info",
        "actcache.build",
        "1",
        Kind.INFO,
        "1, with the version of the library.",
        ("version",),
        _build,
    ),
    Metric(
        "actcache_rows_total",
        "actcache.rows",
        "{row}",
        Kind.COUNTER,
        "Rows looked up, by what became of them.",
        (*_REGION, "outcome"),
        _rows,
    ),
    _region_counter("actcache_calls_total", "actcache.calls", "{call}", "Lookups, each of one row or many.", "calls"),
    _region_counter(
        "actcache_compared_rows_total",
        "actcache.compared_rows",
        "{row}",
        "Verified rows whose entry another session had made.",
        "compared",
    ),
    _region_counter(
        "actcache_mismatches_total",
        "actcache.mismatches",
        "{row}",
        "Verified rows that differed from their entry.",
        "mismatches",
    ),
    _region_counter(
        "actcache_sessions_kept_apart_total",
        "actcache.sessions_kept_apart",
        "{session}",
        "Sessions that use no entries of others since a row differed.",
        "kept_apart",
    ),
    _region_counter(
        "actcache_stored_rows_total", "actcache.stored_rows", "{row}", "Computed rows that were stored.", "stored"
    ),
    _region_counter(
        "actcache_not_admitted_rows_total",
        "actcache.not_admitted_rows",
        "{row}",
        "Computed rows that were not stored.",
        "not_admitted",
    ),
    _region_counter(
        "actcache_first_sight_rows_total",
        "actcache.first_sight_rows",
        "{row}",
        "Computed rows that were not stored, as nothing repeated so far.",
        "first_sights",
    ),
    _region_counter(
        "actcache_anomalies_total",
        "actcache.anomalies",
        "{call}",
        "Calls whose results were not one row per row.",
        "anomalies",
    ),
    _region_counter(
        "actcache_evictions_total", "actcache.evictions", "{entry}", "Entries that made room for others.", "evicted"
    ),
    _region_time("saved", "Time that computing the hits would have taken."),
    _region_time("overhead", "Time spent in the cache's operators, hashing and copying included."),
    _region_time("hash", "Time spent hashing inputs."),
    _region_time("copy", "Time spent copying rows."),
    _region_time("compute", "Time spent computing what was missing."),
    _region_counter(
        "actcache_bypass_switches_total",
        "actcache.bypass_switches",
        "{switch}",
        "How often the region became bypassed.",
        "bypass_switches",
    ),
    _region_counter(
        "actcache_probes_total",
        "actcache.probes",
        "{probe}",
        "How often the bypassed region was tried again.",
        "probes",
    ),
    _region_counter(
        "actcache_fed_calls_total",
        "actcache.fed_calls",
        "{call}",
        "Calls of the bypassed region that were looked up and stored for other processes.",
        "fed",
    ),
    _region_amount("actcache_region_bytes", "actcache.region.size", "Bytes held for the region.", "bytes"),
    _region_amount(
        "actcache_region_pinned_bytes",
        "actcache.region.pinned.size",
        "Bytes of the region's entries that are pinned.",
        "pinned_bytes",
    ),
    Metric(
        "actcache_region_state",
        "actcache.region.state",
        "1",
        Kind.AMOUNT,
        "1 for the state that the region is in.",
        (*_REGION, "state"),
        _states,
    ),
    _store_amount("actcache_entries", "actcache.entries", "{entry}", "Entries that can be found.", "entries"),
    _store_amount("actcache_store_bytes", "actcache.store.size", "By", "Bytes held by the store.", "bytes"),
    _store_amount(
        "actcache_store_budget_bytes", "actcache.store.limit", "By", "Bytes that the store may hold.", "budget_bytes"
    ),
    _store_amount(
        "actcache_pinned_bytes", "actcache.pinned.size", "By", "Bytes of entries that are pinned.", "pinned_bytes"
    ),
    _store_counter("insertions", "Entries stored.", "insertions"),
    _store_counter("rejections", "Entries refused: too large, or not worth their room.", "rejected"),
    _store_counter("expirations", "Entries asked for after their time to live.", "expired"),
    _store_counter("invalidations", "Entries removed on demand.", "invalidated"),
    _store_counter("replacements", "Entries replaced by later ones of the same key.", "replaced"),
    _tier_counter("hits", "{value}", "Values that a tier had when it was asked."),
    _tier_counter("misses", "{value}", "Values that a tier was asked for in vain."),
    _tier_counter("damaged", "{value}", "Those of the misses where something was there, but no sound value."),
    _tier_counter("late", "{value}", "Those of the misses that were not there in time."),
    _tier_counter("stored", "{value}", "Values that were written to a tier."),
    _tier_counter("refused", "{value}", "Values that a tier had no room for, or no use."),
    _tier_counter("promoted", "{value}", "Values that another tier had, to be written to this."),
    _tier_counter("dropped", "{value}", "Values that were not even tried, as too much was waiting to be written."),
    _tier_counter("errors", "{error}", "Faults of the disk or the server."),
    _tier_level("entries", "actcache.tier.entries", "{value}", "Values in the whole tier, whoever stored them."),
    _tier_level("bytes", "actcache.tier.size", "By", "Bytes held by the whole tier, whoever stored them."),
    _tier_level("budget_bytes", "actcache.tier.limit", "By", "Bytes that the whole tier may hold."),
    _tier_level(
        "available", "actcache.tier.available", "1", "1 if the tier is asked, 0 if it is left alone at present."
    ),
    _audit_counter("events", "{event}", "Events written to the audit log.", "written"),
    _audit_counter("dropped_events", "{event}", "Events that the audit log had no room for.", "dropped"),
    _audit_counter("bytes", "By", "Bytes written to the audit log.", "bytes"),
)


class Readings:
    """Values of the metrics of this process. Thread-safe.

    A counter never goes back, though what became of a row is the difference of two counts that may be read in the
    middle of a call: a monitoring system would take that for a restart. A child of ``os.fork()`` is one.
    """

    #: Readings within so many seconds are of one moment: a collection reads metric by metric.
    MOMENT = 0.05

    def __init__(self) -> None:
        self._begin()
        itself = weakref.ref(self)

        def begin_anew() -> None:
            if (readings := itself()) is not None:
                readings._begin()

        os.register_at_fork(after_in_child=begin_anew)

    def _begin(self) -> None:
        self._lock = threading.Lock()  # in a child, a new one: another thread may have held the parent's
        self._stats: Stats = {}
        self._time = -float("inf")
        self._largest: dict[tuple[str, Labels], float] = {}

    def read(self, metric: Metric) -> list[Sample]:
        """Return what `metric` is now.

        Raises:
            InvalidOption: An environment variable ``ACTCACHE_...`` means nothing.
            LibraryError: As :func:`actcache.library_path`.
        """
        with self._lock:
            self._refresh()
            samples = [
                (tuple(zip(metric.labels, values, strict=True)), value) for values, value in metric.read(self._stats)
            ]
            if metric.kind is Kind.COUNTER:
                samples = [(labels, self._grown(metric, labels, value)) for labels, value in samples]
            return samples

    def _refresh(self) -> None:
        if time.monotonic() - self._time > self.MOMENT:
            self._stats = stats()
            self._time = time.monotonic()

    def _grown(self, metric: Metric, labels: Labels, value: float) -> float:
        largest = self._largest[metric.name, labels] = max(value, self._largest.get((metric.name, labels), 0))
        return largest
