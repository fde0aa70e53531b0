"""Row rules of recurrent layers: sequences of one batch never see each other."""

from __future__ import annotations

from actcache.passes.rows.broadcasting import same_rows
from actcache.passes.rows.registry import Op, known, rule
from actcache.passes.rows.sizes import const
from actcache.passes.rows.state import ALWAYS_FAILS, ROW_FREE, Mixes, Row, Value


@rule("LSTM", "GRU", "RNN")
def recurrent(op: Op) -> list[Value]:
    """X [T, N, C] with states [D, N, H] gives Y [T, D, N, H] and the last states [D, N, H].

    The batch is axis 1 of X and of the states. With the batch on axis 0 (the time axis, here) a row would be
    carried into the next.
    """
    op.row_free(1, 2, 3, 7)
    if op.attribute("layout", 0):
        raise Mixes("not-followed", f"{op.node.op_type} with the batch first (layout 1)")
    x, weights = op.need(0), op.need(2)
    if x.shape is not None and len(x.shape) != 3:
        raise Mixes(ALWAYS_FAILS, f"{op.node.op_type} on a tensor of rank {len(x.shape)} fails in every run")
    # Input 4 holds the length of each sequence: [N].
    sources = [(x, 1), (op.get(4), 0), (op.get(5), 1), (op.get(6), 1)]
    rows = [(value, axis) for value, axis in sources if value is not None]
    row = same_rows([value for value, _ in rows], [axis for _, axis in rows])
    if row is None:
        return [Value(ROW_FREE) for _ in op.node.output]
    time, batch, _ = known(x)
    directions = const(2 if op.attribute("direction", "forward") == "bidirectional" else 1)
    hidden = weights.shape[2] if weights.shape is not None else op.symbols.fresh("hidden")
    last = Value(Row(1, row.block), (directions, batch, hidden))
    outputs = [Value(Row(2, row.block), (time, directions, batch, hidden)), last, last]
    return outputs[: len(op.node.output)]
