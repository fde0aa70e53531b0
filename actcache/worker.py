"""What the compiler runs in a process of its own: the model itself, to measure it and to verify the result.

A model that crashes onnxruntime then costs the compilation, not the host program; and neither the host's store nor its
statistics see the compiler's runs. Called as ``python -m actcache.worker REQUEST.json``; the answer is written beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from actcache import runtime, verify
from actcache.errors import ActcacheError, InternalError, InvalidModel, InvalidSamples, LibraryError
from actcache.made_up import make_samples
from actcache.passes.cost import Costs, measure_costs
from actcache.passes.graph import GraphView

_ANSWER = "answer.json"
_ERRORS: dict[str, type[ActcacheError]] = {t.__name__: t for t in (InvalidModel, InvalidSamples, LibraryError)}
#: Verification must be able to keep what it checks, whatever the environment of the host says.
_ENVIRONMENT = {"ACTCACHE_BUDGET_BYTES": str(2 << 30), "ACTCACHE_NAMESPACE": "", "ACTCACHE_HASH": "blake3"}


@dataclass(frozen=True)
class Originals:
    """Where the original model is, and what it needs.

    Attributes:
        source: The model as the user gave it (what messages name).
        model: The file to run.
        base: The model in the working folder, which the passes edit.
        libraries: Custom-op libraries that the model itself needs.
    """

    source: str
    model: str
    base: str
    libraries: tuple[str, ...] = ()


def measure(originals: Originals, samples: Sequence[Path], directory: Path) -> tuple[list[Path], Costs]:
    """Measure the model on the first sample; without samples, make some up first.

    Returns:
        The samples (files in `directory` when they were made up) and the costs.

    Raises:
        InvalidModel: onnxruntime refuses the model, or crashes on it.
        InvalidSamples: The model refuses a sample, or none could be made up.
    """
    request = {"task": "measure", **asdict(originals), "samples": [str(s) for s in samples]}
    answer = _call(request, directory, originals.source)
    shapes = {name: tuple(shape) for name, shape in answer["shapes"].items()}
    costs = Costs(tuple(answer["seconds"]), answer["total"], shapes, measured=True)
    return [Path(s) for s in answer["samples"]], costs


def check(
    originals: Originals,
    compiled: Path,
    samples: Sequence[Path],
    row_axes: Mapping[str, int] | None,
    tolerance: float,
) -> verify.VerifyReport:
    """Verify a compiled model in the working folder against the original.

    Raises:
        InvalidModel, InvalidSamples, LibraryError: As :func:`measure`, and the native library cannot be used.
    """
    request = {"task": "verify", **asdict(originals), "samples": [str(s) for s in samples]}
    request |= {"compiled": str(compiled), "row_axes": dict(row_axes) if row_axes else None, "tolerance": tolerance}
    answer = _call(request, compiled.parent, originals.source)
    return verify.VerifyReport(**answer)


def _call(request: dict[str, Any], directory: Path, source: str) -> dict[str, Any]:
    path = directory / "request.json"
    path.write_text(json.dumps(request))
    answer_path = directory / _ANSWER
    answer_path.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "actcache.worker", str(path)],
        env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if not answer_path.exists():
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing on stderr"]
        if done.returncode < 0:
            hint = "the model may not support these inputs: give others with --sample"
            raise InvalidModel(f"onnxruntime crashed while running it ({said[0]})", file=source, hint=hint)
        raise InternalError(f"the {request['task']} step failed ({said[0]})", file=source)
    answer: dict[str, Any] = json.loads(answer_path.read_text())
    problem = answer.pop("error", None)
    if problem is not None:
        raise _ERRORS[problem["type"]](
            problem["message"], file=problem["file"], node=problem["node"], hint=problem["hint"]
        )
    return answer


# -- inside the worker -------------------------------------------------------------------------------


def main(path: Path) -> None:
    """Carry out one request and write the answer beside it."""
    request = json.loads(path.read_text())
    try:
        answer = _measure(request, path.parent) if request["task"] == "measure" else _verify(request)
    except ActcacheError as error:
        kind = type(error).__name__
        answer = {
            "error": {
                "type": kind if kind in _ERRORS else "InvalidModel",
                "message": error.message,
                "file": error.file,
                "node": error.node,
                "hint": error.hint,
            }
        }
    temporary = path.with_name(_ANSWER + ".tmp")
    temporary.write_text(json.dumps(answer))
    temporary.replace(path.with_name(_ANSWER))


def _measure(request: dict[str, Any], directory: Path) -> dict[str, Any]:
    session = _original(request)
    proto = onnx.load_model(request["base"], load_external_data=False)
    paths = [Path(s) for s in request["samples"]]
    if paths:
        first = _load(paths[0])
        _run_sample(session, first, str(paths[0]))
    else:
        made = make_samples(proto, lambda feed: session.run(None, feed))
        paths = [save_sample(directory / f"sample{i}.npz", feed) for i, feed in enumerate(made)]
        first = made[0]
    costs = measure_costs(GraphView(proto), directory, first, session, request["libraries"])
    return {
        "samples": [str(p) for p in paths],
        "seconds": costs.seconds,
        "total": costs.total,
        "shapes": {name: list(shape) for name, shape in costs.shapes.items()},
    }


def _verify(request: dict[str, Any]) -> dict[str, Any]:
    samples = [_load(Path(s)) for s in request["samples"]]
    session = _original(request)
    for path, sample in zip(request["samples"], samples, strict=True):
        _run_sample(session, sample, path)

    def run(feed: verify.Feed) -> list[Any]:
        return list(session.run(None, feed))

    varying = verify.varying_outputs(run, samples[0])
    answers = verify.references(run, samples, request["row_axes"])
    del session
    try:
        session = _compiled(request)
    except Exception as error:  # noqa: BLE001 - whatever onnxruntime says, this region cannot be used
        return verify.VerifyReport(failure=f"onnxruntime refuses the compiled model ({_short(error)})").to_json()
    report = verify.compare(run, runtime.clear, answers, tolerance=request["tolerance"], ignore=varying)
    if report.failure is None and not any(r["hits"] for r in runtime.stats()["regions"].values()):
        report.failure = "no lookup ever hit: the results of one call may be larger than the cache can hold"
    return report.to_json()


def save_sample(path: Path, feed: Mapping[str, Any]) -> Path:
    """Write one set of inputs so that ``numpy.load`` reads it without pickle."""
    arrays = {name: a.astype(np.str_) if a.dtype.kind == "O" else a for name, a in feed.items()}
    np.savez(path, **arrays)
    return path


def _load(path: Path) -> verify.Feed:
    with np.load(path, allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    return {name: a.astype(object) if a.dtype.kind == "U" else a for name, a in arrays.items()}


def _options(libraries: Sequence[str]) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for library in libraries:
        try:
            options.register_custom_ops_library(library)
        except Exception as error:
            raise InvalidModel(f"cannot be used as a custom-op library ({_short(error)})", file=library) from error
    return options


def _original(request: dict[str, Any]) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(
            request["model"], _options(request["libraries"]), providers=["CPUExecutionProvider"]
        )
    except ActcacheError:
        raise
    except Exception as error:
        hint = "export it for an older opset, or give --custom-op-library if it has operators of its own"
        raise InvalidModel(
            f"onnxruntime {ort.__version__} cannot load it ({_short(error)})", file=request["source"], hint=hint
        ) from error


def _compiled(request: dict[str, Any]) -> ort.InferenceSession:
    options = _options(request["libraries"])
    runtime.register(options)
    return ort.InferenceSession(request["compiled"], options, providers=["CPUExecutionProvider"])


def _run_sample(session: ort.InferenceSession, sample: verify.Feed, path: str) -> None:
    try:
        session.run(None, sample)
    except Exception as error:
        hint = "every sample must be a valid call of the model"
        raise InvalidSamples(f"the model refuses this sample ({_short(error)})", file=path, hint=hint) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."


if __name__ == "__main__":
    main(Path(sys.argv[1]))
