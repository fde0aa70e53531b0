"""The constants that a region computes with, as its operators take them.

A fingerprint says what they were when the model was compiled. What they are in a session, onnxruntime alone knows: so
``CacheLookup`` takes those of the main graph as its last inputs, ``CacheStore`` those of the branch, and what they find
there becomes part of every key (custom_ops/src/ops/session_constants.h). A number, the same for all copies of a
constant, says which is which::

    constants        of the node's last inputs
    key_constants    of all that the region's keys cover, in the order in which its fingerprint does
    all_constants    whether these are all that the region computes with
    assumed_constants  those that the proof of the units rests on, such as axes and shapes: number, and a digest of what
                     they were. A session that has others caches nothing
    outer            the region that this one lies in, whose operators have its constants, too; or a CacheConstants
    samples          of CacheStore's inputs behind those: number, places and digests (weight_samples.py)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from actcache.passes.graph.nodes import all_nodes, element_bits, is_constant_node, node_attribute, subgraphs
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import canonical_walk
from actcache.passes.region import Region
from actcache.passes.rewrite.weight_samples import DIGEST_NUMBERS, SAMPLE_NUMBERS, digest_numbers

#: Element types that every supported onnxruntime hands to custom operators. Strings are among them.
_LAST_TYPE = onnx.TensorProto.FLOAT8E5M2FNUZ
#: They take scales of sizes as floating-point numbers.
_READ_SCALES = frozenset({"Resize", "Upsample"})
#: They compute with integers as with weights.
_QUANTISES = re.compile("(Dynamic|De)?[Qq]uantize.*|QLinear.*|.*Integer(ToFloat)?|QAttention|QGemm|MatMulNBits")


@dataclass(frozen=True)
class KeyConstants:
    """Constants of a region.

    Attributes:
        names: Those that its keys cover: initializers, and small values of ``Constant`` nodes. Those of less than a
            byte an element are left out: the oldest onnxruntime does not hand them to custom operators.
        are_all: Whether the region computes with no others.
        assumed: Those whose values the proof rests on. Not all of them have to be among the others.
    """

    names: tuple[str, ...]
    are_all: bool
    assumed: tuple[str, ...] = ()


def key_constants(
    view: GraphView,
    nodes: frozenset[int],
    live_outs: Sequence[str],
    behind: frozenset[int] = frozenset(),
    told: Collection[str] = (),
) -> KeyConstants:
    """Return what the keys of a region cover, in an order that does not depend on names.

    Args:
        view: The model.
        nodes: Of the region.
        live_outs: Its results.
        behind: :attr:`~actcache.passes.region.Region.behind`. Values of ``Constant`` nodes that only these read are
            left out: such a node may move into another region.
        told: :attr:`~actcache.passes.region.Region.told`.
    """
    found = _constants(view, nodes | behind, live_outs)
    names = tuple(name for name in found if _is_covered(view, name) and not _may_move(view, name, nodes, behind))
    around = all_nodes(view.model.graph.node[index] for index in nodes | behind)
    bodies = [body for node in around for body in subgraphs(node)]
    are_all = len(names) == len(found) and not any(map(_has_constants, bodies))
    assumed = dict.fromkeys(name for name in names if _tells_places(view, name))
    assumed |= dict.fromkeys(name for name in sorted(told) if _is_covered(view, name))
    return KeyConstants(names, are_all, tuple(assumed))


def _tells_places(view: GraphView, name: str) -> bool:
    """Whether a proof may have looked at a constant: at an axis, a shape, a flag, a scale."""
    value = view.value(name)
    readers = {view.model.graph.node[index].op_type for index in view.consumers.get(name, ())}
    if value is None or value.dtype.kind not in "iub":
        return value is not None and value.dtype.kind == "f" and not readers.isdisjoint(_READ_SCALES)
    return not readers or not all(map(_QUANTISES.fullmatch, readers))


def _has_constants(body: onnx.GraphProto) -> bool:
    return bool(body.initializer or body.sparse_initializer or any(map(is_constant_node, body.node)))


def _constants(view: GraphView, nodes: frozenset[int], live_outs: Sequence[str]) -> list[str]:
    """Return all constants that nothing computes, and that the region computes with: initializers, Constant nodes."""
    leaves, order = canonical_walk(view, nodes, live_outs)
    inside = [name for index in order for name in view.writes[index] if is_constant_node(view.model.graph.node[index])]
    found: dict[str, None] = {}
    stack = [*reversed(inside), *reversed(leaves)]
    seen: set[str] = set()
    while stack:
        name = stack.pop()
        if name in seen or name not in view.constants:
            continue
        seen.add(name)
        producer = view.producer.get(name)
        if producer is None or is_constant_node(view.model.graph.node[producer]):
            found.setdefault(name)
        else:
            stack.extend(reversed(view.reads[producer]))
    return list(found)


def constants_behind(view: GraphView, region: Region) -> frozenset[str]:
    """Return the constants that a region's lookup has to be shown, though nodes of other regions read them."""
    own = frozenset(key_constants(view, region.nodes, region.live_outs, region.behind).names)
    return (own if region.behind else frozenset()) | region.told - own


def _may_move(view: GraphView, name: str, nodes: frozenset[int], behind: frozenset[int]) -> bool:
    return bool(behind) and name in view.producer and nodes.isdisjoint(view.consumers.get(name, ()))


def _is_covered(view: GraphView, name: str) -> bool:
    tensor = view.initializer(name)
    if tensor is None and (name not in view.producer or view.value(name) is None):
        return False  # a sparse one, or a large value of a Constant node, which a branch would keep in memory twice
    readers = (view.model.graph.node[index].op_type for index in view.consumers.get(name, ()))
    if tensor is None and "DequantizeLinear" in readers:
        return False  # onnxruntime keeps matrices packed only if nobody else reads these
    return _can_be_taken(view.dtype(name) or 0 if tensor is None else tensor.data_type)


def number_of(name: str) -> int:
    """Return the number of the constant that was called `name` in the model."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


def take_constants(node: onnx.NodeProto, inputs: Sequence[tuple[str, str]]) -> None:
    """Give a node its last inputs: per constant how it is called there, and how in the model."""
    node.input.extend(name for name, _ in inputs)
    _add_numbers(node, "constants", [number_of(original) for _, original in inputs])


def take_samples(node: onnx.NodeProto, inputs: Sequence[tuple[str, str, Sequence[int]]]) -> None:
    """Give a node that has its constants the samples of others.

    Args:
        node: A ``CacheStore``.
        inputs: Per sample how it is called there, of which constant of the model it is, and its numbers
            (:func:`~actcache.passes.rewrite.weight_samples.sample_numbers`).
    """
    node.input.extend(name for name, _, _ in inputs)
    _add_numbers(node, "samples", [n for _, original, numbers in inputs for n in (number_of(original), *numbers)])


def cover_constants(lookup: onnx.NodeProto, constants: KeyConstants) -> None:
    """Tell a lookup what its keys cover."""
    _add_numbers(lookup, "key_constants", [number_of(name) for name in constants.names])
    if constants.are_all:
        lookup.attribute.append(onnx.helper.make_attribute("all_constants", 1))


def assume_constants(lookup: onnx.NodeProto, view: GraphView, names: Sequence[str], weight_file: Path | None) -> None:
    """Tell a lookup which constants its region's proof rests on, with the values that they have in a model.

    Args:
        lookup: The node.
        view: The model.
        names: The constants.
        weight_file: Where external weights are.
    """
    numbers: list[int] = []
    for name in names:
        tensor = view.initializer(name)
        if tensor is None and (value := view.value(name)) is not None:
            tensor = onnx.numpy_helper.from_array(value, name)
        if tensor is not None:
            numbers += [number_of(name), *digest_numbers(tensor, weight_file)]
    _add_numbers(lookup, "assumed_constants", numbers)


def lies_in(lookup: onnx.NodeProto, region: str) -> None:
    """Tell a lookup which region it lies in, or which ``CacheConstants`` shows it constants."""
    lookup.attribute.append(onnx.helper.make_attribute("outer", region))


def taken(node: onnx.NodeProto) -> int:
    """Return how many of a node's last inputs are constants for its keys."""
    numbers = node_attribute(node, "constants")
    return 0 if numbers is None else len(numbers.ints)


def give_up_constants(lookup: onnx.NodeProto, names: Collection[str]) -> list[str]:
    """Take those of its constants that are called `names` from a ``CacheLookup``; return them."""
    first = len(lookup.input) - taken(lookup)
    own = list(lookup.input[first:])
    kept = [place for place, name in enumerate(own) if name not in names]
    numbers = node_attribute(lookup, "constants")
    if numbers is None or len(kept) == len(own):
        return []
    left = [numbers.ints[place] for place in kept]
    lookup.attribute.remove(numbers)
    _add_numbers(lookup, "constants", left)
    del lookup.input[first:]
    lookup.input.extend(own[place] for place in kept)
    return [name for name in own if name in names]


def renumber(node: onnx.NodeProto, kept: Collection[int], scope: str) -> None:
    """Give the constants of a node numbers of their own in `scope`, but for those that have a number in `kept`.

    So constants of one name in two branches of an ``If`` are not taken for one.
    """
    steps = {"constants": 1, "key_constants": 1, "assumed_constants": 1 + DIGEST_NUMBERS, "samples": 1 + SAMPLE_NUMBERS}
    for name, step in steps.items():
        attribute = node_attribute(node, name) or onnx.AttributeProto()
        for place in range(0, len(attribute.ints), step):
            if attribute.ints[place] not in kept:
                attribute.ints[place] = number_of(f"{scope}/{attribute.ints[place]}")


def _add_numbers(node: onnx.NodeProto, name: str, numbers: Sequence[int]) -> None:
    if numbers:
        node.attribute.append(onnx.helper.make_attribute(name, numbers))


def _can_be_taken(data_type: int) -> bool:
    wide = data_type == onnx.TensorProto.STRING or element_bits(data_type) >= 8
    return wide and data_type <= _LAST_TYPE
