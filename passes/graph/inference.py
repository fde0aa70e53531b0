"""onnx's inference of types and shapes, kept from what crashes it.

onnx infers nothing for operators that it does not know, and some of its own operators read the type of their input
without asking whether it has one: the process dies (:data:`~actcache.passes.graph.op_facts.READ_TYPES`). Such a node is
shown to onnx once its inputs have types, and till then as an operator that nobody knows.

What else crashes it is not known beforehand: versions up to 1.20 die of some malformed RNN, Scan and ConvTranspose, and
of functions that call themselves. So whoever looks at a model that may be damaged has another process infer its types.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator

import onnx

from actcache.base.start_code import start_code
from actcache.passes.graph.nodes import all_nodes, subgraphs
from actcache.passes.graph.op_facts import READ_TYPES, canonical_domain

#: Ends the name of an operator that is not shown: no operator has such a name.
_HIDDEN = " (hidden)"
#: What another process does with a model on its standard input. It loads nothing but onnx.
_CODE = """
import onnx
model = onnx.load_model_from_string(sys.stdin.buffer.read())
sys.stdout.buffer.write(onnx.shape_inference.infer_shapes(model, data_prop=True).SerializeToString())
"""


def inferred(model: onnx.ModelProto, *, elsewhere: bool = False) -> onnx.ModelProto:
    """Return a copy of a model with the types and shapes that onnx infers; the model itself, if onnx refuses it.

    With `elsewhere`, another process infers them. If onnx crashes, the model itself is returned.
    """
    infer = _inferred_elsewhere if elsewhere else _inferred
    if not any(map(_reads_type, _nodes(model))):
        return infer(model)
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for node in filter(_reads_type, _nodes(found)):
        node.op_type += _HIDDEN
    found = infer(found)
    while ready := list(_ready(found.graph, ())):
        _show(ready)
        found = infer(found)  # with the types found so far: no input loses the one for which its reader is shown
    _show(_nodes(found))
    return found


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # whatever onnx raises: nothing is known then but what the model states
        return model


def _inferred_elsewhere(model: onnx.ModelProto) -> onnx.ModelProto:
    code = start_code([os.path.abspath(folder) for folder in sys.path if folder]) + _CODE
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=model.SerializeToString(),
            env={**environment, "ACTCACHE_AUTO": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return onnx.load_model_from_string(done.stdout)
    except Exception:  # it crashed, or raised what onnx raises
        return model


def _reads_type(node: onnx.NodeProto) -> bool:
    return (canonical_domain(node.domain), node.op_type) in READ_TYPES


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from all_nodes(model.graph.node)
    for function in model.functions:
        yield from all_nodes(function.node)


def _ready(graph: onnx.GraphProto, around: Collection[str]) -> Iterator[onnx.NodeProto]:
    """Yield the hidden nodes of a graph and its bodies whose inputs have types; `around`: values with types."""
    values = [*graph.input, *graph.output, *graph.value_info]
    known = {value.name for value in values if value.type.WhichOneof("value") is not None}
    known.update(around, (tensor.name for tensor in graph.initializer))
    for node in graph.node:
        if node.op_type.endswith(_HIDDEN) and node.input and known.issuperset(node.input):
            yield node
        for body in subgraphs(node):
            yield from _ready(body, known)


def _show(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        node.op_type = node.op_type.removesuffix(_HIDDEN)
