"""Predicting plans on recorded keys: reuse, the store's budget, nesting, and the time that is left."""

from __future__ import annotations

import numpy as np
import pytest
from costs import costs_of
from graphs import TOWERS, view

from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.chained_keys import Hashes
from actcache.passes.choice.choose import choose, wanted_places
from actcache.passes.choice.prediction import Predictor, _Part
from actcache.passes.choice.store_simulation import ENTRY_OVERHEAD, StoreSimulation
from actcache.passes.choice.trace_keys import Place, TraceKeys
from actcache.passes.costs.cost import Costs
from actcache.passes.costs.time_model import FewRows, TimeModel
from actcache.passes.cuts import RowCut, TensorShape
from actcache.passes.cuts.conditions import SizeRule
from actcache.passes.graph.view import GraphView

Keys = dict[str, list[list[int]]]


def recording(keys: Keys, seconds: float = 1.0) -> TraceKeys:
    """Per tensor and call one number per row; the whole tensor's hash follows from them."""
    hashes: dict[Place, list[Hashes]] = {}
    for name, calls in keys.items():
        hashes[Place(name, 0)] = [np.array(rows, np.uint64) for rows in calls]
        hashes[Place(name)] = [np.array([hash(tuple(rows)) & (2**63 - 1)], np.uint64) for rows in calls]
    count = len(next(iter(keys.values())))
    shapes = {name: [TensorShape((len(rows), 1)) for rows in calls] for name, calls in keys.items()}
    return TraceKeys(np.full(count, seconds), hashes, shapes)


def predictor(graph: GraphView, keys: Keys, costs: Costs | None = None, budget: int = 1 << 30) -> Predictor:
    return Predictor(TimeModel(costs or costs_of(graph), []), recording(keys), budget)


def regions(graph: GraphView, **options: object) -> list[Candidate]:
    return list(choose(graph, costs_of(graph), **options).plans[0])  # type: ignore[arg-type]


# -- the parts ----------------------------------------------------------------------------------------

ROOM = 100 + ENTRY_OVERHEAD


def touch(store: StoreSimulation, key: int, saving: float, size: int = 100) -> bool:
    return bool(store.touch(np.array([key], np.uint64), size, saving)[0])


def test_the_store_evicts_what_saves_least_for_its_bytes() -> None:
    store = StoreSimulation(10 * ROOM)
    dear, cheap, fair, new, huge = range(8), 100, 101, 102, 103
    assert not any(touch(store, key, 9.0) for key in dear)
    assert not touch(store, cheap, 1.0) and not touch(store, fair, 4.0) and not touch(store, new, 5.0)
    assert all(touch(store, key, 9.0) for key in dear) and touch(store, fair, 4.0)
    assert touch(store, new, 5.0) and not touch(store, cheap, 1.0)
    assert not touch(store, huge, 99.0, 10_000) and not touch(store, huge, 99.0, 10_000)


def test_equal_keys_of_two_regions_are_two_entries() -> None:
    store = StoreSimulation(1 << 20)
    keys = np.array([5, 5, 5, 6], np.uint64)
    assert store.touch(keys, 100, 1.0, [0, 1, 0, 1]).tolist() == [False, False, True, False]


def test_what_saves_nothing_takes_spare_room_only() -> None:
    store = StoreSimulation(10 * ROOM)
    first, second = np.arange(10, dtype=np.uint64), np.arange(20, 30, dtype=np.uint64)
    assert not store.touch(first, 100, 0.0).any() and store.touch(first, 100, 0.0).all()
    assert not store.touch(second, 100, 1.0).any() and store.touch(second, 100, 1.0).all()
    assert not touch(store, 0, 0.0)


def test_a_simulated_store_needs_no_memory_for_values() -> None:
    store = StoreSimulation(1 << 50)
    keys = np.arange(1000, dtype=np.uint64)
    assert not store.touch(keys, 1 << 39, 1.0).any() and store.touch(keys, 1 << 39, 1.0).all()


def test_keys_join_the_places_of_a_frontier() -> None:
    made = recording({"a": [[1, 2], [1, 3]], "b": [[7, 7], [7, 8]]})
    both = [Place("a", 0), Place("b", 0)]
    first, second = made.keys(both)
    assert first[0] == second[0] and len({*first.tolist(), *second.tolist()}) == 3
    assert made.distinct(both) == 3 and made.distinct([Place("a")]) == 2
    assert not made.holds([Place("c", 0)])


def test_a_call_whose_sizes_do_not_fit_the_proof_is_one_key() -> None:
    made = recording({"a": [[1, 2], [1, 2], [2, 1]]})
    rule = SizeRule((0, 0), 1, ((0, 1),))  # as many rows as axis 1 is long, and one more
    for cut, counts in ((RowCut((0,), (0,), sizes=(rule,)), [2, 2, 2]), (RowCut((0,), (0,), ranks=(3,)), [1, 1, 1])):
        assert [len(keys) for keys in made.keys([Place("a", 0)], cut)] == counts
    first, same, swapped = made.keys([Place("a", 0)], RowCut((0,), (0,), ranks=(3,)))
    assert first == same != swapped


def test_row_tensors_that_disagree_make_one_key_of_the_call() -> None:
    made = recording({"a": [[1, 2]], "b": [[1, 2, 3]]})
    assert len(made.keys([Place("a", 0), Place("b", 0)])[0]) == 1


def test_times_are_lines_through_two_measurements() -> None:
    whole = Costs((4.0, 8.0), 12.0, {}, measured=True)
    few = Costs((1.0, 5.0), 6.0, {}, measured=True)
    times = TimeModel(whole, [FewRows({"a": 0}, 1, few)])
    assert times.line([0], {"a": 0}, 4) == (0.0, 1.0)
    assert times.line([1], {"a": 0}, 4) == (4.0, 1.0)
    assert times.line([1], {"b": 0}, 4) == (0.0, 2.0)


# -- plans --------------------------------------------------------------------------------------------


def test_half_of_the_rows_known_leaves_half_of_the_region() -> None:
    graph = view(TOWERS)
    whole = [c for c in regions(graph) if c.region.id == "model"]
    known = predictor(graph, {"a": [[1, 2, 3, 4], [1, 2, 5, 6]], "b": [[1, 1, 1, 1]] * 2}).predict(whole)
    assert known.regions[0].lookups == 8 and known.regions[0].computed == 6
    assert known.ratio == pytest.approx(0.75, abs=0.01)
    unknown = predictor(graph, {"a": [[1, 2], [3, 4]], "b": [[1, 1]] * 2}).predict(whole)
    assert unknown.regions[0].reuse == 0 and unknown.ratio == pytest.approx(1.0, abs=0.01)


def test_equal_rows_of_a_call_are_computed_once() -> None:
    graph = view(TOWERS)
    whole = [c for c in regions(graph) if c.region.id == "model"]
    use = predictor(graph, {"a": [[1, 1, 1, 2]], "b": [[1, 1, 1, 1]]}).predict(whole).regions[0]
    assert (use.lookups, use.computed) == (4, 2)


def test_a_region_inside_another_is_looked_up_for_what_the_outer_one_misses() -> None:
    graph = view(TOWERS)
    plan = regions(graph)
    used = predictor(graph, {"a": [[1, 2], [1, 2]], "b": [[1, 2], [1, 3]]}).predict(plan)
    by_id = dict(zip((c.region.id for c in plan), used.regions, strict=True))
    assert (by_id["model"].lookups, by_id["model"].computed) == (4, 3)
    assert (by_id["model.a"].lookups, by_id["model.a"].computed) == (3, 2)


def test_a_budget_too_small_for_the_working_set_loses_its_hits() -> None:
    graph = view(TOWERS)
    whole = [c for c in regions(graph) if c.region.id == "model"]
    keys: Keys = {"a": [[n % 50] for n in range(200)], "b": [[0]] * 200}
    assert predictor(graph, keys).predict(whole).regions[0].computed == 50
    small = predictor(graph, keys, budget=10 * (16 + ENTRY_OVERHEAD)).predict(whole).regions[0]
    assert small.computed > 120


@pytest.mark.parametrize("budget", [1 << 30, 12 * (16 + ENTRY_OVERHEAD)])
@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_calls_that_are_played_in_one_go_find_what_they_find_in_turn(granularity: str, budget: int) -> None:
    graph, random = view(TOWERS), np.random.default_rng(1)
    rows = [int(count) for count in random.integers(0, 6, 60)]
    keys: Keys = {name: [random.zipf(1.3, count).tolist() for count in rows] for name in "ab"}
    made = predictor(graph, keys, budget=budget)
    made.times = TimeModel(made.times.costs, [FewRows({"a": 0, "b": 0}, 1, costs_of(graph, 4e-4))])
    (plan, *_) = choose(graph, costs_of(graph), granularity=granularity, min_saving=0).plans
    apart = [next(c for c in plan if c.region.id == name) for name in ("model.a", "model.b")]
    plans = [[candidate] for candidate in plan] + [apart, apart[::-1]]
    assert len(plans) >= 4
    for tried in plans:
        found = []
        for play in (made._at_once, made._in_turn):
            parts = [_Part(made, candidate, tried, index) for index, candidate in enumerate(tried)]
            found.append((play(parts, StoreSimulation(budget)), [part.use() for part in parts]))
        assert found[0][0] == pytest.approx(found[1][0]) and found[0][1] == found[1][1]
        assert all(0 < use.computed < use.lookups and use.within > 0 for use in found[0][1]) or granularity == "tensor"


# -- choosing by them ---------------------------------------------------------------------------------


def traced(text: str, keys: Keys, costs: Costs | None = None) -> tuple[list[str], set[str]]:
    graph = view(text)
    made = predictor(graph, keys, costs)
    choice = choose(graph, costs or costs_of(graph), predictor=made)
    assert len(choice.considered) >= 1
    return [c.region.id for plan in choice.plans[:1] for c in plan], {r.rule for r in choice.refusals}


def test_only_the_tower_whose_input_repeats_is_cached() -> None:
    ids, rules = traced(TOWERS, {"a": [[1, 2, 3, 4]] * 4, "b": [[n, n + 1, n + 2, n + 3] for n in range(0, 16, 4)]})
    assert ids == ["model.a"] and "never-repeats" in rules
    ids, _ = traced(TOWERS, {"a": [[n, n + 1] for n in range(0, 16, 2)], "b": [[5, 5]] * 8})
    assert ids == ["model.b"]


def test_nothing_is_cached_where_nothing_repeats() -> None:
    ids, rules = traced(TOWERS, {"a": [[1, 2], [3, 4]], "b": [[1, 2], [3, 4]]})
    assert ids == [] and rules == {"never-repeats"}


def test_one_region_is_enough_where_the_whole_call_repeats() -> None:
    ids, _ = traced(TOWERS, {"a": [[1, 2]] * 6, "b": [[3, 4]] * 6})
    assert ids == ["model"]


SLICED = """g (float[N, 8] x) => (float[N, 2] y)
<int64[1] start = {0}, int64[1] end = {2}, int64[1] axis = {1}>
{ s = Slice(x, start, end, axis) a = Tanh(s) b = Exp(a) y = Erf(b) }"""


def test_a_region_begins_where_different_inputs_become_equal() -> None:
    graph = view(SLICED)
    costs = Costs((1e-6, 1e-3, 1e-3, 1e-3), 3.001e-3, costs_of(graph).shapes, measured=True)
    assert Place("s", 0) in wanted_places(graph, costs)
    keys: Keys = {"x": [[n, n + 1] for n in range(0, 20, 2)], "s": [[1, 2]] * 10}
    choice = choose(graph, costs, predictor=predictor(graph, keys, costs))
    (chosen,) = choice.plans[0]
    assert chosen.region.frontier == ("s",) and chosen.region.granularity == "row"
    assert chosen.region.nodes == {1, 2, 3}


def test_what_is_computed_for_the_whole_batch_is_not_read_behind_a_cheap_start() -> None:
    sized = """g (float[N, 8] x) => (float[N, 8] y)
    { n = Shape(x) s = Neg(x) a = Tanh(s) b = Exp(a) y = Expand(b, n) }"""
    graph = view(sized)
    costs = Costs((1e-7, 1e-6, 1e-3, 1e-3, 1e-3), 3e-3, costs_of(graph).shapes, measured=True)
    keys: Keys = {"x": [[n, n + 1] for n in range(0, 20, 2)], "s": [[1, 2]] * 10, "n": [[1, 2]] * 10}
    choice = choose(graph, costs, predictor=predictor(graph, keys, costs), granularity="row")
    (chosen,) = choice.plans[0]
    assert chosen.region.frontier == ("s",)
