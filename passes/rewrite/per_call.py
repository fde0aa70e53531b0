"""Inputs and an output with which a call of a compiled model steers and watches its cache.

::

    namespace ─┐
    control  ──┼─► CacheLookup (every region) ─► account [1, 3] ─┐
    frontier ──┘                                      ...        ├─► Concat ─► account output [regions, 3]
                           If of an outer region ─► account of an inner one ─┘  (then: its own, else: zeros)
                           If of the model       ─► account of a region in a branch  (its own, or zeros)

They are added last, when all regions stand in the graph, so that no analysis ever sees them: a namespace is no row of a
batch. To a lookup they come behind its frontier, before the constants, and its attributes say which is which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import numpy as np
import onnx

from actcache.base.per_call import CONTROL_WORDS, PerCall
from actcache.errors import InvalidOption
from actcache.passes.graph.entries import keep
from actcache.passes.graph.nodes import all_nodes, node_attribute, subgraphs
from actcache.passes.rewrite.key_constants import taken
from actcache.passes.rewrite.outline import DOMAIN, mark_of

#: What an If of the model adds to the name of an account that it hands on.
_HANDED_ON = "@account"
#: Hits, misses, bypassed.
_COLUMNS = 3


def check_names(model: onnx.ModelProto, per_call: PerCall) -> None:
    """Check that the names are free in the model that is to be compiled.

    Raises:
        InvalidOption: A tensor of the model has one of them.
    """
    taken = set(_tensor_names(model.graph))
    for option, name in per_call.names().items():
        if name in taken:
            raise InvalidOption(f"the model has a tensor '{name}' of its own", hint=f"give {option} another name")


def add_per_call(model: onnx.ModelProto, per_call: PerCall, regions: Sequence[str]) -> None:
    """Add the inputs and the output to a compiled model, in place.

    Args:
        model: The model; its regions are outlined.
        per_call: The names; :func:`check_names` has passed.
        regions: The ids of all regions, in the order of the account's rows.
    """
    graph = model.graph
    accounts = _extend(graph, per_call)
    string = onnx.TensorProto.STRING
    if per_call.namespace_input is not None:
        graph.input.append(onnx.helper.make_tensor_value_info(per_call.namespace_input, string, []))
    if per_call.control_input is not None:
        graph.input.append(onnx.helper.make_tensor_value_info(per_call.control_input, string, []))
        graph.initializer.add(name=per_call.control_input, data_type=string, string_data=[CONTROL_WORDS[0].encode()])
    if per_call.account_output is not None:
        _state_accounts(graph)
        rows = [accounts[region] for region in regions]
        graph.node.append(onnx.helper.make_node("Concat", rows, [per_call.account_output], "account", axis=0))
        graph.output.append(_account(per_call.account_output, len(regions)))


def remove_per_call(graph: onnx.GraphProto) -> None:
    """Take the inputs and the output of a compiled model away again, in place. What its lookups have stays."""
    named: set[str] = set()
    accounts: set[str] = set()
    for lookup in (node for node in all_nodes(graph.node) if _is_lookup(node)):
        places = (_number(lookup, "namespace_input", -1), _number(lookup, "control_input", -1))
        named.update(lookup.input[place] for place in places if 0 <= place < len(lookup.input))
        if _number(lookup, "account", 0):
            accounts.add(lookup.output[-1])
    accounts |= {name for node in _ifs(graph) for name in node.output if name.endswith(_HANDED_ON)}
    joining = [node for node in graph.node if accounts.intersection(node.input)]
    named.update(name for node in joining for name in node.output)
    for node in joining:
        graph.node.remove(node)
    _keep_own_outputs(graph)
    for values in (graph.input, graph.initializer, graph.output):
        for index in reversed(range(len(values))):
            if values[index].name in named:
                del values[index]


def _extend(graph: onnx.GraphProto, per_call: PerCall) -> dict[str, str]:
    """Extend every lookup in `graph`; return which tensor of `graph` holds the account of which region."""
    accounts: dict[str, str] = {}
    for lookup, branching in _regions(graph):
        for option, name in per_call.names().items():
            if option != "account_output":
                place = len(lookup.input) - taken(lookup)
                lookup.attribute.append(onnx.helper.make_attribute(option, place))
                lookup.input.insert(place, name)
        region = _text(lookup, "region")
        miss, hit = _branches(branching)
        inner = _extend(miss, per_call)
        if per_call.account_output is not None:
            accounts |= {
                inside: _hand_on(name, branching, miss, hit, mark_of(region)) for inside, name in inner.items()
            }
            accounts[region] = f"account{mark_of(region)}"
            lookup.attribute.append(onnx.helper.make_attribute("account", 1))
            lookup.output.append(accounts[region])
    for branching in _ifs(graph):
        bodies = _branches(branching)
        for taken_one, other in (bodies, bodies[::-1]):
            for region, name in _extend(taken_one, per_call).items():
                accounts[region] = _hand_on(name, branching, taken_one, other, _HANDED_ON)
    return accounts


def _hand_on(name: str, branching: onnx.NodeProto, own: onnx.GraphProto, other: onnx.GraphProto, mark: str) -> str:
    """Let an If give the account `name` of a region in its branch `own`; return what it is called there."""
    outside = name + mark
    own.output.append(_account(name))
    nothing = onnx.numpy_helper.from_array(np.zeros((1, _COLUMNS), np.int64))
    other.node.append(onnx.helper.make_node("Constant", [], [f"{outside}.hit"], value=nothing))
    other.output.append(_account(f"{outside}.hit"))
    branching.output.append(outside)
    return outside


def _state_accounts(graph: onnx.GraphProto) -> None:
    """State the type of each account where its lookup stands in a main graph, or in a branch of one of its Ifs."""
    for each in (graph, *(body for branching in _ifs(graph) for body in _branches(branching))):
        each.value_info.extend(_account(lookup.output[-1]) for lookup, _ in _regions(each))


def _keep_own_outputs(graph: onnx.GraphProto) -> None:
    """Take accounts away from what the Ifs of a main graph hand on."""
    for branching in _ifs(graph):
        places = [place for place, name in enumerate(branching.output) if name.endswith(_HANDED_ON)]
        zeros = {f"{branching.output[place]}.hit" for place in places}
        for place in reversed(places):
            del branching.output[place]
            for body in _branches(branching):
                del body.output[place]
        for body in _branches(branching):
            keep(body.node, partial(_writes_none, zeros))


def _writes_none(names: Collection[str], node: onnx.NodeProto) -> bool:
    return not any(name in names for name in node.output)


def _regions(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Yield the lookups of a graph, each with its If."""
    branching = {node.input[0]: node for node in graph.node if node.op_type == "If"}
    for node in graph.node:
        if _is_lookup(node):
            yield node, branching[node.output[0]]


def _ifs(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the Ifs of a graph that are not of regions."""
    asked = {lookup.output[0] for lookup in graph.node if _is_lookup(lookup)}
    return [node for node in graph.node if node.op_type == "If" and node.input[0] not in asked]


def _branches(branching: onnx.NodeProto) -> tuple[onnx.GraphProto, onnx.GraphProto]:
    bodies = {attribute.name: attribute.g for attribute in branching.attribute}
    return bodies["then_branch"], bodies["else_branch"]


def _is_lookup(node: onnx.NodeProto) -> bool:
    return node.domain == DOMAIN and node.op_type == "CacheLookup"


def _account(name: str, regions: int = 1) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [regions, _COLUMNS])


def _number(node: onnx.NodeProto, name: str, absent: int) -> int:
    attribute = node_attribute(node, name)
    return absent if attribute is None else attribute.i


def _text(node: onnx.NodeProto, name: str) -> str:
    attribute = node_attribute(node, name)
    return "" if attribute is None else attribute.s.decode()


def _tensor_names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the tensors of a graph and of all bodies in it (with repeats)."""
    yield from (value.name for value in [*graph.input, *graph.initializer])
    yield from (sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        yield from node.input
        yield from node.output
        for body in subgraphs(node):
            yield from _tensor_names(body)
