"""The branches of an ``If`` of the main graph as models of their own, and back.

A merged decoder is two models behind one ``If``: what a call needs stands in its branches. So each branch is taken out,
compiled as any model is, and put back::

    graph: w, inputs ─► If(condition) ─ then: nodes      model: w, inputs that the branch reads ─► nodes ─► its outputs
                                      └ else: nodes

Constants that only branches read move into each branch that reads them. onnxruntime packs weights of the graph around a
branch, but not those of the graph around that, and regions are branches themselves. Small ones move with a region, too,
and a branch must not define a name anew that is visible in it. Weights that stay in the graph around have one name in
both. What else a branch reads of that graph becomes an input of its model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import onnx

from actcache.passes.graph.entries import keep
from actcache.passes.graph.nodes import captured, is_constant_node, node_label, subgraphs
from actcache.passes.graph.op_facts import ONNX_DOMAINS
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.weights import has_a_place
from actcache.passes.rows import prove_rows

#: The attributes of ``If`` that hold its branches, and the condition with which each is taken.
BRANCHES = {"then_branch": True, "else_branch": False}


@dataclass(frozen=True)
class Branch:
    """A branch of an ``If`` of the main graph.

    Attributes:
        output: The first tensor that the If writes: it names the If in every form of the model.
        attribute: ``then_branch`` or ``else_branch``.
    """

    output: str
    attribute: str

    @property
    def taken_if(self) -> bool:
        """The condition with which it is taken."""
        return BRANCHES[self.attribute]

    @property
    def short(self) -> str:
        """``then`` or ``else``."""
        return self.attribute.removesuffix("_branch")

    def node(self, model: onnx.ModelProto) -> onnx.NodeProto:
        """Return its If in a model that has it.

        Raises:
            StopIteration: The model does not.
        """
        found: onnx.NodeProto = next(n for n in model.graph.node if n.op_type == "If" and self.output in n.output)
        return found

    def body(self, model: onnx.ModelProto) -> onnx.GraphProto:
        """Return its graph in a model that has it."""
        found: onnx.GraphProto = next(a.g for a in self.node(model).attribute if a.name == self.attribute)
        return found


def branches_of(node: onnx.NodeProto) -> list[Branch]:
    """Return the branches of a node of the main graph; none, if it is no ``If``."""
    if node.op_type != "If" or node.domain not in ONNX_DOMAINS:
        return []
    return [Branch(next(filter(None, node.output)), name) for name in BRANCHES]


# -- constants ---------------------------------------------------------------------------------------


def move_constants(model: onnx.ModelProto, branches: Collection[Branch]) -> None:
    """Move constants that nothing but `branches` reads into each branch that does, in place.

    Weights that are small and were outside the model stay: a session can replace these in the main graph alone.
    """
    graph = model.graph
    inside = {branch.output for branch in branches}
    own = [node for node in graph.node if not inside.isdisjoint(node.output)]
    rest = (node for node in graph.node if inside.isdisjoint(node.output))
    others = {name for node in rest for body in subgraphs(node) for name in captured(body)}
    others |= {name for node in graph.node for name in node.input}
    others |= {value.name for value in [*graph.output, *graph.input]}
    weights = {t.name: t for t in graph.initializer if not has_a_place(t) and t.name not in others}
    stated = {n.output[0]: n for n in graph.node if is_constant_node(n) and n.output[0] not in others}
    moved: set[str] = set()
    for body in (body for node in own for body in subgraphs(node)):
        wanted = dict.fromkeys(name for name in captured(body) if name in weights or name in stated)
        moved |= wanted.keys()
        body.initializer.extend(weights[name] for name in wanted if name in weights)
        nodes = [*(stated[name] for name in wanted if name in stated), *body.node]
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del body.node[:]
        body.node.extend(copies)
    keep(graph.initializer, lambda tensor: tensor.name not in moved)
    keep(graph.node, lambda node: moved.isdisjoint(node.output))
    keep(graph.value_info, lambda value: value.name not in moved)


# -- taking out --------------------------------------------------------------------------------------


def branch_model(view: GraphView, branch: Branch) -> onnx.ModelProto | Refusal:
    """Return a branch as a model, or why it cannot be one.

    Its inputs are the graph inputs that the branch reads, then what it reads of other nodes. Of those only the type and
    the sizes that follow from inputs and constants are stated, as nothing would enforce more.

    Args:
        view: The whole model, after :func:`move_constants`.
        branch: The branch.
    """
    body = branch.body(view.model)
    reads = dict.fromkeys(captured(body))
    result = onnx.ModelProto()
    result.CopyFrom(view.model)
    graph = result.graph
    graph.Clear()
    graph.name = body.name or branch.attribute
    given = {value.name: value for value in view.model.graph.input}
    computed = [name for name in reads if name not in view.initializers and name not in given]
    graph.input.extend(given[name] for name in reads if name in view.inputs)
    for name in computed:
        if not view.is_tensor(name):
            reason = f"it reads '{name}', whose type is not known or which is no tensor"
            return Refusal("branch-input", reason, node_label(branch.node(view.model)))
    graph.input.extend(_stated(view, computed))
    graph.initializer.extend(t for t in view.model.graph.initializer if t.name in reads and t.name in view.initializers)
    graph.initializer.extend(body.initializer)
    around = (s for s in view.model.graph.sparse_initializer if s.values.name in reads)
    graph.sparse_initializer.extend([*around, *body.sparse_initializer])
    graph.node.extend(body.node)
    graph.output.extend(body.output)
    graph.value_info.extend(body.value_info)
    graph.quantization_annotation.extend(body.quantization_annotation)
    return result


def _stated(view: GraphView, names: Collection[str]) -> Iterator[onnx.ValueInfoProto]:
    proof = prove_rows(view, {}, unread=view.inputs) if names else None
    for name in names:
        shape = None if proof is None else proof.shape(name)
        sizes = None if shape is None else [size.value for size in shape]
        yield onnx.helper.make_tensor_value_info(name, view.dtype(name) or 0, sizes)


# -- putting back ------------------------------------------------------------------------------------


def put_back(model: onnx.ModelProto, branch: Branch, compiled: onnx.ModelProto) -> None:
    """Put what became of a branch's model in place of the branch, in place.

    Args:
        model: The whole model, after :func:`move_constants`.
        branch: The branch.
        compiled: Its model, with the outputs of :func:`branch_model`.
    """
    body, given = branch.body(model), compiled.graph
    around = visible(model.graph)
    nodes = [*given.node]
    for entries in (
        body.node,
        body.initializer,
        body.sparse_initializer,
        body.value_info,
        body.quantization_annotation,
    ):
        del entries[:]
    body.node.extend(nodes)
    body.initializer.extend(tensor for tensor in given.initializer if tensor.name not in around)
    body.sparse_initializer.extend(sparse for sparse in given.sparse_initializer if sparse.values.name not in around)
    body.value_info.extend(value for value in given.value_info if value.name not in around)
    body.quantization_annotation.extend(given.quantization_annotation)
    known = {opset.domain for opset in model.opset_import}
    model.opset_import.extend(opset for opset in compiled.opset_import if opset.domain not in known)


def visible(graph: onnx.GraphProto) -> set[str]:
    """Return the names of a main graph that its bodies see."""
    names = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    names |= {sparse.values.name for sparse in graph.sparse_initializer}
    return names | {name for node in graph.node for name in node.output if name}
