"""Purity: which nodes may be skipped because they are functions of their inputs, and nothing else.

Fails closed: an operator of an unknown domain, or one that ONNX does not define, may keep state or have side
effects and ends a region, unless the user vouches for it (``--pure-op domain:Op``).
"""

from __future__ import annotations

from collections.abc import Collection

import onnx

from actcache.passes.graph import GraphView, node_attribute, subgraphs
from actcache.passes.op_facts import CONTROL_FLOW, NON_TENSOR, ONNX_DOMAINS, PURE_DOMAINS, RANDOM, canonical_domain
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
    for index, node in enumerate(view.model.graph.node):
        problem = (
            _call_problem(view, node)
            or impurity(node, pure_ops)
            or _mode_problem(view, node)
            or _non_tensor_problem(view, index)
        )
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


def impurity(node: onnx.NodeProto, pure_ops: Collection[str]) -> tuple[str, str] | None:
    """Return ``(rule, reason)`` when the operator itself, or one in its bodies, is not pure; else None."""
    domain = canonical_domain(node.domain)
    if f"{node.domain}:{node.op_type}" in pure_ops or f"{domain}:{node.op_type}" in pure_ops:
        return None
    if (domain, node.op_type) in RANDOM:
        return "impure-random", f"{node.op_type} draws random numbers: a cached result would freeze them"
    if (domain, node.op_type) in NON_TENSOR:
        return "non-tensor", f"{node.op_type} handles sequences, maps or optionals; only tensors are cached"
    if node.domain not in PURE_DOMAINS:
        return "impure-unknown-domain", (
            f"nothing is known about operators of domain '{node.domain}'; "
            f"if {node.op_type} is a pure function, say --pure-op {node.domain}:{node.op_type}"
        )
    if node.domain in ONNX_DOMAINS and not onnx.defs.has(node.op_type):
        return "impure-unknown-op", f"{node.op_type} is not an operator of ONNX; --pure-op :{node.op_type} vouches"
    if node.op_type == "BatchNormalization" and _batchnorm_trains(node):
        return "impure-training", "BatchNormalization in training mode updates its statistics"
    if node.op_type in CONTROL_FLOW:
        return _body_impurity(node, pure_ops)
    return None


def _body_impurity(node: onnx.NodeProto, pure_ops: Collection[str]) -> tuple[str, str] | None:
    for body in subgraphs(node):
        for inner in body.node:
            problem = impurity(inner, pure_ops)
            if problem is None and inner.op_type == "Dropout" and _dropout_may_train(inner):
                problem = "impure-training", "Dropout may be in training mode"
            if problem is not None:
                return problem[0], f"a body of {node.op_type} is not pure: {problem[1]}"
    return None


def _batchnorm_trains(node: onnx.NodeProto) -> bool:
    training, is_test = node_attribute(node, "training_mode"), node_attribute(node, "is_test")
    if training is not None and training.i:
        return True
    if is_test is not None and not is_test.i:
        return True
    # Opsets 7 and 9 have no mode: the extra outputs ask for the running statistics.
    return sum(1 for o in node.output if o) > 1


def _dropout_may_train(node: onnx.NodeProto) -> bool:
    """Without a view: opset 12's third input may be true; opsets 1 and 6 carry ``is_test``."""
    is_test = node_attribute(node, "is_test")
    return (len(node.input) > 2 and bool(node.input[2])) or (is_test is not None and not is_test.i)


def _mode_problem(view: GraphView, node: onnx.NodeProto) -> tuple[str, str] | None:
    """Dropout whose training flag is not a constant false."""
    if node.op_type != "Dropout" or not _dropout_may_train(node):
        return None
    flag = view.value(node.input[2]) if len(node.input) > 2 else None
    if flag is not None and not flag.any():
        return None
    return "impure-training", "Dropout is, or may be, in training mode"


def _non_tensor_problem(view: GraphView, index: int) -> tuple[str, str] | None:
    for name in (*view.reads[index], *view.writes[index]):
        if view.is_tensor(name) is False:
            return "non-tensor", f"'{name}' is a sequence, map, optional or sparse value; only tensors are cached"
    return None
