"""Sessions of plain onnxruntime, and the changes to a model that make it tell more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

from actcache.passes.graph import GraphView, node_reads
from actcache.verify import Feed, Run


def session(model: onnx.ModelProto | Path, *, actcache: bool = False, optimise: bool = True) -> ort.InferenceSession:
    """Load a model, on one thread: thousands of small ones are run."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if actcache:
        from actcache import runtime

        runtime.register(options)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def runner(loaded: ort.InferenceSession) -> Run:
    """Return a function from inputs to all outputs."""
    return lambda feed: list(loaded.run(None, feed))


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return the model with these outputs instead of its own, and only the nodes that they need."""
    wanted = list(names)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    needed = set(wanted)
    kept = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node_reads(node))
    del result.graph.node[:]
    result.graph.node.extend(reversed(kept))
    del result.graph.output[:]
    result.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    return result


def intermediate_values(view: GraphView, names: Collection[str], feed: Feed, folder: Path | None) -> dict[str, Any]:
    """Run the model once and return the values of these tensors (its outputs, or what its nodes write)."""
    asked = list(names)
    if not asked:
        return {}
    loaded = session_in(with_outputs(view.model, asked), folder, "values.onnx")
    return dict(zip(asked, loaded.run(None, feed), strict=True))


def session_in(model: onnx.ModelProto, folder: Path | None, name: str) -> ort.InferenceSession:
    """Load a model without optimising it; from `folder` where it has weights there."""
    if folder is None:
        return session(model, optimise=False)
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return session(path, optimise=False)


def with_own_weights(model: onnx.ModelProto, folder: Path | None) -> onnx.ModelProto:
    """Return the model with the weights that it has in `folder` inside it."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if folder is not None:
        onnx.external_data_helper.load_external_data_for_model(result, str(folder))
    return result
