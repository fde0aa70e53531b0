"""A model's graph in few boxes: its inputs, its cached regions, what lies between them, its outputs.

Nodes outside regions are one box if the same regions lie before them and the same after them. Along an edge the regions
before can only become more and those after fewer, so these boxes form no cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from actcache.model.compiled_model import CompiledModel, Lookup

#: Inputs or outputs of one place beyond which they are one box.
_APART = 2


@dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
        kind: What it stands for.
        title: What is written in it.
        text: A second line.
        lookup: The region, for boxes that are one.
        contains: Regions inside that region; or in the branches of the If that the box is.
    """

    kind: Literal["input", "region", "rest", "output"]
    title: str
    text: str = ""
    lookup: Lookup | None = None
    contains: tuple[Lookup, ...] = ()


@dataclass
class Picture:
    """Boxes and the edges between them.

    Attributes:
        boxes: Numbered by their order.
        edges: From box, to box: the tensors that go there.
    """

    boxes: list[Box] = field(default_factory=list)
    edges: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    def add(self, box: Box) -> int:
        """Add a box and return its number."""
        self.boxes.append(box)
        return len(self.boxes) - 1

    def connect(self, source: int, target: int, tensor: str) -> None:
        """Draw a tensor from one box to another."""
        if source != target and tensor not in self.edges.setdefault((source, target), []):
            self.edges[source, target].append(tensor)


def draw(model: CompiledModel) -> Picture:
    """Return a model's picture."""
    picture = Picture()
    box_of = _node_boxes(model, picture)
    view = model.view
    readers: dict[str, set[int]] = {}
    for index, box in box_of.items():
        for name in view.reads[index]:
            readers.setdefault(name, set()).add(box)
            if name in view.producer and view.producer[name] in box_of:
                picture.connect(box_of[view.producer[name]], box, name)
    _add_inputs(model, picture, readers)
    _add_outputs(model, picture, box_of)
    return picture


def _node_boxes(model: CompiledModel, picture: Picture) -> dict[int, int]:
    """Make the boxes of nodes; return the box of each node that is not constant."""
    outermost = [lookup for lookup in model.lookups if lookup.outer is None and lookup.branch is None]
    branched = _branched(model)
    region_of: dict[int, int] = {}
    for number, lookup in enumerate(outermost):
        region_of.update(dict.fromkeys(model.nodes(lookup), number))
    groups: dict[tuple[int, ...] | int, list[int]] = {}
    before, after = _regions_before(model, region_of), _regions_after(model, region_of)
    constants, wanted = model.view.constants, _leading_to_outputs(model)
    for index, writes in enumerate(model.view.writes):
        if index in region_of:
            groups.setdefault(region_of[index], []).append(index)
        elif not constants.issuperset(writes) and index in wanted:
            own = (index,) if index in branched else (before[index], after[index])
            groups.setdefault(own, []).append(index)
    box_of: dict[int, int] = {}
    for group, nodes in groups.items():
        if isinstance(group, int):
            lookup = outermost[group]
            box = Box("region", lookup.id, _operators(model, nodes), lookup, _inside(model, lookup))
        elif nodes[0] in branched:
            box = Box("rest", model.view.label(nodes[0]), "by its condition", contains=branched[nodes[0]])
        else:
            box = Box("rest", f"{len(nodes)} node{'s' if len(nodes) > 1 else ''}", _operators(model, nodes))
        box_of.update(dict.fromkeys(nodes, picture.add(box)))
    return box_of


def _branched(model: CompiledModel) -> dict[int, tuple[Lookup, ...]]:
    """Return the regions in the branches of each If."""
    found: dict[int, list[Lookup]] = {}
    for lookup in model.lookups:
        if lookup.branch is not None:
            found.setdefault(model.view.producer[lookup.branch.output], []).append(lookup)
    return {index: tuple(lookups) for index, lookups in found.items()}


def _leading_to_outputs(model: CompiledModel) -> set[int]:
    """Nodes that an output depends on."""
    view = model.view
    found: set[int] = set()
    stack = [view.producer[name] for name in view.outputs if name in view.producer]
    while stack:
        index = stack.pop()
        if index not in found:
            found.add(index)
            stack.extend(view.producer[name] for name in view.reads[index] if name in view.producer)
    return found


def _inside(model: CompiledModel, outer: Lookup) -> tuple[Lookup, ...]:
    found: list[Lookup] = []
    around = {outer.id}
    for lookup in model.lookups:  # a region comes before those inside it
        if lookup.outer in around:
            found.append(lookup)
            around.add(lookup.id)
    return tuple(found)


def _operators(model: CompiledModel, nodes: Iterable[int]) -> str:
    counts = Counter(model.view.model.graph.node[index].op_type for index in nodes)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common(2)) + (", …" if len(counts) > 2 else "")


def _regions_before(model: CompiledModel, region_of: dict[int, int]) -> list[int]:
    """Per node the regions that it depends on, as bits."""
    view = model.view
    found = [0] * len(view.reads)
    for index, reads in enumerate(view.reads):  # the nodes of a model are in topological order
        for producer in (view.producer[name] for name in reads if name in view.producer):
            own = 1 << region_of[producer] if producer in region_of else 0
            found[index] |= found[producer] | own
    return found


def _regions_after(model: CompiledModel, region_of: dict[int, int]) -> list[int]:
    """Per node the regions that depend on it, as bits."""
    view = model.view
    found = [0] * len(view.reads)
    for index in reversed(range(len(found))):
        for reader in (reader for name in view.writes[index] for reader in view.consumers.get(name, ())):
            own = 1 << region_of[reader] if reader in region_of else 0
            found[index] |= found[reader] | own
    return found


def _add_inputs(model: CompiledModel, picture: Picture, readers: dict[str, set[int]]) -> None:
    places: dict[frozenset[int], list[str]] = {}
    for name in model.view.inputs:
        if name in readers:
            places.setdefault(frozenset(readers[name]), []).append(name)
    for targets, names in places.items():
        for box in _apart("input", names):
            number = picture.add(box)
            for target in targets:
                for name in names if box.text else [box.title]:
                    picture.connect(number, target, name)


def _add_outputs(model: CompiledModel, picture: Picture, box_of: dict[int, int]) -> None:
    places: dict[int, list[str]] = {}
    for name in model.view.outputs:
        producer = model.view.producer.get(name)
        if producer in box_of:
            places.setdefault(box_of[producer], []).append(name)
    for source, names in places.items():
        for box in _apart("output", names):
            number = picture.add(box)
            for name in names if box.text else [box.title]:
                picture.connect(source, number, name)


def _apart(kind: Literal["input", "output"], names: Sequence[str]) -> list[Box]:
    """Boxes of inputs (or outputs) of one place: one each, or one for many."""
    if len(names) <= _APART:
        return [Box(kind, name) for name in names]
    return [Box(kind, f"{len(names)} {kind}s", ", ".join(names[:2]) + ", …")]
