"""Selection: the closed set with the best balance of time saved and bytes kept."""

from __future__ import annotations

from graphs import TOWERS, view

from actcache.passes.choice.minimum_cut import Prices, best_closed_set

CHAIN = "chain (float[N] x) => (float[N] d) { a = Neg(x) b = Abs(a) c = Tanh(b) d = Sqrt(c) }"


def test_everything_is_taken_when_keeping_is_cheap() -> None:
    prices = Prices([1.0] * 4, dict.fromkeys("abcd", 0.1))
    assert best_closed_set(view(CHAIN), prices, (), ()) == {0, 1, 2, 3}


def test_the_cut_moves_to_where_few_bytes_are_kept() -> None:
    prices = Prices([1.0, 5.0, 0.1, 0.1], {"a": 1.0, "b": 0.1, "c": 1.0, "d": 3.0})
    assert best_closed_set(view(CHAIN), prices, (), ()) == {0, 1}


def test_nothing_is_taken_when_keeping_costs_more_than_it_saves() -> None:
    assert best_closed_set(view(CHAIN), Prices([1.0] * 4, dict.fromkeys("abcd", 9.0)), (), ()) == frozenset()


def test_tensors_that_cannot_be_kept_are_no_live_outs() -> None:
    assert best_closed_set(view(CHAIN), Prices([1.0] * 4, {"a": 0.1}), (), ()) == {0}


def test_nodes_that_must_stay_outside_end_the_region() -> None:
    prices = Prices([1.0] * 4, dict.fromkeys("abcd", 0.1))
    assert best_closed_set(view(CHAIN), prices, {2}, ()) == {0, 1}
    assert best_closed_set(view(CHAIN), prices, {0, 1}, {"b"}) == {2, 3}


def test_a_region_is_closed_under_what_it_reads() -> None:
    prices = Prices([0.1, 5.0, 0.1, 0.1], {"h": 1.0, "t": 0.1, "s": 0.01, "y": 50.0})
    assert best_closed_set(view(TOWERS), prices, (), ()) >= {0, 1}


def test_a_tensor_with_several_readers_is_paid_for_once() -> None:
    fan = view("fan (float[N] x) => (float[N] e) { a = Neg(x) b = Abs(a) c = Tanh(a) d = Add(b, c) e = Sqrt(d) }")
    prices = Prices([10.0, 0.0, 0.0, 0.0, 0.0], {"a": 6.0, "b": 5.0, "c": 5.0, "d": 90.0, "e": 90.0})
    assert best_closed_set(fan, prices, (), ()) == {0}
