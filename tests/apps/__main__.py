"""``make apps``: runs each program plain, for the first time under ``actcache run``, and again; prints a table.

    python -m tests.apps --wheel FILE [--environments FOLDER] [--nice N] [--json FILE] [NAME ...]

Each program has an environment of its own, with the pinned packages and the wheel of this actcache. The outputs of all
runs have to be the same, their numbers within the program's tolerance.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import results
from tests.apps.apps import APPS, App

_PROGRAMS = Path(__file__).parent / "programs"
#: The source tree.
ROOT = Path(__file__).resolve().parents[2]
#: What one run may take, and how long the compiling process is waited for; seconds.
_LONGEST = 1800


@dataclass(frozen=True)
class Run:
    """What a run of a program printed.

    Attributes:
        found: Its answers.
        seconds: What they took.
    """

    found: Any
    seconds: float


@dataclass(frozen=True)
class Tried:
    """What the runs of a program showed.

    Attributes:
        program: What it does.
        plain: Seconds that it takes plain.
        first, second: Its times under ``actcache run``, relative to that.
        reused, looked_up: Rows of the second run.
        models: What became of its models, how many seconds after the start, and rows that the first run asked for.
        problem: Where its outputs differ; None: they are the same.
    """

    program: str
    plain: float
    first: float
    second: float
    reused: int
    looked_up: int
    models: str
    problem: str | None

    def row(self) -> list[str]:
        """Return its row of the table."""
        return [
            self.program,
            f"{self.plain:.1f} s",
            f"{self.first:.2f}",
            f"{self.second:.2f}",
            f"{self.reused:,} of {self.looked_up:,} rows" if self.looked_up else "–",
            self.models,
            "same" if self.problem is None else f"DIFFERENT: {self.problem}",
        ]


def prepare(app: App, folder: Path, wheel: Path) -> Path:
    """Make the environment of a program, and return its Python."""
    python = folder / app.name / "bin" / "python"
    done = folder / app.name / ".done"
    content = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wanted = json.dumps([app.requirements, app.bare, wheel.name, content])
    if done.exists() and done.read_text() == wanted:
        return python
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / app.name)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, str(wheel), *app.requirements], check=True)
    subprocess.run([*pip, "--no-deps", "--force-reinstall", str(wheel), *app.bare], check=True)
    done.write_text(wanted)
    return python


def clean_environment() -> dict[str, str]:
    """Return the environment without what would reach into a program's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ACTCACHE_", "PYTHON"))}


def run(app: App, python: Path, cache: Path | None, nice: int = 19) -> Run:
    """Run a program; with a cache folder, under ``actcache run``."""
    wrapper = [str(python), "-m", "actcache", "run", "--cache-dir", str(cache), "--"] if cache else []
    done = subprocess.run(
        [*wrapper, str(python), str(_PROGRAMS / app.program)],
        env={**clean_environment(), "ACTCACHE_AUTO_NICE": str(nice)},
        cwd=python.parents[1],
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{app.name}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return Run(answer["found"], sum(answer["seconds"]))


def differs(one: Any, other: Any, tolerance: float) -> str | None:
    """Return where two answers differ: texts at all, numbers by more than the tolerance."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next((d for a, b in zip(one, other, strict=True) if (d := differs(a, b, tolerance)) is not None), None)
    if isinstance(one, float) and isinstance(other, float):
        return None if abs(one - other) <= tolerance * max(1.0, abs(one)) else f"{one} and {other}"
    return None if one == other else f"{one} and {other}"


def wait(cache: Path, python: Path) -> None:
    """Wait until nobody compiles."""
    end = time.monotonic() + _LONGEST
    code = "import sys; from pathlib import Path; from actcache.learn.cache import locked\n"
    code += "with locked(Path(sys.argv[1]) / 'lock'): pass"
    time.sleep(3)  # the process has just been started
    subprocess.run([str(python), "-c", code, str(cache)], check=True, timeout=max(1, end - time.monotonic()))


def models(cache: Path, python: Path) -> list[dict[str, Any]]:
    """Return what was learnt."""
    command = [str(python), "-m", "actcache", "auto", "ls", "--json", "--cache-dir", str(cache)]
    answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    found: list[dict[str, Any]] = answer["models"]
    return found


def saved(learnt: list[dict[str, Any]], what: str) -> float:
    """Return a count of what all models saved so far."""
    return float(sum((model["saved"] or {}).get(what, 0) for model in learnt))


def try_out(app: App, folder: Path, wheel: Path, nice: int) -> Tried:
    """Run a program plain, twice under ``actcache run``, and plain again."""
    python = prepare(app, folder, wheel)
    cache = folder / app.name / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    plain = run(app, python, None)
    started = time.time()
    first = run(app, python, cache, nice)
    swapped = {model["key"]: (model["saved"] or {}).get("lookups", 0) for model in models(cache, python)}
    wait(cache, python)
    learnt = models(cache, python)
    second = run(app, python, cache, nice)
    plain_again = run(app, python, None)
    after = models(cache, python)
    problems = [d for d in (differs(plain.found, r.found, app.tolerance) for r in (first, second, plain_again)) if d]
    base = (plain.seconds + plain_again.seconds) / 2
    hits, looked_up = (saved(after, what) - saved(learnt, what) for what in ("hits", "lookups"))
    states = "; ".join(told(model, started, swapped.get(model["key"], 0)) for model in learnt) or "none"
    problem = problems[0][:80] if problems else None
    ratios = (round(base, 2), round(first.seconds / base, 3), round(second.seconds / base, 3))
    return Tried(app.what, *ratios, int(hits), int(looked_up), states, problem)


def told(model: dict[str, Any], started: float, rows: float) -> str:
    """Say what became of a model of a program that was started then, and what its first run asked of it."""
    if not model["compiled"]:
        return f"{model['name']} {model['state']}: {model['reason']}"
    took, ratio = model["compiled"] - started, f"measured {model['ratio']:.2f}"
    return f"{model['name']} compiled after {took:.0f} s, {ratio}; {rows:,.0f} rows in the first run"


def main() -> int:
    """Run the programs, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*(app.name for app in APPS), []])
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-apps")
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--nice", type=int, default=19, help="of the compiling process, where the machine is busy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, too")
    given = parser.parse_args()
    given.environments.mkdir(exist_ok=True, parents=True)
    head = ("program", "plain", "first time", "second time", "reused then", "models", "outputs")
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    where = {name: value for name, value in results.environment().items() if name != "threads"}  # the programs' own
    document: dict[str, Any] = {"command": "python -m tests.apps", "environment": where}
    tried: list[Tried] = []
    for app in APPS:
        if not given.names or app.name in given.names:
            tried.append(try_out(app, given.environments.resolve(), given.wheel, given.nice))
            print("| " + " | ".join(tried[-1].row()) + " |", flush=True)
            if given.json:
                results.write(given.json, {**document, "programs": [asdict(each) for each in tried]})
    return 1 if any(each.problem for each in tried) else 0


if __name__ == "__main__":
    sys.exit(main())
