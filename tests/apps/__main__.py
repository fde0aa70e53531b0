"""``make apps``: runs each program plain, for the first time under ``actcache run``, and again; prints a table.

    python -m tests.apps [--wheel FILE] [--cores CPUS --learn-on CPUS] [--first-only] [--repeats N]
        [--json FILE] [NAME ...]

Each program has an environment of its own, with the pinned packages and the wheel of this actcache; without a wheel,
with the source tree. The outputs of all runs have to be the same, their numbers within the program's tolerance.

With --repeats, plain and first runs take turns, each first run with an empty cache folder. What counts is the median of
its times relative to the plain runs before and after it.

With --cores, all runs are kept to these cores, and --learn-on leaves others to the compiling process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actcache.learn import job, listing
from benchmarks import results
from benchmarks.apps_table import HEADS, apps_row
from tests.apps.apps import APPS, App
from tests.apps.cores import only_on

_PROGRAMS = Path(__file__).parent / "programs"
#: The source tree.
ROOT = Path(__file__).resolve().parents[2]
#: What one run may take, in seconds.
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
        first, second: Its times under ``actcache run``, relative to that; None: it was not run.
        reused, looked_up: Rows of the second run.
        models: What became of its models, and how many seconds after the start its sessions went over to them.
        problem: Where its outputs differ; None: they are the same.
        firsts: Each of several first times; `first` is their median.
    """

    program: str
    plain: float
    first: float
    second: float | None
    reused: int
    looked_up: int
    models: str
    problem: str | None
    firsts: Sequence[float] = ()


@dataclass(frozen=True)
class Conditions:
    """How programs are run.

    Attributes:
        before: Words before their commands.
        options: Of ``actcache run``.
        nice: Of the compiling process.
        wheel: What is installed; None: the source tree is used.
        first_only: Whether there is no second run.
        repeats: How often a program is run plain and for the first time.
    """

    before: Sequence[str] = ()
    options: Sequence[str] = ()
    nice: int = 19
    wheel: Path | None = None
    first_only: bool = False
    repeats: int = 1


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


def environment_of(app: App, folder: Path, wheel: Path | None) -> Path:
    """Return the Python of a program: with the wheel, or as it was left there."""
    if wheel is not None:
        return prepare(app, folder, wheel)
    python = folder / app.name / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{python.parents[1]} is not there: make it with --wheel (make apps)")
    return python


def run(app: App, python: Path, cache: Path | None, how: Conditions) -> Run:
    """Run a program; with a cache folder, under ``actcache run``."""
    tree = {} if how.wheel else {"PYTHONPATH": str(ROOT)}
    wrapper = [str(python), "-m", "actcache", "run", "--cache-dir", str(cache), *how.options, "--"] if cache else []
    done = subprocess.run(
        [*how.before, *wrapper, str(python), str(_PROGRAMS / app.program)],
        env={**clean_environment(), **tree, "ACTCACHE_AUTO_NICE": str(how.nice)},
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


def wait(cache: Path) -> None:
    """Wait until nobody compiles."""
    time.sleep(3)  # the process has just been started
    job.wait_for_all(cache)


def models(cache: Path) -> list[dict[str, Any]]:
    """Return what was learnt."""
    return listing.models(cache)


def saved(learnt: list[dict[str, Any]], what: str) -> float:
    """Return a count of what all models saved so far."""
    return float(sum((model["saved"] or {}).get(what, 0) for model in learnt))


def try_out(app: App, folder: Path, how: Conditions) -> Tried:
    """Run a program plain and for the first time under ``actcache run``, in turn; then a second time, and plain."""
    python = environment_of(app, folder, how.wheel)
    cache = folder / app.name / "cache"
    plains, firsts = [], []
    for _ in range(how.repeats):
        shutil.rmtree(cache, ignore_errors=True)
        plains.append(run(app, python, None, how))
        started = time.time()
        firsts.append(run(app, python, cache, how))
        went_over = {model["key"]: (model["saved"] or {}).get("began") for model in models(cache)}
        wait(cache)
    learnt = models(cache)
    second = None if how.first_only else run(app, python, cache, how)
    plains.append(run(app, python, None, how))
    after = models(cache)
    others = [*plains[1:], *firsts, *([second] if second else [])]
    problems = [d for d in (differs(plains[0].found, other.found, app.tolerance) for other in others) if d]
    base = statistics.median(plain.seconds for plain in plains)
    ratios = [round(ratio, 3) for ratio in beside_neighbours(plains, firsts)]
    hits, looked_up = (saved(after, what) - saved(learnt, what) for what in ("hits", "lookups"))
    return Tried(
        app.what,
        round(base, 2),
        round(statistics.median(ratios), 3),
        round(second.seconds / base, 3) if second else None,
        int(hits),
        int(looked_up),
        "; ".join(told(model, started, went_over.get(model["key"])) for model in learnt) or "none",
        problems[0][:80] if problems else None,
        ratios if len(ratios) > 1 else (),
    )


def beside_neighbours(plains: Sequence[Run], others: Sequence[Run]) -> list[float]:
    """Return the time of each run relative to that of the plain runs before and after it."""
    return [
        2 * other.seconds / (before.seconds + after.seconds)
        for before, other, after in zip(plains[:-1], others, plains[1:], strict=True)
    ]


def told(model: dict[str, Any], started: float, went_over: float | None) -> str:
    """Say what became of a model of a program that was started then, and when its first run went over to it."""
    name = model["name"].removesuffix(".onnx")
    if not model["compiled"]:
        return f"{name} {model['state']}: {model['reason']}"
    over = f"in use after {went_over - started:.0f} s" if went_over is not None else "not in use within the run"
    return f"{name} ready after {model['compiled'] - started:.0f} s, {over} (measured {model['ratio']:.2f})"


def conditions(given: argparse.Namespace) -> Conditions:
    """Return how the programs are to be run."""
    before = only_on(given.cores, given.environments) if given.cores else []
    options = ["--learn-on", given.learn_on] if given.learn_on else []
    return Conditions(before, options, given.nice, given.wheel, given.first_only, given.repeats)


def main() -> int:
    """Run the programs, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*(app.name for app in APPS), []])
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-apps")
    parser.add_argument("--wheel", type=Path, help="what is installed (default: nothing, the source tree is used)")
    parser.add_argument("--nice", type=int, default=19, help="of the compiling process, where the machine is busy")
    parser.add_argument("--cores", metavar="CPUS", help="the cores of all runs, as taskset lists them")
    parser.add_argument("--learn-on", metavar="CPUS", help="the cores of the compiling process")
    parser.add_argument("--first-only", action="store_true", help="leave the second run out")
    parser.add_argument("--repeats", type=int, default=1, help="plain and first runs of each program (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, too")
    given = parser.parse_args()
    if given.repeats < 1:
        parser.error("--repeats: at least one run")
    given.environments.mkdir(exist_ok=True, parents=True)
    given.environments = given.environments.resolve()
    how = conditions(given)
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS), flush=True)
    where = {name: value for name, value in results.environment().items() if name != "threads"}  # the programs' own
    kept = f" --cores {given.cores}" if given.cores else ""
    repeats = [f"--repeats {given.repeats}"] if given.repeats > 1 else []
    command = " ".join(["python -m tests.apps" + kept, *how.options, *repeats])
    document: dict[str, Any] = {"command": command, "environment": where}
    tried: list[Tried] = []
    for app in APPS:
        if not given.names or app.name in given.names:
            tried.append(try_out(app, given.environments, how))
            print("| " + " | ".join(apps_row(asdict(tried[-1]))) + " |", flush=True)
            if given.json:
                results.write(given.json, {**document, "programs": [asdict(each) for each in tried]})
    return 1 if any(each.problem for each in tried) else 0


if __name__ == "__main__":
    sys.exit(main())
