"""Writes ``actcache.json`` beside this file: a Grafana dashboard for the metrics of ``actcache/metrics/table.py``.

    python docs/grafana/make_dashboard.py

Schema 39 (Grafana 10.4), which later versions migrate by themselves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).with_name("actcache.json")

Panel = dict[str, Any]

#: What every query selects by: the variables at the head of the dashboard.
_PROCESS = 'instance=~"$instance"'
_REGION = f'{_PROCESS}, region=~"$region"'
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_REUSED = 'outcome=~"hit|duplicate|joined"'


def rate(metric: str, by: str = "", labels: str = _REGION) -> str:
    """PromQL for the increase per second of a counter, summed over all that `by` does not name."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{labels}}}[$__rate_interval]))"


def hit_ratio(by: str = "") -> str:
    """PromQL for the share of rows that were not computed."""
    reused = rate("actcache_rows_total", by, f"{_REGION}, {_REUSED}")
    return f"{reused} / {rate('actcache_rows_total', by)}"


def net_saving(by: str = "") -> str:
    """PromQL for the seconds saved per second, less those that the cache took."""
    return f"{rate('actcache_saved_seconds_total', by)} - {rate('actcache_overhead_seconds_total', by)}"


def of_store(metric: str) -> str:
    """PromQL for an amount of the store, summed over processes."""
    return f"sum ({metric}{{{_PROCESS}}})"


def panel(
    kind: str, title: str, description: str, unit: str, queries: dict[str, str], width: int, height: int, **extra: Any
) -> Panel:
    """One panel. `queries` are PromQL by legend."""
    defaults = {"unit": unit, **extra.pop("defaults", {})}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
            for i, (legend, expr) in enumerate(queries.items())
        ],
        **extra,
    }


def stat(title: str, description: str, unit: str, expr: str, steps: list[tuple[float | None, str]]) -> Panel:
    """A number with a colour."""
    thresholds = {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}
    defaults = {"thresholds": thresholds, "color": {"mode": "thresholds"}, "noValue": "-"}
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}, "graphMode": "area", "colorMode": "value"}
    return panel("stat", title, description, unit, {title: expr}, 6, 4, defaults=defaults, options=options)


def lines(
    title: str, description: str, unit: str, queries: dict[str, str], *, stacked: bool = False, **limits: float
) -> Panel:
    """Lines over time."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 40 if stacked else 10, "showPoints": "never"}
    custom["stacking"] = {"mode": "normal" if stacked else "none", "group": "A"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom, **limits}
    return panel("timeseries", title, description, unit, queries, 12, 8, defaults=defaults, options=options)


def states() -> Panel:
    """When each region was active, bypassed or disabled."""
    names = {"0": ("active", "green"), "1": ("bypassed", "yellow"), "2": ("disabled", "red")}
    mapping = {value: {"text": text, "color": color, "index": int(value)} for value, (text, color) in names.items()}
    number = " or ".join(
        f'{weight}actcache_region_state{{{_REGION}, state="{state}"}}'
        for weight, state in (("", "bypassed"), ("2 * ", "disabled"))
    )
    return panel(
        "state-timeline",
        "State of the regions",
        "Bypassed: looking up would cost more than it saves. Disabled: a verified row differed from its entry. "
        "Of several processes the worst.",
        "short",
        {"{{region}}": f"max by (region) ({number})"},
        12,
        8,
        defaults={
            "color": {"mode": "thresholds"},
            "mappings": [{"type": "value", "options": mapping}],
            "custom": {"fillOpacity": 70, "lineWidth": 0},
        },
        options={"mergeValues": True, "showValue": "auto", "rowHeight": 0.8, "legend": {"showLegend": False}},
    )


def panels() -> list[Panel]:
    """All panels, in reading order."""
    return [
        stat("Hit ratio", "Rows that were not computed.", "percentunit", hit_ratio(), [(None, "red"), (0.05, "green")]),
        stat(
            "Time saved per second",
            "Seconds of computing saved, less those that the cache took. Above 0 the cache pays.",
            "s",
            net_saving(),
            [(None, "red"), (0, "green")],
        ),
        stat(
            "Budget in use",
            "Bytes held, of those that may be held.",
            "percentunit",
            f"{of_store('actcache_store_bytes')} / {of_store('actcache_store_budget_bytes')}",
            [(None, "green"), (0.95, "yellow")],
        ),
        stat(
            "Mismatches",
            "Verified rows that differed from their entry, in the time shown. More than 0 needs a look.",
            "short",
            f"sum (increase(actcache_mismatches_total{{{_REGION}}}[$__range]))",
            [(None, "green"), (0.5, "red")],
        ),
        lines(
            "Rows by outcome",
            "What became of the rows that were looked up.",
            "short",
            {"{{outcome}}": rate("actcache_rows_total", "outcome")},
            stacked=True,
            min=0,
        ),
        lines("Hit ratio", "By region.", "percentunit", {"{{region}}": hit_ratio("region")}, min=0, max=1),
        lines(
            "Time saved per second", "By region, less what the cache took.", "s", {"{{region}}": net_saving("region")}
        ),
        lines(
            "Where the time goes",
            "Per second: computing what was missing, and what the cache itself does.",
            "s",
            {
                "compute": rate("actcache_compute_seconds_total"),
                "overhead": rate("actcache_overhead_seconds_total"),
                "of it hashing": rate("actcache_hash_seconds_total"),
                "of it copying": rate("actcache_copy_seconds_total"),
            },
            min=0,
        ),
        lines(
            "Store",
            "Bytes held and bytes allowed.",
            "bytes",
            {
                "held": of_store("actcache_store_bytes"),
                "pinned": of_store("actcache_pinned_bytes"),
                "budget": of_store("actcache_store_budget_bytes"),
            },
            min=0,
        ),
        lines(
            "Bytes by region",
            "What is held.",
            "bytes",
            {"{{region}}": f"sum by (region) (actcache_region_bytes{{{_REGION}}})"},
            stacked=True,
            min=0,
        ),
        lines(
            "Entries per second",
            "What comes and what goes.",
            "short",
            {
                "stored": rate("actcache_insertions_total", labels=_PROCESS),
                "refused": rate("actcache_rejections_total", labels=_PROCESS),
                "evicted": rate("actcache_evictions_total"),
                "expired": rate("actcache_expirations_total", labels=_PROCESS),
                "invalidated": rate("actcache_invalidations_total", labels=_PROCESS),
            },
            min=0,
        ),
        lines(
            "Bypass",
            "Regions per second that turn bypassed, and trials of bypassed ones.",
            "short",
            {"bypassed": rate("actcache_bypass_switches_total"), "tried": rate("actcache_probes_total")},
            min=0,
        ),
        lines(
            "Values from tiers",
            "Per second: what the store on disk and the server had of what memory did not have.",
            "short",
            {
                "{{tier}}": rate("actcache_tier_hits_total", "tier", _PROCESS),
                "{{tier}}, not there": rate("actcache_tier_misses_total", "tier", _PROCESS),
            },
            min=0,
        ),
        lines(
            "Values to tiers",
            "Per second: written, taken over from the other tier, and lost for want of room or by faults.",
            "short",
            {
                "{{tier}}, written": rate("actcache_tier_stored_total", "tier", _PROCESS),
                "{{tier}}, taken over": rate("actcache_tier_promoted_total", "tier", _PROCESS),
                "{{tier}}, refused": rate("actcache_tier_refused_total", "tier", _PROCESS),
                "{{tier}}, dropped": rate("actcache_tier_dropped_total", "tier", _PROCESS),
                "{{tier}}, faults": rate("actcache_tier_errors_total", "tier", _PROCESS),
            },
            min=0,
        ),
        lines(
            "Disk store",
            "The largest of all that the processes name: those of one machine share a store.",
            "bytes",
            {
                "{{tier}}, held": f"max by (tier) (actcache_tier_bytes{{{_PROCESS}}})",
                "{{tier}}, budget": f"max by (tier) (actcache_tier_budget_bytes{{{_PROCESS}}})",
            },
            min=0,
        ),
        lines(
            "Audit log",
            "Events per second. Lost ones did not fit the buffer: a slow disk, or a small audit_buffer_bytes.",
            "short",
            {
                "written": rate("actcache_audit_events_total", labels=_PROCESS),
                "lost": rate("actcache_audit_dropped_events_total", labels=_PROCESS),
            },
            min=0,
        ),
        states(),
    ]


def arranged(unplaced: list[Panel]) -> list[Panel]:
    """Give the panels numbers and places: rows of 24 columns, from left to right."""
    x = y = row_height = 0
    for number, found in enumerate(unplaced, 1):
        place = found["gridPos"]
        if x + place["w"] > 24:
            x, y, row_height = 0, y + row_height, 0
        place.update(x=x, y=y)
        x, row_height = x + place["w"], max(row_height, place["h"])
        found["id"] = number
    return unplaced


def variable(name: str, label: str, selector: str) -> dict[str, Any]:
    """A choice of several values of a label, all of them at first."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": _SOURCE,
        "query": {"qryType": 1, "query": f"label_values({selector}, {name})", "refId": "variable"},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    return {
        "title": "actcache",
        "uid": "actcache",
        "description": "What actcache's regions save, hold and cost.",
        "tags": ["actcache", "onnxruntime"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "templating": {
            "list": [
                {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
                variable("instance", "Process", "actcache_build_info"),
                variable("region", "Region", f"actcache_rows_total{{{_PROCESS}}}"),
            ]
        },
        "annotations": {"list": []},
        "panels": arranged(panels()),
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(text())
