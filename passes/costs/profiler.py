"""Measured costs: onnxruntime's own profiler on sample inputs.

The times are those of the optimised model, shared out to the nodes of the file (:mod:`attribution`). Shapes, and how
the time of a fused node is shared out, come from a run without optimisation, where every node of the file is a node of
the profile too.
"""

from __future__ import annotations

import errno
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError

from actcache.base.files import check_room
from actcache.base.free_memory import release_memory
from actcache.passes.costs.attribution import attribute
from actcache.passes.costs.cost import Costs
from actcache.passes.graph.view import GraphView

Feed = Mapping[str, Any]

_PREFIX, _KERNEL_TIME = "actcache_node_", "_kernel_time"
#: About how long each measurement repeats its call.
_SECONDS = 1.5


def run_seconds(session: ort.InferenceSession, sample: Feed) -> tuple[float, float]:
    """Time runs of the model, with its default optimisation: the median, and the interquartile range relative to it."""
    times = _run_times(lambda: session.run(None, dict(sample)), _SECONDS)
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4)
    return median, (high - low) / max(median, 1e-9)


def measure_costs(
    view: GraphView, directory: Path, sample: Feed, timing: tuple[float, float], libraries: Sequence[str] = ()
) -> Costs:
    """Profile the model on one sample: as it is for the shapes, and as onnxruntime optimises it for the times.

    Args:
        view: The model; its external data lies in `directory`.
        directory: A folder for the instrumented copy of the model.
        sample: Inputs for one call.
        timing: Seconds of one run of the optimised model, to scale to, and their spread (:func:`run_seconds`).
        libraries: Custom-op libraries that the model needs.
    """
    path = directory / "profiled.onnx"
    path.write_bytes(_named_copy(view.model).SerializeToString())
    with tempfile.TemporaryDirectory(dir=directory) as scratch, _room_needed(Path(scratch)):
        plain = _profile(path, Path(scratch), sample, libraries, optimise=False)
        durations, shapes = _read_profile(view, plain)
        weights = [statistics.median(d) * 1e-6 if d else 0.0 for d in durations]
        release_memory()
        graph = _optimised_graph(path, Path(scratch), libraries)
        release_memory()
        times = _node_seconds(_profile(path, Path(scratch), sample, libraries, optimise=True))
    path.unlink()
    seconds = attribute(view, graph, times, weights)
    total, spread = timing
    scale = total / max(sum(seconds), 1e-9)
    shapes |= {name: tuple(value.shape) for name, value in sample.items() if isinstance(value, np.ndarray)}
    return Costs(tuple(s * scale for s in seconds), total, shapes, measured=True, spread=spread)


@contextmanager
def _room_needed(folder: Path) -> Iterator[None]:
    """Where something fails because onnxruntime could not write to `folder`, which it does not say, raise OSError."""
    try:
        yield
    except Exception as error:
        check_room(folder)
        if isinstance(error, (json.JSONDecodeError, DecodeError)):  # written by onnxruntime, and cut off
            raise OSError(errno.EIO, "onnxruntime could not write a complete file", str(folder)) from error
        raise


def _profile(
    path: Path, scratch: Path, sample: Feed, libraries: Sequence[str], *, optimise: bool
) -> list[dict[str, object]]:
    """Run a model under the profiler."""
    options = _options(libraries)
    options.enable_profiling = True
    options.profile_file_prefix = str(scratch / ("optimised" if optimise else "plain"))
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    profiled = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    _run_times(partial(profiled.run, None, dict(sample)), _SECONDS if optimise else _SECONDS / 4)
    written = Path(profiled.end_profiling())
    del profiled  # thousands of events take as much memory as the model: not both at once
    release_memory()
    events: list[dict[str, object]] = json.loads(written.read_text())
    return events


def _optimised_graph(path: Path, scratch: Path, libraries: Sequence[str]) -> onnx.GraphProto:
    """Return the graph that onnxruntime makes of a model: from a session of its own, which holds all weights twice
    while it writes them.
    """
    options = _options(libraries)
    options.optimized_model_filepath = str(scratch / "optimised.onnx")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "optimised.data")
    options.add_session_config_entry("session.disable_prepacking", "1")
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load_model(options.optimized_model_filepath, load_external_data=False).graph


def _options(libraries: Sequence[str]) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for library in libraries:
        options.register_custom_ops_library(library)
    return options


def _node_seconds(events: Sequence[dict[str, object]]) -> dict[str, float]:
    """Median time of every node by its name."""
    durations: dict[str, list[int]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL_TIME):
            durations.setdefault(name.removesuffix(_KERNEL_TIME), []).append(int(str(event["dur"])))
    return {name: statistics.median(found) * 1e-6 for name, found in durations.items()}


def _named_copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for index, node in enumerate(copy.graph.node):
        node.name = f"{_PREFIX}{index}"
    return copy


def _run_times(call: Callable[[], object], seconds: float) -> list[float]:
    """Times of a call that is repeated for about `seconds`, after one warm-up."""
    call()
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < deadline and len(times) < 50):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        if times[0] > seconds and len(times) > 1:
            break
    return times


def _read_profile(
    view: GraphView, events: Sequence[dict[str, object]]
) -> tuple[list[list[int]], dict[str, tuple[int, ...]]]:
    durations: list[list[int]] = [[] for _ in view.writes]
    shapes: dict[str, tuple[int, ...]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.startswith(_PREFIX) or not name.endswith(_KERNEL_TIME):
            continue
        index = name[len(_PREFIX) : -len(_KERNEL_TIME)]
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
