"""``actcache report``: a page about an audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from actcache.commands import options
from actcache.commands.tables import say
from actcache.commands.terminal import progress, respond
from actcache.report.wording import duration
from actcache.serve.byte_size import ByteSize, format_bytes

_EPILOG = f"""\b
Examples:
  actcache report audit.jsonl
      writes audit.html: does it pay, what to change, what was reused and when
  actcache report audit.jsonl --model encoder.cached.onnx -o monday.html
      with a picture of the model, its regions coloured by hits
  actcache report audit.jsonl --budget 2GiB --json | jq .hit_ratio_twice_budget

{options.EXIT_CODES}"""


@click.command(
    name="report",
    short_help="Write an HTML report about an audit log.",
    epilog=_EPILOG,
    context_settings=options.HELP_NAMES,
)
@click.argument("audit", type=options.READ)
@click.option("--model", type=options.READ, help="The compiled model that was in use.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: AUDIT as .html]")
@click.option(
    "--budget", type=ByteSize(), metavar="SIZE", help="Estimate the reuse with this budget.  [default: the log's]"
)
@click.option(
    "--watts",
    type=click.FloatRange(min=0),
    metavar="W",
    default=10,
    show_default=True,
    help="Power of one busy core, to estimate the energy saved.",
)
@options.as_json
@options.debug
def report_command(
    audit: Path, model: Path | None, output: Path | None, budget: int | None, watts: float, as_json: bool, debug: bool
) -> None:
    """Write an HTML report about the audit log AUDIT (recorded with the setting audit_path), rotated files included.

    The report is one file and needs no network. Its first screen says whether the cache pays and what to change. Below:
    reuse by region and over time, the effect of other budgets, ages and sizes of entries, the most frequent inputs.
    """
    target = output if output is not None else audit.with_suffix(".html")

    def find() -> Mapping[str, Any]:
        with progress(as_json) as stage:
            stage(f"reading {audit}")
            from actcache.report.changes import changes
            from actcache.report.page import write_report
            from actcache.report.verdict import judge

            facts = write_report(audit, target, model=model, budget_bytes=budget, watts=watts)
        answer = {"verdict": asdict(judge(facts)), "changes": [asdict(change) for change in changes(facts)]}
        return {"report": str(target), **answer, **facts.to_json()}

    respond(find, _show, as_json=as_json, debug=debug)


def _show(console: Console, answer: Mapping[str, Any]) -> None:
    say(console, answer["verdict"]["title"])
    say(
        console,
        f"{answer['reused']:,} of {answer['rows']:,} {answer['unit']} reused"
        f" ({answer['hit_ratio']:.1%} of those looked up),"
        f" {duration(answer['saved_seconds'])} saved ({answer['saved_share']:.1%})",
    )
    if answer["hit_ratio_twice_budget"] is not None:
        twice = format_bytes(2 * answer["budget_bytes"])
        say(console, f"twice the budget ({twice}) would reuse {answer['hit_ratio_twice_budget']:.1%}")
    for change in answer["changes"][:3]:
        say(console, f"change: {change['title']}: {change['how']}")
    for note in answer["notes"]:
        say(console, f"note: {note}")
    say(console, f"wrote {answer['report']}")
