"""``actcache replay``: an audit log's calls, made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from actcache.commands import options
from actcache.commands.tables import say
from actcache.commands.terminal import respond

_EPILOG = f"""\b
Examples:
  actcache replay audit.jsonl --model encoder.cached.onnx --trace calls/
      whether the same calls lead to the same decisions; if not, the first different one, and why
  actcache replay audit.jsonl --model M --trace calls/ --json | jq .same

\b
Record both with
  actcache.configure(audit_path="audit.jsonl")
  session = actcache.record(session, "calls/")

{options.EXIT_CODES}"""


@click.command(
    name="replay",
    short_help="Make the calls of an audit log again, and compare.",
    epilog=_EPILOG,
    context_settings=options.HELP_NAMES,
)
@click.argument("audit", type=options.READ)
@click.option("--model", type=options.READ, required=True, help="The compiled model that was in use.")
@click.option(
    "--trace",
    type=options.READ,
    required=True,
    multiple=True,
    help="The calls, as actcache.record wrote them. Repeatable.",
)
@click.option(
    "--disk-path",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The store on disk that the calls used. It is only read; what it no longer has is computed.",
)
@options.libraries
@options.as_json
@options.debug
def replay_command(
    audit: Path,
    model: Path,
    trace: Sequence[Path],
    disk_path: Path | None,
    libraries: Sequence[str],
    as_json: bool,
    debug: bool,
) -> None:
    """Make the calls of the audit log AUDIT again, and compare the decisions: hits, stores, evictions.

    The replay starts with an empty store and uses the log's configuration, times and costs. Outputs are compared with
    those of the original model. Values that came from a store on disk or on a server come from such a store again: one
    that the replay fills, or a copy of the one that --disk-path names.
    """

    def find() -> Mapping[str, Any]:
        from actcache.replay.replay import replay_audit

        return replay_audit(audit, model, trace, libraries=libraries, disk_path=disk_path)

    respond(find, _show, as_json=as_json, debug=debug)


def _show(console: Console, answer: Mapping[str, Any]) -> None:
    difference, outputs = answer["difference"], answer["outputs"]
    what = f"{answer['calls']:,} calls ({answer['rows']:,} rows looked up, {answer['evicted']:,} evicted)"
    if difference is None:
        say(console, f"{what}: all decisions the same")
    else:
        where = [] if difference["call"] is None else [f"call {difference['call']}"]
        where += [] if difference["region"] is None else [f"'{difference['region']}'"]
        where += [] if difference["lookup"] is None else [f"lookup {difference['lookup']} of the log"]
        say(console, f"{what}: not the same")
        say(console, f"first difference: {', '.join(where) or 'between two calls'}: {difference['text']}")
        say(console, f"why: {difference['why']}")
    if outputs["failure"] is not None:
        say(console, f"outputs differ: {outputs['failure']}")
    else:
        exact = "bit for bit" if outputs["bit_exact"] else f"within {outputs['max_abs_error']:.2g}"
        say(console, f"outputs: those of the model before it was compiled, {exact}")
    for note in answer["notes"]:
        say(console, f"note: {note}")
