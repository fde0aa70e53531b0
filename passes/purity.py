"""Purity: which nodes may be skipped because they are functions of their inputs, and nothing else.

Fails closed: an operator of an unknown domain, or one that ONNX does not define, may keep state or have side
effects and ends a region, unless the user vouches for it (``--pure-op domain:Op``). A node with bodies is as pure
as the least pure operator in them, at any depth.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx

from actcache.passes.graph.node_purity import Scope, impurity
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal


def impure_nodes(view: GraphView, pure_ops: Collection[str] = ()) -> dict[int, Refusal]:
    """Find the nodes that no region may contain.

    Args:
        view: The model.
        pure_ops: Operators that the user vouches for, each ``domain:Op``.

    Returns:
        Node index to the reason; nodes that are absent are pure.
    """
    found: dict[int, Refusal] = {}
    scope = Scope(view.opsets, view.value, pure_ops)
    for index, node in enumerate(view.model.graph.node):
        problem = _call_problem(view, node) or impurity(node, scope) or _non_tensor_problem(view, index)
        if problem is not None:
            found[index] = Refusal(problem[0], problem[1], view.label(index))
    return found


def _call_problem(view: GraphView, node: onnx.NodeProto) -> tuple[str, str] | None:
    """A local function that could not be inlined: its body is part of the model, and nobody can vouch for it."""
    called = sorted(view.called_by(node))
    if not called:
        return None
    domain, name, _ = called[0]
    return "local-function", (
        f"it calls the local function {domain}:{name}, which imports other operator versions than the model, calls "
        "itself, or has the name of an operator"
    )


def _non_tensor_problem(view: GraphView, index: int) -> tuple[str, str] | None:
    for name in (*view.reads[index], *view.writes[index]):
        if view.is_tensor(name) is False:
            return "non-tensor", f"'{name}' is a sequence, map, optional or sparse value; only tensors are cached"
    return None
