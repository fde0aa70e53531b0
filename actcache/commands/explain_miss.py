"""``actcache explain-miss``: why a call would not be found after another one, or was not while a model was in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from actcache.commands import options
from actcache.errors import InvalidOption
from actcache.terminal import respond

#: Rows of a region that are printed; --json has all.
_SHOWN = 20

_EPILOG = f"""\b
Examples:
  actcache explain-miss encoder.cached.onnx monday.npz tuesday.npz
      for every row of tuesday.npz: whether it hits after monday.npz, or what is different
  actcache explain-miss clip.cached.onnx a.npz b.npz --region clip.pixel_values --json
  actcache explain-miss encoder.cached.onnx tuesday.npz audit.jsonl
      what became of tuesday.npz when it was last called, and why: evicted, expired, never seen, ...

{options.EXIT_CODES}"""


@click.command(name="explain-miss", epilog=_EPILOG, context_settings=options.HELP_NAMES)
@click.argument("model", type=options.READ)
@click.argument("first", type=options.READ, metavar="FIRST.npz")
@click.argument("second", type=options.READ, metavar="SECOND.npz|AUDIT")
@click.option("--region", metavar="ID", help="Look at this region only.")
@click.option("--lookup", type=int, metavar="N", help="This one of AUDIT.  [default: the last that FIRST fits]")
@options.libraries
@options.as_json
@options.debug
def explain_miss_command(
    model: Path,
    first: Path,
    second: Path,
    region: str | None,
    lookup: int | None,
    libraries: Sequence[str],
    as_json: bool,
    debug: bool,
) -> None:
    """Say for every region and row whether SECOND hits in the compiled MODEL after FIRST, and if not, why.

    Named are the tensor, the row of FIRST that comes nearest, the first element that differs from it, and by how much;
    or what else keeps entries apart. Both are .npz files of inputs (numpy.savez), called one after the other in one
    session with an empty store: what was evicted or expired in between is not known here.

    With an audit log instead of SECOND: what became of FIRST while the model was in use. Its keys cannot be known
    outside that process, so FIRST is taken for the last lookup that has as many rows, of which the same are equal.
    """

    def find() -> Mapping[str, Any]:
        from actcache.explain_miss import explain_inputs, to_json

        if _is_log(second):
            from actcache.recorded_miss import explain_recorded

            records, recorded = explain_recorded(
                model, first, second, region=region, lookup=lookup, libraries=libraries
            )
            found = {name: one.to_json() for name, one in recorded.items()}
            return {
                "model": str(model),
                "first": str(first),
                "audit": str(second),
                "lookups": found,
                **to_json(records),
            }
        if lookup is not None:
            raise InvalidOption("--lookup is for an audit log", hint=f"{second} is none")
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


def _where(answer: Mapping[str, Any], region: str) -> str:
    one = answer.get("lookups", {}).get(region)
    if one is None:
        return ""
    among = "" if one["fits"] == 1 else f", of {one['fits']} that it fits"
    return f" (lookup {one['lookup']} of the log{among})"


def _show(console: Console, answer: Mapping[str, Any]) -> None:
    for region, counts in answer["regions"].items():
        total = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        console.print(f"{region}: {total}{_where(answer, region)}", soft_wrap=True)
        records = [record for record in answer["rows"] if record["region"] == region]
        for record in records[:_SHOWN]:
            what = "the call" if record["row"] is None else f"row {record['row']}"
            console.print(f"  {what}: {record['outcome']}: {record['text']}", soft_wrap=True)
        if len(records) > _SHOWN:
            console.print(f"  ... and {len(records) - _SHOWN} more rows; --json has all of them")
