"""Local functions: looked into by the analyses, kept as calls in what is written.

The analyses work on a view in which every call is replaced by the body of its function. What is written keeps its
functions and calls: only a call that the boundary of a region cuts through is replaced there as well. A name inside a
body is the same in both, whichever other calls are replaced, so that a region found in the view can be found in the
model that is written.

A call that cannot be replaced exactly stays a call in the view, and no region may contain it (``purity``): its function
uses other versions of operators than the model does, calls itself, or has the name of an operator that onnxruntime may
know (and prefer).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, replace

import onnx

from actcache.passes.graph.nodes import FunctionId, all_nodes, callee, function_id, subgraphs
from actcache.passes.graph.op_facts import BUILT_IN_DOMAINS, canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.region import Region, convexity


@dataclass(frozen=True)
class Part:
    """A node as the model has it, and the nodes that stand for it in the view.

    Attributes:
        node: The node: a call, or any other (one whose bodies hold calls, too).
        inside: What it is replaced by; empty for a node that stands for itself.
    """

    node: onnx.NodeProto
    inside: tuple[Part, ...] = ()

    def leaves(self) -> Iterator[onnx.NodeProto]:
        """Yield the nodes that stand for this one in the view."""
        if not self.inside:
            yield self.node
        for part in self.inside:
            yield from part.leaves()


class LocalFunctions:
    """A model with local functions, and its view without.

    Args:
        model: The model. It is not modified.

    Attributes:
        model: The model.
        inlined: The model with the bodies of functions in place of their calls. Functions that are still called, and
            only those, are still in it. `model` itself when it has no functions.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._parts: list[Part] = []
        self.inlined = model
        if model.functions:
            expansion = _Expansion(model)
            self._parts = [expansion.part(node, frozenset()) for node in model.graph.node]
            self.inlined = self._with_nodes([leaf for part in self._parts for leaf in part.leaves()])
            missing = {d: v for d, v in expansion.versions.items() if d not in _versions(model.opset_import)}
            _import(self.inlined, missing)
            called = {callee(node) for node in all_nodes(self.inlined.graph.node)}
            _keep_functions(self.inlined, called, expansion.functions)

    def with_calls(self, view: GraphView, regions: Sequence[Region]) -> tuple[GraphView, list[Region]]:
        """Return a view of the model with as many calls as `regions` leave whole, and the regions in it.

        Args:
            view: The view of :attr:`inlined`.
            regions: Regions of that view.
        """
        if not self._parts:
            return view, list(regions)
        for whole in (self._whole(view, regions), _never):
            found = self._translated(view, regions, whole)
            if found is not None:
                return found
        return view, list(regions)

    def _whole(self, view: GraphView, regions: Sequence[Region]) -> Callable[[Collection[int]], bool]:
        """Return the test whether no region cuts through some nodes of the view. Constants belong to either side."""
        constants = {i for i, writes in enumerate(view.writes) if writes and view.constants.issuperset(writes)}

        def whole(leaves: Collection[int]) -> bool:
            weighty = set(leaves) - constants or set(leaves)
            return len(leaves) == 1 or all(weighty <= r.nodes or weighty.isdisjoint(r.nodes) for r in regions)

        return whole

    def _translated(
        self, view: GraphView, regions: Sequence[Region], whole: Callable[[Collection[int]], bool]
    ) -> tuple[GraphView, list[Region]] | None:
        """Replace the calls that are not `whole`; None if the regions are then no longer what they were."""
        pieces = list(_pieces(self._parts, 0, whole))
        model = self._with_nodes([node for node, _ in pieces])
        used = {canonical_domain(n.domain) for n in all_nodes(model.graph.node)}
        needed = _versions(self.inlined.opset_import)
        _import(model, {d: v for d, v in needed.items() if d in used - set(_versions(model.opset_import))})
        current = view.of(model)
        found = []
        for region in regions:
            nodes = frozenset(i for i, (_, leaves) in enumerate(pieces) if _inside(leaves, region, view))
            if not _same_region(view, region, current, nodes):
                return None
            found.append(replace(region, nodes=nodes))
        return current, found

    def _with_nodes(self, nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        return model


# -- expansion ---------------------------------------------------------------------------------------


class _Expansion:
    """Replaces calls by bodies, with names that no other replacement changes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.functions = {function_id(f): f for f in model.functions}
        self.versions = _versions(model.opset_import)
        self._taken = set(_all_names(model.graph))

    def part(self, node: onnx.NodeProto, within: frozenset[FunctionId]) -> Part:
        """Return the part of a node whose names are those of the main graph.

        Args:
            node: The node.
            within: The functions whose bodies it stands in.
        """
        function = self.functions.get(callee(node))
        if function is not None:
            if callee(node) in within or not self._fits(function):
                return Part(node)
            within = within | {callee(node)}
            return Part(node, tuple(self.part(inner, within) for inner in self._body(node, function)))
        if not any(callee(inner) in self.functions for inner in all_nodes([node])):
            return Part(node)
        expanded = onnx.NodeProto()
        expanded.CopyFrom(node)
        for body in subgraphs(expanded):
            leaves = [leaf for inner in body.node for leaf in self.part(inner, within).leaves()]
            del body.node[:]
            body.node.extend(leaves)
        return Part(node, (Part(expanded),))

    def _body(self, call: onnx.NodeProto, function: onnx.FunctionProto) -> list[onnx.NodeProto]:
        """Instantiate a function: what it calls its inputs and outputs is what the call reads and writes."""
        names = dict(zip(function.input, call.input, strict=False))
        names |= dict.fromkeys(function.input[len(call.input) :], "")
        mark = self._mark(call)
        written = {name for node in function.node for name in node.output}
        passed_on = []
        for formal, actual in zip(function.output, call.output, strict=False):
            if actual and (formal not in written or formal in names):
                passed_on.append((formal, actual))
            elif actual:
                names[formal] = actual
        nodes = []
        for node in function.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            _rename_all(copy, names, mark)
            _give_attributes(copy, call, function)
            nodes.append(copy)
        for formal, actual in passed_on:  # an input, or what another output is too
            nodes.append(onnx.helper.make_node("Identity", [names.get(formal, mark + formal)], [actual], mark + actual))
        return nodes

    def _mark(self, call: onnx.NodeProto) -> str:
        """Return a prefix for the names of one body that no name begins with."""
        base = call.name or next((name for name in call.output if name), call.op_type)
        mark, number = f"{base}/", 1
        while any(name.startswith(mark) for name in self._taken):
            number += 1
            mark = f"{base}#{number}/"
        self._taken.add(mark)
        return mark

    def _fits(self, function: onnx.FunctionProto) -> bool:
        """Whether every operator of the body means the same under the model's opset imports."""
        if function.domain in BUILT_IN_DOMAINS:
            return False
        own = _versions(function.opset_import)
        for node in all_nodes(function.node):
            domain = canonical_domain(node.domain)
            if callee(node) in self.functions:
                continue
            if domain not in own:
                return False
            here = self.versions.setdefault(domain, own[domain])
            if here != own[domain] and not _same_operator(node.op_type, domain, here, own[domain]):
                return False
        return True


def _same_operator(name: str, domain: str, one: int, two: int) -> bool:
    try:
        versions = {onnx.defs.get_schema(name, version, domain).since_version for version in (one, two)}
    except onnx.defs.SchemaError:
        return False
    return len(versions) == 1


def _rename_all(node: onnx.NodeProto, names: Mapping[str, str], mark: str) -> None:
    """Rename everything in a node of a function's body: such a body sees nothing but itself."""
    node.name = mark + node.name if node.name else ""
    _rename(node.input, names, mark)
    _rename(node.output, names, mark)
    for body in subgraphs(node):
        for value in [*body.input, *body.output, *body.value_info, *body.initializer]:
            value.name = names.get(value.name, mark + value.name)
        for sparse in body.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, mark + sparse.values.name)
        for inner in body.node:
            _rename_all(inner, names, mark)


def _rename(slots: MutableSequence[str], names: Mapping[str, str], mark: str) -> None:
    for slot, name in enumerate(slots):
        if name:
            slots[slot] = names.get(name, mark + name)


def _give_attributes(node: onnx.NodeProto, call: onnx.NodeProto, function: onnx.FunctionProto) -> None:
    """Put the call's attributes, or the function's defaults, where the body refers to them; else leave them out."""
    given = {a.name: a for a in [*function.attribute_proto, *call.attribute]}
    attributes = []
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            attributes.append(attribute)
        elif attribute.ref_attr_name in given:
            attributes.append(onnx.AttributeProto())
            attributes[-1].CopyFrom(given[attribute.ref_attr_name])
            attributes[-1].name = attribute.name
    own = [body for a in node.attribute if not a.ref_attr_name for body in (a.g, *a.graphs)]
    for body in own:
        for inner in body.node:
            _give_attributes(inner, call, function)
    if len(attributes) != len(node.attribute) or any(a.ref_attr_name for a in node.attribute):
        del node.attribute[:]
        node.attribute.extend(attributes)


# -- regions -----------------------------------------------------------------------------------------


def _pieces(
    parts: Sequence[Part], start: int, whole: Callable[[Collection[int]], bool]
) -> Iterator[tuple[onnx.NodeProto, range]]:
    """Yield the nodes to write, each with the nodes of the view that it stands for."""
    for part in parts:
        leaves = range(start, start + sum(1 for _ in part.leaves()))
        if not part.inside or whole(leaves):
            yield part.node, leaves
        else:
            yield from _pieces(part.inside, start, whole)
        start = leaves.stop


def _never(leaves: Collection[int]) -> bool:
    """Replace every call."""
    return False


def _inside(leaves: Collection[int], region: Region, view: GraphView) -> bool:
    """Whether a written node belongs to a region: what it stands for does, but for constants."""
    return any(i in region.nodes for i in leaves) and all(
        i in region.nodes or view.constants.issuperset(view.writes[i]) for i in leaves
    )


def _same_region(view: GraphView, region: Region, current: GraphView, nodes: frozenset[int]) -> bool:
    """Whether `nodes` of the model with calls are this region: the same frontier and live-outs, of the same types.

    A call may also read what its function does not use: that is not in the frontier.
    """
    if convexity(current, nodes) is not None:
        return False
    written = {name for i in nodes for name in current.writes[i]}
    outputs = set(current.outputs)
    outs = {n for n in written if n in outputs or any(c not in nodes for c in current.consumers.get(n, ()))}
    read = {name for i in nodes for name in current.reads[i]} - written - current.constants - view.constants
    known = all(current.dtype(n) == view.dtype(n) for n in (*region.frontier, *region.live_outs))
    return known and outs == set(region.live_outs) and read >= set(region.frontier)


# -- small things ------------------------------------------------------------------------------------


def _versions(imports: Collection[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {canonical_domain(o.domain): o.version for o in imports}


def _import(model: onnx.ModelProto, versions: Mapping[str, int]) -> None:
    for domain, version in versions.items():
        model.opset_import.add(domain=domain, version=version)


def _keep_functions(
    model: onnx.ModelProto, called: set[FunctionId], functions: Mapping[FunctionId, onnx.FunctionProto]
) -> None:
    """Take away the functions of `model` that nothing calls any more."""
    waiting = [f for f in called if f in functions]
    while waiting:
        inner = {callee(node) for node in all_nodes(functions[waiting.pop()].node)}
        waiting += [f for f in inner - called if f in functions]
        called |= inner
    kept = [f for f in model.functions if function_id(f) in called]
    del model.functions[:]
    model.functions.extend(kept)


def _all_names(graph: onnx.GraphProto) -> Iterator[str]:
    for node in all_nodes(graph.node):
        yield from node.input
        yield from node.output
        for body in subgraphs(node):
            yield from (value.name for value in [*body.input, *body.initializer])
    yield from (value.name for value in [*graph.input, *graph.initializer])
    yield from (sparse.values.name for sparse in graph.sparse_initializer)
