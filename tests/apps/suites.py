"""Packages' own tests, plain and under ``actcache run``: each test has to end in the same way.

    python -m tests.apps.suites --wheel FILE [--environments FOLDER] [FILE_OF_TESTS ...]

skl2onnx's are the ones that need no network: its source package holds them, and they make their models themselves. They
open thousands of small sessions, most of them of models in bytes. Some split their data at random and may fail for it:
every test begins with the same random numbers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from xml.etree import ElementTree

from tests.apps.__main__ import ROOT, clean_environment, prepare
from tests.apps.apps import RUNTIME, App

_SUITE = App("skl2onnx", "", (RUNTIME, "skl2onnx==1.20.0", "scikit-learn==1.9.1", "pandas==3.1.1", "pytest==9.2.0"), "")
_SOURCE = "skl2onnx-1.20.0"
#: One test has scikit-learn fit a Gaussian process to 7,500 rows: minutes, hardly any of them in onnxruntime.
_LEFT_OUT = "test_x_issue_789"


def unpack(python: Path, folder: Path) -> Path:
    """Fetch the source package, and return the folder of its tests."""
    if not (folder / _SOURCE).exists():
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps"]
        wanted = _SOURCE.replace("-", "==", 1)
        subprocess.run([*pip, "--no-binary", ":all:", "--dest", str(folder), wanted], check=True)
        with tarfile.open(folder / f"{_SOURCE}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    return folder / _SOURCE / "tests"


def outcomes(python: Path, tests: Path, files: list[str], cache: Path | None) -> dict[str, str]:
    """Run the tests, under ``actcache run`` if there is a cache folder, and return how each ended."""
    wrapper = [str(python), "-m", "actcache", "run", "--cache-dir", str(cache), "--"] if cache else []
    report = tests.parent / ("wrapped.xml" if cache else "plain.xml")
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    command += ["-p", "seeded", "-k", f"not {_LEFT_OUT}", *files]
    environment = {**clean_environment(), "PYTHONPATH": str(ROOT / "tests" / "apps" / "programs")}
    started = time.monotonic()
    done = subprocess.run([*wrapper, *command], cwd=tests, env=environment, stdout=subprocess.DEVNULL, check=False)
    if not report.exists():
        raise SystemExit(f"{_SUITE.name}: the tests ended with exit code {done.returncode}, and without a report")
    how = "under actcache run" if cache else "alone"
    print(f"{_SUITE.name}: {(time.monotonic() - started) / 60:.1f} minutes {how}", flush=True)
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[f"{case.get('classname')}::{case.get('name')}"] = next(iter(kinds), "passed")
    return found


def main() -> int:
    """Run the suite in both ways: 0, or 1 if a test ends in another way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=["."], help="files of tests; all if none is named")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-apps")
    parser.add_argument("--wheel", type=Path, required=True)
    given = parser.parse_args()
    folder = given.environments.resolve()
    python = prepare(_SUITE, folder, given.wheel)
    tests = unpack(python, folder / _SUITE.name)
    plain = outcomes(python, tests, given.files, None)
    wrapped = outcomes(python, tests, given.files, folder / _SUITE.name / "cache")
    different = sorted(name for name in plain.keys() | wrapped.keys() if plain.get(name) != wrapped.get(name))
    for name in different:
        print(f"{name}: {plain.get(name)} alone, {wrapped.get(name)} under actcache run")
    passed = sum(outcome == "passed" for outcome in wrapped.values())
    print(f"{_SUITE.name}: {len(wrapped)} tests, {passed} passed, {len(different)} ended in another way")
    return 1 if different or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
