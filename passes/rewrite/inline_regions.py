"""The inverse of outlining: a compiled model back to the model that it came from.

Compiling a compiled model first takes the old regions out, so that the result is equivalent and never nested. It works
from the graph alone (``CacheLookup``, its ``If``, ``CacheStore``), not from the manifest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx

from actcache.errors import InvalidModel
from actcache.passes.graph.nodes import node_attribute, subgraphs
from actcache.passes.graph.order import topological
from actcache.passes.graph.rename import rename_reads, rename_writes
from actcache.passes.rewrite.kept_region import kept_region
from actcache.passes.rewrite.outline import DOMAIN, TYPE_KEY, mark_of
from actcache.passes.rewrite.per_call import remove_per_call
from actcache.passes.rewrite.placement import brings_in, shapes_brought_in
from actcache.passes.rewrite.shown_constants import hide_constants

MANIFEST_KEY = "actcache.manifest"
#: What is said of a compiled model whose regions are not as the compiler puts them.
CHANGED = "the model was compiled by actcache and changed since; compile the original model instead"


def is_compiled(model: onnx.ModelProto) -> bool:
    """Return whether actcache wrote this model."""
    return any(node.domain == DOMAIN for graph in _graphs(model.graph) for node in graph.node)


def inline_regions(model: onnx.ModelProto) -> bool:
    """Move every region of a compiled model back to where it was, the main graph or a branch of an If, in place.

    Returns:
        Whether there was any.

    Raises:
        InvalidModel: The model has operators of actcache that do not stand as the compiler puts them.
    """
    if not is_compiled(model):
        return False
    try:
        _inline_everywhere(model.graph)
    except InvalidModel:
        raise
    except Exception as error:  # whatever a region has lost
        raise InvalidModel(CHANGED) from error
    if any(_mentions_domain(node) for node in model.graph.node):
        raise InvalidModel(CHANGED)
    _forget_domain(model)
    return True


def _inline_everywhere(graph: onnx.GraphProto) -> None:
    remove_per_call(graph)
    hide_constants(graph)
    _inline_all(graph)
    for inner in _graphs(graph):
        _inline_all(inner)


def _graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    """Return the graphs that may have regions: the main graph, and the branches of its Ifs."""
    return [graph, *(body for node in graph.node if node.op_type == "If" for body in subgraphs(node))]


def _inline_all(graph: onnx.GraphProto) -> None:
    while (lookup := next((n for n in graph.node if _is_lookup(n)), None)) is not None:
        _inline(graph, lookup)  # a region inside it comes to light


def _inline(graph: onnx.GraphProto, lookup: onnx.NodeProto) -> None:
    branching = next((n for n in graph.node if n.op_type == "If" and list(n.input) == [lookup.output[0]]), None)
    branch = node_attribute(branching, "then_branch") if branching is not None else None
    region = node_attribute(lookup, "region")
    if branching is None or branch is None or region is None or branch.g.node[-1].op_type != "CacheStore":
        raise InvalidModel(f"CacheLookup '{lookup.name}' has lost its If; compile the original model instead")
    mark = mark_of(region.s.decode())
    gone = {lookup.output[0], branching.output[0]}
    kept = [n for n in graph.node if not gone.intersection(n.output)]
    original = kept_region(branch.g.node[-1])
    nodes = _nodes_of(branch.g, mark) if original is None else list(original.node)
    names = _original_names(branch.g, mark)
    if original is None:
        _restore_constants(graph, branch.g, names, shapes_brought_in(branch.g.node, mark))
    else:
        graph.initializer.extend(original.initializer)
    _restore_annotations(graph, branch.g, names)
    described = set(lookup.output) | {f"{name}{mark}.cached" for name in branching.output}
    back = [_restored_value(value) for value in (branch.g if original is None else original).value_info]
    info = [v for v in [*graph.value_info, *back] if v.name not in described]
    del graph.value_info[:]
    graph.value_info.extend(info)
    ordered = topological([*nodes, *kept])
    del graph.node[:]
    graph.node.extend(ordered)


def _nodes_of(branch: onnx.GraphProto, mark: str) -> list[onnx.NodeProto]:
    """Return the nodes of a branch with the names that they had."""
    names = _original_names(branch, mark)
    nodes = []
    for inner in branch.node[:-1]:
        if brings_in(inner, mark):
            continue
        node = onnx.NodeProto()
        node.CopyFrom(inner)
        rename_reads(node, names)
        rename_writes(node, names)
        nodes.append(node)
    return nodes


def _original_names(branch: onnx.GraphProto, mark: str) -> dict[str, str]:
    """Names that the branch could not keep, to what they were."""
    found: dict[str, str] = {}
    for node in branch.node[:-1]:
        for name in [*node.input, *node.output, *(c for body in subgraphs(node) for c in _all_reads(body))]:
            if name.endswith(mark):
                found[name] = name[: -len(mark)]
    for tensor in branch.initializer:
        if tensor.name.endswith(mark):
            found[tensor.name] = tensor.name[: -len(mark)]
    return found


def _all_reads(body: onnx.GraphProto) -> list[str]:
    names = [value.name for value in body.output]
    for node in body.node:
        names.extend(node.input)
        for inner in subgraphs(node):
            names.extend(_all_reads(inner))
    return names


def _restore_constants(
    graph: onnx.GraphProto, branch: onnx.GraphProto, names: Mapping[str, str], dropped: Collection[str]
) -> None:
    """Constants come back, but for the copies of shared ones: their originals never left."""
    still_there = {t.name for t in graph.initializer} | {name for node in graph.node for name in node.output}
    for tensor in branch.initializer:
        name = names.get(tensor.name, tensor.name)
        if name not in still_there and name not in dropped:
            graph.initializer.append(tensor)
            graph.initializer[-1].name = name


def _restored_value(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """Return what was said of a tensor of the branch before it stood there."""
    back = onnx.ValueInfoProto()
    back.CopyFrom(value)
    for entry in value.metadata_props:
        if entry.key == TYPE_KEY:
            back.type.ParseFromString(bytes.fromhex(entry.value))
    kept = [entry for entry in value.metadata_props if entry.key != TYPE_KEY]
    del back.metadata_props[:]
    back.metadata_props.extend(kept)
    return back


def _restore_annotations(graph: onnx.GraphProto, branch: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for annotation in branch.quantization_annotation:
        back = graph.quantization_annotation.add()
        back.CopyFrom(annotation)
        back.tensor_name = names.get(annotation.tensor_name, annotation.tensor_name)


def _is_lookup(node: onnx.NodeProto) -> bool:
    return node.domain == DOMAIN and node.op_type == "CacheLookup"


def _mentions_domain(node: onnx.NodeProto) -> bool:
    return node.domain == DOMAIN or any(_mentions_domain(inner) for body in subgraphs(node) for inner in body.node)


def _forget_domain(model: onnx.ModelProto) -> None:
    opsets = [o for o in model.opset_import if o.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    metadata = [p for p in model.metadata_props if p.key != MANIFEST_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(metadata)
