"""Row rules of linear attention and of the layers around it: a state is carried along the tokens of each sequence."""

from __future__ import annotations

from actcache.passes.rows.registry import MICROSOFT, Op, rule
from actcache.passes.rows.rules_attention import rows_first, together
from actcache.passes.rows.state import ROW_FREE, Mixes, Value


@rule("LinearAttention")
@rule("LinearAttention", domain=MICROSOFT)
def linear_attention(op: Op) -> list[Value]:
    """Query, key, value, decay and rate [N, T, …] with a state [N, heads, k, v]."""
    _no_windows(op)
    row = together(op, dict.fromkeys(range(6), 0))
    return [rows_first(op, row, op.need(0), rank) for rank, _ in zip((3, 4), op.node.output, strict=False)]


@rule("CausalConvWithState")
@rule("CausalConvWithState", domain=MICROSOFT)
def causal_conv(op: Op) -> list[Value]:
    """A convolution in time of each channel, [N, C, T], that begins with the state [N, C, k - 1]."""
    _no_windows(op)
    op.row_free(1, 2)
    row = together(op, {0: 0, 3: 0})
    x = op.need(0)
    rank = None if x.shape is None else len(x.shape)
    return [rows_first(op, row, x, rank) for _ in op.node.output[:2]]


@rule("LinearAttentionGate", domain=MICROSOFT)
def linear_attention_gate(op: Op) -> list[Value]:
    """Decay from a and rate from b, elementwise, [N, T, H]; parameters for each head."""
    op.row_free(1, 2)
    row = together(op, {0: 0, 3: 0})
    return [rows_first(op, row, op.need(0), 3) for _ in op.node.output]


@rule("NGramHashMapping", domain=MICROSOFT)
def ngram_hash(op: Op) -> list[Value]:
    """Hashes of the last few ids of [N, T], which begin with those of an earlier call [N, n - 1]."""
    op.row_free(1, 2, 4, 5)
    row = together(op, {0: 0, 3: 0, 6: 0})
    return [rows_first(op, row, op.need(0), rank) for rank, _ in zip((3, 2), op.node.output, strict=False)]


@rule("NGramRepeatBlock", domain=MICROSOFT)
def ngram_repeat_block(op: Op) -> Value:
    """Scores [N, words] without those words that would repeat an n-gram of the ids [N, T]."""
    row = together(op, {0: 0, 1: 0})
    return Value(row or ROW_FREE, op.need(1).shape)


@rule("WordConvEmbedding", domain=MICROSOFT)
def word_conv_embedding(op: Op) -> Value:
    """One vector for each word, a row of letters in [words, letters]."""
    op.row_free(1, 2, 3)
    if op.need(0).row is not None and len(op.shape(0)) != 2:
        raise Mixes("not-batch-axis", "WordConvEmbedding takes the rows of a matrix for words")
    return rows_first(op, together(op, {0: 0}), op.need(0), 2)


def _no_windows(op: Op) -> None:
    if op.attribute("state_window", 0) or op.attribute("state_update_capacity", 0):
        raise Mixes("not-followed", f"{op.node.op_type} that keeps several states")


@rule("ScaledSiLU", domain=MICROSOFT)
def scaled_silu(op: Op) -> Value:
    """Elementwise, with a scale that all rows share."""
    op.row_free(1)
    return Value(op.need(0).state, op.need(0).shape)


@rule("GatedAdd", domain=MICROSOFT)
def gated_add(op: Op) -> Value:
    """x + y · gate with X, Y [N, …, C] and gate [N, …, 1]."""
    op.row_free(3)
    return _features(op, (0, 1, 2), combined=1)


@rule("GatedRMSNorm", domain=MICROSOFT)
def gated_rms_norm(op: Op) -> Value:
    """RMS normalisation of groups of the last axis times a function of the gate."""
    op.row_free(1)
    return _features(op, (0, 2), combined=1)


@rule("BranchwiseRMSNorm", domain=MICROSOFT)
def branchwise_rms_norm(op: Op) -> Value:
    """RMS normalisation of each branch of [N, …, branches, H], or of [N, …, branches·H]."""
    op.row_free(1)
    return _features(op, (0,), combined=_branch_axes(op))


@rule("HyperConnectionPostMix", domain=MICROSOFT)
def post_mix(op: Op) -> Value:
    """Streams [N, …, C, H], or flattened, mixed with each other and with a tensor [N, …, H]."""
    return _features(op, (0, 1, 2, 3), combined=_branch_axes(op))


@rule("HyperConnectionPreMix", domain=MICROSOFT)
def pre_mix(op: Op) -> Value:
    """The weighted sum [N, …, H] of streams [N, …, C, H], or flattened."""
    axes = _branch_axes(op)
    result = _features(op, (0, 1), combined=axes)
    if result.row is None or result.shape is None:
        return result
    return Value(result.row, (*result.shape[:-axes], op.symbols.fresh("hidden")))


@rule("EngramGate", domain=MICROSOFT)
def engram_gate(op: Op) -> list[Value]:
    """Key and query [N, T, C, H] gate a value [N, T, H]; scales for each C and H."""
    op.row_free(3, 4, 5)
    return [_features(op, (0, 1, 2), combined=2) for _ in op.node.output]


def _branch_axes(op: Op) -> int:
    return 1 if op.attribute("num_branches", 0) else 2


def _features(op: Op, inputs: tuple[int, ...], combined: int) -> Value:
    """Return input 0 with the rows, on axis 0, that all `inputs` share; its last `combined` axes are features."""
    x = op.need(0)
    row = together(op, dict.fromkeys(inputs, 0))
    if row is None or x.shape is None:
        return Value(ROW_FREE)
    if len(x.shape) <= combined:
        raise Mixes("not-batch-axis", f"{op.node.op_type} takes the rows for features")
    return Value(row, x.shape)
