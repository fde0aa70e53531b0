"""What each node costs, and how large each tensor is, measured by onnxruntime's own profiler.

The model is run on sample inputs with graph optimisation off, so that every node of the file is also a node of the
profile, and the shares are then scaled to the time of the optimised model. Where nothing can be run, a short
multiply-accumulate estimate takes over (:func:`estimate_costs`).
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from actcache.passes.graph import GraphView, element_bits

Feed = Mapping[str, npt.NDArray[np.generic]]

_PREFIX = "actcache_node_"
#: What the fallback assumes a processor does, multiply-accumulates per second on two cores.
_MACS_PER_SECOND = 2e10
_SIZE_GUESS = 16


@dataclass(frozen=True)
class Costs:
    """Measured or estimated cost of one model on one sample.

    Attributes:
        seconds: Per node of the main graph, seconds of one run of the optimised model.
        total: Seconds of one run.
        shapes: Tensor name to the shape it had, for outputs of profiled nodes and for inputs.
        measured: False when this is an estimate.
    """

    seconds: tuple[float, ...]
    total: float
    shapes: Mapping[str, tuple[int, ...]]
    measured: bool

    def bytes(self, view: GraphView, name: str) -> int | None:
        """Return the size of a tensor in bytes on the sample; None: not known."""
        shape, dtype = self.shapes.get(name), view.dtype(name)
        if shape is None or dtype is None:
            return None
        return math.prod(shape) * element_bits(dtype) // 8


def measure_costs(
    view: GraphView,
    directory: Path,
    sample: Feed,
    session: ort.InferenceSession,
    libraries: Sequence[str] = (),
    seconds: float = 1.5,
) -> Costs:
    """Profile the model on one sample.

    Args:
        view: The model; its external data lies in `directory`.
        directory: A folder for the instrumented copy of the model.
        sample: Inputs for one call.
        session: The original model with default optimisation, to scale to.
        libraries: Custom-op libraries that the model needs.
        seconds: About how long to run each of the two sessions.
    """
    total = _median_seconds(lambda: session.run(None, dict(sample)), seconds)
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
        _median_seconds(lambda: profiled.run(None, dict(sample)), seconds)
        events = json.loads(Path(profiled.end_profiling()).read_text())
        path.unlink()
    durations, shapes = _read_profile(view, events)
    medians = [statistics.median(d) * 1e-6 if d else 0.0 for d in durations]
    scale = total / max(sum(medians), 1e-9)
    shapes |= {name: tuple(value.shape) for name, value in sample.items()}
    return Costs(tuple(m * scale for m in medians), total, shapes, measured=True)


def estimate_costs(view: GraphView) -> Costs:
    """Estimate costs from shapes alone: weights times positions for the linear operators, elements for the rest."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name in (*view.inputs, *(o for names in view.writes for o in names)):
        shape = view.shape(name)
        if shape is not None:
            shapes[name] = tuple(d if isinstance(d, int) else _SIZE_GUESS for d in shape)
    seconds = []
    for node, writes in zip(view.model.graph.node, view.writes, strict=True):
        size = sum(math.prod(shapes.get(o, ())) for o in writes)
        seconds.append(_macs(view, node, size) / _MACS_PER_SECOND)
    return Costs(tuple(seconds), sum(seconds), shapes, measured=False)


def _macs(view: GraphView, node: onnx.NodeProto, output_size: int) -> float:
    weight = view.shape(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    sizes = [d if isinstance(d, int) else _SIZE_GUESS for d in weight or ()]
    if node.op_type in ("Conv", "ConvInteger", "QLinearConv") and sizes:
        return output_size * math.prod(sizes[1:])
    if node.op_type in ("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "FusedMatMul") and sizes:
        return output_size * sizes[-2 if len(sizes) > 1 else 0]
    return output_size


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
