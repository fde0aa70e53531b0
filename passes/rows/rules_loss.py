"""Row rules of losses: one number for each row, unless they are summed up."""

from __future__ import annotations

from actcache.passes.refusal import Refusal
from actcache.passes.rows.broadcasting import same_rows
from actcache.passes.rows.registry import Op, rule
from actcache.passes.rows.state import ROW_FREE, Mixed, Value


@rule("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(op: Op) -> list[Value]:
    """Scores [N, C, d…] and classes [N, d…] give losses [N, d…], and the logarithms of the softmax [N, C, d…]."""
    op.row_free(2)
    scores, classes = op.need(0), op.need(1)
    row = same_rows([scores, classes], [0, 0])
    if row is None:
        return [Value(ROW_FREE) for _ in op.node.output]
    losses = Value(row, classes.shape)
    if op.attribute("reduction", "mean") != "none":
        reason = f"{op.node.op_type} adds up the losses of all rows: reduction is not 'none'"
        losses = Value(Mixed(Refusal("reduce-over-rows", reason)))
    return [losses, Value(row, scores.shape)]
