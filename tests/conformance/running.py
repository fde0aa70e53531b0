"""Sessions of plain onnxruntime, and the changes to a model that make it tell more."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from actcache.passes.cuts.feeds import Feed
from actcache.passes.graph.nodes import node_reads
from actcache.passes.graph.view import GraphView
from actcache.verification.cases import Run

#: Types that numpy does not have, to onnxruntime's names: its Python interface takes and gives their bits alone.
_STRANGE = {
    np.dtype(onnx.helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, name.upper()))): name
    for name in ("bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz")
}


def session(model: onnx.ModelProto | Path, *, actcache: bool = False, optimise: bool = True) -> ort.InferenceSession:
    """Load a model, on one thread: thousands of small ones are run."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if actcache:
        from actcache.serve import runtime

        runtime.register(options)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def runner(loaded: ort.InferenceSession) -> Run:
    """Return a function from inputs to all outputs."""
    strange = {f"tensor({name})" for name in _STRANGE.values()}
    out = any(value.type in strange for value in loaded.get_outputs())

    def run(feed: Feed) -> list[Any]:
        if not out and not any(isinstance(a, np.ndarray) and a.dtype in _STRANGE for a in feed.values()):
            return list(loaded.run(None, feed))
        given = {name: _to_ort(value) for name, value in feed.items()}
        return [_from_ort(value) for value in loaded.run_with_ort_values(None, given)]

    return run


def _to_ort(array: Any) -> ort.OrtValue:
    if array.dtype not in _STRANGE:
        return ort.OrtValue.ortvalue_from_numpy(array)
    bits = np.ascontiguousarray(array).view(np.dtype(f"u{array.dtype.itemsize}"))
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, onnx.helper.np_dtype_to_tensor_dtype(array.dtype))


def _from_ort(value: ort.OrtValue) -> Any:
    dtype = next((d for d, name in _STRANGE.items() if value.data_type() == f"tensor({name})"), None)
    if dtype is None:
        return value.numpy()
    if 0 in value.shape():
        return np.zeros(value.shape(), dtype)
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(data, dtype).reshape(value.shape())


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


def every_value(view: GraphView, names: Sequence[str], feeds: Sequence[Feed], folder: Path) -> list[dict[str, Any]]:
    """Run the model for each feed and return the values of these tensors, whatever its outputs are."""
    if not names:
        return [{} for _ in feeds]
    run = runner(session_in(with_outputs(view.model, names), folder, "values.onnx"))
    return [dict(zip(names, run(feed), strict=True)) for feed in feeds]


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
