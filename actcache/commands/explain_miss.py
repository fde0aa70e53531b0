"""``actcache explain-miss``: why a call would not be found after another one, or was not while a model was in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from actcache.base.moment import Moment, format_moment
from actcache.commands import options
from actcache.commands.tables import say
from actcache.commands.terminal import respond
from actcache.errors import InvalidOption

#: Rows of a region that are printed; --json has all.
_SHOWN = 20

_EPILOG = f"""\b
Examples:
  actcache explain-miss encoder.cached.onnx monday.npz tuesday.npz
      for every row of tuesday.npz: whether it hits after monday.npz, or what is different
  actcache explain-miss clip.cached.onnx a.npz b.npz --region clip.pixel_values --json
  actcache explain-miss encoder.cached.onnx tuesday.npz audit.jsonl
      what happened to tuesday.npz when it was last called, and why: evicted, expired, never seen, ...
  actcache explain-miss encoder.cached.onnx tuesday.npz audit.jsonl --at 2026-11-24T09:30:00
      the same for the last such call up to half past nine

{options.EXIT_CODES}"""


@click.command(
    name="explain-miss",
    short_help="Explain why a call hits or misses.",
    epilog=_EPILOG,
    context_settings=options.HELP_NAMES,
)
@click.argument("model", type=options.READ)
@click.argument("first", type=options.READ, metavar="FIRST.npz")
@click.argument("second", type=options.READ, metavar="SECOND.npz|AUDIT")
@click.option("--region", metavar="ID", help="Explain this region only.")
@click.option("--lookup", type=int, metavar="N", help="Explain lookup N of AUDIT.  [default: the last that FIRST fits]")
@click.option(
    "--at",
    type=Moment(),
    metavar="TIME",
    help="Explain the last lookup up to TIME that FIRST fits: 2026-11-29T03:04:05 (UTC), or seconds since 1970.",
)
@options.libraries
@options.as_json
@options.debug
def explain_miss_command(
    model: Path,
    first: Path,
    second: Path,
    region: str | None,
    lookup: int | None,
    at: float | None,
    libraries: Sequence[str],
    as_json: bool,
    debug: bool,
) -> None:
    """Explain for every region and row why the call SECOND hits or misses after the call FIRST in the compiled MODEL.

    For a miss: the tensor that differs, the nearest row of FIRST, the first element that differs, and by how much.
    FIRST and SECOND are .npz files of inputs (numpy.savez). They are called one after the other in one session that
    starts with an empty store, so evictions and expiry in real use are not seen here.

    With an audit log instead of SECOND: what happened to FIRST while the model was in use. The log does not hold
    inputs. So a lookup of the log is taken for FIRST if it has as many rows, and if the same rows are equal to each
    other. If there are several, the answer says how many, and explains the last of them; --lookup and --at choose
    another.
    """

    def find() -> Mapping[str, Any]:
        from actcache.inspection.explain_miss import explain_inputs, to_json

        if _is_log(second):
            from actcache.inspection.logged_miss import explain_recorded

            records, recorded = explain_recorded(
                model, first, second, region=region, lookup=lookup, at=at, libraries=libraries
            )
            found = {name: one.to_json() for name, one in recorded.items()}
            return {
                "model": str(model),
                "first": str(first),
                "audit": str(second),
                "lookups": found,
                **to_json(records),
            }
        for option, value in (("--lookup", lookup), ("--at", at)):
            if value is not None:
                raise InvalidOption(f"{option} is for an audit log", hint=f"{second} is not one")
        records = explain_inputs(model, first, second, region=region, libraries=libraries)
        return {"model": str(model), "first": str(first), "second": str(second), **to_json(records)}

    respond(find, _show, as_json=as_json, debug=debug)


def _is_log(path: Path) -> bool:
    """Whether it is a file of JSON lines; inputs are archives."""
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError:
        return False  # reading the inputs says what is wrong


def _show_taken(console: Console, answer: Mapping[str, Any]) -> None:
    """Say which of the log's lookups is explained, and how to choose another."""
    several = False
    for region, one in answer.get("lookups", {}).items():
        which = f"lookup {one['lookup']} of {format_moment(one['time'])}"
        if one["fits"] == 1:
            say(console, f"{region}: {answer['first']} fits one lookup of the log, {which}")
            continue
        several = True
        say(console, f"{region}: {answer['first']} fits {one['fits']:,} lookups of the log; explained is {which}")
        say(console, f"  others nearby: {', '.join(map(str, one['others']))}")
    if several:
        say(console, "choose another one with --lookup N or --at TIME")


def _total(counts: Mapping[str, int], records: Sequence[Mapping[str, Any]]) -> str:
    """Sum up a region: its rows by their outcomes, or how many positions of sequences were known."""
    sequences = [record["details"] for record in records if "positions" in record["details"]]
    if records and len(sequences) == len(records):
        known, positions = (sum(found[name] for found in sequences) for name in ("known", "positions"))
        rows = "1 row" if len(records) == 1 else f"{len(records)} rows"
        return f"{known:,} of the {positions:,} positions of {rows} known"
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def _show(console: Console, answer: Mapping[str, Any]) -> None:
    _show_taken(console, answer)
    for region, counts in answer["regions"].items():
        records = [record for record in answer["rows"] if record["region"] == region]
        say(console, f"{region}: {_total(counts, records)}")
        for record in records[:_SHOWN]:
            what = "the call" if record["row"] is None else f"row {record['row']}"
            say(console, f"  {what}: {record['outcome']}: {record['text']}")
        if len(records) > _SHOWN:
            say(console, f"  ... and {len(records) - _SHOWN} more rows; --json has all of them")
