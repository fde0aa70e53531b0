"""Runs compiled models in an environment that has onnxruntime and numpy alone, and holds them to the originals.

``python program.py LIBRARY FOLDER`` prints one JSON object. Each folder in FOLDER is a case: original.onnx,
compiled.onnx, and calls/NUMBER-new.npz or calls/NUMBER-known.npz in the order in which they are made. A known call
shares something with an earlier one, and the second repeats the first. All are made twice: in onnxruntime's usual mode,
and where it runs nodes in parallel.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

#: As in actcache/base/tolerance.py: relative to the largest magnitude, or to 1.
TOLERANCE = 1e-4


def counts(library: ctypes.CDLL) -> dict[str, int]:
    """Return the hits and misses of all regions of this process."""
    library.actcache_stats_json.restype = ctypes.c_size_t
    library.actcache_stats_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    buffer = ctypes.create_string_buffer(library.actcache_stats_json(None, 0) + 1)
    library.actcache_stats_json(buffer, len(buffer))
    regions = json.loads(buffer.value)["regions"].values()
    return {name: sum(region[name] for region in regions) for name in ("hits", "misses")}


def difference(got: Any, wanted: Any) -> float:
    """Return the largest difference, relative to what it is accepted in relation to; infinite for another type."""
    if got.dtype != wanted.dtype or got.shape != wanted.shape:
        return float("inf")
    if got.dtype.kind != "f":
        return 0.0 if (got == wanted).all() else float("inf")
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    found = float(np.abs(got - wanted).max(initial=0)) / scale
    return found if found == found else float("inf")


#: What is added to the name of a case, and how onnxruntime runs nodes.
MODES = {"": ort.ExecutionMode.ORT_SEQUENTIAL, ", parallel": ort.ExecutionMode.ORT_PARALLEL}


def play(library: str, case: Path, mode: str) -> dict[str, Any]:
    """Make the calls of a case in a mode, and return what came of it; ``passed`` sums it up."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.execution_mode = MODES[mode]
    options.inter_op_num_threads = 2
    options.add_session_config_entry("actcache.namespace", f"mode{mode}")
    options.register_custom_ops_library(library)
    providers = ["CPUExecutionProvider"]
    original = ort.InferenceSession(str(case / "original.onnx"), providers=providers)
    compiled = ort.InferenceSession(str(case / "compiled.onnx"), options, providers=providers)
    native = ctypes.CDLL(library)
    largest, outputs, hits, found = 0.0, [], [counts(native)["hits"]], True
    for file in sorted((case / "calls").iterdir()):
        with np.load(file) as arrays:
            feed = dict(arrays)
        outputs.append(compiled.run(None, feed))
        hits.append(counts(native)["hits"])
        found = found and (hits[-1] > hits[-2]) == file.stem.endswith("-known")
        wanted = original.run(None, feed)
        largest = max([largest, *(difference(*pair) for pair in zip(outputs[-1], wanted))])  # noqa: B905
    repeated = all(np.array_equal(one, other) for one, other in zip(*outputs[:2]))  # noqa: B905
    new_hits = [after - before for before, after in itertools.pairwise(hits)]
    passed = largest <= TOLERANCE and repeated and found
    return {"passed": passed, "difference": largest, "repeated": repeated, "hits": new_hits}


def main(library: str, folder: str) -> None:
    """Play all cases."""
    found: dict[str, Any] = {}
    for case, mode in itertools.product(sorted(Path(folder).iterdir()), MODES):
        try:
            found[case.name + mode] = play(library, case, mode)
        except Exception as error:
            found[case.name + mode] = {"passed": False, "error": str(error).strip().splitlines()[0]}
    print(json.dumps({"onnxruntime": ort.__version__, "python": platform.python_version(), "cases": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
