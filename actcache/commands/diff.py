"""``actcache diff``: whether two compiled models share entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from actcache.commands import options
from actcache.commands.tables import say
from actcache.commands.terminal import respond

#: Changes of one ingredient that are printed; --json has all.
_SHOWN = 10

_EPILOG = f"""\b
Examples:
  actcache diff encoder.v1.cached.onnx encoder.v2.cached.onnx
      which regions share entries, and what changed in the others
  actcache diff A B --json | jq .shared
      true if each model finds all entries of the other

{options.EXIT_CODES}"""


@click.command(
    name="diff",
    short_help="Show which entries two compiled models share.",
    epilog=_EPILOG,
    context_settings=options.HELP_NAMES,
)
@click.argument("first", type=options.READ)
@click.argument("second", type=options.READ)
@options.as_json
@options.debug
def diff_command(first: Path, second: Path, as_json: bool, debug: bool) -> None:
    """Show whether the compiled models FIRST and SECOND share cache entries (in one process and namespace).

    If they do not: what changed in a region (operators, opsets, attributes, weights, inputs and results, or how rows
    are separated). Names and the versions of actcache and onnxruntime do not matter.
    """

    def find() -> Mapping[str, Any]:
        from actcache.inspection.model_diff import diff_models

        return diff_models(first, second)

    respond(find, _show, as_json=as_json, debug=debug)


def _show(console: Console, answer: Mapping[str, Any]) -> None:
    say(console, f"first:  {answer['first']}\nsecond: {answer['second']}")
    for what, (one, two) in answer["versions"].items():
        if one != two:
            say(console, f"compiled with {what} {one or '?'} and {two or '?'} (not part of any key)")
    for pair in answer["regions"]:
        _show_pair(console, pair)
    for which in ("first", "second"):
        for name in answer[f"only_{which}"]:
            say(console, f"\n'{name}' is in the {which} only")


def _show_pair(console: Console, pair: Mapping[str, Any]) -> None:
    same_name = pair["first"] == pair["second"]
    names = f"'{pair['first']}'" if same_name else f"'{pair['first']}' and '{pair['second']}'"
    if pair["shared"]:
        say(console, f"\n{names}: entries are shared")
        return
    say(console, f"\n{names} (matched by {pair['matched_by']}): entries are not shared")
    say(console, f"  same:      {', '.join(pair['same']) or 'nothing'}")
    say(console, f"  different: {', '.join(pair['different'])}")
    shown: Counter[str] = Counter()
    for change in pair["changes"]:
        shown[change["ingredient"]] += 1
        if shown[change["ingredient"]] <= _SHOWN:
            say(console, f"  - {change['ingredient']}: {change['text']}")
    hidden = sum(max(0, count - _SHOWN) for count in shown.values())
    if hidden:
        say(console, f"  ... and {hidden} more of these kinds; --json has all of them")
