"""Whether a node is a function of its inputs and nothing else: see :mod:`actcache.passes.purity`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.graph.nodes import constant_value, node_attribute, subgraphs
from actcache.passes.graph.op_facts import (
    BUILT_IN_DOMAINS,
    NON_TENSOR,
    RANDOM,
    READ_SETS,
    RUNTIME_OPERATORS,
    STATEFUL,
    canonical_domain,
)

#: Looks up the value of a small constant; None: not a constant, or not known.
Constants = Callable[[str], "npt.NDArray[np.generic] | None"]


@dataclass(frozen=True)
class Scope:
    """What the purity of a node depends on besides the node itself.

    Attributes:
        opsets: Version of each domain, by its canonical name.
        constants: The constants in sight.
        pure_ops: Operators that the user vouches for, each ``domain:Op``.
    """

    opsets: Mapping[str, int]
    constants: Constants
    pure_ops: Collection[str] = ()


def impurity(node: onnx.NodeProto, scope: Scope) -> tuple[str, str] | None:
    """Return ``(rule, reason)`` when the operator itself, or one in its bodies, is not pure; else None."""
    key = domain, operator = canonical_domain(node.domain), node.op_type
    if f"{node.domain}:{operator}" in scope.pure_ops or f"{domain}:{operator}" in scope.pure_ops:
        return _body_impurity(node, scope)
    if key in RANDOM:
        return "impure-random", f"{operator} draws random numbers: a cached result would freeze them"
    if key in STATEFUL:
        return "impure-state", f"{operator} changes a state that is kept between calls"
    if key in NON_TENSOR:
        return "non-tensor", f"{operator} handles sequences, maps or optionals; only tensors are cached"
    if node.domain not in BUILT_IN_DOMAINS:
        return "impure-unknown-domain", (
            f"nothing is known about operators of domain '{node.domain}'; "
            f"if {operator} is a pure function, add --pure-op {node.domain}:{operator}"
        )
    if not _is_known(domain, operator):
        return "impure-unknown-op", (
            f"nothing is known about an operator {operator} of {domain or 'ONNX'}; "
            f"if it is a pure function, add --pure-op {domain}:{operator}"
        )
    if operator == "BatchNormalization" and _batchnorm_trains(node, scope.opsets.get(domain, 0)):
        return "impure-training", "BatchNormalization in training mode updates its statistics"
    if operator == "Dropout" and _dropout_may_train(node, scope):
        return "impure-training", "Dropout is, or may be, in training mode"
    return _body_impurity(node, scope)


def _is_known(domain: str, operator: str) -> bool:
    if (domain, operator) in RUNTIME_OPERATORS:
        return True
    return domain in READ_SETS and onnx.defs.has(operator, READ_SETS[domain], domain)


def _body_impurity(node: onnx.NodeProto, scope: Scope) -> tuple[str, str] | None:
    for body in subgraphs(node):
        inner = replace(scope, constants=_constants_of(body, scope.constants))
        for part in body.node:
            problem = impurity(part, inner)
            if problem is not None:
                return problem[0], f"a body of {node.op_type} is not pure: {problem[1]}"
    return None


def _constants_of(body: onnx.GraphProto, outer: Constants) -> Constants:
    """The constants that a body sees: its own, and those around it that its own names do not hide."""
    tensors = {t.name: t for t in body.initializer}
    nodes = {name: node for node in body.node for name in node.output}
    hidden = {v.name for v in body.input} | {t.values.name for t in body.sparse_initializer}

    def find(name: str) -> npt.NDArray[np.generic] | None:
        if name in hidden:
            return None
        if name in tensors or name in nodes:
            return constant_value(tensors.get(name), nodes.get(name))
        return outer(name)

    return find


def _batchnorm_trains(node: onnx.NodeProto, opset: int) -> bool:
    """Before opset 7 ``is_test``, from 14 on ``training_mode``; between, further outputs ask for statistics."""
    training, is_test = node_attribute(node, "training_mode"), node_attribute(node, "is_test")
    if training is not None and training.i:
        return True
    if is_test is not None or opset < 7:
        return is_test is None or not is_test.i
    return sum(1 for o in node.output if o) > 1


def _dropout_may_train(node: onnx.NodeProto, scope: Scope) -> bool:
    """Before opset 7 unless ``is_test``; from 12 on if the third input is, or may be, true."""
    is_test = node_attribute(node, "is_test")
    if is_test is not None or scope.opsets.get("", 0) < 7:
        return is_test is None or not is_test.i
    if len(node.input) < 3 or not node.input[2]:
        return False
    flag = scope.constants(node.input[2])
    return flag is None or bool(flag.any())
