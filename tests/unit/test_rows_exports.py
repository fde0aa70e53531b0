"""What PyTorch's two exporters write, in small: proven to keep rows apart, and held to onnxruntime.

Each was taken from an export that ``tests/exports`` makes. Where it takes little to make one unsafe, that comes after
it and must be refused.
"""

from __future__ import annotations

from typing import Any

import pytest
from rows_support import Claim, Sample, Tensor, described, follows, literal, rows, sample, session, weight

TOKENS = Tensor((6,), 0, "int64", low=0, high=9, loose=True)
MASK = Tensor((6,), 0, "float32", loose=True)
TABLE = weight(10, 4)

#: Positions: a constant table of them, longer than texts, cut to the tokens there are.
POSITIONS: dict[str, Any] = {
    "x": TOKENS,
    "table": TABLE,
    "positions": literal([list(range(12))]),
    "places": weight(12, 4),
}
POSITIONS |= {"zero": literal([0]), "one": literal([1]), "heads": literal([2, 2])}
CUT = """n = Shape<start = 0, end = 1>(x) s = Shape<start = 1, end = 2>(x)
         own = Slice(positions, zero, s, one, one) p = Gather(places, own) e = Gather(table, x)"""

#: The rows' positions along axis 0 of a tensor of rank 4, as vmap's masks need them.
ROW_POSITIONS: dict[str, Any] = {"x": MASK, "start": literal(0), "step": literal(1), "inner": literal([1, 2, 3])}
COUNT = "n = Shape<start = 0, end = 1>(x) ns = Squeeze(n) i = Range(start, ns, step) r = Unsqueeze(i, inner)"

#: A mask of TorchScript: row i of the flattened mask begins at i·S.
FLAT_MASK = """s = Shape<start = 1, end = 2>(x) ss = Squeeze(s) flat = Flatten<axis = 2>(x) at = Mul(r, s)
               long = Range(start, {limit}, step) keys = Unsqueeze(long, outer) index = Add(keys, at)
               found = Gather(flat, index) back = Shape(index) y = Reshape(found, back)"""

#: as_strided of [N, 4, 1, 1]: offsets are put together from those along each axis.
STRIDED = """flat = Reshape(x, rest) n = Shape<start = 0, end = 1>(x) ns = Squeeze(n) i = Range(start, ns, step)
             at = Mul(i, four) r = Unsqueeze(at, inner) c = Add(r, channels) h = Add(c, none) w = Add(h, none)
             y = Gather(flat, w)"""
STRIDES: dict[str, Any] = {
    "x": rows(4, 1, 1),
    "rest": literal([-1]),
    "start": literal(0),
    "step": literal(1),
    "four": literal(4),
}
STRIDES |= {"inner": literal([1, 2, 3]), "none": literal([[[[0]]]])}

#: CLIP's text tower: the state at the first end-of-text token, from rows flattened after positions were added.
POOLED = """h = Add(e, p) is = Equal(x, end) int = Cast<to = 6>(is) first = ArgMax<axis = -1, keepdims = 0>(int)
            sh = Shape(h) ns = Gather(sh, start) i = Range(start, ns, step) width = Gather(sh, one) at = Mul(i, width)
            place = Add(first, at) flat = Flatten<axis = 2>(h) y = Gather(flat, place)"""

#: nn.MultiheadAttention works on [S, N, E], and TorchScript writes the S of the example into the graph.
TIME_FIRST: dict[str, Any] = {
    "x": Tensor((6,), 1, "int64", low=0, high=9, loose=True),
    "table": weight(10, 8),
    "four": literal([4]),
}

#: Its last projection is a product of matrices: [S, N, E] as [S·N, E].
FLATTENED = """e = Gather(table, x) both = Reshape(e, rows_last)
               product = MatMul(both, matrix) back = Shape(e)"""
TIME_FLAT: dict[str, Any] = {**TIME_FIRST, "matrix": weight(8, 8), "bias": weight(8), "rows_last": literal([-1, 8])}


def strided(channels: list[int], claim: Claim) -> Sample:
    return sample(STRIDED, claim, channels=literal([[[[c]] for c in channels]]), **STRIDES)


def flat_mask(limit: str, claim: Claim) -> Sample:
    nodes = f"{COUNT} seven = Add(start, more) {FLAT_MASK.format(limit=limit)}"
    return sample(nodes, claim, outer=literal([0, 1, 2]), more=literal(7), **ROW_POSITIONS)


def attention(nodes: str, claim: Claim, *shapes: tuple[int, ...], **constants: Any) -> Sample:
    given: dict[str, Any] = dict(zip("qkv", map(rows_of, shapes), strict=True))
    return sample(nodes, claim, opset=23, **given, **constants)


def rows_of(shape: tuple[int, ...]) -> Tensor:
    return rows(*shape)


SAMPLES: dict[str, Sample] = {
    "positions": sample(
        f"{CUT} h = Add(e, p) t = Concat<axis = 0>(n, s, heads) y = Reshape(h, t)", 0, opset=17, **POSITIONS
    ),
    "token types left out": sample(
        f"""{CUT} zeros = ConstantOfShape<value = int64[1] {{0}}>(twelve) k = Concat<axis = 0>(one, twelve)
            types = Reshape(zeros, k) t = GatherElements<axis = 1>(types, own) shape = Concat<axis = 0>(n, s)
            all = Expand(t, shape) te = Gather(table, all) y = Add(e, te)""",
        0,
        twelve=literal([12]),
        **POSITIONS,
    ),
    "mask of dynamo": sample(
        f"""{COUNT} s = Shape<start = 1, end = 2>(x) ss = Squeeze(s) long = Range(start, ss, step)
            keys = Unsqueeze(long, outer) both = Max(r, keys) shape = Shape(both) i4 = Expand(r, shape)
            k4 = Expand(keys, shape) i5 = Unsqueeze(i4, last) k5 = Unsqueeze(k4, last)
            index = Concat<axis = -1>(i5, k5) y = GatherND(x, index)""",
        0,
        outer=literal([0, 1, 2]),
        last=literal([-1]),
        **ROW_POSITIONS,
    ),
    "mask of TorchScript": flat_mask("ss", 0),
    "mask of TorchScript, longer than a row": flat_mask("seven", "mixed"),
    "as_strided": strided([0, 1, 2, 3], 0),
    "as_strided, out of its own row": strided([0, 1, 2, 4], "mixed"),
    "as_strided, before its own row": strided([0, 1, 2, -1], "mixed"),
    "end-of-text pooling": sample(f"{CUT} {POOLED}", 0, start=literal(0), step=literal(1), end=literal(3), **POSITIONS),
    "attention of opset 23": attention(
        "a = Attention(q, k, v) t = Transpose<perm = [0, 2, 1, 3]>(a) y = Reshape(t, shape)",
        0,
        (2, 5, 4),
        (2, 7, 4),
        (2, 7, 3),
        shape=literal([-1, 5, 6]),
    ),
    "attention of opset 23, heads on the last axis": attention(
        "a = Attention<q_num_heads = 4, kv_num_heads = 2>(q, k, v) y = Reshape(a, shape)",
        (0, 5),
        (5, 16),
        (7, 8),
        (7, 6),
        shape=literal([-1, 12]),
    ),
    "time first": sample(
        """e = Gather(table, x) n = Shape<start = 1, end = 2>(x) heads = Mul(n, two)
           shape = Concat<axis = 0>(six, heads, four) y = Reshape(e, shape)""",
        (1, 2),
        two=literal([2]),
        six=literal([6]),
        **TIME_FIRST,
    ),
    "time first, rows and tokens flattened for a product": sample(
        f"{FLATTENED} sum = Add(product, bias) y = Reshape(sum, back)", 1, **TIME_FLAT
    ),
    "time first, taken for rows first": sample(
        f"{FLATTENED} y = Reshape(product, wrong)", "mixed", wrong=literal([-1, 48]), **TIME_FLAT
    ),
    "time first, as if rows came first": sample(
        f"""{FLATTENED} turned = Transpose<perm = [1, 0, 2]>(e) other = Reshape(turned, rows_last)
            sum = Add(product, other) y = Reshape(sum, back)""",
        "mixed",
        **TIME_FLAT,
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_claim_is_what_onnxruntime_does(name: str) -> None:
    tried = SAMPLES[name]
    state = tried.proof.state("y")
    assert {"y": described(state)} == tried.claims, state
    if tried.claims != {"y": "mixed"}:
        assert [chosen for _, chosen, same in follows(tried, session(tried)) if not same] == []
