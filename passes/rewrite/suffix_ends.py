"""A recurrence that tells all it carries behind its last position alone: an LSTM and its cell state c, or a Scan.

It begins where an earlier call ended, behind position P. What it carried from there, and what it gave at P, is kept
with that position, so it computes the positions behind. With P = 0 nothing is known, and it computes all. Where other
calls went on in another way than this one, it is divided: so what it carries there becomes known, too, and the next
such call begins there. Of weights of the main graph, onnxruntime packs those of the first LSTM, but not those of the
second, a branch of a branch. So packed weights are held once, and what follows where a call is divided may differ in
the last bits. ::

    x ─► LSTM on the first part ─► divided? ─► If ─ then: LSTM on the rest ─► y, h, c ─► of both
                                                └─ else: ───────────────────► y, h, c ─► of the first
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx
from onnx.helper import make_node

from actcache.passes.rewrite.suffix_recurrent import begun, operands, positioned, recurrence_of
from actcache.passes.rewrite.suffix_resumed import Resumed
from actcache.passes.rewrite.suffix_sizes import END


def recur_from_end(at: Resumed) -> None:
    """Go on from what an earlier call ended with; tell what is carried at this call's end, and where it is divided."""
    recurrence, sizes, ends = recurrence_of(at), at.sizes, _Ends.of(at)
    zero, end = sizes.vector([0]), sizes.vector([END])
    is_whole = sizes.node("Equal", at.divided, zero)
    known = sizes.node("Gather", sizes.node("Shape", ends.carried[0]), zero, axis=0)
    read = _sliced(at, {slot: at.own(slot) for slot in recurrence.reads}, known, end)
    begins = [begun(at, carried, given, 0) for carried, given in zip(recurrence.carried, ends.carried, strict=True)]
    first_read = _sliced(at, read, zero, sizes.node("Where", is_whole, end, at.divided))
    first = _Run.of(at, "first", first_read, begins, ends)
    later = replace(at, sizes=sizes.inside(f"{at.part}.second"))
    second = _Run.of(later, "second", _sliced(later, read, at.divided, end), first.carried, ends)
    sizes.initializers.extend(later.sizes.initializers)
    axes = [*recurrence.gives.values(), *ends.axes]
    pairs = list(zip(first.results, second.results, axes, strict=True))
    both = [make_node("Concat", [a, b], [f"{b}.both"], axis=axis) for a, b, axis in pairs]
    one = [make_node("Identity", [name], [f"{name}.one"]) for name in first.results]
    types = [*map(at.output_dtype, recurrence.gives), *ends.types]
    branches = {"then_branch": _body(one, one, types), "else_branch": _body([*later.sizes.nodes, *both], both, types)}
    computed = [f"{at.parts[number]}.computed" for number in recurrence.gives]
    scalar = sizes.node("Reshape", is_whole, sizes.vector([]))
    sizes.nodes.append(make_node("If", [scalar], [*computed, *ends.written], **branches))
    for (number, axis), made in zip(recurrence.gives.items(), computed, strict=True):
        sizes.nodes.append(make_node("Concat", [ends.given[number], made], [at.parts[number]], axis=axis))
    _write_finals(at, ends)


@dataclass(frozen=True)
class _Ends:
    """What is kept behind the last position of a call.

    Attributes:
        carried: What an earlier call carried from its last position, along axis 0.
        given: What it gave there, by the numbers of the outputs.
        beside: The outputs of which that is kept by itself: it is nothing that is carried.
        written: The tensors to write: what is carried, then what is given beside.
        axes: Of their positions.
        types: Of their elements.
    """

    carried: list[str]
    given: Mapping[int, str]
    beside: list[int]
    written: list[str]
    axes: list[int]
    types: list[int]

    @classmethod
    def of(cls, at: Resumed) -> _Ends:
        recurrence = recurrence_of(at)
        carried, written, types = [], [], []
        given: dict[int, str] = {}
        for each in recurrence.carried:
            shown = each.shown is not None and recurrence.gives[each.shown] == 0
            like = each.shown if shown else each.like
            known, own = at.end(each.name, each.last if like is None else like, like is None)
            carried.append(known)
            written.append(own)
            types.append(at.output_dtype(each.last if like is None else like))
            given |= {like: known} if shown and like is not None else {}
        axes, beside = [0] * len(carried), [number for number in recurrence.gives if number not in given]
        for number in beside:
            given[number], own = at.end(f"output{number}", number, False)
            written.append(own)
            types.append(at.output_dtype(number))
            axes.append(recurrence.gives[number])
        return cls(carried, given, beside, written, axes, types)


@dataclass(frozen=True)
class _Run:
    """What a node gives that goes along some positions.

    Attributes:
        carried: What it carries from the last of them.
        results: What it gives at each, and then what is kept behind the last: as :attr:`_Ends.written`.
    """

    carried: list[str]
    results: list[str]

    @classmethod
    def of(cls, at: Resumed, name: str, read: Mapping[int, str], begins: Sequence[str], ends: _Ends) -> _Run:
        recurrence = recurrence_of(at)
        count = max(len(at.source.output), *(carried.last + 1 for carried in recurrence.carried))
        outputs = [f"{at.part}.{name}{number}" for number in range(count)]
        at.add(operands(at, read, begins), *outputs)
        carried = [outputs[each.last] for each in recurrence.carried]
        told = [positioned(at, each, 0) for each in carried]
        beside = {number: outputs[number] for number in ends.beside}
        last = [at.sizes.end(each, recurrence.gives[number]) for number, each in beside.items()]
        return cls(carried, [*(outputs[number] for number in recurrence.gives), *told, *last])


def _sliced(at: Resumed, read: Mapping[int, str], start: str, end: str) -> dict[int, str]:
    """Cut positions out of operands, by their numbers."""
    axes = {slot: at.sizes.vector([axis]) for slot, axis in recurrence_of(at).reads.items()}
    return {slot: at.sizes.node("Slice", name, start, end, axes[slot]) for slot, name in read.items()}


def _write_finals(at: Resumed, ends: _Ends) -> None:
    for carried, written in zip(recurrence_of(at).carried, ends.written, strict=False):
        if final := at.final(carried.last):
            last = at.sizes.node("Reshape", at.sizes.vector([-1]), at.sizes.vector([]))
            at.sizes.nodes.append(make_node("Gather", [written, last], [final], axis=0))


def _body(nodes: Sequence[onnx.NodeProto], last: Sequence[onnx.NodeProto], types: Sequence[int]) -> onnx.GraphProto:
    """A branch that gives what its last nodes write."""
    make = onnx.helper.make_tensor_value_info
    outputs = [make(node.output[0], dtype, None) for node, dtype in zip(last, types, strict=True)]
    return onnx.helper.make_graph(nodes, outputs[0].name, [], outputs)
