"""Fused attention: how the branch of a suffix has its queries look at all keys."""

from __future__ import annotations

import numpy as np
import onnx

from actcache.passes.rewrite.suffix_resumed import Resumed

#: From this version on Reshape takes 0 for 0.
_ALLOW_ZERO = 14


def attend(at: Resumed) -> None:
    """The operator of ONNX. What ``is_causal`` says is said by a mask: see its causal rule."""
    operands, sizes = list(map(at.own, at.slots)), at.sizes
    if at.attribute("is_causal"):
        zero, one = (sizes.node("Reshape", sizes.vector([n]), sizes.vector([])) for n in (0, 1))
        key = sizes.node("Range", zero, sizes.node("Reshape", sizes.all, sizes.vector([])), one)
        query = sizes.node(
            "Range", *(sizes.node("Reshape", n, sizes.vector([])) for n in (sizes.known, sizes.all)), one
        )
        column = sizes.node("Reshape", query, sizes.vector([-1, 1]))
        mask = sizes.node("LessOrEqual", key, column)
        if at.has(3) and at.dtype(3) == onnx.TensorProto.BOOL:
            mask = sizes.node("And", mask, operands[3])
        elif at.has(3):
            mask = sizes.node("Where", mask, operands[3], sizes.constant(np.array(-np.inf), at.dtype(3)))
        operands[3:4] = [mask]
    node = at.add(operands, at.part)
    for attribute in node.attribute:
        if attribute.name == "is_causal":
            attribute.i = 0


def attend_with_past(at: Resumed) -> None:
    """MultiHeadAttention: the keys and values of earlier positions are its past.

    It looks at a past only if it also hands one out. A bias is added to new keys and values, not to those of the past.
    """
    operands = [at.own(0), at.later(1), at.later(2), *map(at.own, at.slots[3:6])]
    operands += [""] * (6 - len(operands))
    past = []
    for slot in (1, 2):
        flat = _flat(at, at.earlier(slot), operands[slot])
        past.append(_by_heads(at, _biased(at, flat, operands, slot) if operands[3] else flat))
    at.add([*operands, *past], at.part, f"{at.part}.keys", f"{at.part}.values")


def _size(at: Resumed, tensor: str, axis: int) -> str:
    return at.sizes.node("Gather", at.sizes.node("Shape", tensor), at.sizes.vector([axis]), axis=0)


def _flat(at: Resumed, earlier: str, later: str) -> str:
    """[B, P, width]; where P is 0, what is kept may have no other sizes either."""
    shape = at.sizes.node("Concat", _size(at, later, 0), at.sizes.known, _size(at, later, 2), axis=0)
    return at.sizes.node("Reshape", earlier, shape)


def _biased(at: Resumed, flat: str, operands: list[str], slot: int) -> str:
    """With its part of [all of queries, keys, values] added."""
    widths = [_size(at, operands[number], 2) for number in range(slot)]
    start = widths[0] if slot == 1 else at.sizes.node("Add", *widths)
    end = at.sizes.node("Add", start, _size(at, operands[slot], 2))
    return at.sizes.node("Add", flat, at.sizes.node("Slice", operands[3], start, end))


def _by_heads(at: Resumed, flat: str) -> str:
    """[B, P, heads·size] as [B, heads, P, size]."""
    heads = at.attribute("num_heads")
    width = at.sizes.node("Div", _size(at, flat, 2), at.sizes.vector([heads]))
    shape = at.sizes.node("Concat", _size(at, flat, 0), at.sizes.known, at.sizes.vector([heads]), width, axis=0)
    return at.sizes.node("Transpose", at.sizes.node("Reshape", flat, shape), perm=(0, 2, 1, 3))


def attend_packed(at: Resumed) -> None:
    """Attention with its projections: the past is projected again, from what the operator reads.

    Its keys and values are in no tensor of the model, so the input is kept in their place.
    """
    x, weights, bias, mask = [*map(at.own, at.slots), "", ""][:4]
    sizes, heads = at.sizes, at.attribute("num_heads")
    width = sizes.node("Div", _size(at, weights, 1), sizes.vector([3]))
    end = sizes.vector([np.iinfo(np.int64).max])
    parts = [sizes.node("Slice", tensor, width, end, sizes.vector([-1])) for tensor in (weights, bias) if tensor]
    rows = sizes.node("Concat", sizes.vector([-1]), _size(at, x, 2), axis=0)
    made = sizes.node("Gemm", sizes.node("Reshape", at.earlier(0), rows), *parts)  # to the bit what the kernel adds up
    each = sizes.node("Div", width, sizes.vector([heads]))
    literal = at.opset >= _ALLOW_ZERO  # before, 0 stands for the size of the operand: then calls of no rows fail
    count = sizes.known if literal else sizes.vector([-1])
    shape = sizes.node("Concat", _size(at, x, 0), count, sizes.vector([2, heads]), each, axis=0)
    apart = sizes.node("Reshape", made, shape, **({"allowzero": 1} if literal else {}))
    past = sizes.node("Transpose", apart, perm=(2, 0, 3, 1, 4))
    at.add([x, weights, bias, mask, past], at.part, f"{at.part}.present")


def attend_in_groups(at: Resumed) -> None:
    """GroupQueryAttention, by a MultiHeadAttention of repeated keys and values.

    It takes no more than one new position behind a past itself: onnxruntime 1.18 gives wrong results for more, later
    versions refuse them for more than one row.
    """
    sizes, heads, groups = at.sizes, at.attribute("num_heads"), at.attribute("kv_num_heads")
    query, keys, values = at.own(0), (at.earlier(1), at.later(1)), (at.earlier(2), at.later(2))
    if at.attribute("do_rotary"):
        whole = _turned(at, at.whole(1), sizes.vector([0]), groups)
        query, later = _turned(at, query, sizes.known, heads), f"{at.part}.turned"
        sizes.cut(whole, later, [1])
        keys = sizes.first(whole, 1), later
    inputs, past = [query], []
    for earlier, later in (keys, values):
        flat = _flat(at, earlier, later)
        inputs.append(_repeated(at, later, sizes.rest, heads // groups))
        past.append(_by_heads(at, _repeated(at, flat, sizes.known, heads // groups)))
    outputs = [at.part, f"{at.part}.keys", f"{at.part}.values"]
    scale = {a.name: a.f for a in at.source.attribute if a.name == "scale"}
    sizes.nodes.append(
        onnx.helper.make_node(
            "MultiHeadAttention",
            [*inputs, "", "", "", *past],
            outputs,
            domain=at.source.domain,
            num_heads=heads,
            unidirectional=1,
            **scale,
        )
    )


def _turned(at: Resumed, x: str, first: str, heads: int) -> str:
    """A rotary embedding of positions from `first` on."""
    interleaved = at.attribute("rotary_interleaved")
    angles = at.source.input[7:9]
    return at.sizes.node(
        *("RotaryEmbedding", x, first, *angles), domain=at.source.domain, num_heads=heads, interleaved=interleaved
    )


def _repeated(at: Resumed, x: str, count: str, times: int) -> str:
    """Every head of [B, positions, heads·size] several times."""
    if times == 1:
        return x
    sizes, groups = at.sizes, at.sizes.vector([at.attribute("kv_num_heads")])
    batch, width = _size(at, x, 0), _size(at, x, 2)
    each = sizes.node("Div", width, groups)
    apart = sizes.node("Concat", batch, count, groups, sizes.vector([1]), each, axis=0)
    wide = sizes.node("Concat", batch, count, groups, sizes.vector([times]), each, axis=0)
    flat = sizes.node("Concat", batch, count, sizes.node("Mul", width, sizes.vector([times])), axis=0)
    return sizes.node("Reshape", sizes.node("Expand", sizes.node("Reshape", x, apart), wide), flat)


def turn(at: Resumed) -> None:
    """A rotary embedding that counts positions from the first one that it gets: from P on."""
    x, number, *rest = map(at.own, at.slots)
    at.add([x, at.sizes.node("Add", number, at.sizes.known), *rest], at.part)
