"""Fused attention: how the branch of a suffix has its queries look at all keys."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx

from actcache.passes.rewrite.suffix_resumed import Resumed
from actcache.passes.rewrite.suffix_scores import attend_plainly, needs_plain_operators
from actcache.passes.rewrite.suffix_window import numbered, windowed

#: From this version on Reshape takes 0 for 0.
_ALLOW_ZERO = 14


def attend(at: Resumed) -> None:
    """The operator of ONNX. What ``is_causal`` says is said by a mask: see its causal rule.

    If it hands its keys and values out, those of earlier positions are its past.
    """
    handed, sizes = at.hands_out(1), at.sizes
    keys = map(at.later if handed else at.own, (1, 2))
    operands = [at.own(0), *keys, *map(at.own, at.slots[3:4])]
    if at.attribute("is_causal"):
        queries, numbers = numbered(at)
        mask = sizes.node("LessOrEqual", numbers, queries)
        if at.has(3) and at.dtype(3) == onnx.TensorProto.BOOL:
            mask = sizes.node("And", mask, operands[3])
        elif at.has(3):
            mask = sizes.node("Where", mask, operands[3], sizes.constant(np.array(-np.inf), at.dtype(3)))
        operands[3:4] = [mask]
    if handed:
        operands += ["", *map(at.given, (1, 2))][len(operands) - 3 :]
    node = at.add(operands, at.part, *(map(at.present_part, (1, 2)) if handed else ()))
    for attribute in node.attribute:
        if attribute.name == "is_causal":
            attribute.i = 0


def attend_with_past(at: Resumed) -> None:
    """MultiHeadAttention: the keys and values of earlier positions are its past.

    It looks at a past only if it also hands one out. A bias is added to new keys and values, not to those of the past.
    """
    operands = [at.own(0), at.later(1), at.later(2), *map(at.own, at.slots[3:6])]
    operands += [""] * (6 - len(operands))
    past = [at.given(slot) if at.hands_out(slot) else _earlier(at, operands, slot) for slot in (1, 2)]
    at.add([*operands, *past], at.part, *map(at.present_part, (1, 2)))


def _earlier(at: Resumed, operands: Sequence[str], slot: int) -> str:
    """Keys or values of earlier positions, from what the operator read of them."""
    flat = _flat(at, at.earlier(slot), operands[slot])
    return _by_heads(at, _biased(at, flat, operands, slot) if operands[3] else flat)


def _size(at: Resumed, tensor: str, axis: int) -> str:
    return at.sizes.node("Gather", at.sizes.node("Shape", tensor), at.sizes.vector([axis]), axis=0)


def _flat(at: Resumed, earlier: str, later: str) -> str:
    """[B, P, width]; where P is 0, what is kept may have no other sizes either."""
    shape = at.sizes.node("Concat", _size(at, later, 0), at.sizes.known, _size(at, later, 2), axis=0)
    return at.sizes.node("Reshape", earlier, shape)


def _biased(at: Resumed, flat: str, operands: Sequence[str], slot: int) -> str:
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
    """Attention with its projections: what it hands out is its past, or else that is projected again."""
    x, weights, bias, mask = [*map(at.own, at.slots[:4]), "", ""][:4]
    past = at.given(1) if at.hands_out(1) else _projected(at, x, weights, bias)
    at.add([x, weights, bias, mask, past], at.part, at.present_part(1))


def _projected(at: Resumed, x: str, weights: str, bias: str) -> str:
    """The past of an Attention whose keys and values are in no tensor of the model: its input is kept instead."""
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
    return sizes.node("Transpose", apart, perm=(2, 0, 3, 1, 4))


def attend_in_groups(at: Resumed) -> None:
    """GroupQueryAttention, by a MultiHeadAttention of repeated keys and values, or by plain operators.

    It takes no more than one new position behind a past itself: onnxruntime 1.18 gives wrong results for more, later
    versions refuse them for more than one row.
    """
    sizes, heads, groups = at.sizes, at.attribute("num_heads"), at.attribute("kv_num_heads")
    query, *later = _apart(at)
    if at.attribute("do_rotary"):
        query, later[0] = _turned(at, query, heads), _turned(at, later[0], groups)
    past = [at.given(1), at.given(2)]
    for number, (known, new) in enumerate(zip(past, later, strict=True), 1):
        parts = [known, _in_groups(at, new)]
        sizes.nodes.append(onnx.helper.make_node("Concat", parts, [at.present_part(number)], axis=2))
    if needs_plain_operators(at):
        attend_plainly(at, query, *(_repeated_heads(at, at.present_part(n), sizes.all) for n in (1, 2)))
    else:
        _attend_by_heads(at, query, later, past)


def _attend_by_heads(at: Resumed, query: str, later: Sequence[str], past: Sequence[str]) -> None:
    """A MultiHeadAttention of a GroupQueryAttention's parts: new ones [B, positions, …], and those of the past."""
    sizes = at.sizes
    operands = [query, *(_repeated(at, new) for new in later), "", ""]
    operands.append(windowed(at, query) if at.attribute("local_window_size", -1) > 0 else "")
    operands += [_repeated_heads(at, known, sizes.known) for known in past]
    attributes = {a.name: a.f for a in at.source.attribute if a.name == "scale"}
    written = [at.part, f"{at.part}.keys", f"{at.part}.values"]
    heads: dict[str, Any] = {"num_heads": at.attribute("num_heads"), "unidirectional": 1, **attributes}
    node = onnx.helper.make_node("MultiHeadAttention", operands, written, domain=at.source.domain, **heads)
    sizes.nodes.append(node)


def _apart(at: Resumed) -> list[str]:
    """The suffixes of queries, keys and values, which may be packed into one tensor, [B, positions, …]."""
    if at.has(1):
        return [at.own(0), at.later(1), at.later(2)]
    sizes, packed = at.sizes, at.own(0)
    heads, groups = at.attribute("num_heads"), at.attribute("kv_num_heads")
    each = sizes.node("Div", _size(at, packed, 2), sizes.vector([heads + 2 * groups]))
    ends = [sizes.node("Mul", each, sizes.vector([n])) for n in (0, heads, heads + groups, heads + 2 * groups)]
    return [sizes.node("Slice", packed, *bounds, sizes.vector([2])) for bounds in pairwise(ends)]


def _turned(at: Resumed, x: str, heads: int) -> str:
    """A rotary embedding of the positions of the suffix."""
    interleaved = at.attribute("rotary_interleaved")
    angles = at.source.input[7:9]
    return at.sizes.node(
        *("RotaryEmbedding", x, at.sizes.known, *angles),
        domain=at.source.domain,
        num_heads=heads,
        interleaved=interleaved,
    )


def _in_groups(at: Resumed, x: str) -> str:
    """[B, positions, groups·size] as [B, groups, positions, size]."""
    sizes, groups = at.sizes, at.sizes.vector([at.attribute("kv_num_heads")])
    each = sizes.node("Div", _size(at, x, 2), groups)
    shape = sizes.node("Concat", _size(at, x, 0), sizes.rest, groups, each, axis=0)
    return sizes.node("Transpose", sizes.node("Reshape", x, shape), perm=(0, 2, 1, 3))


def _repeated(at: Resumed, x: str) -> str:
    """Every head of [B, positions, groups·size] as often as there are queries for it."""
    sizes, groups, batch = at.sizes, at.attribute("kv_num_heads"), _size(at, x, 0)
    times = at.attribute("num_heads") // groups
    width = _size(at, x, 2)
    each = sizes.node("Div", width, sizes.vector([groups]))
    flat = [batch, sizes.rest, sizes.node("Mul", width, sizes.vector([times]))]
    return _expanded(at, x, times, [batch, sizes.rest, sizes.vector([groups]), each], flat, 3)


def _repeated_heads(at: Resumed, x: str, count: str) -> str:
    """Likewise of [B, groups, positions, size]; `count`: how many positions."""
    sizes, groups, heads = at.sizes, at.attribute("kv_num_heads"), at.attribute("num_heads")
    batch, each = _size(at, x, 0), _size(at, x, 3)
    apart = [batch, sizes.vector([groups]), count, each]
    return _expanded(at, x, heads // groups, apart, [batch, sizes.vector([heads]), count, each], 2)


def _expanded(at: Resumed, x: str, times: int, apart: list[str], flat: list[str], axis: int) -> str:
    """x, of sizes `apart`, repeated along a new axis, which is then one with the axis before it: sizes `flat`."""
    if times == 1:
        return x
    shapes = [[*apart[:axis], at.sizes.vector([n]), *apart[axis:]] for n in (1, times)]
    one, wide, all_ = (at.sizes.node("Concat", *shape, axis=0) for shape in (*shapes, flat))
    return at.sizes.node("Reshape", at.sizes.node("Expand", at.sizes.node("Reshape", x, one), wide), all_)


def turn(at: Resumed) -> None:
    """A rotary embedding that counts positions from the first one that it gets: from P on."""
    x, number, *rest = map(at.own, at.slots)
    at.add([x, at.sizes.node("Add", number, at.sizes.known), *rest], at.part)
