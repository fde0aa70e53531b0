"""Symbolic sizes: equality is proof, division is exact or not at all."""

from __future__ import annotations

import pytest
from rows_support import described, literal, rows, sample, weight

from actcache.passes.rows.sizes import ONE, ZERO, N, Symbols, const, product


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


def test_division(symbols: Symbols) -> None:
    s, h = symbols.fresh("S"), symbols.fresh("H")
    assert (N * s * h).divided_by(s * h) == N
    assert (N * (s + ONE) * h).divided_by((s + ONE) * h) == N
    assert (N * s * const(768)).divided_by(const(64)) == N * s * const(12)
    assert (N * s).divided_by(h) is None and (N * s * const(3)).divided_by(const(2)) is None
    assert (N * s).divided_by(ZERO) is None and ZERO.divided_by(s) == ZERO


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
    assert (N * symbols.opaque("f", N)).block() is None


def test_signs(symbols: Symbols) -> None:
    s, any_number = symbols.fresh("S"), symbols.fresh("?", dimension=False)
    assert (s + ONE).sign() == 1 and s.sign() is None and (ZERO - s - ONE).sign() == -1 and ZERO.sign() == 0
    assert any_number.sign() is None and not any_number.dimension and s.dimension and not (s - ONE).dimension
