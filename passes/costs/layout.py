"""What onnxruntime makes of a model, as far as that is the same for all inputs: its optimised graph, and by what the
time of a fused node is shared out. Shapes are those of one sample.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from actcache.base.free_memory import release_memory
from actcache.passes.costs.timed_runs import KERNEL_TIME, NODE, Event, Feed, numbered_copy, profile, session_options
from actcache.passes.graph.view import GraphView

_KEY = "layout"


@dataclass(frozen=True)
class Layout:
    """What onnxruntime makes of a model.

    Attributes:
        graph: The optimised graph, without weights.
        weights: Per node of the file, seconds of a run without optimisation, where each is a node of the profile, too.
        shapes: Tensor name to the shape that it had on the sample.
    """

    graph: onnx.GraphProto
    weights: Sequence[float]
    shapes: Mapping[str, tuple[int, ...]]

    def save(self, path: Path) -> None:
        """Write it to a file."""
        model = onnx.ModelProto()
        model.graph.CopyFrom(self.graph)
        model.metadata_props.add(key=_KEY, value=json.dumps([self.weights, self.shapes]))
        path.write_bytes(model.SerializeToString())

    @classmethod
    def load(cls, path: Path) -> Layout:
        """Read what :meth:`save` wrote."""
        model = onnx.ModelProto.FromString(path.read_bytes())
        weights, shapes = json.loads(next(prop.value for prop in model.metadata_props if prop.key == _KEY))
        return cls(model.graph, weights, {name: tuple(shape) for name, shape in shapes.items()})


def lay_out(view: GraphView, directory: Path, sample: Feed, libraries: Sequence[str] = ()) -> Layout:
    """Have onnxruntime run a sample without optimisation, and optimise the model.

    Args:
        view: The model; its external data lies in `directory`.
        directory: A folder for the numbered copy of the model.
        sample: Inputs for one call.
        libraries: Custom-op libraries that the model needs.
    """
    with numbered_copy(view.model, directory) as (path, scratch):
        durations, shapes = _read_profile(view, profile(path, scratch, sample, libraries, optimise=False))
        release_memory()
        graph = _optimised_graph(path, scratch, libraries)
        release_memory()
    shapes |= {name: tuple(value.shape) for name, value in sample.items() if isinstance(value, np.ndarray)}
    return Layout(graph, [min(d, default=0) * 1e-6 for d in durations], shapes)


def _optimised_graph(path: Path, scratch: Path, libraries: Sequence[str]) -> onnx.GraphProto:
    """Return the graph that onnxruntime makes of a model: from a session of its own, which holds all weights twice
    while it writes them.
    """
    options = session_options(libraries)
    options.optimized_model_filepath = str(scratch / "optimised.onnx")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "optimised.data")
    options.add_session_config_entry("session.disable_prepacking", "1")
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    graph = onnx.load_model(options.optimized_model_filepath, load_external_data=False).graph
    del graph.initializer[:]
    return graph


def _read_profile(view: GraphView, events: Sequence[Event]) -> tuple[list[list[int]], dict[str, tuple[int, ...]]]:
    durations: list[list[int]] = [[] for _ in view.writes]
    shapes: dict[str, tuple[int, ...]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.startswith(NODE) or not name.endswith(KERNEL_TIME):
            continue
        index = name[len(NODE) : -len(KERNEL_TIME)]
        if not index.isdigit():
            continue  # a node that onnxruntime derived from one of ours
        durations[int(index)].append(int(str(event["dur"])))
        _read_shapes(view.model.graph.node[int(index)], event, shapes)
    return durations, shapes


def _read_shapes(node: onnx.NodeProto, event: Event, shapes: dict[str, tuple[int, ...]]) -> None:
    args = event.get("args")
    recorded = args.get("output_type_shape", []) if isinstance(args, dict) else []
    names = [o for o in node.output if o]
    for name, typed in zip(names, recorded, strict=False):
        if isinstance(typed, dict) and len(typed) == 1:
            shapes[name] = tuple(next(iter(typed.values())))
