"""Row rules of attention and of the fused transformer layers: each sequence of the batch attends to itself."""

from __future__ import annotations

from actcache.passes.rows.broadcasting import same_rows
from actcache.passes.rows.registry import MICROSOFT, Op, known, rule
from actcache.passes.rows.rules_quantise import static_scale
from actcache.passes.rows.sizes import ONE, Size, const
from actcache.passes.rows.state import ROW_FREE, Mixes, Row, Shape, Value


def rows_first(op: Op, row: Row | None, like: Value, rank: int | None, axis: int = 0) -> Value:
    """Return a result of `rank` axes with the rows of `like` (axis 0) on `axis`, other sizes unknown."""
    if row is None or rank is None:
        return Value(ROW_FREE)
    sizes: list[Size] = [op.symbols.fresh("?") for _ in range(rank)]
    sizes[axis] = known(like)[0]
    return Value(Row(axis, row.block), tuple(sizes))


def together(op: Op, indices: dict[int, int]) -> Row | None:
    """Require that the inputs at `indices`, where present, have the same rows, each on the given axis."""
    pairs = [(value, axis) for i, axis in indices.items() if (value := op.get(i)) is not None]
    return same_rows([value for value, _ in pairs], [axis for _, axis in pairs])


def _bias(op: Op, index: int, row: Row | None) -> None:
    """Require that a mask or bias, broadcast to [N, heads, S, T], has its batch axis 1, absent or the rows'."""
    value = op.get(index)
    if value is None or row is None:
        return
    shape = known(value)
    if value.state == ROW_FREE and (len(shape) < 4 or shape[0] == ONE):
        return
    if len(shape) != 4 or value.row != Row(0, row.block):
        raise Mixes("rows-misaligned", f"the mask or bias of {op.node.op_type} is not aligned with the rows")


@rule("Attention")
def attention(op: Op) -> list[Value]:
    """softmax(Q Kᵀ + mask) V for each sequence; Q, K, V [N, S, H] or [N, heads, S, h], caches [N, heads, P, h]."""
    row = together(op, {0: 0, 1: 0, 2: 0, 4: 0, 5: 0, 6: 0})
    _bias(op, 3, row)
    return [Value(row or ROW_FREE, shape) for shape in _attention_shapes(op)[: len(op.node.output)]]


def _attention_shapes(op: Op) -> list[Shape]:
    """The sizes of Y, of both caches and of the products Q Kᵀ."""
    query, key, value = (_by_heads(op, op.shape(i), name) for i, name in enumerate(("q", "kv", "kv")))
    past = op.get(4)
    length = key[2] if past is None else key[2] + known(past)[2]
    result: Shape = (query[0], query[1], query[2], value[3])
    if len(op.shape(0)) == 3:
        result = (query[0], query[2], query[1] * value[3])
    keys, values = (key[0], key[1], length, key[3]), (value[0], value[1], length, value[3])
    return [result, keys, values, (query[0], query[1], query[2], length)]


def _by_heads(op: Op, shape: Shape, which: str) -> Shape:
    """[N, S, heads·h] as [N, heads, S, h]."""
    if len(shape) == 4:
        return shape
    heads = const(op.attribute(f"{which}_num_heads"))
    return shape[0], heads, shape[1], shape[2].divided_by(heads) or op.symbols.fresh("?")


@rule("Attention", domain=MICROSOFT)
def packed_attention(op: Op) -> list[Value]:
    """Attention with its projections: input [N, S, H], mask_index [N] or [N, …], past [2, N, heads, P, h]."""
    op.row_free(1, 2, 6)
    row = together(op, {0: 0, 3: 0, 4: 1})
    _bias(op, 5, row)
    return _with_past(op, row)


@rule("QAttention", domain=MICROSOFT)
def quantised_attention(op: Op) -> list[Value]:
    """Attention with static scales: (scale, zero) of the input at 3 and 6, of the weights at 4 and 7."""
    op.row_free(1, 2, 4, 7)
    static_scale(op, 3, 6)
    return _with_past(op, together(op, {0: 0, 5: 0, 8: 1}))


def _with_past(op: Op, row: Row | None) -> list[Value]:
    result = rows_first(op, row, op.need(0), 3)
    present = rows_first(op, row, op.need(0), 5, axis=1)
    return [result, present][: len(op.node.output)]


@rule("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(op: Op) -> list[Value]:
    """Attention on projected query, key, value; key_padding_mask [N] or [N, …]; caches [N, heads, P, h]."""
    op.row_free(3, 8)
    if op.get(9) is not None:
        raise Mixes("not-followed", "MultiHeadAttention with a beam search cache")
    row = together(op, {0: 0, 1: 0, 2: 0, 4: 0, 6: 0, 7: 0})
    _bias(op, 5, row)
    query = op.need(0)
    return [rows_first(op, row, query, rank) for rank, _ in zip((3, 4, 4, 4), op.node.output, strict=False)]


@rule("GroupQueryAttention", domain=MICROSOFT)
def group_query_attention(op: Op) -> list[Value]:
    """Attention with caches [N, heads, P, h] and one length per row (seqlens_k [N]); the longest length is given
    as a scalar that all rows share, as are the rotary caches.
    """
    op.row_free(6, 7, 8, *range(11, len(op.inputs)))
    row = together(op, dict.fromkeys((0, 1, 2, 3, 4, 5, 9), 0))
    _bias(op, 10, row)
    return [rows_first(op, row, op.need(0), rank) for rank, _ in zip((3, 4, 4), op.node.output, strict=False)]


@rule("MRotaryEmbedding", domain=MICROSOFT)
def multimodal_rotary_embedding(op: Op) -> Value:
    """Rotates by three positions of each token, position_ids [3, N, S]."""
    if op.attribute("is_packed_batching", 0):
        raise Mixes("packed-tokens", "MRotaryEmbedding on sequences of different lengths on one axis")
    op.row_free(2, 3)
    row = together(op, {0: 0, 1: 1})
    return Value(row or ROW_FREE, op.need(0).shape)


@rule("RotaryEmbedding")
def rotary_embedding(op: Op) -> Value:
    """Rotates pairs of features of X by angles looked up at position_ids[n, s], or at caches given per row."""
    if op.get(3) is not None:
        op.row_free(1, 2)
        row = together(op, {0: 0, 3: 0})
    else:
        row = together(op, {0: 0, 1: 0, 2: 0})
    return Value(row or ROW_FREE, op.need(0).shape)


@rule("RotaryEmbedding", domain=MICROSOFT)
def contrib_rotary_embedding(op: Op) -> Value:
    """As above; position_ids [1] is an offset that all rows share."""
    op.row_free(2, 3)
    positions = op.need(1)
    shared = positions.state == ROW_FREE and positions.shape == (ONE,)
    row = together(op, {0: 0} if shared else {0: 0, 1: 0})
    return Value(row or ROW_FREE, op.need(0).shape)


@rule("TensorScatter")
def tensor_scatter(op: Op) -> Value:
    """Writes update[n] into past[n] at write_indices[n] along the sequence."""
    row = together(op, {0: 0, 1: 0, 2: 0})
    if row is not None and op.axis(-2, len(op.shape(0))) == 0:
        raise Mixes("scatter-rows", "TensorScatter writes along the axis of the rows")
    return Value(row or ROW_FREE, op.need(0).shape)


@rule("EmbedLayerNormalization", domain=MICROSOFT)
def embed_layer_normalization(op: Op) -> list[Value]:
    """LayerNormalization of word + position + segment embeddings, of ids [N, S]; mask_index [N] counts a mask."""
    op.row_free(2, 3, 4, 5, 6)
    positions = op.get(8)
    shared = positions is None or (positions.state == ROW_FREE and known(positions)[0] == ONE)
    row = together(op, {0: 0, 1: 0, 7: 0} if shared else {0: 0, 1: 0, 7: 0, 8: 0})
    ids = op.need(0)
    return [rows_first(op, row, ids, rank) for rank, _ in zip((3, 1, 3), op.node.output, strict=False)]


@rule("QEmbedLayerNormalization", domain=MICROSOFT)
def quantised_embed_layer_normalization(op: Op) -> list[Value]:
    """As above with quantised tables, each with a scale and a zero point."""
    op.row_free(*(i for i in range(2, len(op.inputs)) if i != 7))
    row = together(op, {0: 0, 1: 0, 7: 0})
    return [rows_first(op, row, op.need(0), rank) for rank, _ in zip((3, 1), op.node.output, strict=False)]
