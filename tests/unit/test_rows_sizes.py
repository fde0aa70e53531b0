"""Symbolic sizes: equality is proof, division is exact or not at all."""

from __future__ import annotations

import onnx
import pytest
from rows_support import described, literal, rows, sample, weight

from actcache.passes.rows.registry import Op, objects
from actcache.passes.rows.sizes import ONE, ZERO, N, Size, Symbols, const, product
from actcache.passes.rows.state import BATCH_SIZE, Value
from actcache.passes.rows.wrapping import without_wrapped


@pytest.fixture
def symbols() -> Symbols:
    return Symbols()


def test_sums_and_products_are_canonical(symbols: Symbols) -> None:
    s, h = symbols.fresh("S"), symbols.fresh("H")
    assert (s + ONE) * h == h + h * s
    assert s + ONE - ONE == s and s - s == ZERO
    assert product([N, s, h]) == h * s * N and product([]) == ONE


def test_fresh_symbols_differ_and_opaque_ones_agree(symbols: Symbols) -> None:
    s = symbols.fresh("S")
    assert s != symbols.fresh("S")
    assert symbols.opaque("div", s, const(2)) == symbols.opaque("div", s, const(2))
    assert symbols.opaque("div", s, const(2)) != symbols.opaque("div", s, const(3))
    assert symbols.opaque("div", N, s).batch and not symbols.opaque("div", s, s).batch
    assert not symbols.opaque("div", s, s).dimension and symbols.opaque("mod", s, s, dimension=True).dimension


def test_integers_are_known_where_all_parts_are(symbols: Symbols) -> None:
    whole, open_number = symbols.fresh("?", dimension=False), symbols.fresh("?", dimension=False, integer=False)
    assert whole.integer and not open_number.integer and symbols.fresh("S", integer=False).integer
    assert (whole + ONE).integer and not (whole + open_number).integer and not (whole * open_number).integer
    assert symbols.opaque("f", whole, const(2)).integer and not symbols.opaque("f", whole, open_number).integer
    assert symbols.opaque("f", open_number, dimension=True).integer


def test_what_integers_may_not_hold_is_unknown(symbols: Symbols) -> None:
    def held(size: Size, dtype: int | None = onnx.TensorProto.INT64, operator: str = "Add") -> Size:
        value = Value(BATCH_SIZE, (ONE,), objects([size], (1,)))
        op = Op(onnx.helper.make_node(operator, [], ["y"]), 21, [], symbols)
        content = without_wrapped(value, op, dtype).content
        assert content is not None
        found: Size = content[0]
        return found

    s, most = symbols.fresh("S"), 2**63 - 1
    for size in (ZERO, N * s + const(2**31), const(most), const(-most - 1)):
        assert held(size) == size
    for size in (const(most + 1), const(-most - 2), N + const(most), N * const(2**62)):
        found = held(size)
        assert found.value is None and found.batch == size.batch and not found.dimension and found != held(size)
    uint8, int32 = onnx.TensorProto.UINT8, onnx.TensorProto.INT32
    assert held(const(255), uint8) == const(255) and held(const(2**31 - 1), int32) == const(2**31 - 1)
    assert held(const(most), None).value is None and held(const(most), None, "Concat") == const(most)
    assert None is held(const(256), uint8).value is held(const(-1), uint8).value is held(const(2**31), int32).value


def test_texts_are_as_in_a_formula(symbols: Symbols) -> None:
    s = symbols.fresh("S")
    assert [str(size) for size in (ZERO, const(5), N, N * s, N * const(2))] == ["0", "5", "N", "N·S", "2·N"]
    assert str(N * s * const(3) + ONE) == "3·N·S + 1"


def test_division(symbols: Symbols) -> None:
    s, h = symbols.fresh("S"), symbols.fresh("H")
    assert (N * s * h).divided_by(s * h) == N
    assert (N * (s + ONE) * h).divided_by((s + ONE) * h) == N
    assert (N * s * const(768)).divided_by(const(64)) == N * s * const(12)
    assert (N * s).divided_by(h) is None and (N * s * const(3)).divided_by(const(2)) is None
    assert (N * s).divided_by(ZERO) is None and ZERO.divided_by(s) == ZERO


def test_sums_of_more_than_twelve_terms_are_not_divided(symbols: Symbols) -> None:
    h, parts = symbols.fresh("H"), [symbols.fresh("S") for _ in range(13)]
    twelve, thirteen = sum(parts[:12], ZERO), sum(parts, ZERO)
    assert (twelve * h).divided_by(h) == twelve and (thirteen * h).divided_by(h) is None


def test_quotients_of_many_more_terms_than_twelve_are_not_followed(symbols: Symbols) -> None:
    """h to the power of n, less 1, is divided by h - 1: a quotient of n terms."""
    h = symbols.fresh("H")
    for terms, followed in ((12, True), (13, True), (14, False)):
        quotient = (product([h] * terms) - ONE).divided_by(h - ONE)
        assert (quotient is not None) is followed
        assert quotient is None or len(quotient.terms) == terms


def test_the_smaller_of_two_sizes(symbols: Symbols) -> None:
    s, t = symbols.fresh("S"), symbols.fresh("T")
    assert (
        symbols.least(s, s + t) == s and symbols.least(s + t, s) == s and symbols.least(const(2), const(3)) == const(2)
    )
    smaller = symbols.least(s, t + ONE)
    assert smaller == symbols.least(t + ONE, s) and smaller not in (s, t + ONE) and smaller.dimension
    assert symbols.cut_to(smaller, s)  # T + 1 is not 0
    assert not symbols.cut_to(smaller, t + ONE)  # S may be
    assert not symbols.cut_to(smaller, t) and not symbols.cut_to(s, s) and not symbols.cut_to(smaller + ONE, s)
    other = symbols.least(t, s + ONE)
    assert symbols.cut_to(other, t) and not symbols.cut_to(other, s + ONE)


def test_rounded_sizes_agree_where_the_parts_and_the_parameters_do(symbols: Symbols) -> None:
    s = symbols.fresh("S")
    half = symbols.rounded("floor", s, 1, 2)
    assert half == symbols.rounded("floor", s, 1, 2) and not half.batch and symbols.rounded("floor", N, 1, 2).batch
    others = {symbols.rounded("ceil", s, 1, 2), symbols.rounded("floor", s, 1, 3), symbols.rounded("floor", N, 1, 2)}
    assert len(others) == 3 and half not in others and not half.dimension


def test_division_by_what_may_be_zero_for_one_row_is_not_exact() -> None:
    tried = sample(
        """n = Shape<end = 1>(x) s = Shape<start = 1>(x) a = Sub(n, one) b = Mul(a, s) c = Div(b, a) t = Expand(w, c)
           y = Add(x, t)""",
        "mixed",
        x=rows(3),
        one=literal([1]),
        w=weight(1),
    )
    assert described(tried.proof.state("y")) == "mixed"


def test_block_is_the_cofactor_of_n(symbols: Symbols) -> None:
    s = symbols.fresh("S")
    assert (N * s).block() == s and N.block() == ONE and (N * s + N).block() == s + ONE
    assert s.block() is None and (N * N).block() is None and (N + ONE).block() is None
    assert (N * symbols.opaque("f", N)).block() is None and symbols.opaque("f", N).block() is None
    assert ZERO.block() is None


def test_signs(symbols: Symbols) -> None:
    s, any_number = symbols.fresh("S"), symbols.fresh("?", dimension=False)
    assert (s + ONE).sign() == 1 and s.sign() is None and (ZERO - s - ONE).sign() == -1 and ZERO.sign() == 0
    assert (ZERO - s).sign() is None and (s - ONE).sign() is None and (ONE - s).sign() is None
    assert any_number.sign() is None and not any_number.dimension and s.dimension and not (s - ONE).dimension
