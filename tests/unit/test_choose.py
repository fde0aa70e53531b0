"""Choosing a region: granularity, worth, and where the region may begin."""

from __future__ import annotations

import pytest
from costs import costs_of
from graphs import TOWERS, view

from actcache.base.region_spec import RegionSpec
from actcache.errors import InvalidRegion
from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.choose import Choice, choose
from actcache.passes.choice.named_region import named_candidate
from actcache.passes.costs.cost import Costs
from actcache.passes.cuts import RowCut
from actcache.passes.graph.view import GraphView

MIXING = "g (float[N, 8] x) => (float[N, 8] y) { a = Tanh(x) b = Softmax<axis = 0>(a) y = Neg(b) }"
NOISY = "g (float[N, 8] x) => (float[N, 8] y) { a = Tanh(x) r = RandomNormalLike(a) b = Add(a, r) y = Exp(b) }"
UNKNOWN = "g (float[N, 8] x) => (float[N, 8] y) { a = custom.Thing(x) b = Tanh(a) y = Exp(b) }"


def chosen(graph: GraphView, **options: object) -> Choice:
    return choose(graph, costs_of(graph), **options)  # type: ignore[arg-type]


def nodes(candidate: Candidate) -> set[int]:
    return set(candidate.region.nodes)


def test_every_tower_is_cached_alone_and_the_whole_around_them() -> None:
    choice = chosen(view(TOWERS))
    first = choice.plans[0]
    assert [(c.region.id, c.cone, nodes(c)) for c in first] == [
        ("model.a", ("a",), {0, 1}),
        ("model.b", ("b",), {2}),
        ("model", ("a", "b"), {0, 1, 2, 3}),
    ]
    assert {c.region.granularity for c in first} == {"row"}
    assert first[2].row_axes == {"a": 0, "b": 0}
    assert first[0].saving == pytest.approx(0.5e-3)
    assert first[2].saving == pytest.approx(0.25e-3)


def test_verification_may_fall_back_on_whole_calls() -> None:
    plans = chosen(view(TOWERS)).plans
    assert [{c.region.granularity for c in plan} for plan in plans] == [{"row"}, {"tensor"}]
    assert len(chosen(view(TOWERS), granularity="row").plans) == 1


def test_nodes_that_nothing_reads_are_no_region() -> None:
    dead = view("g (float[N, 8] x, float[N, 8] z) => (float[N, 8] y) { unread = Tanh(x) y = Exp(z) }")
    regions = [c.region for c in chosen(dead, min_saving=0).plans[0]]
    assert regions and all(region.live_outs == ("y",) for region in regions)


@pytest.mark.parametrize("granularity", ["auto", "row", "tensor"])
def test_no_region_is_chosen_again_around_itself(granularity: str) -> None:
    """Neither as a whole call around its rows, nor in the cone of all inputs around that of one."""
    random = "g (float[N, 8] x, float[N, 8] z) => (float[N, 8] y) { a = Tanh(x) r = RandomNormalLike(z) y = Add(a, r) }"
    for text in (TOWERS, random):
        choice = chosen(view(text), min_saving=0, granularity=granularity)
        for plan in choice.plans:
            places = [(set(c.region.frontier), set(c.region.live_outs)) for c in plan]
            assert places and all(places.count(place) == 1 for place in places)
    assert any("from the same tensors" in refusal.reason for refusal in choice.refusals)


def test_a_cheap_second_input_does_not_get_a_region() -> None:
    towers = view(TOWERS)
    costs = costs_of(towers)
    dear = Costs((9e-3, 1e-3, 1e-6, 1e-6), 10.002e-3, costs.shapes, measured=True)
    assert [c.region.id for c in choose(towers, dear).plans[0]] == ["model.a"]


def test_a_mixing_node_ends_the_row_region() -> None:
    choice = chosen(view(MIXING), min_saving=0.0)
    by_kind = {c.region.granularity: c for c in choice.plans[0]}
    assert nodes(by_kind["row"]) == {0}
    assert nodes(by_kind["tensor"]) == {0, 1, 2}
    assert [c.region.id for c in choice.plans[0]] == ["model", "model.call"]
    assert any("Softmax" in refusal.node for refusal in choice.refusals)


def test_a_region_of_rows_computes_nothing_that_fits_one_number_of_rows() -> None:
    """The Reshape runs for N = 4 alone: with one row missing, a region that held it would fail."""
    fits_one = view("""g (float[N, 2] x) => (float[N, 2] y)
    <float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, int64[1] two = {2}> {
        a = Tanh(x)
        n = Shape<start = 0, end = 1>(x)
        t = Concat<axis = 0>(n, two)
        table = Reshape(w, t)
        y = CastLike(a, table)
    }""")
    by_kind = {c.region.granularity: c for c in chosen(fits_one, min_saving=0.0).plans[0]}
    assert nodes(by_kind["row"]) == {0}
    assert nodes(by_kind["tensor"]) == {0, 1, 2, 3, 4}


def test_calls_are_cached_around_rows_where_rows_are_mixed_later() -> None:
    mostly = view(MIXING.replace("y = Neg(b)", "c = Exp(b) d = Exp(c) e = Exp(d) y = Exp(e)"))
    first = chosen(mostly).plans[0]
    assert [(c.region.granularity, len(nodes(c))) for c in first] == [("row", 1), ("tensor", 6)]


@pytest.mark.parametrize("speed", [1, 10])
@pytest.mark.parametrize(("body", "head", "kept"), [
    (0.85, 0.15, [("row", "a")]),
    (0.6, 0.4, [("row", "a"), ("tensor", "y")]),
    (0.0, 0.15, [("tensor", "y")]),  # alone
])  # fmt: skip
def test_calls_around_rows_save_a_tenth_of_the_time_for_a_megabyte(
    body: float, head: float, kept: list[tuple[str, str]], speed: int
) -> None:
    """On a slow machine as on a fast one: a head that gives 3 MB is copied in every call."""
    mixing = view(MIXING)
    shapes = {**costs_of(mixing).shapes, "y": (4, 187_500)}
    costs = Costs((body / speed, 0, head / speed), 1 / speed, shapes, measured=True)
    assert [(c.region.granularity, *c.region.live_outs) for c in choose(mixing, costs).plans[0]] == kept


def test_nothing_that_depends_on_random_numbers_is_cached() -> None:
    choice = chosen(view(NOISY), min_saving=0.0)
    assert all(nodes(c) == {0} for (c,) in choice.plans)
    assert "impure-random" in {refusal.rule for refusal in choice.refusals}


@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_a_region_may_begin_behind_an_unknown_operator(granularity: str) -> None:
    proto = view(UNKNOWN, domains='"custom" : 1')
    shape = proto.model.graph.value_info.add(name="a")
    shape.type.CopyFrom(proto.model.graph.input[0].type)
    choice = chosen(GraphView(proto.model), granularity=granularity)
    assert [nodes(c) for (c,) in choice.plans] == [{1, 2}]
    assert choice.plans[0][0].region.frontier == ("a",)
    vouched = chosen(GraphView(proto.model), granularity="tensor", pure_ops=["custom:Thing"])
    assert nodes(vouched.plans[0][0]) == {0, 1, 2}


def test_cheap_models_are_refused_unless_asked_for() -> None:
    cheap = view(TOWERS)
    costs = costs_of(cheap, seconds=1e-7)
    refused = choose(cheap, costs)
    assert refused.plans == []
    assert {r.rule for r in refused.refusals} == {"not-worth"}
    assert choose(cheap, costs, min_saving=0.0).plans
    assert choose(cheap, costs_of(cheap), min_saving=1.0).plans == []


def test_large_results_are_not_kept_when_a_cheap_last_node_makes_them() -> None:
    expanding = view("""g (float[N, 8] x) => (float[N, 800000] y)
    <int64[1] reps = {1}> { a = Tanh(x) b = Exp(a) n = Constant<value = int64[2] {1, 100000}>() y = Tile(b, n) }""")
    costs = costs_of(expanding)
    best = choose(expanding, costs, granularity="tensor").plans[0][0]
    assert best.region.live_outs == ("b",)


@pytest.mark.parametrize(("elements", "kept"), [(1 << 18, "y"), (1 << 13, "a")])
def test_large_results_are_kept_at_the_price_of_one_copy(elements: int, kept: str) -> None:
    """The last node takes as long as one copy and a half of what it makes, be that 1 MiB or 32 KiB."""
    expanding = view(f"""g (float[N, 8] x) => (float[N, {elements}] y)
    {{ a = Tanh(x) n = Constant<value = int64[2] {{1, {elements // 8}}}>() y = Tile(a, n) }}""")
    seconds = 1.5 * 4 * elements / 8e9
    shapes = {"x": (1, 8), "a": (1, 8), "y": (1, elements)}
    costs = Costs((seconds / 8, 0.0, seconds), seconds * 1.125, shapes, measured=True)
    for granularity in ("row", "tensor"):
        best = choose(expanding, costs, granularity=granularity, min_saving=1e-9).plans[0][0]
        assert best.region.live_outs == (kept,)


@pytest.mark.parametrize(("results", "regions"), [(4, 1), (3, 0)])
def test_results_that_are_large_together_are_copied_once(results: int, regions: int) -> None:
    """20 KiB each, which takes as long as one copy and a half: 80 KiB are copied once, 60 KiB twice."""
    names = "abcd"[:results]
    operators = dict(zip("abcd", ["Tanh", "Exp", "Sin", "Cos"], strict=True))
    outputs = ", ".join(f"float[N, 5120] {name}" for name in names)
    body = " ".join(f"{name} = {operators[name]}(x)" for name in names)
    parallel = view(f"g (float[N, 5120] x) => ({outputs}) {{ {body} }}")
    seconds = 1.5 * 4 * 5120 / 8e9
    shapes = dict.fromkeys(["x", *names], (1, 5120))
    costs = Costs((seconds,) * results, seconds * results, shapes, measured=True)
    plans = choose(parallel, costs, granularity="row", min_saving=1e-9).plans
    assert [len(c.region.live_outs) for plan in plans for c in plan] == [results] * regions


@pytest.mark.parametrize(("budget", "regions"), [(256 << 20, [{0, 1}]), (64 << 20, [])])
def test_entries_of_inputs_that_stay_may_be_large(budget: int, regions: list[set[int]]) -> None:
    """24 MiB of an encoder's states, say, while a decoder writes: not half of the store."""
    decoder = view("""g (float[1, 6291456] states, float[1, K] x) => (float[1, 6291456] y) {
        a = Tanh(states) b = Exp(a) s = ReduceMax<keepdims = 1>(x) y = Mul(b, s)
    }""")
    large = (1, 6 << 20)
    shapes = {**dict.fromkeys(["states", "a", "b", "y"], large), "x": (1, 1), "s": (1, 1)}
    costs = Costs((0.5, 0.5, 1e-4, 1e-2), 1.0101, shapes, measured=True)
    found = choose(decoder, costs, budget=budget).plans
    assert [nodes(c) for plan in found[:1] for c in plan if c.cone == ("states",)] == regions


@pytest.mark.parametrize(("budget", "kept"), [(256 << 20, 5), (64 << 20, 1)])
def test_results_of_inputs_that_stay_are_weighed_against_the_store(budget: int, kept: int) -> None:
    """1 MiB each: one saves 8 % of the sample's time, the others 0.6 %. Keys and values, and a long text, say."""
    decoder = view("""g (float[1, 262144] states, float[1, K] x) => (float[1, 262144] y) {
        a = Tanh(states) b = Exp(states) c = Sin(states) d = Cos(states) e = Erf(states)
        s = ReduceMax<keepdims = 1>(x) y = Sum(a, b, c, d, e, s)
    }""")
    shapes = {**dict.fromkeys(["states", *"abcdey"], (1, 1 << 18)), "x": (1, 1), "s": (1, 1)}
    costs = Costs((0.08, *[0.006] * 4, 0.1, 0.796), 1.0, shapes, measured=True)
    found = choose(decoder, costs, budget=budget).plans[0]
    assert [len(c.region.live_outs) for c in found if c.cone == ("states",)] == [kept]


#: Keys of states, told the batch of the tokens by a slice of these without elements.
TOLD = """g (int64[T, S] ids, float[STATES, E, 8] states) => (float[] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[3] rest = {-1, 2, 4}> {
    none = Slice(ids, zero, zero, one) s = Shape(none) n = Gather(s, zero) t = Concat<axis = 0>(n, rest)
    a = Tanh(states) k0 = Reshape(a, t) k = Transpose<perm = [0, 2, 1, 3]>(k0)
    f = Cast<to = 1>(ids) m = ReduceMax<keepdims = 1>(f) y = Mul(k, m)
}"""


@pytest.mark.parametrize("named", ["T", "B"])
def test_sizes_of_other_inputs_are_in_the_frontier_and_their_contents_are_not(named: str) -> None:
    told = view(TOLD.replace("STATES", named))
    shapes = {"ids": (4, 9), "k0": (4, 6, 2, 4), **dict.fromkeys(["states", "a"], (4, 6, 8))}
    shapes |= dict.fromkeys("ky", (4, 2, 6, 4))
    costs = Costs((1e-3,) * len(told.writes), 1e-3 * len(told.writes), shapes, measured=True)
    choice = choose(told, costs, min_saving=0)
    (states,) = (c for c in choice.plans[0] if c.cone == ("states",))
    assert isinstance(states.region.cut, RowCut)
    assert dict(states.region.frontier_axes) == {"states": 0, "none": 0}, "the lookup holds both to one number of rows"
    assert states.region.live_outs == ("k",) and states.row_axes == {"states": 0}
    whole = next(c for c in choose(told, costs, min_saving=0, granularity="tensor").plans[0] if c.cone == ("states",))
    assert set(whole.region.frontier) == {"states", "none"} and whole.region.live_outs == ("k",)


def test_names_that_are_not_needed_for_the_proof_are_not_relied_on() -> None:
    """Some exporters call every unknown size "?": equal by name, they differ in every real call."""
    image = view("g (float[N, 3, H, H] x) => (float[N, 3, H, H] y) { a = Tanh(x) y = Exp(a) }")
    costs = Costs((1e-3, 1e-3), 2e-3, dict.fromkeys("xay", (4, 3, 8, 16)), measured=True)
    (candidate,) = choose(image, costs).plans[0]
    assert candidate.region.cut == RowCut((0,), (0,), ranks=(4,))


def test_results_that_cannot_be_kept_are_named() -> None:
    choice = chosen(view("g (string[N] x) => (string[N] y) { y = Identity(x) }"), min_saving=0.0)
    assert choice.plans == []
    assert [(r.rule, r.node) for r in choice.refusals if r.rule == "output-type"] == [("output-type", "Identity → y")]


# -- named regions ------------------------------------------------------------------------------------


def named(
    text: str, frontier: str, live_outs: str, granularity: str = "auto", graph: GraphView | None = None
) -> Candidate:
    graph = graph or view(text)
    spec = RegionSpec("mine", tuple(frontier.split(",")), tuple(live_outs.split(",")))
    return named_candidate(graph, costs_of(graph), spec, granularity, (), [])


def test_a_named_region_is_what_lies_between() -> None:
    candidate = named(TOWERS, "a", "t")
    assert nodes(candidate) == {0, 1}
    assert candidate.region.id == "mine"
    assert candidate.region.granularity == "row"
    assert candidate.cone == ("a",)
    inner = named(TOWERS, "h,b", "y")
    assert nodes(inner) == {1, 2, 3}
    assert inner.region.granularity == "row"


@pytest.mark.parametrize(
    ("text", "frontier", "live_outs", "problem"),
    [
        (TOWERS, "nothing", "t", "no tensor 'nothing'"),
        (TOWERS, "a", "y", "depends on the graph input 'b'"),
        (TOWERS, "a,b", "a", "there is no node"),
        (NOISY, "x", "y", "not pure"),
        ("g (float[N] x) => (float[N] d) { a = Neg(x) b = Abs(a) d = Add(a, b) }", "x,b", "d", "not convex"),
        ("g (float[N] x) => (float[N] d, float[N] a) { a = Neg(x) d = Abs(a) }", "x", "d", "'a' is also read outside"),
        ("g (string[N] x) => (string[N] y) { y = Identity(x) }", "x", "y", "a type that cannot be cached"),
    ],
)
def test_named_regions_that_cannot_be_cached(text: str, frontier: str, live_outs: str, problem: str) -> None:
    with pytest.raises(InvalidRegion, match=problem):
        named(text, frontier, live_outs)


def test_a_size_computed_outside_from_the_whole_batch_is_no_frontier_of_rows() -> None:
    text = """g (float[N, 8] x) => (float y)
    { s = Shape(x) h = Tanh(x) f = Reshape(h, s) e = Exp(f) y = ReduceSum<keepdims = 0>(e) }"""
    with pytest.raises(InvalidRegion, match="rows are not proven"):
        named(text, "x,s", "f", "row")


def test_rows_asked_for_and_not_proven_are_an_error() -> None:
    assert named(MIXING, "x", "b").region.granularity == "tensor"
    with pytest.raises(InvalidRegion, match="rows are not proven"):
        named(MIXING, "x", "b", "row")
