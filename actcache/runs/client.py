"""Running the model for the compiler: to measure it and to verify the result, in a process of its own.

A model that crashes onnxruntime then costs the compilation, not the host program; and neither the host's store nor its
statistics see the compiler's runs. The other side is :mod:`actcache.runs.worker`; requests and answers are JSON files
in the working folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actcache.base.per_call import PerCall
from actcache.errors import ActcacheError, InternalError, InvalidModel, InvalidSamples, LibraryError, UnsupportedAudit
from actcache.passes.choice.bits import Dependent
from actcache.passes.choice.trace_keys import Place, Recording
from actcache.passes.costs.cost import Costs
from actcache.passes.costs.time_model import FewRows
from actcache.verification.verify import VerifyReport

#: Name of the answer, beside the request.
ANSWER = "answer.json"
#: The exit code of the other process if the system refuses it a file; the last line on stderr tells the OSError.
FILE_REFUSED = 74
#: Errors that cross between the processes.
ERRORS: dict[str, type[ActcacheError]] = {
    t.__name__: t for t in (InvalidModel, InvalidSamples, LibraryError, UnsupportedAudit)
}
#: Verification must be able to keep what it checks, whatever the environment of the host says; and its calls are none
#: of those that the host's audit log and metrics tell of.
_ENVIRONMENT = {
    "ACTCACHE_BUDGET_BYTES": str(2 << 30),
    "ACTCACHE_NAMESPACE": "",
    "ACTCACHE_HASH": "blake3",
    "ACTCACHE_AUDIT_PATH": "",
    "ACTCACHE_METRICS_PATH": "",
}


@dataclass(frozen=True)
class FixedBatch:
    """The one batch size that an original takes, where the model that the passes edit takes any.

    Attributes:
        size: The size.
        inputs: Graph input to the axis of its rows.
        outputs: Per graph output the axis of its rows; None: it does not depend on them.
    """

    size: int
    inputs: Mapping[str, int]
    outputs: Sequence[int | None]


@dataclass(frozen=True)
class Originals:
    """Where the original model is, and what it needs.

    Attributes:
        source: The model as the user gave it (what messages name).
        model: The file to run.
        base: The model in the working folder, which the passes edit.
        libraries: Custom-op libraries that the model itself needs.
        signature: A model with the inputs of the original, which samples are made for; `base` if it is empty.
        fixed: The batch size of the original, if `base` takes others.
    """

    source: str
    model: str
    base: str
    libraries: tuple[str, ...] = ()
    signature: str = ""
    fixed: FixedBatch | None = None


@dataclass(frozen=True)
class Compiled:
    """A compiled model to be run in place of the original.

    Attributes:
        path: Its file, in the working folder.
        per_call: Inputs and outputs that it has besides the original's.
    """

    path: Path
    per_call: PerCall

    def request(self) -> dict[str, Any]:
        """Return what the worker is told of it."""
        return {"compiled": str(self.path), "per_call": self.per_call.names()}


def types(originals: Originals, names: Collection[str], directory: Path) -> dict[str, int]:
    """Ask onnxruntime for the types of values (:func:`actcache.passes.graph.told_types.told_types`); none if it has
    none.
    """
    request = {"task": "types", **asdict(originals), "names": list(names)}
    try:
        told: dict[str, int] = call(request, directory, originals.source)["types"]
    except InvalidModel:  # it crashed: measuring the model will tell
        return {}
    return told


def measure(
    originals: Originals, samples: Sequence[Path], directory: Path, known: Costs | None = None
) -> tuple[list[Path], Costs, str]:
    """Measure the model on the first sample; without samples, make some up first.

    Args:
        originals: The model.
        samples: Files of inputs.
        directory: The working folder.
        known: Its costs, if they need not be measured: the model is run on the samples all the same.

    Returns:
        The samples (files in `directory` when they were made up), the costs, and the version of onnxruntime.

    Raises:
        InvalidModel: onnxruntime refuses the model, or crashes on it.
        InvalidSamples: The model refuses a sample, or none could be made up.
    """
    request = {"task": "measure", **asdict(originals), "samples": [str(s) for s in samples], "timed": known is None}
    answer = call(request, directory, originals.source)
    costs = known or Costs.from_json(answer["costs"])
    return [Path(s) for s in answer["samples"]], costs, answer["onnxruntime"]


def check(
    originals: Originals,
    compiled: Compiled,
    samples: Sequence[Path],
    batches: Sequence[Mapping[str, int]],
    cones: Sequence[Sequence[str]],
    tolerance: float | None,
    *,
    exact: bool = False,
) -> VerifyReport:
    """Verify a compiled model against the original; `exact`: bit for bit.

    Raises:
        InvalidModel, InvalidSamples, LibraryError: As :func:`measure`, and the native library cannot be used.
    """
    request = {"task": "verify", **asdict(originals), "samples": [str(s) for s in samples]}
    request |= compiled.request()
    request |= {"batches": [dict(axes) for axes in batches], "cones": [list(cone) for cone in cones]}
    request |= {"tolerance": tolerance, "exact": exact}
    answer = call(request, compiled.path.parent, originals.source)
    return VerifyReport(**answer)


def batch_bits(
    originals: Originals, sample: Path, batches: Sequence[Mapping[str, int]], directory: Path
) -> tuple[list[Dependent], list[str] | None]:
    """Find operators whose results depend on the batch (:mod:`actcache.verification.batch_bits`).

    Returns:
        They, and the tensors that onnxruntime's optimiser leaves; None if it does not tell.
    """
    request = {"task": "batch_bits", **asdict(originals), "samples": [str(sample)]}
    request["batches"] = [dict(axes) for axes in batches]
    try:
        answer = call(request, directory, originals.source)
    except (InvalidModel, InternalError):  # no memory for so many values, say
        return [], None
    return [Dependent(**node) for node in answer["dependent"]], answer["kept"]


def record(
    originals: Originals,
    calls: Sequence[Path],
    sample: Path,
    places: Collection[Place],
    batches: Sequence[Mapping[str, int]],
    directory: Path,
) -> tuple[Recording, list[FewRows]]:
    """Hash and time recorded calls, and measure the sample with fewer rows.

    Args:
        originals: The model.
        calls: The calls.
        sample: The call that costs were measured on.
        places: Where to take hashes.
        batches: Graph input to the axis of its rows, for every batch that the model may have.
        directory: The working folder.

    Raises:
        InvalidSamples: A call does not fit the model.
        InvalidModel: onnxruntime crashes on one.
    """
    wanted, target = sorted(places, key=str), directory / "recording.npz"
    request = {"task": "record", **asdict(originals), "calls": [str(c) for c in calls], "samples": [str(sample)]}
    request |= {"places": wanted, "batches": [dict(axes) for axes in batches], "recording": str(target)}
    answer = call(request, directory, originals.source)
    with np.load(target) as arrays:
        seconds = arrays["seconds"]
        hashes = {
            place: np.split(arrays[f"hashes{number}"], np.cumsum(arrays[f"counts{number}"])[:-1])
            for number, place in enumerate(wanted)
        }
    return Recording(seconds, hashes), [FewRows.from_json(cut) for cut in answer["fewer"]]


def replay(
    originals: Originals, compiled: Compiled, calls: Sequence[Path], tolerance: float | None, budget: int
) -> dict[str, Any]:
    """Play recorded calls through the original and the compiled model; see :func:`actcache.runs.trace_runs.replay`.

    Raises:
        InvalidModel, InvalidSamples, LibraryError: As :func:`record`.
    """
    request = {"task": "replay", **asdict(originals), **compiled.request(), "calls": [str(c) for c in calls]}
    request |= {"tolerance": tolerance, "budget": budget}
    return call(request, compiled.path.parent, originals.source)


def call(request: dict[str, Any], directory: Path, source: str) -> dict[str, Any]:
    """Have a request carried out by the other process and return its answer.

    Args:
        request: Its ``task`` and what that needs (:data:`actcache.runs.worker.TASKS`).
        directory: A folder for request and answer.
        source: What messages call the model.

    Raises:
        InvalidModel, InvalidSamples, LibraryError: The task raised it; InvalidModel also if onnxruntime crashes.
        OSError: The task could not write or read a file.
    """
    path = directory / "request.json"
    path.write_text(json.dumps(request))
    answer_path = directory / ANSWER
    answer_path.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "actcache.runs.worker", str(path)],
        env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if not answer_path.exists():
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing on stderr"]
        if done.returncode == FILE_REFUSED:
            raise OSError(*json.loads(said[0]))
        if done.returncode < 0:
            hint = "the model may not support these inputs: give others with --sample"
            raise InvalidModel(f"onnxruntime crashed while running it ({said[0]})", file=source, hint=hint)
        raise InternalError(f"the {request['task']} step failed ({said[0]})", file=source)
    answer: dict[str, Any] = json.loads(answer_path.read_text())
    problem = answer.pop("error", None)
    if problem is not None:
        raise ERRORS[problem["type"]](
            problem["message"], file=problem["file"], node=problem["node"], hint=problem["hint"]
        )
    return answer
