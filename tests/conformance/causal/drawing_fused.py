"""Steps of random graphs with onnxruntime's own operators; see :mod:`~tests.conformance.causal.drawing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.conformance.causal.sketches import MOST, WIDTH

if TYPE_CHECKING:
    from tests.conformance.causal.drawing import Drawing

MICROSOFT = "com.microsoft"
_INT32 = 6


def fused_attention(d: Drawing, x: str) -> str:
    """Attention as one node: to earlier positions or to all, with masks of keys and biases of scores."""
    attributes = {"num_heads": 2, "unidirectional": int(d.often())}
    if d.often(0.3):
        attributes["mask_filter_value"] = d.one_of(-1e4, -1.0, float(np.finfo(np.float32).min))
    mask = d.node("Cast", "mask", to=_INT32) if d.often(0.3) else ""
    kind = d.random.integers(3)
    if kind == 0:
        packed = d.node("Attention", x, *_packed(d), mask, domain=MICROSOFT, **attributes)
        return d.node("Add", x, packed)
    if kind == 1:
        return d.node("Add", x, _in_groups(d, x))
    parts = [d.node("MatMul", x, d.weight(WIDTH, WIDTH)) for _ in range(3)]
    bias = d.weight(3 * WIDTH) if d.often(0.3) else ""
    scores = _bias(d) if d.often(0.4) else ""
    made = d.node("MultiHeadAttention", *parts, bias, mask, scores, domain=MICROSOFT, **attributes)
    return d.node("Add", x, made)


def _packed(d: Drawing) -> tuple[str, str]:
    return d.weight(WIDTH, 3 * WIDTH), d.weight(3 * WIDTH)


def _bias(d: Drawing) -> str:
    """A bias of scores [1, heads, S, S] that closes later positions, or others."""
    length, numbers = d.length(), d.positions()
    column, row = (d.node("Unsqueeze", numbers, d.constant([axis])) for axis in (1, 0))
    operator = d.one_of("LessOrEqual", "LessOrEqual", "LessOrEqual", "GreaterOrEqual", "Less")
    low = d.constant(d.one_of(-np.inf, np.finfo(np.float32).min, -1e4), np.float32)
    flat = d.node("Where", d.node(operator, row, column), d.constant(0, np.float32), low)
    sizes = d.node("Concat", d.constant([1, 2]), d.vector(length), d.vector(length), axis=0)
    return d.node("Expand", flat, sizes)


def _in_groups(d: Drawing, x: str) -> str:
    length = d.node("Cast", d.length(), to=_INT32)
    last = d.node("Sub", length, d.constant(d.one_of(1, 1, 1, 2), np.int32))
    batch = d.node("Gather", d.node("Shape", x), d.constant([0]), axis=0)
    parts = [d.node("MatMul", x, d.weight(WIDTH, width)) for width in (WIDTH, WIDTH // 2, WIDTH // 2)]
    lengths = [d.node("Expand", last, batch), length]
    operands = [*parts, "", "", *lengths]
    attributes = {"num_heads": 2, "kv_num_heads": 1, "local_window_size": d.one_of(-1, 1, 3)}
    return d.node("GroupQueryAttention", *operands, outputs=3, domain=MICROSOFT, **attributes)


def attention_behind(d: Drawing, x: str, past: str) -> str:
    """Attention that takes a past itself, [B, 2, P, WIDTH / 2], and hands out keys and values."""
    parts = [d.node("MatMul", x, d.weight(WIDTH, WIDTH)) for _ in range(3)]
    bias = d.weight(3 * WIDTH) if d.often(0.3) else ""
    attributes = {"num_heads": 2, "unidirectional": int(d.often())}
    operands = [*parts, bias, "", "", past, past]
    made = d.node("MultiHeadAttention", *operands, outputs=3, domain=MICROSOFT, **attributes)
    return d.node("Add", x, d.node("Tanh", made))


def fused_layer(d: Drawing, x: str) -> str:
    """Layers that work on each position by itself, and a rotary embedding by number or from a number on."""
    kind = d.random.integers(4)
    if kind == 0:
        return d.node("SkipLayerNormalization", x, d.state(), d.weight(WIDTH), d.weight(WIDTH), domain=MICROSOFT)
    if kind == 1:
        return d.node(d.one_of("BiasGelu", "FastGelu"), x, d.weight(WIDTH), domain=MICROSOFT)
    angles = np.outer(np.arange(2 * MOST), [1.0, 0.1])
    tables = [d.constant(function(angles), np.float32) for function in (np.cos, np.sin)]
    numbers = d.constant([d.one_of(0, 3)])
    if kind == 2:
        numbers = d.node("Expand", d.positions(), d.node("Shape", "ids"))
    return d.node("RotaryEmbedding", x, numbers, *tables, domain=MICROSOFT, num_heads=2)
