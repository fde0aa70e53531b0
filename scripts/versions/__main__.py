"""One library and its compiled models under many versions of onnxruntime and Python: ``python -m scripts.versions``.

Models are compiled once, by the onnxruntime of this environment: by rows, by whole calls, by prefixes. Every pair of
versions gets an environment of its own in .venv-versions, with onnxruntime and numpy alone, where they make the same
calls, new and repeated, and are held to the originals. What cannot be had is said. The exit code is 1 if a pair fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import actcache
from benchmarks import results
from models.fetch import FetchError
from scripts.versions import cases
from scripts.versions.environments import Pair, UnavailableError, environment
from scripts.versions.table import table

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("program.py")

ONNXRUNTIMES = ("1.18", "1.20", "1.22", "1.24", "1.27", "1.30", "newest")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def try_pair(pair: Pair, folder: Path) -> dict[str, Any]:
    """Return what came of one pair: versions and cases, or ``unavailable`` and why."""
    asked = {"asked_python": pair.python, "asked_onnxruntime": pair.onnxruntime}
    try:
        python = environment(pair, folder)
    except UnavailableError as error:
        return {**asked, "unavailable": str(error)}
    command = [str(python), str(PROGRAM), actcache.library_path(), str(folder / "cases")]
    # Nothing of this environment may help: neither its packages nor its knobs.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ACTCACHE_"))}
    done = subprocess.run(command, env=kept, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return {**asked, "cases": {case.name: {"passed": False, "error": said} for case in cases.CASES}}
    return {**asked, **json.loads(done.stdout)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all pairs and print a table: 0, or 1 if one fails or nothing could be tried."""
    options = _parser().parse_args(arguments)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        cases.write(folder / "cases")
    except (actcache.ActcacheError, FetchError) as error:
        print(f"scripts.versions: {error}", file=sys.stderr)
        return 1
    found: list[dict[str, Any]] = []
    for pair in (Pair(python, version) for version in options.onnxruntime for python in options.python):
        print(f"onnxruntime {pair.onnxruntime}, Python {pair.python}", file=sys.stderr, flush=True)
        found.append(try_pair(pair, folder))
    print(table(found))
    if options.json:
        document = {"command": "python -m scripts.versions", "environment": results.environment(), "pairs": found}
        results.write(options.json, document)
    tried = [pair for pair in found if "cases" in pair]
    return 0 if tried and all(case["passed"] for pair in tried for case in pair["cases"].values()) else 1


def _version(text: str) -> str:
    if text != "newest" and not re.fullmatch(r"\d+\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no version like 1.24")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.versions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default, form in (
        ("onnxruntime", ONNXRUNTIMES, "like 1.24, or newest"),
        ("python", PYTHONS, "like 3.11"),
    ):
        told = f"{form} (default: {' '.join(default)})"
        parser.add_argument(f"--{name}", nargs="+", type=_version, default=list(default), metavar="VERSION", help=told)
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv-versions", help="for environments and models")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what came of it to this file, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
