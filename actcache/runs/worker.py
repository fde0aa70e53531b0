"""The process in which the compiler runs models: ``python -m actcache.runs.worker REQUEST.json`` (see ``client``)."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from actcache.base.free_memory import release_memory
from actcache.base.per_call import PerCall
from actcache.base.tolerance import Spread
from actcache.errors import ActcacheError, InvalidModel, InvalidSamples
from actcache.model.feed_file import grouped, read_entries, read_feed, save_sample
from actcache.model.model_inputs import model_inputs
from actcache.model.synthetic_samples import make_samples
from actcache.passes.choice.trace_keys import Place
from actcache.passes.costs.profiler import measure_costs, run_seconds
from actcache.passes.costs.time_model import FewRows
from actcache.passes.graph.told_types import told_types
from actcache.passes.graph.view import GraphView
from actcache.runs import replay_run, trace_runs
from actcache.runs.client import ANSWER, ERRORS, FILE_REFUSED
from actcache.serve import knobs, runtime
from actcache.verification import verify
from actcache.verification.batch_bits import dependent_nodes, kept_tensors, optimised
from actcache.verification.spread import measure_spread

#: Seconds that batches of many sizes may take under ``--exact bits``, and how often each row of them is run.
_SIZES_SECONDS, _RUNS_PER_SIZE = 90.0, 6


def main(path: Path) -> None:
    """Carry out one request and write the answer beside it."""
    # What is verified and measured here is the cache, however little these calls repeat.
    os.environ["ACTCACHE_BYPASS"] = "off"
    request = json.loads(path.read_text())
    try:
        _answer(request, path)
    except OSError as error:
        if error.errno is None:
            raise
        # Where the disk is full, there is no room for an answer either.
        print(json.dumps([error.errno, error.strerror, str(error.filename or "") or None]), file=sys.stderr, flush=True)
        sys.exit(FILE_REFUSED)


def _answer(request: dict[str, Any], path: Path) -> None:
    try:
        answer = TASKS[request["task"]](request, path.parent)
    except ActcacheError as error:
        kind = type(error).__name__
        answer = {
            "error": {
                "type": kind if kind in ERRORS else "InvalidModel",
                "message": error.message,
                "file": error.file,
                "node": error.node,
                "hint": error.hint,
            }
        }
    temporary = path.with_name(ANSWER + ".tmp")
    temporary.write_text(json.dumps(answer))
    temporary.replace(path.with_name(ANSWER))


def _types(request: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Ask onnxruntime for types; none where it refuses the model with more outputs."""
    proto = onnx.load_model(request["base"], load_external_data=False)
    try:
        return {"types": told_types(proto, request["names"], directory, request["libraries"])}
    except Exception:  # whatever the runtime raises: the model itself is tried, and spoken of, when it is measured
        return {"types": {}}


def _measure(request: dict[str, Any], directory: Path) -> dict[str, Any]:
    session = _original(request)
    proto = onnx.load_model(request["base"], load_external_data=False)
    paths = [Path(s) for s in request["samples"]]
    if paths:
        first = read_feed(paths[0], model_inputs(proto))
        _run_sample(session, first, str(paths[0]))
    else:
        signature = request["signature"] or request["base"]
        made = make_samples(onnx.load_model(signature, load_external_data=False), _runner(session))
        paths = [save_sample(directory / f"sample{i}.npz", feed) for i, feed in enumerate(made)]
        first = made[0]
    answer = {"samples": [str(p) for p in paths], "onnxruntime": ort.__version__}
    if not request["timed"]:
        return answer
    timing = run_seconds(session, first)
    del session  # one model in memory at a time
    release_memory()
    costs = measure_costs(GraphView(proto), directory, first, timing, request["libraries"])
    return {**answer, "costs": costs.to_json()}


def _verify(request: dict[str, Any], directory: Path) -> dict[str, Any]:
    inputs = model_inputs(onnx.load_model(request["base"], load_external_data=False))
    samples = [read_feed(Path(s), inputs) for s in request["samples"]]
    session = _original(request)
    for path, sample in zip(request["samples"], samples, strict=True):
        _run_sample(session, sample, path)

    varying = verify.varying_outputs(_runner(session), samples[0])
    fixed = request["fixed"]
    run = _runner(session)
    if fixed:
        run = verify.in_batches(run, fixed["size"], fixed["inputs"], fixed["outputs"])
    sizes = _sizes(run, samples[0], request["batches"]) if request["exact"] else ()
    answers = verify.references(run, samples, request["batches"], request["cones"], sizes)
    del session, run  # one model in memory at a time
    release_memory()
    try:
        run = _compiled(request)
    except ActcacheError:
        raise
    except Exception as error:
        return verify.VerifyReport(failure=f"onnxruntime refuses the compiled model ({_short(error)})").to_json()
    report = verify.compare(
        run,
        runtime.invalidate,
        answers,
        tolerance=request["tolerance"],
        exact=request["exact"],
        ignore=varying,
        spread=lambda: _spread(request, samples),
    )
    if report.failure is None and not any(r["hits"] for r in runtime.stats()["regions"].values()):
        report.failure = "no lookup ever hit: the results of one call may be larger than the cache can hold"
    return report.to_json()


def _sizes(run: verify.Run, sample: verify.Feed, batches: Sequence[Mapping[str, int]]) -> list[int]:
    """Return the sizes of batches to try: all, or those that a slow model gets done with in time."""
    rows = max(
        (verify.row_count(sample, {n: a for n, a in axes.items() if n in sample}) for axes in batches), default=1
    )
    start = time.perf_counter()
    run(sample)
    row_seconds = (time.perf_counter() - start) / max(rows, 1)
    total = itertools.accumulate(row_seconds * size * _RUNS_PER_SIZE for size in verify.SIZES)
    return [size for size, seconds in zip(verify.SIZES, total, strict=True) if size <= 9 or seconds <= _SIZES_SECONDS]


def _batch_bits(request: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Find operators whose results depend on the batch, and the tensors that onnxruntime's optimiser leaves."""
    plain = _options(request["libraries"])
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    inputs = model_inputs(onnx.load_model(request["base"], load_external_data=False))
    sample = read_feed(Path(request["samples"][0]), inputs)
    try:
        model = optimised(_options(request["libraries"]), Path(request["base"]), directory / "optimised.onnx")
        kept = kept_tensors(model)
        found = [
            asdict(node)
            for axes in request["batches"][:1]
            for node in dependent_nodes(model, plain, directory / "values.onnx", sample, axes)
        ]
    except Exception as error:  # whatever the runtime raises: it does not take the model in this form
        return {"kept": None, "dependent": [], "problem": _short(error)}
    return {"kept": kept, "dependent": found, "problem": None}


def _spread(request: dict[str, Any], samples: Sequence[verify.Feed]) -> Spread:
    """Measure how far the original's own results are apart. One that takes one batch size only has no other batches."""

    def opened(optimised: bool, threads: int) -> verify.Run:
        options = _options(request["libraries"])
        if not optimised:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = threads
        return _runner(_original(request, options))

    return measure_spread(opened, samples, [] if request["fixed"] else request["batches"])


def _record(request: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Hash and time the calls of a trace, and measure the costs of fewer rows."""
    proto = onnx.load_model(request["base"], load_external_data=False)
    places: list[Place] = [(name, axis) for name, axis in request["places"]]
    session = _original(request, spinning=False)
    calls = trace_runs.Calls(proto, request["calls"])
    arrays = trace_runs.take_recording(session, calls, places, _upstream(request, proto, places, directory))
    np.savez(request["recording"], allow_pickle=False, **arrays)
    sample = read_feed(Path(request["samples"][0]), model_inputs(proto))
    fewer = []
    for row_axes in request["batches"]:
        cut = _fewer_rows(session, proto, directory, sample, row_axes, request["libraries"])
        if cut is not None:
            fewer.append(cut)
    return {"fewer": fewer}


def _upstream(
    request: dict[str, Any], proto: onnx.ModelProto, places: Sequence[Place], directory: Path
) -> ort.InferenceSession | None:
    """Load the part of the model that computes the places which are no inputs."""
    inputs = {value.name for value in proto.graph.input}
    names = {name for name, _ in places} - inputs
    if not names:
        return None
    path = directory / "upstream.onnx"
    path.write_bytes(trace_runs.upstream_model(proto, names).SerializeToString())
    return ort.InferenceSession(str(path), _options(request["libraries"]), providers=["CPUExecutionProvider"])


def _fewer_rows(
    session: ort.InferenceSession,
    proto: onnx.ModelProto,
    directory: Path,
    sample: verify.Feed,
    row_axes: dict[str, int],
    libraries: Sequence[str],
) -> dict[str, Any] | None:
    """Measure one of the sample's rows; None if it has no other, or if the model refuses a single one."""
    axes = {name: axis for name, axis in row_axes.items() if name in sample}
    whole = verify.row_count(sample, axes) if axes else 1
    if whole == 1:
        return None
    feed = verify.take(sample, axes, np.arange(1))
    try:
        timing = run_seconds(session, feed)
    except Exception:  # whatever the runtime raises: the model takes this many rows and no fewer
        return None
    costs = measure_costs(GraphView(proto), directory, feed, timing, libraries)
    return FewRows(row_axes, 1, costs).to_json()


def _replay(request: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Play the calls of a trace through the original and the compiled model."""
    proto = onnx.load_model(request["base"], load_external_data=False)
    knobs.configure(budget_bytes=request["budget"])
    original, compiled = _runner(_original(request, spinning=False)), _compiled(request, spinning=False)
    return trace_runs.replay(original, compiled, trace_runs.Calls(proto, request["calls"]), request["tolerance"])


def _replay_audit(request: dict[str, Any], _: Path) -> dict[str, Any]:
    """Make the calls of an audit log again."""
    proto = onnx.load_model(request["base"], load_external_data=False)

    def opened(namespace: str | None) -> ort.InferenceSession:
        options = _options(request["libraries"])
        if namespace is not None:
            options.add_session_config_entry("actcache.namespace", namespace)
        runtime.register(options)
        return ort.InferenceSession(request["compiled"], options, providers=["CPUExecutionProvider"])

    calls = trace_runs.Calls(proto, request["calls"])
    return replay_run.replay(request, calls, opened, _runner(_original(request)))


def _frontiers(request: dict[str, Any], _: Path) -> dict[str, Any]:
    """Run parts of a compiled model on calls, one after the other, and keep what they compute."""
    calls = [read_entries(Path(call["feed"])) for call in request["calls"]]
    found: list[verify.Feed] = [{} for _ in calls]
    for part in request["parts"]:
        session = _part(part, request)
        inputs = model_inputs(onnx.load_model(part, load_external_data=False))
        names = [value.name for value in session.get_outputs()]
        taken = {value.name for value in session.get_inputs() + session.get_overridable_initializers()}
        for call, feed, values in zip(request["calls"], calls, found, strict=True):
            wanted = {name: array for name, array in grouped(feed, inputs).items() if name in taken}
            try:
                values |= zip(names, session.run(names, wanted), strict=True)
            except Exception as error:
                raise InvalidSamples(f"the model refuses this call ({_short(error)})", file=call["name"]) from error
    for call, values in zip(request["calls"], found, strict=True):
        save_sample(Path(call["values"]), values)
    return {}


def _part(path: str, request: dict[str, Any]) -> ort.InferenceSession:
    """Load a part of a compiled model, which may have regions of its own."""
    options = _options(request["libraries"])
    runtime.register(options)
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        problem = f"onnxruntime {ort.__version__} cannot load what comes before its regions ({_short(error)})"
        hint = "give --custom-op-library if it has operators of its own"
        raise InvalidModel(problem, file=request["source"], hint=hint) from error


def _options(libraries: Sequence[str], *, spinning: bool = True) -> ort.SessionOptions:
    """Options of a session. Where two take turns, a pool that still spins after its call takes cores from the other."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for library in libraries:
        try:
            options.register_custom_ops_library(library)
        except Exception as error:
            raise InvalidModel(f"cannot be used as a custom-op library ({_short(error)})", file=library) from error
    return options


def _runner(session: ort.InferenceSession) -> verify.Run:
    return lambda feed: list(session.run(None, feed))


def _compiled(request: dict[str, Any], *, spinning: bool = True) -> verify.Run:
    """Load the compiled model and return what runs it as the original: with the inputs and outputs of that."""
    options = _options(request["libraries"], spinning=spinning)
    runtime.register(options)
    session = ort.InferenceSession(request["compiled"], options, providers=["CPUExecutionProvider"])
    per_call = PerCall(**request["per_call"])
    added = {} if per_call.namespace_input is None else {per_call.namespace_input: np.array("")}
    outputs = [value.name for value in session.get_outputs() if value.name != per_call.account_output]
    return lambda feed: list(session.run(outputs, {**feed, **added}))


def _original(
    request: dict[str, Any], options: ort.SessionOptions | None = None, *, spinning: bool = True
) -> ort.InferenceSession:
    options = options or _options(request["libraries"], spinning=spinning)
    try:
        return ort.InferenceSession(request["model"], options, providers=["CPUExecutionProvider"])
    except ActcacheError:
        raise
    except Exception as error:
        hint = "export it for an older opset, or give --custom-op-library if it has operators of its own"
        raise InvalidModel(
            f"onnxruntime {ort.__version__} cannot load it ({_short(error)})", file=request["source"], hint=hint
        ) from error


def _run_sample(session: ort.InferenceSession, sample: verify.Feed, path: str) -> None:
    try:
        session.run(None, sample)
    except Exception as error:
        hint = "every sample must be a valid call of the model"
        raise InvalidSamples(f"the model refuses this sample ({_short(error)})", file=path, hint=hint) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."


TASKS = {
    "batch_bits": _batch_bits,
    "types": _types,
    "measure": _measure,
    "verify": _verify,
    "record": _record,
    "replay": _replay,
    "frontiers": _frontiers,
    "replay_audit": _replay_audit,
}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
