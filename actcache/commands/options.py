"""Options and examples that commands have in common."""

from __future__ import annotations

from pathlib import Path

import click

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

#: An argument that is a file to read.
READ = click.Path(path_type=Path)

libraries = click.option(
    "--custom-op-library",
    "libraries",
    multiple=True,
    metavar="FILE",
    help="A library of custom operators that MODEL itself needs. Repeatable.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else.")
debug = click.option("--debug", is_flag=True, help="Print the traceback if actcache itself fails.")

EXIT_CODES = """\b
Exit codes:
  0 answered   2 bad input   1 a failure of actcache itself"""
