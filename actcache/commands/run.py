"""``actcache run``: a program whose onnxruntime sessions learn, without touching its code or its models."""

from __future__ import annotations

from pathlib import Path

import click

from actcache.commands import options
from actcache.learn.become import become
from actcache.serve.byte_size import ByteSize

_EPILOG = """\b
Examples:
  actcache run -- python serve.py
      runs serve.py; its models are compiled in the background, and used once that pays
  actcache run --summary -- uvicorn app:app --workers 4
      also prints, at the end of each process, what was reused and saved
  actcache run --learn-on 3 -- python serve.py
      compiles on core 3 alone, which serve.py leaves idle
  actcache auto ls
      what was found, compiled or refused, and why

\b
The program's exit code, signals and output are its own. 127: there is no such program."""


@click.command(
    name="run",
    short_help="Run a program, and compile its models in the background.",
    epilog=_EPILOG,
    context_settings={**options.HELP_NAMES, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where compiled models are kept.  [default: ~/.cache/actcache]",
)
@click.option("--cache-size", type=ByteSize(), metavar="SIZE", help="What that folder may hold.  [default: 4GiB]")
@click.option(
    "--learn-on",
    metavar="CPUS",
    help="Cores that models are compiled on, as taskset lists them: 1, or 0,2-3.  [default: all]",
)
@click.option("--summary", is_flag=True, help="Print one line on stderr when a process of the program ends.")
def run_command(
    program: tuple[str, ...], cache_dir: Path | None, cache_size: int | None, learn_on: str | None, summary: bool
) -> None:
    """Run PROGRAM so that its onnxruntime sessions reuse what they have computed before.

    PROGRAM starts with its own models. While it runs, a background process compiles them for the calls that it makes. A
    session switches to the compiled model if its results are equal and it saves time. What is not supported stays as it
    is.
    """
    become(program, str(cache_dir) if cache_dir is not None else None, cache_size, summary, learn_on)
