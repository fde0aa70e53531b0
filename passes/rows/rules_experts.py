"""Row rules of mixtures of experts: each token chooses its experts alone."""

from __future__ import annotations

from actcache.passes.rows.registry import MICROSOFT, Op, known, rule
from actcache.passes.rows.rules_shape import reshaped
from actcache.passes.rows.sizes import product
from actcache.passes.rows.state import ROW_FREE, Mixes, Row, Value


@rule("MoE", domain=MICROSOFT)
def mixture(op: Op) -> Value:
    """Tokens [N, H] or [N, S, H], each with its scores in one row of [tokens, experts]."""
    op.row_free(*range(2, len(op.inputs)))
    return _each_token(op, 1)


@rule("QMoE", domain=MICROSOFT)
def quantised_mixture(op: Op) -> Value:
    """As above; input 14 holds scores too."""
    op.row_free(*(i for i in range(2, len(op.inputs)) if i != 14))
    return _each_token(op, 1, 14)


@rule("MoEGroupRouter", domain=MICROSOFT)
def router(op: Op) -> list[Value]:
    """Scores [tokens, experts] of each token of [N, …, experts]."""
    op.row_free(1, 2)
    x = op.need(0)
    if x.row is None:
        return [Value(ROW_FREE) for _ in op.node.output]
    tokens = product(known(x)[:-1])
    if x.row.axis == len(known(x)) - 1:
        raise Mixes("rows-contracted", "MoEGroupRouter takes the rows for scores")
    flat = reshaped(x, (tokens, known(x)[-1]))
    return [Value(flat.state, (tokens, op.symbols.fresh("experts"))) for _ in op.node.output]


def _each_token(op: Op, *scores: int) -> Value:
    x = op.need(0)
    given = [value for value in map(op.get, scores) if value is not None]
    if x.row is None and all(value.state == ROW_FREE for value in given):
        return Value(ROW_FREE, x.shape)
    if x.row is None or x.row.axis != 0 or len(known(x)) < 2:
        raise Mixes("not-batch-axis", f"{op.node.op_type} takes axis 0 for the rows")
    block = x.row.block * product(known(x)[1:-1])
    if any(value.state != Row(0, block) for value in given):
        raise Mixes("rows-misaligned", f"the scores of {op.node.op_type} are not those of its tokens")
    return Value(x.state, x.shape)
