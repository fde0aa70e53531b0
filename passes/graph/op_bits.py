"""Which operators give a row other bits in another batch, in onnxruntime's CPU kernels.

Measured, operator by operator, with the rows of a batch of 37 against the same rows in batches of 1 to 33 and at other
places (``tests/unit/test_op_bits.py`` measures again). All of it is rounding: about 1e-7 relative, 1.2e-5 at most. What
is in none of the tables was equal in every bit; operators that mix rows for good are the business of
:mod:`actcache.passes.rows`.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from actcache.passes.graph.nodes import all_nodes, node_attribute
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView

_TAIL = "the last elements of a tensor take another path than whole vectors"

#: A row's bits depend on where it lies in the batch, and on how large that is.
BY_PLACE: Mapping[tuple[str, str], str] = {
    **{("", op): _TAIL for op in ("Log", "Sin", "Cos", "Asin", "Acos", "Atan")},
    **{("", op): _TAIL for op in ("Elu", "Celu", "Selu", "Softplus", "Mish")},
    ("", "LRN"): "squares are summed over vectors that begin in one image and end in another",
    ("com.microsoft", "MoE"): "tokens of the whole batch are multiplied together, expert by expert",
    ("com.microsoft", "QMoE"): "tokens of the whole batch are multiplied together, expert by expert",
}

#: Resizing signals ([N, C, L], mode linear) interpolates by place; pictures are equal in every bit.
RESIZE = frozenset({("", "Resize"), ("", "Upsample")})

#: Products of rows and weights.
PRODUCTS = frozenset({("", "MatMul"), ("", "Gemm"), ("com.microsoft", "FusedMatMul"), ("", "RNN")})
#: A batch of one row takes another path than all others, which agree with each other.
ALONE: Mapping[tuple[str, str], str] = {
    **dict.fromkeys(
        PRODUCTS,
        "one row is multiplied by another kernel, unless the weights are constants of the model",
    ),
    **{("", op): "a sum over the axis behind the rows goes another way" for op in ("ReduceSum", "ReduceMean")},
    **{("ai.onnx.ml", op): "one row is multiplied by another kernel" for op in ("LinearRegressor", "LinearClassifier")},
}


def batch_dependence(view: GraphView, index: int) -> str | None:
    """Return why rows of a node's results depend on their place in the batch, or None as far as is known.

    Args:
        view: The model.
        index: The node.
    """
    for node in all_nodes([view.model.graph.node[index]]):
        reason = _by_place(view, node)
        if reason is not None:
            return f"onnxruntime's results of {node.op_type} depend on the batch: {reason}"
    return None


def is_known_alone(view: GraphView, index: int) -> bool:
    """Whether a node may give a batch of one row other bits than it has in others (:data:`ALONE`)."""
    node = view.model.graph.node[index]
    key = (canonical_domain(node.domain), node.op_type)
    return key in ALONE and not (key in PRODUCTS and view.constants.issuperset(node.input[1:2]))


def _by_place(view: GraphView, node: onnx.NodeProto) -> str | None:
    key = (canonical_domain(node.domain), node.op_type)
    if key not in RESIZE:
        return BY_PLACE.get(key)
    mode, shape = node_attribute(node, "mode"), view.shape(node.input[0])
    linear = mode is not None and mode.s == b"linear"
    return "signals are interpolated by place" if linear and (shape is None or len(shape) < 4) else None
