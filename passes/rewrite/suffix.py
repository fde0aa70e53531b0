"""The branch that computes the suffix of a causal region: positions P … S-1, given what positions 0 … P-1 left.

The region's own nodes are instantiated for it. Every tensor can be wanted in several *versions*: at all positions, or
at those of the suffix along some of its axes. What does not depend on data (position numbers, masks, sizes) is computed
from the frontier's own shapes for all S positions, and cut where the suffix is wanted. What depends on data is computed
for the suffix; where a node reads it at all positions, that is Concat(cached, suffix), a *state*
(:mod:`~actcache.passes.rewrite.suffix_states`).

With P = 0, when the cached tensors are empty and the compact ones are the frontier itself, the branch computes what the
region's own nodes compute, whatever the sizes are: nothing is taken for equal that only the proof believes equal.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Literal

import onnx

from actcache.passes.causal import CausalProof, Counted, Fixed, Result
from actcache.passes.causal.registry import Recurrence
from actcache.passes.causal.state import Value
from actcache.passes.cuts import End
from actcache.passes.graph.nodes import captured, subgraphs
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.suffix_branch import FULL, SuffixNames, Version
from actcache.passes.rewrite.suffix_either import begin_or_go_on
from actcache.passes.rewrite.suffix_past import Pasts
from actcache.passes.rewrite.suffix_recurrent import with_ranks
from actcache.passes.rewrite.suffix_resumed import Resumed
from actcache.passes.rewrite.suffix_sizes import SuffixSizes
from actcache.passes.rewrite.suffix_states import Ends, NoSuffix, StateChoice, States
from actcache.passes.rewrite.suffix_ways import go_on, is_kept, presents_of

#: Before, Slice and Pad had their numbers as attributes.
OLDEST = 11


class Builder:
    """Collects the nodes of one branch, on demand from its results.

    Raises:
        NoSuffix: It cannot be built.
    """

    def __init__(
        self,
        view: GraphView,
        nodes: Collection[int],
        frontier: Sequence[str],
        live_outs: Sequence[str],
        proof: CausalProof,
        names: SuffixNames,
    ) -> None:
        self.view, self.inside, self.proof, self.names = view, frozenset(nodes), proof, names
        self.ends = Ends(view, proof, names, live_outs)
        self.frontier = frozenset(frontier)
        self.live_outs = tuple(name for name in live_outs if name not in self.ends.finals)
        self.nodes: list[onnx.NodeProto] = []
        self.made: dict[tuple[str, Version], str] = {}
        self.appended: dict[str, str] = {}  # states that are a past and what is put behind it, to the suffix of that
        self.pasts = Pasts(view, proof, self.inside)
        self.states = StateChoice(view, proof, frontier, self.live_outs)
        if view.opsets.get("", 1) < OLDEST:
            raise NoSuffix(f"the model's opset is {view.opsets.get('', 1)}; suffixes need {OLDEST} at least")
        counted = next((name for name in frontier if proof.position_axis(name) is not None), None)
        if counted is None:
            raise NoSuffix("no tensor that the region reads has positions")
        axis = proof.position_axis(counted)
        self.sizes = SuffixSizes(self.nodes, names.mark, (counted, names.compact[counted]), axis or 0)

    def run(self) -> dict[str, str]:
        """Make everything; return the tensors of the live-outs and states."""
        for index in sorted(self.inside):
            if self.view.writes[index] and self.view.constants.issuperset(self.view.writes[index]):
                self.nodes.append(self.view.model.graph.node[index])
        for name in sorted(self.live_outs, key=lambda name: self.pasts.put_behind(name) is not None):
            if name not in self.appended:
                self.suffix(name)
        for found in filter(None, map(self.proof.last, self.ends.finals)):
            self.suffix(found.of)
        done = 0
        while done < len(self.states.names):  # the suffix of a state may need another one
            if self.states.names[done] not in self.appended:
                self.suffix(self.states.names[done])
            done += 1
        return {n: self.stored(n) for n in (*self.live_outs, *self.states.names)} | self.ends.computed()

    def found(self) -> States:
        """Return what is to be kept, as it turned out."""
        results = tuple(self.states.results)
        return States(tuple(self.states.names), dict(self.ends.like), dict(self.ends.finals), results)

    def stored(self, name: str) -> str:
        """Return the suffix of a live-out or state as entries hold it."""
        handed_on = name in self.live_outs and name not in self.complete()
        return self.suffix(name) if handed_on or name not in self.appended else self.appended[name]

    def complete(self) -> dict[str, str]:
        """Return the last live-outs, as far as the branch has all positions of them: all but the first, at most."""
        last = takewhile(self.appended.__contains__, self.live_outs[:0:-1])
        return {name: self.made[name, FULL] for name in last}

    def suffix(self, name: str) -> str:
        """Return the tensor that holds the suffix of data with one plain axis of positions."""
        axis = self.proof.position_axis(name)
        if axis is None:
            raise NoSuffix(f"'{name}' has no axis of its own for positions", self.label(name))
        return self.tensor(name, frozenset({axis}))

    def tensor(self, name: str, version: Version) -> str:
        """Return the tensor that holds a version of `name`, made now if it was not yet."""
        value = self.proof.value(name)
        if isinstance(value.state, Fixed) or name in self.view.constants:
            return self.fixed(name)
        key = name, version
        if key not in self.made:
            self.made[key] = self.make(name, value, version)
        return self.made[key]

    def make(self, name: str, value: Value, version: Version) -> str:
        """Make the tensor that holds a version of `name`."""
        if name in self.frontier:
            return self.of_frontier(name, value, version)
        index = self.producer(name)
        if version == "short":
            return self.short(index, name)
        if version or not value.data or self.states.is_recomputed(name):
            return self.node(index, name, version)
        state = self.states.choose(name)
        if state != name:
            return self.node(index, name, FULL)
        whole, past = f"{name}{self.names.mark}.all", self.pasts.put_behind(name) is not None
        parts = self.past_and_cached(index, name) if past else [self.names.known(name), self.suffix(name)]
        self.nodes.append(onnx.helper.make_node("Concat", parts, [whole], axis=self.proof.position_axis(name)))
        return whole

    def past_and_cached(self, index: int, name: str) -> list[str]:
        """Return what a past, what is known and the suffix are put together of: the past or what is known is empty."""
        parts, data = [], self.pasts.put_behind(name)
        for read in self.view.model.graph.node[index].input:
            if read == data:
                self.appended[name] = self.suffix(read)
                parts += [self.names.known(name), self.appended[name]]
            else:
                parts.append(self.tensor(read, FULL))
        return parts

    def of_frontier(self, name: str, value: Value, version: Version) -> str:
        """Return a version of a tensor that the region reads."""
        if version == "short":
            raise NoSuffix(f"the region is handed '{name}', a size")
        if not version:
            return name
        return self.names.compact[name] if value.data else self.sliced(name, value, version, name)

    def fixed(self, name: str) -> str:
        """What is the same for all positions keeps its name."""
        index = self.view.producer.get(name)
        inside = index is not None and index in self.inside and name not in self.frontier
        if inside and index is not None and (name, FULL) not in self.made and name not in self.view.constants:
            if any(not isinstance(self.proof.state(read), Fixed) for read in self.view.reads[index]):
                self.made.update({(o, FULL): o for o in self.view.writes[index]})
                return self.sizes_of_fixed(index, name)
            for read in self.view.reads[index]:
                self.tensor(read, FULL)
            self.nodes.append(self.view.model.graph.node[index])
            self.made.update({(o, FULL): o for o in self.view.writes[index]})
        return name

    def sizes_of_fixed(self, index: int, name: str) -> str:
        """A node that reads positions but gives what does not depend on them: the size of another axis."""
        node = onnx.NodeProto()
        node.CopyFrom(self.view.model.graph.node[index])
        for slot, read in enumerate(node.input):
            if read:
                node.input[slot] = self.any_version(read)
        self.nodes.append(node)
        return name

    def any_version(self, name: str) -> str:
        """A tensor of which only sizes are wanted that do not depend on positions."""
        value = self.proof.value(name)
        return self.tensor(name, frozenset({value.places[0].axis}) if value.data and value.places else FULL)

    # -- nodes ---------------------------------------------------------------------------------------

    def node(self, index: int, name: str, version: frozenset[int]) -> str:
        """Instantiate a node for one version of its outputs."""
        source, result = self.view.model.graph.node[index], self.proof.result(index)
        value = self.proof.value(name)
        if source.op_type in ("Shape", "Size") and not version:
            return self.shape(index, name, "full")
        if version and result is not None and result.recurrence is not None:
            return self.recurrent(index, name, result, result.recurrence)
        if list(subgraphs(source)):
            raise NoSuffix("bodies that depend on positions are not followed", self.view.label(index))
        if version and result is not None and result.resumed:
            return self.resumed(index, name, version)
        if version and (result is None or not self.follows(source, result, value, version)):
            if value.data or result is None:
                raise NoSuffix("it cannot be computed for the suffix alone", self.view.label(index))
            return self.sliced(name, value, version, self.tensor(name, FULL))
        operands = [self.operand(read, slot, result, version) for slot, read in enumerate(source.input)]
        if source.op_type == "Trilu" and version:
            operands = self.sizes.moved_diagonal(operands, len(value.shape or ()), version)
        return self.instance(source, operands, name, version)

    def instance(self, source: onnx.NodeProto, operands: Sequence[str], name: str, version: Version) -> str:
        """Add a node like the original for a version of its outputs; return that of `name`."""
        node = onnx.NodeProto()
        node.CopyFrom(source)
        tag = self.names.tag(version, len(self.proof.value(name).places))
        if node.name:
            node.name += tag
        del node.input[:]
        node.input.extend(operands)
        for slot, written in enumerate(node.output):
            if written:
                node.output[slot] = written + tag
                self.made[written, version] = written + tag
        self.nodes.append(node)
        return self.made[name, version]

    def resumed(self, index: int, name: str, version: frozenset[int]) -> str:
        """Go on from what earlier positions left."""
        source, result = self.view.model.graph.node[index], self.proof.result(index)
        presents = presents_of(source)
        if name in [source.output[number] for number in presents]:
            self.suffix(source.output[0])
            return self.sizes.last(self.made[name, FULL], min(version), or_all=True)
        if len(version) > 1 or name != source.output[0]:
            reason = "it goes along two axes of positions, or more than its first output is read"
            raise NoSuffix(reason, self.label(name))
        at = self.at(source, name, version, result)
        part = at.part
        if not presents and (not self.proof.pasts or is_kept(source)):
            go_on(at)
            return part
        for number, whole in begin_or_go_on(at, presents).items():
            present = source.output[number]
            self.made[present, FULL] = whole
            self.appended[present] = self.sizes.last(whole, self.proof.position_axis(present) or 0)
        return part

    def recurrent(self, index: int, name: str, result: Result, recurrence: Recurrence) -> str:
        """Go on with what is carried: all outputs that have something for each position are made together."""
        source = self.view.model.graph.node[index]
        for body in subgraphs(source):
            for read in captured(body):
                self.tensor(read, FULL)
        first, axis = source.output[recurrence.first], recurrence.gives[recurrence.first]
        tag = self.names.tag(frozenset({axis}), 1)
        parts = {number: f"{source.output[number]}{tag}" for number in recurrence.gives}
        shapes = map(self.proof.shape, source.output)
        ranks = [None if shape is None else len(shape) - (n in recurrence.gives) for n, shape in enumerate(shapes)]
        types = [self.view.dtype(output) or 0 for output in source.output]
        at = self.at(with_ranks(source, ranks, types), first, frozenset({axis}), result)
        go_on(replace(at, recurrence=recurrence, parts=parts))
        self.made |= {(source.output[n], frozenset({a})): parts[n] for n, a in recurrence.gives.items()}
        return self.made[name, frozenset({self.proof.position_axis(name) or 0})]

    def at(self, source: onnx.NodeProto, name: str, version: frozenset[int], result: Result | None) -> Resumed:
        """Return what the operator's way is told, to make the suffix of one of its outputs."""
        reads, written = source.input, source.output
        tag = self.names.tag(version, len(self.proof.value(name).places))
        return Resumed(
            *(source, f"{name}{tag}", min(version), self.sizes, self.view.opsets[""]),
            own=lambda slot: self.operand(reads[slot], slot, result, version),
            whole=lambda slot: self.tensor(reads[slot], FULL) if reads[slot] else "",
            later=lambda slot: self.suffix(reads[slot]),
            first=lambda slot: self.whole_or_suffix(reads[slot], slot, result, version),
            earlier=lambda slot: self.earlier(reads[slot]),
            given=lambda number: self.earlier(written[number]),
            end=lambda what, number, stacked: self.ends.keep(name, what, End(written[number], stacked)),
            final=lambda slot: self.ends.final(written[slot]) if slot < len(written) else "",
            divided=self.names.divided,
            dtype=lambda slot: self.view.dtype(reads[slot]) or 0,
            output_dtype=lambda number: self.view.dtype(written[number]) or 0,
        )

    def earlier(self, name: str) -> str:
        """Return the tensor of positions 0 … P-1 of data, which is kept."""
        if name in self.frontier:
            return self.sizes.first(name, self.proof.position_axis(name) or 0)
        self.states.keep(name)
        return self.names.known(name)

    def follows(self, source: onnx.NodeProto, result: Result, value: Value, version: frozenset[int]) -> bool:
        """Whether a version of a node's outputs is what the node gives for versions of its operands."""
        if source.op_type != "Trilu" and result.whole & version:
            return False
        for axis in version:
            linked = any(
                axes.get(place.axis) == axis
                for slot, axes in result.axes.items()
                for place in self.proof.value(source.input[slot]).places
            )
            sized = any(axis in axes for axes in result.sizes.values())
            if not (linked or sized):
                return False
        return True

    def operand(self, name: str, slot: int, result: Result | None, version: frozenset[int]) -> str:
        """Return an operand for a version of the outputs."""
        if not name:
            return ""
        if result is None or not version:
            return self.tensor(name, FULL)
        if slot in result.sizes:
            return self.size_operand(name, result.sizes[slot], version)
        axes = result.axes.get(slot, {})
        wanted = frozenset(p.axis for p in self.proof.value(name).places if axes.get(p.axis) in version)
        return self.tensor(name, wanted)

    def whole_or_suffix(self, name: str, slot: int, result: Result | None, version: frozenset[int]) -> str:
        """An operand where no position is known: then data is its suffix."""
        if name and self.proof.position_axis(name) is not None:
            return self.suffix(name)
        return self.operand(name, slot, result, version)

    def sliced(self, name: str, value: Value, version: frozenset[int], whole: str) -> str:
        """Cut the suffix out of a tensor of all positions."""
        if not version <= {place.axis for place in value.places if place.single}:
            raise NoSuffix("positions that are flattened with others are not cut", self.label(name))
        part = f"{name}{self.names.tag(version, len(value.places))}"
        self.sizes.cut(whole, part, sorted(version))
        return part

    # -- sizes ---------------------------------------------------------------------------------------

    def size_operand(self, name: str, axes: Sequence[int | None], version: frozenset[int]) -> str:
        """Sizes that a tensor is to have, with the suffix's along the axes of `version`."""
        value = self.proof.value(name)
        if value.content is None or not isinstance(value.state, Counted):
            return self.tensor(name, FULL)
        elements = list(value.content.reshape(-1))
        short = [size.batch and axis in version for size, axis in zip(elements, axes, strict=True)]
        if not any(short):
            return self.tensor(name, FULL)
        if short == [size.batch for size in elements]:
            return self.tensor(name, "short")
        return self.sizes.shortened(self.tensor(name, FULL), elements, short)

    def short(self, index: int, name: str) -> str:
        """Sizes as they are in the suffix: what their node gives for the suffix."""
        source = self.view.model.graph.node[index]
        if source.op_type in ("Shape", "Size"):
            return self.shape(index, name, "short")
        if list(subgraphs(source)):
            raise NoSuffix("bodies that depend on positions are not followed", self.view.label(index))
        operands = []
        for read in source.input:
            counted = read and isinstance(self.proof.state(read), Counted)
            operands.append(self.tensor(read, "short" if counted else FULL) if read else "")
        return self.instance(source, operands, name, "short")

    def shape(self, index: int, name: str, wanted: Literal["short", "full"]) -> str:
        """The sizes of a tensor: of all positions, or of the suffix."""
        source = self.view.model.graph.node[index]
        read = source.input[0]
        value = self.proof.value(read)
        computed = value.data and read not in self.frontier
        axes = frozenset(place.axis for place in value.places[: 1 if computed else None])
        if wanted == "full" and not computed:
            return self.instance(source, [self.tensor(read, FULL)], name, FULL)
        version = self.made.get((name, "short")) or self.instance(source, [self.tensor(read, axes)], name, "short")
        if wanted == "short" and axes != frozenset(place.axis for place in value.places):
            raise NoSuffix("the sizes of a tensor with two axes of positions are not followed", self.view.label(index))
        if wanted == "short":
            return version
        content = self.proof.value(name).content
        if content is None or source.op_type == "Size":
            raise NoSuffix("it reads the number of entries of data", self.view.label(index))
        first = next((a.i for a in source.attribute if a.name == "start"), 0)
        first += len(value.shape or ()) if first < 0 else 0
        elements = list(content.reshape(-1))
        long = [first + number in axes for number in range(len(elements))]
        whole = self.sizes.lengthened(version, elements, long)
        self.made[name, FULL] = whole
        return whole

    # -- the rest ------------------------------------------------------------------------------------

    def producer(self, name: str) -> int:
        """Return the index of the node inside that writes a tensor."""
        index = self.view.producer.get(name)
        if index is None:
            raise NoSuffix(f"'{name}' is read, but is neither computed nor handed in")
        if index not in self.inside and self.proof.value(name).data:
            raise NoSuffix(f"'{name}' is computed outside the region, and not handed in")
        return index

    def label(self, name: str) -> str:
        """Return how messages name what writes a tensor."""
        index = self.view.producer.get(name)
        return "" if index is None else self.view.label(index)
