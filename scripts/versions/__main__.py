"""One library and its compiled models under many versions of onnxruntime and Python: ``python -m scripts.versions``.

Models are compiled once, by the onnxruntime of this environment: by rows, by whole calls, by prefixes, with large
results, in the branches of an If. Every pair of versions gets an environment of its own in .venv-versions, with
onnxruntime and numpy alone, where they make the same calls, new and repeated, one node at a time and in parallel, and
are held to the originals. Under the first and the last onnxruntime some are also
compiled. What cannot be had is said. The exit code is 1 if a pair fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
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
from scripts.versions.table import passed, table, verdict

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("program.py")

ONNXRUNTIMES = ("1.18", "1.20", "1.22", "1.24", "1.27", "1.30", "newest")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


class ProgramError(Exception):
    """A program under other versions failed; the message is its last line."""


def try_pair(pair: Pair, folder: Path) -> dict[str, Any]:
    """Return what came of one pair: versions and cases, or ``unavailable`` and why."""
    try:
        return _asked(pair) | _played(environment(pair, folder), folder / "cases")
    except UnavailableError as error:
        return _asked(pair) | {"unavailable": str(error)}


def try_compiler(pair: Pair, folder: Path) -> dict[str, Any]:
    """Do the same with models that were compiled under the pair's own versions: the quick ones."""
    own = folder / f"cases-python{pair.python}-onnxruntime{pair.onnxruntime}"
    try:
        python = environment(pair, folder, compiler=True)
        _run([python, "-m", "scripts.versions.cases", own], PYTHONPATH=str(ROOT))
        return _asked(pair) | _played(python, own)
    except UnavailableError as error:
        return _asked(pair) | {"unavailable": str(error)}
    except ProgramError as error:
        return _asked(pair) | _failed(str(error), cases.QUICK)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _asked(pair: Pair) -> dict[str, Any]:
    return {"asked_python": pair.python, "asked_onnxruntime": pair.onnxruntime}


def _played(python: Path, folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_run([python, PROGRAM, actcache.library_path(), folder]))
    except ProgramError as error:
        return _failed(str(error), cases.CASES)
    return found


def _failed(said: str, tried: Sequence[cases.Case]) -> dict[str, Any]:
    return {"cases": {case.name: {"passed": False, "error": said} for case in tried}}


def _run(command: Sequence[str | Path], **environ: str) -> str:
    """Return what a program prints. Nothing of this environment helps it: neither its packages nor its knobs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ACTCACHE_"))}
    done = subprocess.run(
        [str(word) for word in command], env=kept | environ, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ProgramError((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all pairs and print tables: 0, or 1 if one fails or nothing could be tried."""
    options = _parser().parse_args(arguments)
    try:
        document = _tried(options)
    except (actcache.ActcacheError, FetchError) as error:
        print(f"scripts.versions: {error}", file=sys.stderr)
        return 1
    for name in ("pairs", "compilers"):
        print(f"{table(document[name])}\n\n{verdict(document[name])}\n")
    return 0 if all(passed(document[name]) for name in ("pairs", "compilers")) else 1


def _tried(options: argparse.Namespace) -> dict[str, Any]:
    """Return the document of results, which is written after each pair."""
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    cases.write(folder / "cases")
    document: dict[str, Any] = {"command": "python -m scripts.versions", "environment": results.environment()}
    document |= {"pairs": [], "compilers": []}
    pairs = [Pair(python, version) for version in options.onnxruntime for python in options.python]
    ends = [pair for pair in pairs if pair.onnxruntime in (options.onnxruntime[0], options.onnxruntime[-1])]
    for name, attempt, chosen in (("pairs", try_pair, pairs), ("compilers", try_compiler, ends)):
        for pair in chosen:
            print(f"{name}: onnxruntime {pair.onnxruntime}, Python {pair.python}", file=sys.stderr, flush=True)
            document[name].append(attempt(pair, folder))
            if options.json:
                results.write(options.json, document)
    return document


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
