"""Which part of a sequence model becomes a region of prefixes."""

from __future__ import annotations

import onnx
import pytest
from onnx import parser

from actcache.passes.causal.hypotheses import mask_hypotheses, position_hypotheses
from actcache.passes.choice.choose import Choice, choose
from actcache.passes.costs.cost import Costs, estimate_costs
from actcache.passes.cuts import PrefixCut
from actcache.passes.graph.view import GraphView
from actcache.passes.region import Region
from benchmarks.decoders import Decoder

HEAD = '<ir_version: 9, opset_import: ["" : 20]>'


def chosen(model: onnx.ModelProto, budget: int = 256 << 20, min_saving: float = 0.0) -> tuple[Choice, GraphView]:
    view = GraphView(model)
    costs = estimate_costs(view)
    return choose(view, costs, granularity="prefix", min_saving=min_saving, budget=budget, name="m"), view


def region_of(choice: Choice) -> Region:
    ((candidate,),) = choice.plans
    return candidate.region


def test_keys_and_values_of_each_layer_are_the_states() -> None:
    choice, view = chosen(Decoder(layers=3).model())
    region = region_of(choice)
    assert isinstance(region.cut, PrefixCut)
    assert len(region.states) == region.cut.states == 6
    producers = {view.model.graph.node[view.producer[name]].op_type for name in region.states}
    assert producers == {"Reshape"}, "before they are transposed, where a position is one piece"
    assert region.cut.frontier_axes == (0,) and region.cut.frontier_positions == (1,)
    assert set(region.cut.live_out_positions) == {1} and set(region.cut.live_out_axes) == {0}
    assert "each row of the batch by itself" in choice.causal[0]


def test_keys_and_values_that_are_handed_out_are_read_by_later_positions_all_the_same() -> None:
    view = GraphView(Decoder(presents=True).model())
    choice = choose(view, estimate_costs(view), granularity="auto", min_saving=0, name="m")
    (region,) = (candidate.region for candidate in choice.plans[0] if candidate.region.granularity == "prefix")
    assert {"logits", "present.0.key", "present.1.value"} <= set(region.live_outs) and not region.states


def test_a_batch_of_one_size_is_one_row() -> None:
    choice, _ = chosen(Decoder(batch=2).model())
    assert set(region_of(choice).cut.frontier_axes) == {None}
    assert "the batch as a whole" in choice.causal[0]


def test_large_logits_are_kept_only_where_the_store_has_room_for_them() -> None:
    model = Decoder(layers=1, width=256, vocabulary=5_003).model()
    roomy, _ = chosen(model, 1 << 34, min_saving=1e-9)
    assert region_of(roomy).live_outs == ("logits",)
    tight, view = chosen(model, 1 << 22, min_saving=1e-9)
    (hidden,) = region_of(tight).live_outs
    assert view.model.graph.node[view.producer[hidden]].op_type == "LayerNormalization"


@pytest.mark.parametrize(("width", "kept"), [(1 << 15, "y"), (1 << 13, "h")])
def test_large_positions_are_kept_at_the_price_of_one_copy(width: int, kept: str) -> None:
    """The last node takes as long as one copy and a half of what it makes: 128 KiB or 32 KiB a position."""
    model = parser.parse_model(f"""{HEAD} g (float[N, S, 4] x) => (float[N, S, {width}] y)
        <int64 one = {{1}}, int64[3] times = {{1, 1, {width // 4}}}> {{ h = CumSum(x, one) y = Tile(h, times) }}""")
    seconds = 1.5 * 16 * width / 8e9
    shapes = {"x": (1, 4, 4), "h": (1, 4, 4), "y": (1, 4, width)}
    costs = Costs((seconds / 8, seconds), seconds * 1.125, shapes, measured=True)
    choice = choose(GraphView(model), costs, granularity="prefix", min_saving=1e-9, budget=1 << 40, name="m")
    assert region_of(choice).live_outs == (kept,)


def test_what_counts_positions_is_computed_on_both_sides() -> None:
    model = parser.parse_model(f"""{HEAD} g (float[N, S, 4] x) => (float[N, S, 4] y, float[N, S, 4] last)
        <int64 one = {{1}}, int64[1] ones = {{1}}, int64 zero = {{0}}, float[4] scale = {{1, 2, 3, 4}}>
        {{
            size = Shape <start = 1, end = 2> (x)
            length = Squeeze(size)
            numbers = Range(zero, length, one)
            wide = Unsqueeze(numbers, ones)
            floats = Cast <to = 1> (wide)
            a = CumSum(x, one)
            b = Add(a, floats)
            y = Tanh(b)
            m = ReduceMean <keepdims = 1> (y, ones)
            c = Add(y, m)
            last = Add(c, floats)
        }}""")
    choice, view = chosen(model)
    region = region_of(choice)
    written = {name for index in region.shared for name in view.writes[index]}
    assert written == {"size", "length", "numbers", "wide", "floats"}
    assert region.live_outs == ("y",)
    assert region.moved.isdisjoint(region.shared)
    assert [refusal.rule for refusal in choice.refusals] == ["over-positions"]


def test_a_model_whose_positions_do_not_read_each_other_is_left_to_rows() -> None:
    model = parser.parse_model(f"{HEAD} g (float[N, S, 4] x) => (float[N, S, 4] y) {{ y = Tanh(x) }}")
    asked, view = chosen(model)
    assert region_of(asked).states == ()
    by_itself = choose(view, estimate_costs(view), min_saving=0.0)
    assert {c.region.granularity for plan in by_itself.plans for c in plan} == {"row", "tensor"}


GRU = "GRU <hidden_size = 4>"


@pytest.mark.parametrize(
    ("graph", "positions", "rows"),
    [
        (f"(float[N, S, 4] x) => (float[S, 1, N, 4] y) {{ t = Transpose<perm=[1,0,2]>(x) y = {GRU}(t, w, w) }}", 1, 0),
        (f"(float[S, N, 4] x) => (float[S, 1, N, 4] y) {{ y = {GRU}(x, w, w) }}", 0, 1),
        (f"(float[S, N, 4] x) => (float[S, 1, N, 4] y, float[1, N, 4] h) {{ y, h = {GRU}(x, w, w) }}", 0, 1),
    ],
)
def test_a_recurrence_whose_results_are_all_that_is_kept_is_taken(graph: str, positions: int, rows: int) -> None:
    model = parser.parse_model(f"{HEAD} g {graph}")
    weights = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1, 12, 4], [0.1] * 48)
    model.graph.initializer.append(weights)
    view = GraphView(model)
    ((first,), *_) = choose(view, estimate_costs(view), min_saving=0.0).plans
    region = first.region
    assert region.positions == {"x": positions} and region.cut.frontier_axes == (rows,)
    assert region.live_outs == ("y",) and region.states == ()
    assert set(region.finals) == set(view.outputs) - {"y"}


def test_what_holds_along_the_batch_is_no_sequence_of_it() -> None:
    model = parser.parse_model(f"""{HEAD} g (float[N, S, 4] x) => (float[S, 2, N, 4] y) {{
        a = Tanh(x) t = Transpose<perm=[1,0,2]>(a)
        y = GRU <hidden_size = 4, direction = "bidirectional">(t, w, w)
        }}""")
    model.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [2, 12, 4], [0.1] * 96))
    view = GraphView(model)
    by_itself = choose(view, estimate_costs(view), min_saving=0.0)
    assert {c.region.granularity for plan in by_itself.plans for c in plan} <= {"row", "tensor"}
    asked, _ = chosen(model)
    assert region_of(asked).positions == {"x": 1}


INT, FLOAT = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
Declared = tuple[int, list[int | str | None]]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"i": (INT, ["B", "S"]), "m": (INT, ["B", "S"])}, [{"i": 1, "m": 1}]),
        ({"i": (INT, ["S"])}, [{"i": 0}]),
        ({"x": (FLOAT, ["B", "T", 80]), "n": (INT, ["B"])}, [{"x": 1}, {"x": 1, "n": 0}, {"x": 0, "n": 0}]),
        ({"i": (INT, ["B", None]), "m": (INT, ["B", None])}, [{"i": 1}, {"i": 1, "m": 1}, {"m": 1}]),
        ({"i": (INT, ["B", "S"]), "m": (FLOAT, ["B", 1, "S", "S"])}, [{"i": 1}]),
        ({"x": (FLOAT, ["B", 80, "T"])}, [{"x": 2}]),
        ({"picture": (FLOAT, ["B", 3, "H", "W"])}, []),
        ({"i": (INT, ["B", 77])}, []),
    ],
)
def test_positions_are_looked_for_where_sequences_have_them(
    inputs: dict[str, Declared], expected: list[dict[str, int]]
) -> None:
    declared = [onnx.helper.make_tensor_value_info(name, *given) for name, given in inputs.items()]
    nodes = [onnx.helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs]
    outputs = [onnx.helper.make_tensor_value_info(f"{name}_out", kind, None) for name, (kind, _) in inputs.items()]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", declared, outputs))
    assert position_hypotheses(GraphView(model)) == expected


def test_what_is_looked_up_is_no_mask() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (int64[B, S] ids, int64[B, S] mask, bool[B, 1, 1, S] open,
        float[B, S, 4] x) => (float[N] y) { a = Gather(w, ids)  b = Cast<to=1>(mask)  c = Not(open)  y = Add(a, x) }"""
    view = GraphView(parser.parse_model(text))
    assert mask_hypotheses(view, {"ids": 1, "mask": 1, "open": 3, "x": 1}) == [(), ("mask",), ("open",)]
    assert mask_hypotheses(view, {"mask": 1}) == [()]
