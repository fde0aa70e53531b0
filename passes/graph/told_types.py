"""Types of values that onnx cannot infer, asked of onnxruntime.

onnx knows nothing of com.microsoft's operators, and little of ai.onnx.ml's. onnxruntime infers the type of every value
before it runs a model, and refuses a model where a type does not fit. So what it says of a type is a fact of the graph,
whatever is fed later. Nothing else is taken from it: ranks and sizes that it shows may come from what the model states,
which is not enforced.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import onnx
import onnxruntime as ort

_TENSOR = re.compile(r"tensor\((\w+)\)")


def told_types(
    model: onnx.ModelProto, names: Collection[str], directory: Path, libraries: Sequence[str] = ()
) -> dict[str, int]:
    """Return the types that onnxruntime gives to values of the main graph. Nothing is run.

    Args:
        model: The model; its external data lies in `directory`. It is not modified.
        names: The values.
        directory: A folder for a copy of the model.
        libraries: Custom-op libraries that the model needs.

    Returns:
        Value to its element type (``TensorProto.DataType``); 0: it is no dense tensor.

    Raises:
        Exception: onnxruntime refuses the model with these values as outputs.
    """
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    outputs = {value.name for value in asked.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in outputs)
    path = directory / "typed.onnx"
    path.write_bytes(asked.SerializeToString())
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    for library in libraries:
        options.register_custom_ops_library(library)
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        types = {value.name: value.type for value in session.get_outputs()}
    finally:
        path.unlink()
    return {name: _element_type(types[name]) for name in names}


def _element_type(text: str) -> int:
    """Parse a type as onnxruntime writes it: ``tensor(float)``, ``seq(map(int64,tensor(float)))``."""
    tensor = _TENSOR.fullmatch(text)
    return int(onnx.TensorProto.DataType.Value(tensor[1].upper())) if tensor else 0
