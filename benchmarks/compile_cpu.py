"""Where the processor time of compiling by recorded calls goes: ``python -m benchmarks.compile_cpu [MODEL ...]``.

That is what an attempt of ``actcache run`` takes. Each model is compiled in a process of its own, by calls that are
drawn by Zipf's law. The seconds are those of all threads: of the compiling process, and of the processes in which it
runs models. ``--model FILE --trace FOLDER`` compiles another model, by calls that were recorded (in the cache folder
of ``actcache run``: ``models/KEY/calls``).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from actcache.model.feed_file import save_sample
from benchmarks.sessions import Workload
from models.fetch import fetch

WORKLOADS = {
    "magika_v3_3": Workload("magika_v3_3", 1),
    "paraphrase_minilm_l3": Workload("paraphrase_minilm_l3", 1, 32),
    "rapidocr_cls_v2": Workload("rapidocr_cls_v2", 6),
}
#: Of a step's name, what is the same for every model.
_STEP = re.compile(r"[^\d']*[^\d' ]")

_IMPORTS = """
import importlib
import benchmarks.compile_cpu, actcache.compile.driver
from actcache.runs.worker import TASKS
for task in TASKS.values():
    importlib.import_module("actcache.runs." + task.partition(":")[0])
"""

#: A step: its name, and the seconds of both kinds of processes.
Step = tuple[str, float, float]


class Meter:
    """Adds up processor time between the steps that the compiler tells of."""

    def __init__(self) -> None:
        self._own, self._others, self._name = 0.0, 0.0, "loading the compiler"
        self.steps: dict[str, list[float]] = {}

    def __call__(self, step: str) -> None:
        """Note what was used up to now, and that a step begins."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        own, others = time.process_time(), usage.ru_utime + usage.ru_stime
        taken = self.steps.setdefault(self._name, [0.0, 0.0])
        taken[0] += own - self._own
        taken[1] += others - self._others
        found = _STEP.match(step)
        self._own, self._others, self._name = own, others, found.group() if found else step


def compile_here(model: Path, trace: Path) -> list[Step]:
    """Compile a model in this process."""
    from actcache.compile.driver import compile_model
    from actcache.errors import NothingToCache

    meter = Meter()
    with tempfile.TemporaryDirectory(prefix="actcache-compile-") as folder, suppress(NothingToCache):
        meter("starting")
        compile_model(model, Path(folder) / "compiled.onnx", trace=[trace], progress=meter)
    meter("end")
    return [(name, own, others) for name, (own, others) in meter.steps.items()]


def compile_apart(model: Path, trace: Path) -> list[Step]:
    """Compile a model in a process of its own, with bytecode, as installed packages have it."""
    with tempfile.TemporaryDirectory(prefix="actcache-bytecode-") as folder:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = folder
        subprocess.run([sys.executable, "-c", _IMPORTS], env=env, check=True)
        command = [
            sys.executable,
            "-m",
            "benchmarks.compile_cpu",
            "--here",
            "--model",
            str(model),
            "--trace",
            str(trace),
        ]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    return [(name, own, others) for name, own, others in json.loads(done.stdout)]


def record(workload: Workload, calls: int, folder: Path) -> None:
    """Write calls as a program might make them: half as many different ones, drawn by Zipf's law."""
    different = max(1, calls // 2)
    weights = 1 / np.arange(1, different + 1)
    drawn = np.random.default_rng(0).choice(different, calls, p=weights / weights.sum())
    for number, seed in enumerate(drawn):
        save_sample(folder / f"{number:05}.npz", workload.feed(workload.rows, seed=int(seed)))


def show(title: str, steps: list[Step]) -> None:
    """Print a table."""
    print(f"\n| {title}, seconds of processor time | compiler | models |\n|---|--:|--:|")
    total = ("all", sum(own for _, own, _ in steps), sum(others for *_, others in steps))
    for name, own, others in (*steps, total):
        print(f"| {name} | {own:.2f} | {others:.2f} |")
    print(f"| together | {total[1] + total[2]:.2f} | |", flush=True)


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_cpu", description=__doc__)
    parser.add_argument("models", nargs="*", choices=[*WORKLOADS, []], help="all, if none is named")
    parser.add_argument("--calls", type=int, default=64, help="how many calls are recorded (default: 64)")
    parser.add_argument("--model", type=Path, metavar="FILE")
    parser.add_argument("--trace", type=Path, metavar="FOLDER")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(compile_here(options.model, options.trace)))
    elif options.model and options.trace:
        show(options.model.name, compile_apart(options.model, options.trace))
    else:
        for name in options.models or WORKLOADS:
            with tempfile.TemporaryDirectory(prefix="actcache-trace-") as folder:
                record(WORKLOADS[name], options.calls, Path(folder))
                show(f"{name}, {options.calls} calls", compile_apart(fetch(WORKLOADS[name].model), Path(folder)))


if __name__ == "__main__":
    main()
