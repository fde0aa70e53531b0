"""Runs ``examples/10_text_embedders`` on small models with random weights, plain and learning, and compares.

python -m tests.apps.examples --wheel FILE [--environments FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tests.apps.__main__ import ROOT, clean_environment, models, prepare, wait
from tests.apps.apps import RUNTIME, App

_ENVIRONMENT = App(
    "text-embedders",
    "",
    (RUNTIME, "torch==2.13.0", "optimum-onnx==0.1.0", "sentence-transformers==5.7.0", "onnx==1.23.2"),
    "",
)
_EXAMPLES = ROOT / "examples" / "10_text_embedders"
_CALLS = "200"


def run(python: Path, program: Path, *arguments: object, **environment: str) -> str:
    """Run a program, and return what it printed."""
    done = subprocess.run(
        [str(python), str(program), *map(str, arguments)],
        env={**clean_environment(), "HF_HUB_OFFLINE": "1", **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def check(python: Path, example: str, model: Path, cache: Path) -> bool:
    """Run an example plain, learning, and with what was learnt; print what came of it."""
    shutil.rmtree(cache, ignore_errors=True)
    learning = {"ACTCACHE_CACHE_DIR": str(cache), "ACTCACHE_AUTO_NICE": "0"}
    sums = [run(python, _EXAMPLES / example, model, _CALLS, ACTCACHE_AUTO="0")]
    sums.append(run(python, _EXAMPLES / example, model, _CALLS, **learning))
    wait(cache)
    sums.append(run(python, _EXAMPLES / example, model, _CALLS, **learning))
    (learnt,) = models(cache)
    saved = learnt["saved"] or {"hits": 0, "lookups": 0}
    print(f"{example}: {sums}, {learnt['state']}, {saved['hits']:.0f} of {saved['lookups']:.0f} rows reused")
    plain = float(sums[0])
    same = all(abs(float(total) - plain) <= 1e-4 * max(1.0, abs(plain)) for total in sums)
    return same and learnt["state"] == "compiled" and saved["hits"] > 0


def main() -> int:
    """Run both: 0, or 1 if one differs or nothing was learnt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-apps")
    parser.add_argument("--wheel", type=Path, required=True)
    given = parser.parse_args()
    folder = given.environments.resolve()
    python = prepare(_ENVIRONMENT, folder, given.wheel)
    made = folder / _ENVIRONMENT.name / "models"
    run(python, Path(__file__).parent / "programs" / "make_embedders.py", made)
    sound = True
    for example, model in (("with_optimum.py", "optimum"), ("with_sentence_transformers.py", "sentence")):
        sound &= check(python, example, made / model, folder / _ENVIRONMENT.name / f"cache-{model}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
