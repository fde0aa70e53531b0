"""Reading a compiled model for people: its regions from the graph, where they decide, and the model it was made from.

Weights are not read: external data may be missing. The file may be damaged, and onnx may crash on it: another process
infers types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from actcache.errors import InvalidModel
from actcache.model.manifest import read_manifest
from actcache.model.model_file import data_home, parse_model
from actcache.passes.cuts import Cut, PrefixCut, RowCut, read_cut
from actcache.passes.graph.cones import content_cones
from actcache.passes.graph.nodes import tensor_bytes
from actcache.passes.graph.tensor_data import external_data, is_external
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.region import with_private_constants
from actcache.passes.rewrite.branch_models import Branch, branch_model, branches_of
from actcache.passes.rewrite.inline_regions import CHANGED, inline_regions, is_compiled
from actcache.passes.rewrite.local_functions import LocalFunctions
from actcache.passes.rewrite.outline import DOMAIN, mark_of
from actcache.passes.rewrite.weights import all_tensors


@dataclass(frozen=True)
class Lookup:
    """A region as the attributes of its operators describe it.

    Attributes:
        id: Its name.
        fingerprint: Content hash, as it enters the keys.
        cut: How calls are divided into what its entries hold.
        frontier: Tensors that its keys cover, by the names of the model that was compiled.
        live_outs: Tensors that an entry holds, likewise.
        live_out_types: Per live-out and state its ``TensorProto.DataType``.
        finals: What it hands on besides (:attr:`actcache.passes.region.Region.finals`).
        states: Tensors inside that an entry holds as well (:attr:`actcache.passes.region.Region.states`).
        namespace_input: The graph input that names a call's namespace, if it has one.
        control_input: The graph input that says what a call may do with the cache, if it has one.
        outer: Id of the region that it lies in.
        branch: The branch of an If of the model that it lies in; None: the main graph has it.
    """

    id: str
    fingerprint: str
    cut: Cut
    frontier: tuple[str, ...]
    live_outs: tuple[str, ...]
    live_out_types: tuple[int, ...]
    finals: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    namespace_input: str | None = None
    control_input: str | None = None
    outer: str | None = None
    branch: Branch | None = None

    def equation_texts(self) -> list[str]:
        """Return what has to hold between sizes for the units of a call to be entries: ``mask[1] = ids[1] + 1``."""
        rules = self.cut.sizes if isinstance(self.cut, RowCut | PrefixCut) else ()
        return [rule.text(self.frontier) for rule in rules]

    def ranks(self) -> dict[str, int]:
        """Return how many axes each tensor needs for the units of a call to be entries, where a lookup checks it."""
        ranks = self.cut.ranks if isinstance(self.cut, RowCut | PrefixCut) else ()
        return {name: rank for name, rank in zip(self.frontier, ranks, strict=False) if rank is not None}


@dataclass(frozen=True)
class CompiledModel:
    """A compiled model.

    Attributes:
        path: Its file.
        home: The path beside which its external data lies.
        view: The model that it was made from: regions taken out, local functions inlined.
        lookups: Its regions, a region before those inside it.
        manifest: What the manifest says (:func:`~actcache.model.manifest.read_manifest`); None: it has lost it.
        data_files: Per file of external data how many bytes the model reads from it, up to the last one.
        branches: The branches of Ifs that have regions, each as a model of its own.
    """

    path: Path
    home: Path
    view: GraphView
    lookups: tuple[Lookup, ...]
    manifest: dict[str, Any] | None
    data_files: dict[str, int]
    branches: Mapping[Branch, GraphView] = field(default_factory=dict)

    def around(self, lookup: Lookup) -> GraphView:
        """Return the model whose main graph has a region: :attr:`view`, or a branch of one of its Ifs."""
        return self.view if lookup.branch is None else self.branches[lookup.branch]

    def nodes(self, lookup: Lookup) -> frozenset[int]:
        """Return the indices in the view :meth:`around` a region of its nodes, as the compiler chose them."""
        view = self.around(lookup)
        found: set[int] = set()
        stack = [view.producer[name] for name in (*lookup.live_outs, *lookup.finals)]
        while stack:
            index = stack.pop()
            if index not in found:
                found.add(index)
                reads = (name for name in view.reads[index] if name not in lookup.frontier)
                stack.extend(view.producer[name] for name in reads if name in view.producer)
        return with_private_constants(view, frozenset(found))

    def condition(self, lookup: Lookup) -> str | None:
        """Return the tensor of the main graph by which a call takes a region's branch or not; None: it lies in none."""
        return None if lookup.branch is None else lookup.branch.node(self.view.model).input[0]

    def cones(self, lookup: Lookup) -> Mapping[str, frozenset[str]]:
        """Return the graph inputs whose contents each tensor around a region depends on. Conditions of Ifs are not
        counted.
        """
        own = content_cones(self.around(lookup))
        if lookup.branch is None:
            return own
        outer = content_cones(self.view)
        return {name: frozenset().union(*(outer[read] for read in cone)) for name, cone in own.items()}


def read_compiled(path: Path) -> CompiledModel:
    """Read a compiled model.

    Raises:
        InvalidModel: The file is missing, truncated or not ONNX; the model was not compiled, was changed since, or by
            a later actcache.
    """
    model = parse_model(path)
    if not is_compiled(model):
        hint = f"'actcache compile {path.name}' makes one that is"
        raise InvalidModel("this model was not compiled by actcache", file=path, hint=hint)
    manifest = read_manifest(model, path)
    try:
        home = data_home(path, model)
        data_files = _data_files(model)
        lookups = tuple(_all_lookups(model.graph))
        inline_regions(model)
        view = GraphView(LocalFunctions(model).inlined, elsewhere=True)
        branches = {lookup.branch: _branch(view, lookup.branch) for lookup in lookups if lookup.branch is not None}
        compiled = CompiledModel(path, home, view, lookups, manifest, data_files, branches)
        for lookup in lookups:
            _check(lookup)
            compiled.nodes(lookup)
    except InvalidModel as error:
        raise InvalidModel(error.message, file=path, node=error.node, hint=error.hint) from error
    except Exception as error:  # whatever the graph now lacks
        raise InvalidModel(CHANGED, file=path) from error
    return compiled


def _data_files(model: onnx.ModelProto) -> dict[str, int]:
    files: dict[str, int] = {}
    for tensor, _ in all_tensors(model):
        if is_external(tensor):
            where = external_data(tensor)
            end = where.offset + (where.length or tensor_bytes(tensor))
            files[where.location] = max(files.get(where.location, 0), end)
    return files


def _branch(view: GraphView, branch: Branch) -> GraphView:
    model = branch_model(view, branch)
    if isinstance(model, Refusal):
        raise InvalidModel(str(model))
    return GraphView(model, elsewhere=True)


def _all_lookups(graph: onnx.GraphProto) -> Iterator[Lookup]:
    """Yield the regions of a main graph, and those of the branches of its Ifs."""
    yield from _lookups(graph, ())
    asked = {node.output[0] for node in graph.node if node.domain == DOMAIN and node.op_type == "CacheLookup"}
    for node in graph.node:
        for branch in branches_of(node) if node.op_type == "If" and not asked.intersection(node.input) else ():
            body = next(attribute.g for attribute in node.attribute if attribute.name == branch.attribute)
            yield from (replace(lookup, branch=branch) for lookup in _lookups(body, ()))


def _lookups(graph: onnx.GraphProto, around: Sequence[str]) -> Iterator[Lookup]:
    """Yield the regions of a graph and those inside them; `around`: the regions that it is a branch of."""
    branching = {node.input[0]: node for node in graph.node if node.op_type == "If"}
    for node in graph.node:
        if node.domain == DOMAIN and node.op_type == "CacheLookup":
            own = branching[node.output[0]]
            lookup = _lookup(node, own, around)
            yield lookup
            miss = next(attribute.g for attribute in own.attribute if attribute.name == "then_branch")
            yield from _lookups(miss, [*around, lookup.id])


def _lookup(node: onnx.NodeProto, branching: onnx.NodeProto, around: Sequence[str]) -> Lookup:
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    cut, types = read_cut(values), values["output_types"]

    def per_call(name: str) -> str | None:
        return node.input[values[name]] if values.get(name, -1) >= 0 else None

    region = values["region"].decode()
    given = len(types) - (cut.states if isinstance(cut, PrefixCut) else 0)
    finals = branching.output[given:] if isinstance(cut, PrefixCut) else ()  # of others: accounts of regions inside
    states = [name.removesuffix(f"{mark_of(region)}.cached") for name in node.output[2 + given : 2 + len(types)]]
    return Lookup(
        id=region,
        fingerprint=values["fingerprint"].decode(),
        cut=cut,
        frontier=_original_names(node.input[: len(cut.frontier_axes)], around),
        live_outs=_original_names(branching.output[:given], around),
        live_out_types=tuple(types),
        finals=_original_names(finals, around),
        states=_original_names(states, around),
        namespace_input=per_call("namespace_input"),
        control_input=per_call("control_input"),
        outer=around[-1] if around else None,
    )


def _check(lookup: Lookup) -> None:
    """Raise ValueError if a region's attributes are not about as many tensors as it has."""
    cut, read, kept = lookup.cut, len(lookup.frontier), len(lookup.live_outs) + len(lookup.states)
    of_read, of_kept = cut.position_axes
    sizes = cut.live_out_sizes if isinstance(cut, PrefixCut) else ()
    always = [(cut.frontier_axes, read), (cut.live_out_axes, kept), (lookup.live_out_types, kept)]
    if any(len(of) != count for of, count in always):
        raise ValueError
    if any(len(of) not in (0, count) for of, count in ((of_read, read), (of_kept, kept), (sizes, kept))):
        raise ValueError


def _original_names(names: Sequence[str], around: Sequence[str]) -> tuple[str, ...]:
    """Take the marks off that tensors of a region inside others bear; the outermost was added last."""
    found = []
    for name in names:
        for region in around:
            name = name.removesuffix(mark_of(region))
        found.append(name)
    return tuple(found)
