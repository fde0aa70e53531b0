"""Recurrent layers in both layouts, and attention of ai.onnx and com.microsoft."""

from __future__ import annotations

from typing import Any

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.products import columns
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import Known

MICROSOFT = "com.microsoft"


@builds("LSTM GRU RNN", since=7, weight=3)
def recurrent(s: Sketch, op: str) -> None:
    """X is [time, N, features] whatever the axes of the tensor hold. Never on what a part of the batch may leave
    empty: these kernels end the process on no rows.
    """
    x = s.pick(("float32",), (3,), lambda k: k.smallest > 0 and not k.ragged)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    both = s.below(2)
    directions, hidden = 1 + both, 2
    w = s.weight([directions, gates * hidden, columns(x)])
    r = s.weight([directions, gates * hidden, hidden])
    lengths = _lengths(s, x, 1, 0) if s.chance(25) else None
    state = None
    if s.chance(30):
        state = s.add("Expand", [s.weight([directions, 1, hidden]), s.vector([1, s.size(x, 1), 1])])[0]
    inputs = [x, w, r, None, lengths, state]
    extra: dict[str, Any] = {"layout": 1} if s.chance(10) and op != "LSTM" else {}
    direction = "bidirectional" if both else s.one_of((None, "reverse"))
    s.add(op, inputs, 2 + (op == "LSTM"), hidden_size=hidden, direction=direction, **extra)


def _lengths(s: Sketch, x: Known, batch: int, time: int) -> Known:
    """A number of steps for each sequence: counted from one tensor, or the same for all."""
    most = min(array.shape[time] for array in x.arrays)
    sizes = [array.shape[batch] for array in x.arrays]
    counts = [
        k
        for k in s.known
        if k.dtype == "int64" and [a.shape for a in k.arrays] == [(n,) for n in sizes] and k.within(0, 1 << 40)
    ]
    if counts and s.chance(70):
        within = s.add("Mod", [s.one_of(counts), s.constant(most, "int64")])[0]
        longest = s.add("Add", [within, s.constant(1, "int64")])[0]
    else:
        longest = s.add("Expand", [s.integers(most), s.size(x, batch)])[0]
    return s.add("Cast", [longest], to=6)[0]


@builds("Attention", since=23, weight=3)
def attention(s: Sketch, op: str) -> None:
    """Queries, keys and values from one tensor or from several, in three axes or four, with a mask sometimes."""
    x = s.pick(("float32",), (3, 4), lambda k: k.smallest > 0)
    same = [k for k in s.known if k.dtype == x.dtype and k.rank == x.rank and not k.noisy and k.smallest]
    key = s.one_of([x, *same])
    extra: dict[str, Any] = {"q_num_heads": 1, "kv_num_heads": 1} if x.rank == 3 else {}
    mask = None
    if s.chance(40):
        sizes = (x.shape[-2], key.shape[-2])
        if {x.rank - 2}.intersection(x.varying) or {x.rank - 2}.intersection(key.varying):
            raise Unfit
        like = [k for k in s.known if k.dtype in ("bool", "float32") and k.shape[-2:] == sizes and not k.noisy]
        mask = s.one_of(like) if like and s.chance(50) else s.weight(sizes, s.one_of(("bool", "float32")))
    s.add(op, [x, key, key, mask], **extra, is_causal=1 if s.chance(20) and mask is None else None)


@builds("RotaryEmbedding", since=23)
def rotary(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (4,), lambda k: k.smallest > 0 and 2 not in k.varying)
    half = columns(x) // 2
    if not half or columns(x) % 2:
        x = s.add("Concat", [x, x], axis=3)[0]
        half = x.shape[3] // 2
    positions = s.add("Expand", [s.positions(x, 2), s.vector([s.size(x, 0), 1])])[0]
    s.add(op, [x, s.weight([9, half]), s.weight([9, half]), positions])


@builds("RotaryEmbedding", domain=MICROSOFT)
def contrib_rotary(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (4,), lambda k: k.smallest > 0)
    wide = s.add("Tile", [x, s.integers(1, 1, 1, -(-8 // max(columns(x), 1)))])[0]
    wide = s.add("Slice", [wide, s.integers(0), s.integers(8), s.integers(3)])[0]
    s.add(op, [wide, s.integers(s.below(2)), s.weight([9, 4]), s.weight([9, 4])], domain=MICROSOFT)


def _eight(s: Sketch) -> Known:
    """[N, S, 8] of any tensor of three axes."""
    x = s.pick(("float32",), (3,), lambda k: k.smallest > 0)
    return x if columns(x) == 8 and s.chance(50) else s.add("MatMul", [x, s.weight([columns(x), 8])])[0]


@builds("Attention", domain=MICROSOFT, weight=2)
def packed_attention(s: Sketch, op: str) -> None:
    x = _eight(s)
    inputs: list[Known | None] = [x, s.weight([8, 24]), s.weight([24])]
    if s.chance(30):
        inputs.append(_lengths(s, x, 0, 1))
    s.add(op, inputs, domain=MICROSOFT, num_heads=1 + s.below(2), unidirectional=s.below(2))


@builds("MultiHeadAttention", domain=MICROSOFT, weight=2)
def multi_head_attention(s: Sketch, op: str) -> None:
    x = _eight(s)
    same = [k for k in s.known if k.dtype == "float32" and k.rank == 3 and k.shape[2] == 8 and not k.noisy]
    key = s.one_of([x, *same])
    s.add(op, [x, key, key, s.weight([24]) if s.chance(40) else None], domain=MICROSOFT, num_heads=2)


@builds("GroupQueryAttention", domain=MICROSOFT)
def group_query_attention(s: Sketch, op: str) -> None:
    """One token for each sequence, after a past of four of which some count."""
    x = _eight(s)
    x = s.add("Slice", [x, s.integers(0), s.integers(1), s.integers(1)])[0]
    q = s.add("MatMul", [x, s.weight([8, 16])])[0]
    past = s.add("Expand", [s.weight([1, 1, 4, 8]), s.vector([s.size(x, 0), 1, 4, 1])])[0]
    lengths = s.add("Cast", [s.add("Expand", [s.integers(1 + s.below(4)), s.size(x, 0)])[0]], to=6)[0]
    inputs = [q, x, x, past, past, lengths, s.constant(5, "int32")]
    s.add(op, inputs, 3, domain=MICROSOFT, num_heads=2, kv_num_heads=1)


@builds("EmbedLayerNormalization", domain=MICROSOFT)
def embed_layer_normalization(s: Sketch, op: str) -> None:
    ids = s.indices(3, (2,))
    ids = s.add("Cast", [ids], to=6)[0] if ids.dtype != "int32" else ids
    tables = [s.weight([6, 8]), s.weight([9, 8]), None, s.weight([8]), s.weight([8])]
    s.add(op, [ids, None, *tables], 2, domain=MICROSOFT)


@builds("TensorScatter", since=24)
def tensor_scatter(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (3, 4), lambda k: k.smallest > 0)
    first = s.add("Slice", [x, s.integers(0), s.integers(1), s.integers(x.rank - 2)])[0]
    places = s.add("Expand", [s.integers(0), s.size(x, 0)])[0]
    s.add(op, [x, s.add("Neg", [first])[0], places])
