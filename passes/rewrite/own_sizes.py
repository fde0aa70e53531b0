"""Sizes that a part of a model reads, so that it reads them for itself: of its own inputs, or of no content at all.

A part that depends on some of the inputs alone, such as keys and values of an encoder's states, may be cached on its
own. Two things stand against it, and neither is about data. Exporters compute the sizes that its nodes are told (the
target of a Reshape) once, for all of the model: the part cannot hold what others read, too. And they take the batch
size from the tokens, on which all of the part then seems to depend.

Where such sizes are proven to be made of those of graph inputs in every run (:mod:`actcache.passes.rows.sizes`), each
node of the part gets nodes of its own that compute them:

* sizes of the part's inputs, from these;
* sizes of other inputs, from a slice that has no elements: ``tokens[:, 0:0]`` has as many rows as ``tokens``, and
  changes with nothing else.

Nothing is taken for equal that is not: if states and tokens have different batch sizes, both models compute with the
same numbers, or fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import onnx

from actcache.passes.graph.cones import content_cones
from actcache.passes.graph.entries import keep
from actcache.passes.graph.nodes import node_reads
from actcache.passes.graph.order import topological
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.input_sizes import InputSizes, KnownSizes, known_sizes

#: Some of the graph inputs.
Cone = frozenset[str]

#: The first version of Slice that takes its bounds as inputs.
_OPSET = 10


def with_own_sizes(view: GraphView, parts: Sequence[Cone]) -> onnx.ModelProto | None:
    """Return the model with nodes that compute sizes for parts alone; None: all of them do already.

    Args:
        view: The model.
        parts: Sets of some of the graph inputs, the smallest first. What depends on the contents of no others is a
            part.
    """
    if not parts or view.opsets.get("", 1) < _OPSET:
        return None
    known = known_sizes(view)
    readers = _Readers(view, known, parts)
    wanted = [*readers.of_parts(), *readers.of_their_sizes()]
    return _rewritten(view, known, [*wanted, *readers.of_constants()]) if wanted else None


@dataclass(frozen=True)
class _Wanted:
    """An operand that is to be computed for its node alone.

    Attributes:
        node: Index of the node.
        slot: Number of the operand.
        part: The inputs that may be read as they are.
    """

    node: int
    slot: int
    part: Cone


@dataclass
class _Readers:
    """Finds the nodes whose sizes stand against parts.

    Attributes:
        view: The model.
        known: Which tensors are sizes.
        parts: As for :func:`with_own_sizes`.
        now: Per tensor the inputs whose contents it depends on.
        data: The same, if all sizes were read of no content.
        fed: Per tensor of sizes what its readers depend on, and the readers of those that are sizes themselves.
    """

    view: GraphView
    known: KnownSizes
    parts: Sequence[Cone]
    now: dict[str, Cone] = field(init=False)
    data: dict[str, Cone] = field(init=False)
    fed: dict[str, Cone] = field(init=False)

    def __post_init__(self) -> None:
        self.now = content_cones(self.view)
        self.data = self._data()
        self.fed = self._fed()

    def of_parts(self) -> Iterator[_Wanted]:
        """Yield the sizes that nodes of parts read, and do not compute for themselves."""
        for index, writes in enumerate(self.view.writes):
            part = self._part(self._of_node(index))
            if part is not None and not all(map(self._is_small_number, writes)):
                yield from (_Wanted(index, s, part) for s, n in self._sizes_read(index) if not self._is_own(n, part))

    def of_their_sizes(self) -> Iterator[_Wanted]:
        """Yield what is read outside of the sizes of tensors in parts, if these parts would have to hand on the tensors
        for nothing else.
        """
        for node in self.view.model.graph.node:
            if node.op_type != "Shape" or node.input[0] in self.view.inputs or node.output[0] not in self.known.axes:
                continue
            part = self._part(self.data.get(node.input[0], Cone()))
            if part is None or self.fed[node.output[0]] <= part:
                continue
            if all(self._of_node(reader) <= part for reader in self.view.consumers[node.input[0]]):
                for reader in self.view.consumers.get(node.output[0], ()):
                    slots = (slot for slot, name in self._sizes_read(reader) if name == node.output[0])
                    yield from (_Wanted(reader, slot, Cone(self.view.inputs)) for slot in slots)

    def of_constants(self) -> Iterator[_Wanted]:
        """Yield sizes that are constants, where other numbers are computed from them: the scale of scores, say."""
        for index, writes in enumerate(self.view.writes):
            if not self._of_node(index) and self.known.axes.keys().isdisjoint(writes):
                for slot, name in self._sizes_read(index):
                    if not self.known.axes[name] and self.now[name]:
                        yield _Wanted(index, slot, Cone())

    def _sizes_read(self, index: int) -> list[tuple[int, str]]:
        return [(s, n) for s, n in enumerate(self.view.model.graph.node[index].input) if n in self.known.axes]

    def _is_small_number(self, name: str) -> bool:
        """Whether a tensor is of the kind that sizes are: nothing that a region would keep."""
        sizes = self.view.shape(name)
        return self.view.dtype(name) == onnx.TensorProto.INT64 and sizes is not None and len(sizes) < 2

    def _part(self, cone: Cone) -> Cone | None:
        """Return the smallest part that holds what depends on these inputs; None: it is in none."""
        return next((part for part in self.parts if cone and cone <= part), None)

    def _data(self) -> dict[str, Cone]:
        found = {name: Cone((name,)) for name in self.view.inputs}
        for reads, writes in zip(self.view.reads, self.view.writes, strict=True):
            cone = Cone().union(*(found.get(name, Cone()) for name in reads))
            if not cone:  # numbers that are computed from sizes are not computed anew
                cone = Cone().union(*(self.now[name] for name in reads if self.known.axes.get(name)))
            for name in writes:
                found[name] = self._needed(name) if name in self.known.axes else cone & self.now[name]
        return found

    def _needed(self, name: str) -> Cone:
        """Return the inputs whose contents it takes to have sizes: those of which all axes are read."""
        count = Counter(given for given, _ in self.known.axes[name])
        return Cone(given for given, axes in count.items() if axes == len(self.view.shape(given) or ()))

    def _of_node(self, index: int) -> Cone:
        """Return what a node's results depend on; nothing where they are sizes."""
        return Cone().union(*(self.data[name] for name in self.view.writes[index] if name not in self.known.axes))

    def _fed(self) -> dict[str, Cone]:
        everything = Cone(self.view.inputs)
        found = {name: everything if name in self.view.outputs else Cone() for name in self.known.axes}
        for index in reversed(range(len(self.view.writes))):
            fed = self._of_node(index).union(*(found.get(name, Cone()) for name in self.view.writes[index]))
            for name in self.view.reads[index]:
                if name in found:
                    found[name] |= fed
        return found

    def _is_own(self, name: str, part: Cone) -> bool:
        """Whether sizes are computed from what a part may read, by nodes whose results nothing else reads."""
        if not self.now[name] <= part:
            return False
        stack, seen = [name], {name}
        while stack:
            name = stack.pop()
            if not self.fed[name] <= part:
                return False
            index = self.view.producer[name]
            before = {read for read in self.view.reads[index] if read in self.known.axes} - seen
            stack.extend(before)
            seen |= before
        return True


def _rewritten(view: GraphView, known: KnownSizes, wanted: Iterable[_Wanted]) -> onnx.ModelProto:
    """Return the model with operands that are computed anew, and without what then nothing reads."""
    model = onnx.ModelProto()
    model.CopyFrom(view.model)
    graph, sizes = model.graph, InputSizes(view, known)
    new: dict[int, list[onnx.NodeProto]] = {}
    first_of: dict[tuple[int, int], _Wanted] = {}
    for each in wanted:
        first_of.setdefault((each.node, each.slot), each)
    for each in first_of.values():
        node, first = graph.node[each.node], len(sizes.nodes)
        node.input[each.slot] = sizes.computed(node.input[each.slot], f"{node.output[0]}.sizes{each.slot}", each.part)
        new.setdefault(each.node, []).extend(sizes.nodes[first:])
    ordered = [n for index, node in enumerate(graph.node) for n in (*new.get(index, ()), node)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in _read(topological(ordered), view)]
    del graph.node[:]
    graph.node.extend(copies)
    reads = {name for node in graph.node for name in node_reads(node)}
    graph.initializer.extend(constant for constant in sizes.constants if constant.name in reads)
    gone = (view.producer.keys() - {name for node in graph.node for name in node.output}) | (
        view.initializers.intersection(view.consumers) - reads
    )
    keep(graph.initializer, lambda tensor: tensor.name not in gone)
    keep(graph.value_info, lambda value: value.name not in gone)
    return model


def _read(nodes: Sequence[onnx.NodeProto], view: GraphView) -> list[onnx.NodeProto]:
    """Leave out nodes that nothing reads any more; those that nothing did read before stay."""
    unread_before = {name for name in view.producer if name not in view.consumers}
    wanted = {*view.outputs, *unread_before}
    found = []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            found.append(node)
            wanted.update(node_reads(node))
    return found[::-1]
