"""Results of benchmarks as files: ``benchmarks/results/NAME.json``, each with versions and machine.

``python -m benchmarks.render`` makes the tables and figures of the documentation from them.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from actcache._version import __version__
from actcache.base.files import write_whole
from benchmarks.sessions import THREADS

FOLDER = Path(__file__).with_name("results")

#: What two runs must have in common, beside the command, for the figures of both to stand in one table.
_SAME = ("actcache", "onnxruntime", "numpy", "python", "processor", "cores", "threads")


def environment() -> dict[str, Any]:
    """Return versions, machine, its load, commit and time (UTC)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "actcache": __version__,
        "commit": _commit(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": THREADS,
        "load": round(os.getloadavg()[0], 2),
        "date": now.isoformat(timespec="seconds"),
    }


def continues(document: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether a document has the settings, the versions and the machine of an earlier one."""
    one, other = document["environment"], before["environment"]
    return document["command"] == before.get("command") and all(one[field] == other.get(field) for field in _SAME)


def read(path: Path) -> dict[str, Any] | None:
    """Return the document of a file, or None if there is none, or it is none of ours."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and "environment" in document else None


def earlier(document: dict[str, Any], path: Path | None, resume: bool) -> dict[str, Any] | None:
    """Return what a file has of the run that a document goes on with; None: nothing, or it is to begin anew."""
    before = read(path) if path is not None and resume else None
    return before if before is not None and continues(document, before) else None


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a document whole or not at all, a line for each item of its lists, so that changes can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = [f" {json.dumps(name)}: {_value(value)}" for name, value in document.items()]
    write_whole(path, "{\n" + ",\n".join(fields) + "\n}\n")


def _value(value: Any) -> str:
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(f"  {json.dumps(item, ensure_ascii=False)}" for item in value) + "\n ]"


def _commit() -> str | None:
    command = ["git", "-C", str(FOLDER.parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
