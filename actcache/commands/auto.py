"""``actcache auto``: what programs of ``actcache run`` have learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from actcache.commands import options
from actcache.commands.compile_report import UNITS
from actcache.commands.tables import Cell, Column, print_table, say
from actcache.commands.terminal import respond
from actcache.learn import settings
from actcache.serve.byte_size import ByteSize, format_bytes

_EPILOG = f"""\b
Examples:
  actcache auto ls
      models that were found, whether each is compiled, and what that saved
  actcache auto show encoder.onnx
      why a model was compiled or not
  actcache auto forget encoder.onnx
      removes what was compiled and recorded of it
  actcache auto prune --cache-size 1GiB
      removes models that were not used for the longest time

{options.EXIT_CODES}"""

_folder = click.option(
    "--cache-dir",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where compiled models are kept.  [default: ~/.cache/actcache]",
)


@click.group(
    name="auto",
    short_help="Look after the models of `actcache run`.",
    epilog=_EPILOG,
    context_settings=options.HELP_NAMES,
)
def auto_command() -> None:
    """Show and remove the models that `actcache run` has recorded and compiled."""


@auto_command.command(name="ls", context_settings=options.HELP_NAMES)
@_folder
@options.as_json
@options.debug
def ls_command(cache_dir: Path | None, as_json: bool, debug: bool) -> None:
    """List the models that were found."""

    def found(root: Path) -> Mapping[str, Any]:
        from actcache.learn import listing

        return {
            "folder": str(root),
            "models": listing.models(root),
            "learning": listing.still_learning(root),
            "left_alone": listing.sessions_left_alone(root),
        }

    _respond(cache_dir, found, _show_list, as_json, debug)


@auto_command.command(name="show", short_help="Show what is known of a model.", context_settings=options.HELP_NAMES)
@click.argument("model")
@_folder
@options.as_json
@options.debug
def show_command(model: str, cache_dir: Path | None, as_json: bool, debug: bool) -> None:
    """Show what is known of MODEL: a file, its name, or the beginning of its key."""

    def found(root: Path) -> Mapping[str, Any]:
        from actcache.learn import listing

        return listing.find(root, model)

    _respond(cache_dir, found, _show_model, as_json, debug)


@auto_command.command(name="forget", context_settings=options.HELP_NAMES)
@click.argument("model")
@_folder
@options.as_json
@options.debug
def forget_command(model: str, cache_dir: Path | None, as_json: bool, debug: bool) -> None:
    """Remove what was compiled and recorded of MODEL. Running programs are not disturbed."""

    def found(root: Path) -> Mapping[str, Any]:
        from actcache.learn import listing

        return listing.forget(root, model)

    def show(console: Console, answer: Mapping[str, Any]) -> None:
        say(console, f"removed {answer['name']}, {format_bytes(answer['bytes'])}")

    _respond(cache_dir, found, show, as_json, debug)


@auto_command.command(name="prune", short_help="Remove old models.", context_settings=options.HELP_NAMES)
@click.option("--cache-size", type=ByteSize(), metavar="SIZE", help="What the folder may hold.  [default: 4GiB]")
@_folder
@options.as_json
@options.debug
def prune_command(cache_size: int | None, cache_dir: Path | None, as_json: bool, debug: bool) -> None:
    """Remove models until the folder holds no more than SIZE, those first that were not used for the longest time."""

    def found(root: Path) -> Mapping[str, Any]:
        from actcache.learn import cache
        from actcache.learn.prune import prune

        with cache.locked(root / "lock"):
            removed = prune(root, settings.folder_bytes() if cache_size is None else cache_size)
        return {"models": list(removed.models), "bytes": removed.bytes}

    def show(console: Console, answer: Mapping[str, Any]) -> None:
        count = len(answer["models"])
        say(console, f"removed {count} model{'' if count == 1 else 's'}, {format_bytes(answer['bytes'])}")

    _respond(cache_dir, found, show, as_json, debug)


def _respond(
    cache_dir: Path | None,
    find: Callable[[Path], Mapping[str, Any]],
    show: Callable[[Console, Mapping[str, Any]], None],
    as_json: bool,
    debug: bool,
) -> None:
    def found() -> Mapping[str, Any]:
        from actcache.learn import listing

        return find(listing.open_folder(settings.cache_folder() if cache_dir is None else str(cache_dir.absolute())))

    respond(found, show, as_json=as_json, debug=debug)


def _show_list(console: Console, answer: Mapping[str, Any]) -> None:
    if not any(answer[name] for name in ("models", "learning", "left_alone")):
        say(console, f"{answer['folder']} knows no models yet: run a program with 'actcache run -- PROGRAM'")
    names = ("model", "key", "state", "time", "looked up", "reused", "saved", "on disk")
    columns = [Column(name, name in names[3:]) for name in names]
    rows: list[list[Cell]] = []
    for model in answer["models"]:
        saved = model["saved"] or {}
        lookups = saved.get("lookups", 0)
        rows.append(
            [
                [model["name"]],
                model["key"][:8],
                model["state"],
                "–" if model["ratio"] is None else f"{model['ratio']:.2f}",
                f"{int(lookups):,}",
                f"{saved['hits'] / lookups:.1%}" if lookups else "–",
                f"{saved.get('saved_seconds', 0.0):.1f} s",
                format_bytes(model["bytes"]),
            ]
        )
    print_table(console, "Models", columns, rows)
    for model in answer["models"]:
        if model["state"] == "refused":
            say(console, f"{model['name']} ({model['key'][:8]}): {model['reason']}")
    for place in answer["learning"]:
        source = place["source"] or "a model that is running now"
        calls = f"{place['calls']:,} calls are recorded" if place["calls"] else "the compiling process has its calls"
        say(console, f"{source}: no answer yet; {calls}")
    for place in answer["left_alone"]:
        say(console, f"{place['source']}: stays as it is: {place['reason']}")


def _unit(model: Mapping[str, Any]) -> str:
    """Say what a model's regions look up."""
    kinds = {region.get("granularity", "row") for region in model["regions"]} or {"row"}
    return f"{UNITS.get(kinds.pop(), 'row')}s" if len(kinds) == 1 else "entries"


def _show_model(console: Console, model: Mapping[str, Any]) -> None:
    say(console, f"{model['name']}, key {model['key']}: {model['state']}")
    if model["reason"]:
        say(console, f"reason: {model['reason']}")
    if model["back"]:
        back = model["back"]
        times = "1 time" if back["times"] == 1 else f"{back['times']} times"
        say(console, f"sessions went back to the original ({times} since it last paid): {back['reason']}")
    for source in model["sources"]:
        say(console, f"found as {source}")
    around = model["around"]
    say(console, f"onnxruntime {around.get('onnxruntime')}, actcache {around.get('actcache')}, {around.get('machine')}")
    for name, value in around.get("options", {}).items():
        say(console, f"session option {name}: {value}")
    attempts = "1 attempt" if model["attempts"] == 1 else f"{model['attempts']} attempts"
    say(console, f"sample of {model['calls']:,} calls, {attempts}, {format_bytes(model['bytes'])} on disk")
    if model["processor_seconds"] is not None:
        say(console, f"compiling it took {model['processor_seconds']:.1f} s of processor time")
    if model["ratio"] is not None:
        say(console, f"measured on the sample: {model['ratio']:.3f} of the original's time")
    for name, share in model["reuse"].items():
        say(console, f"region {name}: {share:.1%} reused there")
    if model["saved"]:
        saved = model["saved"]
        say(
            console,
            f"in {saved['programs']} programs: {int(saved['lookups']):,} {_unit(model)}, {int(saved['hits']):,} reused,"
            f" {saved['saved_seconds']:.2f} s saved",
        )
    for rule, reason, node in model["refusals"][:10]:
        say(console, f"{node or 'model'}: {reason} ({rule})")
