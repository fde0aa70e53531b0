"""A read-only view of one model for the analyses.

The protobuf stays the source of truth: the rewrites edit it in place so that whatever they do not touch
survives. The analyses read :class:`GraphView`: who writes and who reads what, types, small constants. Node *i*
of the view is node *i* of the protobuf.

Types are inferred on a skeleton of the model (large weights declared, not copied), which costs little memory
and works for models whose weights are stored outside the file or exceed protobuf's 2 GB.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.graph.inference import inferred
from actcache.passes.graph.node_purity import Scope, impurity
from actcache.passes.graph.nodes import (
    INLINE_BYTES,
    FunctionId,
    all_nodes,
    callee,
    constant_value,
    function_id,
    is_constant_node,
    node_label,
    node_reads,
    tensor_bytes,
)
from actcache.passes.graph.op_facts import canonical_domain

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class GraphView:
    """Def-use, types and constants of a model's main graph.

    Args:
        model: The model; its local functions are not looked into (see ``local_functions``). It is not modified.
        told: Element types of values that onnx cannot infer (:mod:`~actcache.passes.graph.told_types`); 0: no dense
            tensor.
        infers: Whether onnx infers types and shapes; if not, those that are stated and told are all that is known.
        elsewhere: Whether another process infers them, as onnx may crash.

    Attributes:
        model: The protobuf this view was made from.
        told: As given.
        infers: As given.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        told: Mapping[str, int] | None = None,
        *,
        infers: bool = True,
        elsewhere: bool = False,
    ) -> None:
        self.model = model
        self.told = dict(told or {})
        self.infers = infers
        skeleton = _skeleton(model)
        _state(skeleton.graph, self.told)
        self._skeleton = inferred(skeleton, elsewhere=elsewhere) if infers else skeleton
        self._types = _value_types(self._skeleton.graph)

    def of(self, model: onnx.ModelProto) -> GraphView:
        """Return a view of a model that was made from this one: what was told of its values holds there, too."""
        return GraphView(model, self.told, infers=self.infers)

    @cached_property
    def graph(self) -> gs.Graph:
        """Graphsurgeon's graph of the model, with inferred shapes, for passes that want to walk it or to build on it.

        Its nodes are those of ``model.graph.node``, in that order. Large constants have no values here; read them
        through :meth:`initializer`. It is made when it is asked for, which takes longer than all else here.
        """
        import onnx_graphsurgeon
        from onnx_graphsurgeon.logger import G_LOGGER

        with G_LOGGER.suppress():  # it warns of values that are no tensors, whatever is done with them
            return onnx_graphsurgeon.import_onnx(self._skeleton)

    # -- nodes ---------------------------------------------------------------------------------------

    def label(self, index: int) -> str:
        """Return how messages name node `index`."""
        return node_label(self.model.graph.node[index])

    @cached_property
    def reads(self) -> list[tuple[str, ...]]:
        """Per node: the distinct tensors it reads, captured ones of its subgraphs included."""
        return [node_reads(node) for node in self.model.graph.node]

    @cached_property
    def writes(self) -> list[tuple[str, ...]]:
        """Per node: the tensors it writes."""
        return [tuple(o for o in node.output if o) for node in self.model.graph.node]

    @cached_property
    def producer(self) -> dict[str, int]:
        """Tensor name to the index of the node that writes it."""
        return {name: i for i, names in enumerate(self.writes) for name in names}

    @cached_property
    def consumers(self) -> dict[str, list[int]]:
        """Tensor name to the indices of the nodes that read it."""
        readers: dict[str, list[int]] = {}
        for i, names in enumerate(self.reads):
            for name in names:
                readers.setdefault(name, []).append(i)
        return readers

    # -- tensors -------------------------------------------------------------------------------------

    @cached_property
    def opsets(self) -> dict[str, int]:
        """Version of each operator domain, by its canonical name."""
        return {canonical_domain(o.domain): o.version for o in self.model.opset_import}

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph inputs, overridable initializers included: the host may feed those too.

        Before IR version 4 every initializer had to be listed as an input and none could be overridden.
        """
        graph = self.model.graph
        fixed = {t.name for t in graph.initializer} if self.model.ir_version < 4 else set()
        return tuple(value.name for value in graph.input if value.name not in fixed)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph outputs, in order."""
        return tuple(value.name for value in self.model.graph.output)

    @cached_property
    def initializers(self) -> frozenset[str]:
        """Names of the constants: initializers that the host cannot override."""
        graph = self.model.graph
        names = [t.name for t in graph.initializer] + [t.values.name for t in graph.sparse_initializer]
        return frozenset(names) - frozenset(self.inputs)

    @cached_property
    def constants(self) -> frozenset[str]:
        """Names of the tensors that no input can change: initializers and what is computed from them alone.

        Nodes without inputs count only when they are ``Constant``: a random generator has none either.
        """
        known = set(self.initializers)
        for node, reads, writes in zip(self.model.graph.node, self.reads, self.writes, strict=True):
            source = is_constant_node(node)
            varies = self._may_vary(node) or self.called_by(node)
            if source or (reads and known.issuperset(reads) and not varies):
                known.update(writes)
        return frozenset(known)

    def called_by(self, node: onnx.NodeProto) -> frozenset[FunctionId]:
        """Return the local functions that a node calls, itself or in its bodies."""
        return self._functions.intersection(map(callee, all_nodes([node]))) if self._functions else self._functions

    def initializer(self, name: str) -> onnx.TensorProto | None:
        """Return the initializer called `name`, with its data, or None."""
        return self._initializer_index.get(name)

    def value(self, name: str) -> npt.NDArray[np.generic] | None:
        """Return the value of a small constant (at most :data:`INLINE_BYTES`), or None if it is not known."""
        if name in self.inputs:
            return None
        index = self.producer.get(name)
        return constant_value(self.initializer(name), None if index is None else self.model.graph.node[index])

    @cached_property
    def untyped(self) -> tuple[str, ...]:
        """Names of the values that nodes write and whose types are not known."""
        return tuple(name for name in self.producer if self.is_tensor(name) is None)

    def dtype(self, name: str) -> int | None:
        """Return the ONNX element type (``TensorProto.DataType``) of a tensor; None: unknown or no tensor."""
        value_type = self._types.get(name)
        if value_type is None or not value_type.HasField("tensor_type"):
            return None
        return value_type.tensor_type.elem_type or None

    def is_tensor(self, name: str) -> bool | None:
        """Return whether `name` is a dense tensor; None when its type is unknown."""
        value_type = self._types.get(name)
        if value_type is None or value_type.WhichOneof("value") is None:
            return None
        dense = bool(value_type.HasField("tensor_type"))
        return None if dense and not value_type.tensor_type.elem_type else dense

    def shape(self, name: str) -> tuple[int | str | None, ...] | None:
        """Return the inferred shape: ints, symbol names, None for an unknown size; None: unknown rank."""
        value_type = self._types.get(name)
        if value_type is None or not value_type.HasField("tensor_type"):
            return None
        if not value_type.tensor_type.HasField("shape"):
            return None
        return tuple(_dimension(d) for d in value_type.tensor_type.shape.dim)

    def _may_vary(self, node: onnx.NodeProto) -> bool:
        """Whether a node with constant inputs may still give different results on two runs."""
        return impurity(node, Scope(self.opsets, self.value)) is not None

    @cached_property
    def _functions(self) -> frozenset[FunctionId]:
        return frozenset(map(function_id, self.model.functions))

    @cached_property
    def _initializer_index(self) -> dict[str, onnx.TensorProto]:
        return {t.name: t for t in self.model.graph.initializer}


def _dimension(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return dim.dim_param or None


def _skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a model without its large weights: those become plain graph values of known type and shape."""
    skeleton = onnx.ModelProto(ir_version=max(model.ir_version, 4))
    skeleton.opset_import.extend(model.opset_import)
    skeleton.functions.extend(model.functions)
    source, target = model.graph, skeleton.graph
    target.name = source.name
    target.node.extend(source.node)
    for node in target.node:
        node.domain = canonical_domain(node.domain)  # onnx infers nothing for the other spelling
    target.input.extend(source.input)
    target.output.extend(source.output)
    target.value_info.extend(source.value_info)
    target.sparse_initializer.extend(source.sparse_initializer)
    for tensor in source.initializer:
        external = tensor.data_location == onnx.TensorProto.EXTERNAL
        if external or tensor_bytes(tensor) > INLINE_BYTES:
            value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            target.value_info.append(value)
        else:
            target.initializer.append(tensor)
    return skeleton


def _state(skeleton: onnx.GraphProto, told: Mapping[str, int]) -> None:
    """Add types to a skeleton that it does not have, so that inference goes on from there."""
    stated = {value.name: value for value in [*skeleton.value_info, *skeleton.output]}
    for name, element_type in told.items():
        value = stated[name] if name in stated else skeleton.value_info.add(name=name)
        if element_type and value.type.WhichOneof("value") in (None, "tensor_type"):
            value.type.tensor_type.elem_type = element_type
        elif not element_type and value.type.WhichOneof("value") is None:
            value.type.sequence_type.SetInParent()


def _value_types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    types: dict[str, onnx.TypeProto] = {}
    for tensor in graph.initializer:
        types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    for value in [*graph.value_info, *graph.output, *graph.input]:
        types[value.name] = value.type
    return types
