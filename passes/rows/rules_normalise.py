"""Row rules of normalisations with statistics: whose entries go into one mean decides."""

from __future__ import annotations

from collections.abc import Iterable

from actcache.passes.rows.broadcasting import broadcast, carry
from actcache.passes.rows.registry import MICROSOFT, Op, known, rule
from actcache.passes.rows.rules_spatial import batch_first
from actcache.passes.rows.sizes import ONE
from actcache.passes.rows.state import Mixes, Value


@rule("BatchNormalization")
def batch_normalization(op: Op) -> list[Value]:
    """In inference elementwise, with constants per channel (axis 1); in training it takes means over the batch."""
    trains = op.attribute("training_mode", 0) or (op.opset < 7 and not op.attribute("is_test", 0))
    if trains or len([name for name in op.node.output if name]) > 1:
        raise Mixes("training-mode", "BatchNormalization in training mode takes its statistics over the batch")
    op.row_free(1, 2, 3, 4)
    x = op.need(0)
    per_place = op.opset < 9 and not op.attribute("spatial", 1)  # constants for every channel and place
    if x.row is not None and (x.row.axis == 1 or (per_place and x.row.axis > 0)):
        raise Mixes("not-batch-axis", "BatchNormalization has constants along the axis of the rows")
    return [carry(x, x.shape) for _ in op.node.output]


@rule("InstanceNormalization", "GroupNormalization", "LRN")
def per_image(op: Op) -> Value:
    """Statistics of one image (over its space and some channels), constants per channel."""
    op.row_free(1, 2)
    batch_first(op, op.need(0))
    return carry(op.need(0), op.need(0).shape)


@rule("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization")
def layer_normalization(op: Op) -> list[Value]:
    """Statistics over the axes from `axis` on; scale and bias are broadcast to X."""
    return _layer_norm(op, op.need(0), range(1, len(op.inputs)), len(op.node.output))


@rule("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_layer_normalization(op: Op) -> list[Value]:
    """LayerNormalization of input + skip + bias over the last axis; the fourth output is the sum."""
    x, skip = op.need(0), op.need(1)
    total = broadcast([x, skip], op.symbols)
    if total.state != x.state or (total.shape is not None and len(total.shape) != len(known(x))):
        raise Mixes("broadcast-against-rows", "SkipLayerNormalization does not broadcast its input")
    total = carry(x, x.shape)  # of two sizes that may be 1, the input's is the larger
    normal = _layer_norm(op, total, range(2, len(op.inputs)), 3)
    outputs = [*normal, carry(total, total.shape)]
    return outputs[: len(op.node.output)]


def _layer_norm(op: Op, x: Value, parameters: Iterable[int], outputs: int) -> list[Value]:
    values = [value for value in map(op.get, parameters) if value is not None]
    result = broadcast([x, *values], op.symbols)
    if x.shape is None:
        return [carry(result, None) for _ in range(outputs)]
    axis = op.axis(-1, len(x.shape))
    if x.row is not None and x.row.axis >= axis:
        raise Mixes("normalise-over-rows", f"{op.node.op_type} takes its statistics over the rows of the batch")
    if result.state != x.state or len(known(result)) != len(x.shape):
        raise Mixes("rows-misaligned", f"the scale or bias of {op.node.op_type} is not aligned with the rows")
    statistics = Value(x.state, tuple(ONE if a >= axis else size for a, size in enumerate(x.shape)))
    return [carry(x, x.shape), *[statistics] * (outputs - 1)]
