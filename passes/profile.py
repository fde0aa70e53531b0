"""Measured costs: onnxruntime's own profiler on sample inputs.

The model is run with graph optimisation off, so that every node of the file is also a node of the profile, and the
shares are then scaled to the time of the optimised model.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from actcache.passes.cost import Costs
from actcache.passes.graph import GraphView

Feed = Mapping[str, npt.NDArray[np.generic]]

_PREFIX = "actcache_node_"
#: About how long each measurement repeats its call.
_SECONDS = 1.5


def run_seconds(session: ort.InferenceSession, sample: Feed) -> float:
    """Return the median time of one run of the model, with its default optimisation."""
    return _median_seconds(lambda: session.run(None, dict(sample)), _SECONDS)


def measure_costs(view: GraphView, directory: Path, sample: Feed, total: float, libraries: Sequence[str] = ()) -> Costs:
    """Profile the model on one sample.

    Args:
        view: The model; its external data lies in `directory`.
        directory: A folder for the instrumented copy of the model.
        sample: Inputs for one call.
        total: Seconds of one run of the optimised model (:func:`run_seconds`), to scale to.
        libraries: Custom-op libraries that the model needs.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.log_severity_level = 4
    for library in libraries:
        options.register_custom_ops_library(library)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        options.profile_file_prefix = str(Path(scratch) / "profile")
        path = directory / "profiled.onnx"
        path.write_bytes(_named_copy(view.model).SerializeToString())
        profiled = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _median_seconds(lambda: profiled.run(None, dict(sample)), _SECONDS)
        events = json.loads(Path(profiled.end_profiling()).read_text())
        path.unlink()
    durations, shapes = _read_profile(view, events)
    medians = [statistics.median(d) * 1e-6 if d else 0.0 for d in durations]
    scale = total / max(sum(medians), 1e-9)
    shapes |= {name: tuple(value.shape) for name, value in sample.items()}
    return Costs(tuple(m * scale for m in medians), total, shapes, measured=True)


def _named_copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for index, node in enumerate(copy.graph.node):
        node.name = f"{_PREFIX}{index}"
    return copy


def _median_seconds(call: Callable[[], object], seconds: float) -> float:
    """Median time of a call that is repeated for about `seconds`, after one warm-up."""
    call()
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < deadline and len(times) < 50):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        if times[0] > seconds:
            break
    return statistics.median(times)


def _read_profile(
    view: GraphView, events: Sequence[dict[str, object]]
) -> tuple[list[list[int]], dict[str, tuple[int, ...]]]:
    durations: list[list[int]] = [[] for _ in view.writes]
    shapes: dict[str, tuple[int, ...]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.startswith(_PREFIX) or not name.endswith("_kernel_time"):
            continue
        index = name[len(_PREFIX) : -len("_kernel_time")]
        if not index.isdigit():
            continue  # a node that onnxruntime derived from one of ours
        durations[int(index)].append(int(str(event["dur"])))
        _read_shapes(view.model.graph.node[int(index)], event, shapes)
    return durations, shapes


def _read_shapes(node: onnx.NodeProto, event: dict[str, object], shapes: dict[str, tuple[int, ...]]) -> None:
    args = event.get("args")
    recorded = args.get("output_type_shape", []) if isinstance(args, dict) else []
    names = [o for o in node.output if o]
    for name, typed in zip(names, recorded, strict=False):
        if isinstance(typed, dict) and len(typed) == 1:
            shapes[name] = tuple(next(iter(typed.values())))
