"""``actcache top``: what a running process's caches do, from its metrics file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from actcache.commands import options
from actcache.commands.tables import Cell, Column, fits, fitting
from actcache.commands.terminal import fail, new_console
from actcache.errors import InvalidMetrics
from actcache.metrics.metrics_file import Activity, Snapshot, activity, read_snapshot, saved_seconds, staleness
from actcache.report.energy import Meter, Power, power
from actcache.serve.byte_size import format_bytes

_EPILOG = f"""\b
A process writes PATH if one of these names it: actcache.configure(metrics_path=PATH), the session config entry
actcache.metrics_path, or the environment variable ACTCACHE_METRICS_PATH.

\b
Examples:
  actcache top /run/encoder.json
      a table that refreshes until Ctrl-C
  actcache top /run/encoder.json --once --watts 12
      one table, with the energy saved if a busy core draws 12 W

{options.EXIT_CODES}"""

_BAR = 30

#: Columns after the region's name and state. A narrow terminal gets the first few and the last.
_NUMBERS = ("rows", "hits", "now", "rows/s", "saved/s", "bytes", "saved", "evicted", "bypassed", "mismatch")
_FEWER = (6, 3, 2)
_STATE_STYLES = {"active": "green", "bypassed": "yellow", "disabled": "red"}


@click.command(name="top", epilog=_EPILOG, context_settings=options.HELP_NAMES)
@click.argument("path", type=options.READ)
@click.option("--once", is_flag=True, help="Print one table and exit (the default if stdout is not a terminal).")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between two updates."
)
@click.option(
    "--watts",
    type=click.FloatRange(min=0, min_open=True),
    help="Power of one busy core, to estimate the energy saved.  [default: measured, if this machine has RAPL]",
)
@options.debug
def top_command(path: Path, once: bool, interval: float, watts: float | None, debug: bool) -> None:
    """Show what the caches of a running process do. PATH is the metrics file that the process writes."""
    console = new_console()
    screens = _screens(path, watts, console)
    try:
        if once or not console.is_terminal:
            console.print(next(screens))
        else:
            _refresh(console, screens, interval)
    except KeyboardInterrupt:
        pass  # the way out
    except Exception as error:
        fail(error, debug)


def _refresh(console: Console, screens: Iterator[Group], interval: float) -> None:
    with Live(next(screens), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            live.update(next(screens), refresh=True)


def _screens(path: Path, watts: float | None, console: Console) -> Iterator[Group]:
    """Yield what is there now, again and again; a file that becomes unreadable after the first time is a notice."""
    meter = Meter()
    before, now = None, read_snapshot(path)
    notice = staleness(now)
    while True:
        yield _screen(before, now, power(meter, watts), notice, console)
        try:
            found = read_snapshot(path)
        except InvalidMetrics as error:
            notice = str(error)
            continue
        if found.time != now.time:  # else the same snapshot again
            before, now = now, found
        notice = staleness(now)


def _screen(before: Snapshot | None, now: Snapshot, drawn: Power | None, notice: str | None, console: Console) -> Group:
    parts: list[RenderableType] = [
        Text(f"process {now.pid}, actcache {now.version}, {time.strftime('%H:%M:%S', time.localtime(now.time))}"),
        _store_line(now),
        *(_tier_line(name, tier) for name, tier in now.tiers.items()),
        _saved_line(now, drawn),
        _region_table(before, now, console.width),
    ]
    if notice is not None:
        parts.append(Text(notice, style="bold red"))
    return Group(*parts)


def _store_line(now: Snapshot) -> Text:
    held, budget = now.store["bytes"], now.store["budget_bytes"]
    share = min(1.0, held / budget) if budget else 0.0
    filled = round(share * _BAR)
    line = Text("store [")
    line.append("#" * filled, style="green" if share < 0.9 else "yellow")
    line.append("-" * (_BAR - filled), style="dim")
    line.append(f"] {share:.0%}: {format_bytes(held)} of {format_bytes(budget)}")
    line.append(f", {_count(now.store['entries'])} entries, {_count(now.store['evictions'])} evicted")
    return line


def _tier_line(name: str, tier: Mapping[str, Any]) -> Text:
    asked = tier["hits"] + tier["misses"]
    line = Text(f"{name}: had {_count(tier['hits'])} of {_count(asked)} values, stored {_count(tier['stored'])}")
    for what in ("refused", "dropped", "damaged"):
        if tier[what]:
            line.append(f", {_count(tier[what])} {what}", style="bold red" if what == "damaged" else "yellow")
    if tier["entries"]:  # a tier that cannot tell says 0
        line.append(f"; holds {_count(tier['entries'])} in {format_bytes(tier['bytes'])}")
        line.append(f" of {format_bytes(tier['budget_bytes'])}" if tier["budget_bytes"] else "")
    if tier.get("problem"):
        line.append(f"; {tier['problem']}", style="bold red")
    return line


def _saved_line(now: Snapshot, drawn: Power | None) -> Text:
    seconds = sum(saved_seconds(region) for region in now.regions.values())
    line = Text(f"saved {seconds:.1f} s of computing, net of the cache's own time")
    if drawn is not None:
        line.append(f"; {drawn.describe(seconds)}")
    return line


def _region_table(before: Snapshot | None, now: Snapshot, width: int) -> RenderableType:
    """All columns that fit; where only few would, a line per number."""
    if not now.regions:
        return Text("(no compiled model has been loaded yet)")
    columns = [Column("region"), Column("state"), *(Column(name, True) for name in _NUMBERS)]
    rows = [list(_row(name, region, activity(before, now, name))) for name, region in now.regions.items()]
    if fits(columns, rows, width, lines=False):
        return fitting(columns, rows, width, lines=False)
    for count in _FEWER:
        chosen = [*range(2 + count), len(columns) - 1]
        fewer = [[row[index] for index in chosen] for row in rows]
        if fits([columns[index] for index in chosen], fewer, width, lines=False):
            return fitting([columns[index] for index in chosen], fewer, width, lines=False)
    return fitting(columns, rows, width, lines=False)


def _row(name: str, region: Mapping[str, Any], done: Activity) -> Iterator[Cell]:
    yield [name]
    yield Text(region["state"], style=_STATE_STYLES.get(region["state"], ""))
    yield from _numbers(region, done)
    yield Text(_count(region["mismatches"]), style="bold red" if region["mismatches"] else "")


def _numbers(region: Mapping[str, Any], done: Activity) -> Iterator[str]:
    """The cells under _NUMBERS, but for the last."""
    yield _count(done.rows)
    yield _percent(done.hit_ratio)
    yield _percent(done.recent_hit_ratio)
    yield "-" if done.rows_per_second is None else _count(done.rows_per_second)
    yield "-" if done.saved_per_second is None else f"{done.saved_per_second:.2f}s"
    yield format_bytes(region["bytes"])
    yield f"{saved_seconds(region):.1f}s"
    yield _count(region["evicted"])
    yield _count(region["bypassed"])


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1%}"


def _count(number: float) -> str:
    """Write a number in six characters: ``9999``, ``12.3k``, ``1.2M``."""
    if number < 9999.5:
        return f"{number:.0f}"
    for unit in ("k", "M", "G"):
        number /= 1000
        if number < 999.95 or unit == "G":
            break
    return f"{number:.1f}{unit}"
