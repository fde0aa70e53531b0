"""Matrix products: with constants, with other tensors, with themselves."""

from __future__ import annotations

import numpy as np

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import BYTES, Known

MICROSOFT = "com.microsoft"


def columns(x: Known) -> int:
    """The size of the last axis: the same in all feeds, and not 0 (integer products write nothing then)."""
    if x.rank == 0 or x.rank - 1 in x.varying or not x.smallest:
        raise Unfit
    return x.shape[-1]


@builds("MatMul", weight=7)
def matmul(s: Sketch, op: str) -> None:
    x = s.pick(("float32", "float64", "float16"), range(1, 5), noisy=True)
    how = s.below(4)
    if how <= 1:
        s.add(op, [x, s.weight([columns(x), 1 + s.below(4)], x.dtype)])
    elif how == 2:
        rest = x.shape[-2] if x.rank > 1 and x.rank - 2 not in x.varying else 1
        s.add(op, [s.weight([2, rest], x.dtype), x])
    else:
        fitting = [k for k in s.known if k.dtype == x.dtype and k.rank in (1, 2, 3, 4) and not k.noisy and _meet(x, k)]
        s.add(op, [x, s.one_of(fitting)])


def _meet(a: Known, b: Known) -> bool:
    return all(x.shape[-1] == y.shape[max(0, y.ndim - 2)] for x, y in zip(a.arrays, b.arrays, strict=True))


@builds("MatMul", weight=2)
def scores(s: Sketch, op: str) -> None:
    """x xᵀ: within a row where the batch is in front, across rows for a matrix."""
    x = s.pick(("float32",), range(2, 5))
    perm = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    s.add(op, [x, s.add("Transpose", [x], perm=perm)[0]])


@builds("Gemm", weight=4)
def gemm(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (2,))
    turned = s.chance(25)
    inner = 0 if turned else 1
    if inner in x.varying:
        raise Unfit
    count = 1 + s.below(4)
    b_turned = s.below(2)
    w = s.weight([count, x.shape[inner]] if b_turned else [x.shape[inner], count])
    bias = [s.weight(s.one_of(([count], [1, count], [1])))] if s.chance(60) else []
    s.add(op, [x, w, *bias], transA=int(turned), transB=b_turned, alpha=0.7 if s.chance(20) else None)


_EQUATIONS = {
    1: ("i,i->i", "i,j->ij", "i,i->"),
    2: ("bi,bi->bi", "bi,bj->bij", "bi,ci->bc", "bi,bi->b", "bi,bj->ij", "bi,ji->jb"),
    3: ("bij,bkj->bik", "bij,bij->bi", "bij,bij->ij", "bij,cij->bc", "bij,bik->bjk", "...ij,...kj->...ik"),
    4: ("bhid,bhjd->bhij", "bhid,bhid->bhi", "bhid,bhid->hid", "bhid,bhjd->bihj"),
}


@builds("Einsum", since=12, weight=3)
def einsum(s: Sketch, op: str) -> None:
    x = s.pick(("float32", "float64"), range(1, 5))
    if s.chance(25):
        single = {1: "i->", 2: "ij->ji", 3: "bij->bi", 4: "bhij->ihbj"}[x.rank]
        s.add(op, [x], equation=s.one_of((single, "...i->i...")))
        return
    same = [k for k in s.known if k.dtype == x.dtype and k.rank == x.rank and not k.noisy]
    s.add(op, [x, s.one_of([x, *same])], equation=s.one_of(_EQUATIONS[x.rank]))


@builds("FusedMatMul", domain=MICROSOFT, weight=2)
@builds("TransposeMatMul", domain=MICROSOFT, weight=1)
def fused_matmul(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), range(2, 5))
    turned, batches = s.below(2), s.below(2) if op == "FusedMatMul" and x.rank == 3 else 0
    perm = list(range(x.rank))
    if batches:
        perm = [1, 0, 2] if not turned else [1, 2, 0]
    elif turned:
        perm = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    inner = perm[-1]
    if inner in x.varying:
        raise Unfit
    w = s.weight([x.shape[inner], 2])
    extra = {"transBatchA": batches} if op == "FusedMatMul" else {}
    s.add(op, [x, w], domain=MICROSOFT, transA=turned, alpha=0.5 if s.chance(30) else None, **extra)


@builds("FusedGemm", domain=MICROSOFT, weight=1)
def fused_gemm(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (2,))
    s.add(op, [x, s.weight([columns(x), 3]), s.weight([3])], domain=MICROSOFT, activation="Relu")


@builds("MatMulNBits", domain=MICROSOFT, weight=1)
@builds("MatMulBnb4", domain=MICROSOFT, weight=1)
def few_bits(s: Sketch, op: str) -> None:
    """Weights of four bits in blocks: the last axis is tiled to one block."""
    x = s.pick(("float32",), (2, 3))
    repeats = [*[1] * (x.rank - 1), -(-32 // max(columns(x), 1))]
    wide = s.add("Tile", [x, s.integers(*repeats)])[0]
    wide = s.add("Slice", [wide, s.integers(0), s.integers(32), s.integers(x.rank - 1)])[0]
    if op == "MatMulNBits":
        inputs = [wide, s.weight([4, 1, 16], "uint8"), s.weight([4])]
        s.add(op, inputs, domain=MICROSOFT, K=32, N=4, bits=4, block_size=32)
    else:
        s.add(
            op, [wide, s.weight([64], "uint8"), s.weight([4])], domain=MICROSOFT, K=32, N=4, block_size=32, quant_type=0
        )


@builds("Det", since=11)
@builds("Inverse", domain=MICROSOFT, weight=1)
def of_a_matrix(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), range(2, 5), lambda k: all(a.shape[-1] == a.shape[-2] for a in k.arrays))
    near_one = s.add("Add", [s.add("Tanh", [x])[0], s.constant(np.eye(columns(x)) * 3, "float32")])[0]
    s.add(op, [near_one], domain=MICROSOFT if op == "Inverse" else "")


@builds("MatMulInteger", since=10, weight=2)
def matmul_integer(s: Sketch, op: str) -> None:
    x = s.pick(BYTES, range(1, 4))
    w = s.weight([columns(x), 3], s.one_of(BYTES))
    zero = s.constant(3, x.dtype)
    s.add(op, [x, w, zero] if s.chance(60) else [x, w])


@builds("MatMulInteger16", domain=MICROSOFT, weight=1)
def matmul_integer_16(s: Sketch, op: str) -> None:
    x = s.add("Cast", [s.pick(("int64", "int32", "uint8"), range(2, 4))], to=5)[0]
    s.add(op, [x, s.weight([columns(x), 3], "int16")], domain=MICROSOFT)
