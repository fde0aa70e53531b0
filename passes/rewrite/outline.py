"""Outlining: a region moves into the branch of an ``If`` behind a ``CacheLookup``.

::

    frontier ─► CacheLookup ─► any_miss ─► If ─ then: region on the missing rows ─► CacheStore ─► live-outs
                                             └─ else: CacheFetch or Identity(cached) ─────────► live-outs

The live-outs keep their names, so nothing outside the region changes. Inside the branch, whatever cannot keep its name
(ONNX forbids shadowing) gets the suffix ``@<region>``: the compact frontier, the computed live-outs, small constants
that others read too, and constants with a name that onnxruntime's optimiser would give a second time.

Small constants that only the region reads move into the branch, where onnxruntime's optimiser sees their values; large
ones stay in the main graph (see :mod:`actcache.passes.rewrite.placement`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from actcache.passes.cuts import PrefixCut
from actcache.passes.graph.constant_values import ReadTensor
from actcache.passes.graph.entries import keep
from actcache.passes.graph.nodes import is_constant_node
from actcache.passes.graph.op_facts import GENERATED_CONSTANTS, canonical_domain
from actcache.passes.graph.order import topological
from actcache.passes.graph.rename import rename_reads, rename_writes
from actcache.passes.graph.view import GraphView
from actcache.passes.region import Region
from actcache.passes.rewrite.annotations import move_annotations
from actcache.passes.rewrite.certain_shapes import certain_shapes
from actcache.passes.rewrite.fill_up import fill_up
from actcache.passes.rewrite.handing_over import handing_over
from actcache.passes.rewrite.hit_branch import hit_branch, is_fetched
from actcache.passes.rewrite.kept_region import keep_region
from actcache.passes.rewrite.key_constants import (
    KeyConstants,
    assume_constants,
    cover_constants,
    key_constants,
    lies_in,
    take_constants,
    take_samples,
)
from actcache.passes.rewrite.placement import (
    bring_in,
    can_be_brought_in,
    is_compared_whole,
    stays_outside,
    unpacked_by,
    wanted_inside,
)
from actcache.passes.rewrite.prefix_branch import prefix_branch
from actcache.passes.rewrite.suffix_branch import SuffixBranch
from actcache.passes.rewrite.weight_samples import can_be_sampled, sample_name, sample_numbers

DOMAIN = "ai.actcache"
OPSET = 1
#: Where a branch keeps what the model said of a tensor's type, in hex.
TYPE_KEY = "actcache.type"


def outline(view: GraphView, region: Region, fingerprint: str, certain: Collection[str] | None = None) -> None:
    """Move `region` of ``view.model`` into a branch, in place. The view is stale afterwards.

    `certain`: what :func:`certain_shapes` says of the live-outs, where that is known.

    REQUIRES: the region is convex and pure, its live-outs are of fixed-size types that the view knows, and no tensor
    is named with its suffix.
    """
    shapes = certain_shapes(view, region) if certain is None else certain
    _Outliner(view, region, fingerprint, shapes, key_constants(view, region.nodes, region.live_outs)).run()


def outline_in(
    model: onnx.ModelProto,
    view: GraphView,
    region: Region,
    fingerprint: str,
    weight_file: Path | None = None,
    read: ReadTensor | None = None,
    shown: Collection[str] = (),
) -> None:
    """Outline a region found in `view` in a copy of its model, from which other regions may have been outlined.

    `weight_file`: where external weights are. `read`: reads them. `shown`: constants that stay, for other lookups.
    """
    current = view.of(model)
    # An If of a region inside this one writes some of what its nodes wrote, in an order of its own.
    written = {name for index in region.nodes for name in view.writes[index]}
    nodes = {index for index, writes in enumerate(current.writes) if not written.isdisjoint(writes)}
    # A region inside this one brings its lookup along: only its If reads from that.
    for index, node in enumerate(model.graph.node):
        if node.domain == DOMAIN and nodes.issuperset(current.consumers[node.output[0]]):
            nodes.add(index)
    constants = key_constants(view, region.nodes, region.live_outs, region.behind, region.told)
    stay = {name for index in region.shared for name in view.writes[index]}
    shared = {index for index in nodes if not stay.isdisjoint(current.writes[index])}
    now = replace(region, nodes=frozenset(nodes), shared=frozenset(shared))
    suffix = prefix_branch(view, region, mark_of(region.id), read)
    _Outliner(current, now, fingerprint, certain_shapes(view, region), constants, weight_file, suffix, shown).run()


def mark_of(region_id: str) -> str:
    """Return what is appended to the names that a region's branch cannot keep."""
    return f"@{region_id}"


class _Outliner:
    def __init__(
        self,
        view: GraphView,
        region: Region,
        fingerprint: str,
        certain: Collection[str],
        constants: KeyConstants,
        weight_file: Path | None = None,
        suffix: SuffixBranch | None = None,
        shown: Collection[str] = (),
    ) -> None:
        self.view, self.region, self.fingerprint, self.certain = view, region, fingerprint, certain
        self.constants, self.weight_file, self.suffix, self.shown = constants, weight_file, suffix, shown
        self.graph = view.model.graph
        self.mark, self.fetched = mark_of(region.id), is_fetched(view, region)
        nodes = [self.graph.node[index] for index in sorted(region.nodes)]
        tensors = map(view.initializer, unpacked_by(nodes, view.initializers))
        self.unpacked = {t.name for t in tensors if t is not None and can_be_sampled(t, view.opsets[""])}
        self.complete = {} if suffix is None else suffix.complete
        self.given = {} if suffix is None else {**suffix.complete, **suffix.finals}
        copies = [name for index in region.shared for name in view.writes[index]]
        own = (*region.compact_axes(), *region.live_outs) if suffix is None else copies
        self.inside = {name: name + self.mark for name in own}

    def run(self) -> None:
        private = self._private_initializers()
        duplicated = self._shared_small_constants()
        brought = self._brought_in()
        renamed = {tensor.name for tensor in [*duplicated, *brought]}
        renamed |= {name for name in private if GENERATED_CONSTANTS.fullmatch(name)}
        self.inside |= {name: name + self.mark for name in renamed}
        branch = self._branch(private, duplicated, brought)
        kept = [n for i, n in enumerate(self.graph.node) if i not in self.region.moved]
        nodes = topological([*kept, self._lookup(private, branch), self._if(branch)])
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        self._remove_moved(private)
        self._describe_values()
        if all(o.domain != DOMAIN for o in self.view.model.opset_import):
            self.view.model.opset_import.add(domain=DOMAIN, version=OPSET)

    # -- constants -----------------------------------------------------------------------------------

    def _region_reads(self) -> dict[str, None]:
        return dict.fromkeys(name for i in sorted(self.region.nodes) for name in self.view.reads[i])

    def _private_initializers(self) -> set[str]:
        elsewhere = {*self.view.outputs, *self.shown}
        return {
            name
            for name in self._region_reads()
            if name in self.view.initializers
            and (tensor := self.view.initializer(name)) is not None
            and not self._stays_outside(tensor)
            and name not in elsewhere
            and self.region.moved.issuperset(self.view.consumers[name])
        }

    def _shared_small_constants(self) -> list[onnx.TensorProto]:
        """Small constants that others read too: the branch gets a copy, so that the optimiser sees their values."""
        private = self._private_initializers()
        copies = []
        for name in self._region_reads():
            producer = self.view.producer.get(name)
            if name not in self.view.constants or name in private or producer in self.region.nodes:
                continue
            value = self.view.value(name)
            tensor = self.view.initializer(name)
            if value is not None and (tensor is None or not self._stays_outside(tensor)):
                copies.append(onnx.numpy_helper.from_array(value, name) if tensor is None else tensor)
        return copies

    def _stated_constants(self) -> set[str]:
        """What the ``Constant`` nodes of the region state."""
        nodes = [self.graph.node[index] for index in self.region.nodes]
        return {node.output[0] for node in nodes if is_constant_node(node)}

    def _brought_in(self) -> list[onnx.TensorProto]:
        names = wanted_inside(self.graph.node[index] for index in sorted(self.region.nodes))
        tensors = (self.view.initializer(name) for name in names if name in self.view.initializers)
        opset = self.view.opsets[""]
        return [t for t in tensors if t is not None and self._stays_outside(t) and can_be_brought_in(t, opset)]

    def _stays_outside(self, tensor: onnx.TensorProto) -> bool:
        return tensor.name in self.unpacked or stays_outside(tensor)

    def _is_sampled(self, tensor: onnx.TensorProto) -> bool:
        return tensor.name in self.unpacked or not is_compared_whole(tensor)

    def _written(self) -> set[str]:
        return {name for index in self.region.nodes for name in self.view.writes[index]}

    # -- the branches --------------------------------------------------------------------------------

    def _branch(
        self, private: set[str], duplicated: list[onnx.TensorProto], outer: list[onnx.TensorProto]
    ) -> onnx.GraphProto:
        branch = onnx.GraphProto(name=f"{self.region.id} on a miss")
        moved = [tensor for tensor in self.graph.initializer if tensor.name in private]
        for tensor in [*moved, *duplicated]:
            branch.initializer.add().CopyFrom(tensor)
            branch.initializer[-1].name = self.inside.get(tensor.name, tensor.name)
        whole = [tensor for tensor in outer if not self._is_sampled(tensor)]
        sampled = [tensor for tensor in outer if self._is_sampled(tensor)]
        brought = bring_in(whole, sampled, self.mark, self.view.opsets[""])
        branch.initializer.extend(brought.initializers)
        branch.node.extend(brought.nodes)
        own = [self.graph.node[index] for index in sorted(self.region.nodes)]
        for original in own if self.suffix is None else self.suffix.nodes:
            node = branch.node.add()
            node.CopyFrom(original)
            if node.domain != canonical_domain(node.domain):  # in branches onnxruntime knows no "ai.onnx"
                node.domain = canonical_domain(node.domain)
            rename_reads(node, self.inside)
            rename_writes(node, self.inside)
            if node.domain == DOMAIN and node.op_type == "CacheLookup":
                lies_in(node, self.region.id)
        fill_up(branch, self.region, self.inside, self.mark, self.view.opsets[""], self._handed_on)
        # And of what is computed anew: a session may replace the original alone, and is refused then.
        constants = {tensor.name for tensor in [*moved, *duplicated, *whole]} | self._stated_constants()
        branch.node.append(self._store(constants, sampled))
        if self.suffix is not None:
            branch.initializer.extend(self.suffix.initializers)
            self._keep_region(branch.node[-1], moved)
        given = {name: f"{name}{self.mark}.stored" for name in self.region.live_outs} | self.given
        branch.output.extend(self._handed_on(name, tensor) for name, tensor in given.items())
        move_annotations(self.graph, branch, self._written(), self.inside)
        if self.suffix is None:
            self._move_values(branch)
        return branch

    def _keep_region(self, store: onnx.NodeProto, constants: Sequence[onnx.TensorProto]) -> None:
        values = [value for value in self.graph.value_info if value.name in self._written()]
        keep_region(store, (self.graph.node[index] for index in sorted(self.region.moved)), constants, values)

    def _store(self, constants: Collection[str], sampled: Sequence[onnx.TensorProto]) -> onnx.NodeProto:
        kept = self.region.kept
        computed = self.inside if self.suffix is None else self.suffix.computed
        inputs = [f"plan{self.mark}", *(f"{n}{self.mark}.cached" for n in kept), *(computed[n] for n in kept)]
        node = onnx.helper.make_node(
            "CacheStore",
            inputs,
            [f"{n}{self.mark}.stored" for n in self.region.live_outs if n not in self.complete],
            f"CacheStore {self.region.id}",
            domain=DOMAIN,
        )
        node.attribute.extend(self._identity_attributes(len(self.complete)))
        take_constants(node, [(self.inside.get(n, n), n) for n in self.constants.names if n in constants])
        found = [(sample_name(t.name, self.mark), t.name, sample_numbers(t, self.weight_file)) for t in sampled]
        take_samples(node, found)
        return node

    def _lookup(self, moved: Collection[str], branch: onnx.GraphProto) -> onnx.NodeProto:
        outputs = [f"any_miss{self.mark}", f"plan{self.mark}"]
        outputs += [f"{n}{self.mark}.cached" for n in self.region.kept]
        outputs += [n + self.mark for n in self.region.compact_axes()]
        outputs += [f"divided{self.mark}"] if self.region.ends else []
        node = onnx.helper.make_node(
            "CacheLookup", self.region.frontier, outputs, f"CacheLookup {self.region.id}", domain=DOMAIN
        )
        node.attribute.extend([*self._identity_attributes(), *self.region.cut.lookup_attributes()])
        node.attribute.extend(handing_over(self.region, self.mark, branch, self.fetched))
        elsewhere = {*moved, *self._stated_constants()}
        there = {*self.view.producer, *(tensor.name for tensor in self.graph.initializer)}  # others: in inner branches
        known = dict.fromkeys((*self.constants.names, *self.constants.assumed))
        here = [name for name in known if name in there and name not in elsewhere]
        take_constants(node, [(name, name) for name in here])
        cover_constants(node, self.constants)
        assume_constants(node, self.view, self.constants.assumed, self.weight_file)
        return node

    def _identity_attributes(self, complete: int = 0) -> list[onnx.AttributeProto]:
        """Return the attributes of lookup and store. `complete`: so many live-outs the branch hands on itself."""
        cut = self.region.cut
        if isinstance(cut, PrefixCut):
            cut = replace(cut, states=cut.states + complete)
        return [*self._result_attributes(self.region.kept), *cut.attributes()]

    def _result_attributes(self, names: Sequence[str]) -> list[onnx.AttributeProto]:
        make, types = onnx.helper.make_attribute, [self.view.dtype(self.region.like(n)) or 0 for n in names]
        return [make("region", self.region.id), make("fingerprint", self.fingerprint), make("output_types", types)]

    def _if(self, branch: onnx.GraphProto) -> onnx.NodeProto:
        outputs = [self._handed_on(name, f"{name}{self.mark}.hit") for name in self.region.handed_on]
        fetch = onnx.helper.make_node("CacheFetch", [], [], f"CacheFetch {self.region.id}", domain=DOMAIN)
        fetch.attribute.extend(self._result_attributes(self.region.live_outs))
        return onnx.helper.make_node(
            "If",
            [f"any_miss{self.mark}"],
            list(self.region.handed_on),
            f"If {self.region.id}",
            then_branch=branch,
            else_branch=hit_branch(self.region, self.mark, outputs, fetch if self.fetched else None),
        )

    # -- what the graph says about its values --------------------------------------------------------

    def _value(
        self, source: str, name: str, *, shape: bool = True, rows: tuple[int, str] | None = None
    ) -> onnx.ValueInfoProto:
        """Describe tensor `name` as `source` is described; `rows`: the axis of the missing rows, and their symbol."""
        value = onnx.ValueInfoProto(name=name)
        value.type.tensor_type.elem_type = self.view.dtype(source) or 0
        sizes = self.view.shape(source) if shape else None
        if sizes is not None:
            value.type.tensor_type.shape.SetInParent()
            for axis, size in enumerate(sizes):
                dim = value.type.tensor_type.shape.dim.add()
                if rows is not None and axis == rows[0]:
                    dim.dim_param = rows[1]
                elif isinstance(size, int):
                    dim.dim_value = size
                elif size:
                    dim.dim_param = size
        return value

    def _handed_on(self, source: str, name: str) -> onnx.ValueInfoProto:
        """Describe the output of a branch. onnxruntime allocates outputs of fixed shape before the branch runs, and
        fails where the shape is another one; of what a model says wrongly elsewhere it only warns. So a shape that is
        not certain is not stated in full.
        """
        value = self._value(source, name)
        sizes = value.type.tensor_type.shape.dim
        if source not in self.certain and all(dim.HasField("dim_value") for dim in sizes):
            if sizes:
                sizes[0].ClearField("value")
            else:
                value.type.tensor_type.ClearField("shape")
        return value

    def _remove_moved(self, private: set[str]) -> None:
        internal = {n for i in self.region.moved for n in self.view.writes[i]} - set(self.region.handed_on) | private
        keep(self.graph.value_info, lambda v: v.name not in internal)
        keep(self.graph.initializer, lambda t: t.name not in private)
        keep(self.graph.input, lambda v: v.name not in private)

    def _describe_values(self) -> None:
        make = onnx.helper.make_tensor_value_info
        info = self.graph.value_info
        info.append(make(f"any_miss{self.mark}", onnx.TensorProto.BOOL, []))
        info.append(make(f"plan{self.mark}", onnx.TensorProto.UINT8, [None]))
        if self.region.ends:
            info.append(make(f"divided{self.mark}", onnx.TensorProto.INT64, [1]))
        for name in self.region.kept:
            info.append(self._value(self.region.like(name), f"{name}{self.mark}.cached", shape=False))
        for name, rows in self._compact_rows().items():
            info.append(self._value(name, name + self.mark, rows=rows))
        # What onnxruntime told is not to be asked again by whoever reads the compiled model.
        stated = {value.name for value in [*info, *self.graph.output]}
        for name in (*self.region.frontier, *self.region.handed_on):
            if name in self.view.told and name not in stated:
                info.append(self._value(name, name, shape=False))

    def _compact_rows(self) -> dict[str, tuple[int, str]]:
        """Return, per compact tensor, the axis of its rows and their symbol.

        onnxruntime plans its buffers by symbols, and a call that is one entry may have other numbers of rows in each
        tensor: only tensors whose rows the model gives one name share a symbol.
        """
        symbols: dict[str, str] = {}
        found: dict[str, tuple[int, str]] = {}
        for name, axis in self.region.compact_axes().items():
            sizes = self.view.shape(name)
            size = sizes[axis] if sizes is not None and axis < len(sizes) else None
            own = size if isinstance(size, str) else f"the rows of {name}"
            number = "" if not symbols else f".{len(symbols) + 1}"
            found[name] = (axis, symbols.setdefault(own, f"rows{number}{self.mark}"))
        return found

    def _move_values(self, branch: onnx.GraphProto) -> None:
        """What the model says about tensors of the region comes along. What a lookup inside it writes has its types
        from there alone. For rows, sizes are put aside: they were said of all rows, the branch has the missing ones.
        Those that do not depend on the number of rows stay: without them onnxruntime fuses less than in the original.
        """
        symbols = {symbol for _, symbol in self._compact_rows().values()}
        rows = symbols.pop() if len(symbols) == 1 else ""
        lookups = {n for i in self.region.nodes if self.graph.node[i].domain == DOMAIN for n in self.view.writes[i]}
        written = self._written() - set(self.region.live_outs)
        for value in self.graph.value_info:
            if value.name not in written:
                continue
            moved = branch.value_info.add()
            moved.CopyFrom(value)
            if self.region.granularity == "row" and value.name not in lookups:
                moved.metadata_props.add(key=TYPE_KEY, value=value.type.SerializeToString(deterministic=True).hex())
                if value.name not in self.region.inner_axes:
                    moved.type.tensor_type.ClearField("shape")
                elif (axis := self.region.inner_axes[value.name]) is not None:
                    for dim in moved.type.tensor_type.shape.dim[axis : axis + 1]:
                        dim.Clear()
                        dim.dim_param = rows
