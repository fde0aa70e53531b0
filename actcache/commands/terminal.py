"""How the commands talk: the answer on stdout, progress and errors on stderr, one line for an error, exit codes."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

import click
from rich.console import Console

from actcache._version import __version__
from actcache.base.files import file_error
from actcache.commands import compile_report as report
from actcache.errors import EXIT_OUR_FAILURE, ActcacheError, InternalError, NothingToCache


def respond(
    find: Callable[[], Mapping[str, Any]],
    show: Callable[[Console, Mapping[str, Any]], None],
    *,
    as_json: bool,
    debug: bool,
) -> None:
    """Find an answer and print it; print what is wrong and exit if there is none.

    Args:
        find: Returns the answer, as ``--json`` prints it. An error with ``--json`` is an object with the key ``error``.
        show: Prints it for people.
        as_json: Print JSON and nothing else on stdout.
        debug: Print the traceback of a failure of actcache itself.
    """
    output = stdout(as_json)
    try:
        answer = find()
    except (KeyboardInterrupt, click.exceptions.Exit):
        raise
    except Exception as error:
        if as_json:
            output(report.to_json({"error": report.problem(as_ours(error))}))
        fail(error, debug)
    if as_json:
        output(report.to_json(dict(answer)))
    else:
        show(new_console(), answer)


@contextmanager
def progress(silent: bool) -> Iterator[Callable[[str], None]]:
    """Show the stage that is being worked on, if stderr is a terminal."""
    console = new_console(stderr=True)
    if silent or not console.is_terminal:
        yield lambda _stage: None
        return
    with console.status("starting") as status:
        yield lambda stage: status.update(stage)


def fail(error: Exception, debug: bool, explain: bool = False) -> NoReturn:
    """Print one line about `error` (and the refusals, where those are the answer) and exit."""
    console = new_console(stderr=True)
    if isinstance(error, OSError):
        error = as_ours(error)
    code = error.exit_code if isinstance(error, ActcacheError) else EXIT_OUR_FAILURE
    if code == EXIT_OUR_FAILURE:
        if debug:
            traceback.print_exception(error)
        where = "the traceback is above" if debug else _keep_traceback(error)
        print(f"error: {describe(error)}; this is a bug in actcache, please report it; {where}", file=sys.stderr)
    else:
        print(f"error: {error}", file=sys.stderr)
    if isinstance(error, NothingToCache):
        report.print_refusals(console, error.refusals, everything=explain)
    sys.exit(code)


def as_ours(error: Exception) -> ActcacheError:
    """Return an error as one of ours: what the system says of files is none of our failures, the rest is."""
    if isinstance(error, ActcacheError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return file_error(error)
    return InternalError(describe(error))


def describe(error: Exception) -> str:
    """Return an error in one line."""
    if isinstance(error, ActcacheError):
        return str(error)
    first_line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


def _keep_traceback(error: Exception) -> str:
    """Write a traceback to a file, and return where it is, as the end of a sentence."""
    try:
        return f"details are in {_write_traceback(error)}"
    except OSError as full:
        return f"--debug shows details (they cannot be written to a file: {full.strerror or full})"


def _write_traceback(error: Exception) -> str:
    with tempfile.NamedTemporaryFile(
        "w", prefix="actcache-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(f"actcache {__version__}, arguments {sys.argv[1:]}\n")
        traceback.print_exception(error, file=file)
    return file.name


def stdout(reserved: bool) -> Callable[[str], None]:
    """Return what prints the answer. If stdout is reserved for it, libraries that print get stderr instead."""
    if not reserved:
        return print
    sys.stdout.flush()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def write(text: str) -> None:
        try:
            print(text, file=answer, flush=True)
        except OSError:
            give_up(answer)
            raise

    return write


def give_up(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere: it cannot be written, and would be tried again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def new_console(stderr: bool = False) -> Console:
    """A console that prints tensor names as they are, and uses long lines where nobody's terminal wraps them."""
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 160
    return console
