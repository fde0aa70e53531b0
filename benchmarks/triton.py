"""Triton's response cache beside a compiled model, in one server: ``python -m benchmarks.triton --python PYTHON``.

PYTHON is that of an environment with nvidia-pytriton (``make bench-triton`` makes one). One server has the sentence
encoder three times: the original, the original behind Triton's local response cache, and the compiled model. Requests
of 8 sentences go to the three in turn: unique ones, the same one again, and the same one with one sentence changed. A
small model shows what a request gets that has the bytes of an earlier one and another shape.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import actcache
from benchmarks import results
from benchmarks.interleaved import Spread
from models import feed
from models.fetch import fetch

_MODEL, _ROWS, _TOKENS = "paraphrase_minilm_l3", 8, 64
_PROGRAM = Path(__file__).with_name("triton_server.py")
_LONGEST = 900  # seconds


def measured(python: Path, turns: int) -> dict[str, Any]:
    """Compile, serve and ask.

    Raises:
        RuntimeError: The server did not do it.
    """
    with tempfile.TemporaryDirectory(prefix="actcache-triton-") as holder:
        folder = Path(holder)
        _prepare(folder, turns)
        command = [str(python), str(_PROGRAM), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RuntimeError(f"the server ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    times = {
        model: {kind: _spread(values) for kind, values in kinds.items()}
        for model, kinds in found["milliseconds"].items()
    }
    return {**found, "milliseconds": times, "turns": turns}


def _prepare(folder: Path, turns: int) -> None:
    (folder / "original.onnx").symlink_to(fetch(_MODEL).resolve())
    sample = feed(_MODEL, _ROWS, size=_TOKENS)
    actcache.compile_model(fetch(_MODEL), folder / "compiled.onnx", samples=[sample], verify=False)
    (folder / "library").write_text(str(actcache.library_path()))
    np.savez(folder / "requests.npz", allow_pickle=False, **requests(turns))


def requests(turns: int) -> dict[str, NDArray[np.int64]]:
    """Return token ids: ``known`` [rows, tokens], ``unique`` and ``changed`` [turns, rows, tokens]."""
    known = feed(_MODEL, _ROWS, size=_TOKENS)["input_ids"]
    unique = np.stack([feed(_MODEL, _ROWS, seed=1 + turn, size=_TOKENS)["input_ids"] for turn in range(turns)])
    changed = np.repeat(known[None], turns, 0)
    changed[:, _ROWS // 2] = feed(_MODEL, turns, seed=1 + turns, size=_TOKENS)["input_ids"]
    return {"known": known, "unique": unique, "changed": changed}


def _spread(values: list[float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(Spread.of(values)).items()}


def triton_table(found: dict[str, Any]) -> str:
    """Return the table in Markdown, and what a request of another shape got."""
    kinds = {"unique": "new sentences", "same": "the same request", "changed": "one sentence changed"}
    titles = {"original": "no cache", "cached": "Triton's response cache", "compiled": "actcache"}
    lines = ["| of 8 sentences | " + " | ".join(titles.values()) + " |", "|---|" + "--:|" * len(titles)]
    for kind, told in kinds.items():
        spreads = [found["milliseconds"][model][kind] for model in titles]
        cells = [f"{each['median']:.2f} ms ({each['low']:.2f}–{each['high']:.2f})" for each in spreads]
        lines.append(f"| {told} | " + " | ".join(cells) + " |")
    shape = found["shape_told_of_3_2"]
    told = f"After [2, 3], a request of [3, 2] with equal bytes got the answer for {shape} from Triton's cache."
    return "\n".join(lines) + f"\n\n{told} The largest difference of an output is {found['largest_difference']:.2g}."


def main() -> int:
    """Measure and print: 0, or 1 if the server fails."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.triton", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=Path, required=True, help="of an environment with nvidia-pytriton")
    parser.add_argument("--turns", type=int, default=60, help="requests of each kind (default: 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, too")
    options = parser.parse_args()
    if not options.python.exists():
        parser.error(f"{options.python} does not exist; make bench-triton makes an environment with nvidia-pytriton")
    document = {"command": f"python -m benchmarks.triton --turns {options.turns}", "environment": results.environment()}
    try:
        found = measured(options.python, options.turns)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"benchmarks.triton: {error}", file=sys.stderr)
        return 1
    print(triton_table(found))
    if options.json:
        results.write(options.json, {**document, "found": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
