"""``actcache store``: look into the store of ``disk_path``, check it, empty it, ship it. Services may be using it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from actcache.commands import options
from actcache.commands.tables import say
from actcache.commands.terminal import respond
from actcache.errors import EXIT_BAD_INPUT
from actcache.report.wording import size
from actcache.serve.byte_size import ByteSize

_EPILOG = f"""\b
Examples:
  actcache store stat /var/cache/my-service
      what it holds, by region and namespace
  actcache store verify /var/cache/my-service --repair
      reads and checks everything, removes what is damaged
  actcache store warm encoder.cached.onnx calls/ ./store
      fills a store with the results of recorded calls, to ship it with the model
  actcache store export /var/cache/my-service ./store
      a copy to ship, with the secret that its keys are made with

{options.EXIT_CODES}"""

_STORE = click.argument("store", type=click.Path(path_type=Path))


@click.group(
    name="store", short_help="Look after a store on disk.", epilog=_EPILOG, context_settings=options.HELP_NAMES
)
def store_command() -> None:
    """Look after a store on disk, also while services use it. STORE is its folder, which disk_path names."""


def _selected(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--namespace", default="", help="Only entries of this namespace.")(command)
    return click.option("--region", default="", help="Only entries of this region.")(command)


@store_command.command(context_settings=options.HELP_NAMES)
@_STORE
@options.as_json
@options.debug
def stat(store: Path, as_json: bool, debug: bool) -> None:
    """Show what the store in the folder STORE holds."""
    from actcache.store import disk

    respond(lambda: disk.stat(store), _show_stat, as_json=as_json, debug=debug)


def _show_stat(console: Console, answer: Mapping[str, Any]) -> None:
    say(
        console,
        f"{answer['path']}: {answer['entries']} entries, {size(answer['bytes'])} of {size(answer['budget_bytes'])}",
    )
    for region in answer["regions"]:
        namespace = f", namespace '{region['namespace']}'" if region["namespace"] else ""
        say(
            console,
            f"  region '{region['region']}'{namespace}: {region['entries']} entries, {size(region['bytes'])}, made"
            f" {_time(region['oldest'])} to {_time(region['newest'])}",
        )


@store_command.command(context_settings=options.HELP_NAMES)
@_STORE
@_selected
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Entries to show.")
@options.as_json
@options.debug
def ls(store: Path, region: str, namespace: str, limit: int, as_json: bool, debug: bool) -> None:
    """List the entries of STORE that are worth most. They took long to compute, are used often, and are small."""
    from actcache.store import disk

    respond(
        lambda: {"entries": disk.entries(store, region, namespace, limit)}, _show_entries, as_json=as_json, debug=debug
    )


def _show_entries(console: Console, answer: Mapping[str, Any]) -> None:
    for entry in answer["entries"]:
        say(
            console,
            f"{entry['key'][:16]}  {size(entry['bytes'])}  {entry['region']}  used {entry['uses']} times, last"
            f" {_time(entry['used'])}",
        )


@store_command.command(context_settings=options.HELP_NAMES)
@_STORE
@click.option("--repair", is_flag=True, help="Remove what is damaged.")
@options.as_json
@options.debug
def verify(store: Path, repair: bool, as_json: bool, debug: bool) -> None:
    """Read and check every entry of STORE. Exits with 2 if something damaged is left."""
    from actcache.store import disk

    found: dict[str, Any] = {}

    def find() -> Mapping[str, Any]:
        found.update(disk.verify(store, repair))
        return found

    respond(find, _show_verify, as_json=as_json, debug=debug)
    if found["damaged"] > found["removed"]:
        raise click.exceptions.Exit(EXIT_BAD_INPUT)


def _show_verify(console: Console, answer: Mapping[str, Any]) -> None:
    say(console, f"{answer['entries']} entries read, {answer['damaged']} damaged, {answer['removed']} removed")


@store_command.command(context_settings=options.HELP_NAMES)
@_STORE
@_selected
@options.as_json
@options.debug
def purge(store: Path, region: str, namespace: str, as_json: bool, debug: bool) -> None:
    """Remove the entries of STORE, all or some."""
    from actcache.store import disk

    respond(lambda: disk.purge(store, region, namespace), _show_purge, as_json=as_json, debug=debug)


def _show_purge(console: Console, answer: Mapping[str, Any]) -> None:
    if answer["damaged_index"]:
        say(console, f"the index could not be used: it and {answer['removed']} files of values are removed")
    else:
        say(console, f"{answer['removed']} entries removed")


def _copies(name: str, short: str, text: str, turned: bool) -> None:
    @store_command.command(name=name, short_help=short, help=text, context_settings=options.HELP_NAMES)
    @_STORE
    @click.argument("folder", type=click.Path(path_type=Path))
    @click.option(
        "--budget", type=ByteSize(), metavar="SIZE", help="Size of the store that is written to.  [default: its own]"
    )
    @options.as_json
    @options.debug
    def copy(store: Path, folder: Path, budget: int | None, as_json: bool, debug: bool) -> None:
        from actcache.store import disk

        source, target = (folder, store) if turned else (store, folder)
        respond(lambda: disk.copy(source, target, budget or 0), _show_copy, as_json=as_json, debug=debug)


def _show_copy(console: Console, answer: Mapping[str, Any]) -> None:
    say(
        console,
        f"{answer['copied']} entries copied, {answer['present']} were there, {answer['refused']} had no room,"
        f" {answer['damaged']} are damaged and were left out",
    )


_copies(
    "export",
    "Copy a store to a folder, with its secret.",
    "Copy all entries of STORE to a store in FOLDER, with the secret that its keys are made with.",
    False,
)
_copies(
    "import",
    "Copy a store out of a folder.",
    "Copy all entries of the store in FOLDER to STORE, which has to have the same secret or none yet.",
    True,
)


@store_command.command(
    short_help="Fill a store with the results of recorded calls.", context_settings=options.HELP_NAMES
)
@click.argument("model", type=options.READ)
@click.argument("trace", type=click.Path(path_type=Path))
@_STORE
@click.option("--budget", type=ByteSize(), metavar="SIZE", help="Size of the store.  [default: its own]")
@options.as_json
@options.debug
def warm(model: Path, trace: Path, store: Path, budget: int | None, as_json: bool, debug: bool) -> None:
    """Run the compiled MODEL on the recorded calls of TRACE, so that STORE holds their results."""

    def find() -> Mapping[str, Any]:
        from actcache.store.warming import warm as warm_store

        return warm_store(model, trace, store, budget)

    respond(find, _show_warm, as_json=as_json, debug=debug)


def _show_warm(console: Console, answer: Mapping[str, Any]) -> None:
    say(console, f"{answer['calls']} calls run, {answer['stored']} entries stored, {answer['entries']} in the store")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")
