"""The picture of a model: few boxes, no edge forgotten, nothing on top of anything else."""

from __future__ import annotations

import itertools
from pathlib import Path

import onnx
import pytest
from graphs import TOWERS, model
from hypothesis import given
from hypothesis import strategies as st
from outlining import outlined

from actcache.model.compiled_model import read_compiled
from actcache.report.diagram import diagram
from actcache.report.layout import lay_out
from actcache.report.picture import Picture, draw
from actcache.report.regions import RegionSums

#: A region between nodes, one that follows it, one beside both, a node that leads nowhere, a constant.
CHAINS = """
chains (float[N, 4] x, float[N, 4] z, float[N, 4] p, float[N, 4] q) => (float[N, 4] y, float[N, 4] side)
<float[4] one = {1, 1, 1, 1}>
{
    a = Neg(x)
    b = Tanh(a)
    c = Abs(b)
    d = Exp(c)
    e = Sigmoid(z)
    two = Add(one, one)
    f = Mul(e, two)
    g = Add(d, f)
    pq = Mul(p, q)
    y = Add(g, pq)
    side = Relu(c)
    nowhere = Cos(x)
}
"""


def picture(proto: onnx.ModelProto, folder: Path) -> Picture:
    onnx.save_model(proto, folder / "model.onnx")
    return draw(read_compiled(folder / "model.onnx"))


def edges(found: Picture) -> set[tuple[str, str]]:
    def name(number: int) -> str:
        box = found.boxes[number]
        return f"{box.title}: {box.text}" if box.kind == "rest" else box.title

    return {(name(source), name(target)) for source, target in found.edges}


def test_regions_stand_between_what_leads_to_them_and_what_follows(tmp_path: Path) -> None:
    assert edges(picture(outlined(model(TOWERS), {0, 1}), tmp_path)) == {
        ("a", "r0"),
        ("r0", "1 node: 1 Add"),
        ("b", "1 node: 1 Mul"),
        ("1 node: 1 Mul", "1 node: 1 Add"),
        ("1 node: 1 Add", "y"),
    }


def test_what_lies_between_the_same_regions_is_one_box(tmp_path: Path) -> None:
    found = picture(outlined(model(CHAINS), {1}, {3}, {4}), tmp_path)
    assert edges(found) == {
        ("x", "1 node: 1 Neg"),
        ("1 node: 1 Neg", "r0"),
        ("r0", "1 node: 1 Abs"),
        ("1 node: 1 Abs", "r1"),
        ("1 node: 1 Abs", "1 node: 1 Relu"),
        ("1 node: 1 Relu", "side"),
        ("z", "r2"),
        ("r2", "1 node: 1 Mul"),
        ("r1", "2 nodes: 2 Add"),
        ("1 node: 1 Mul", "2 nodes: 2 Add"),
        ("p", "1 node: 1 Mul"),
        ("q", "1 node: 1 Mul"),
        ("2 nodes: 2 Add", "y"),
    }


def test_regions_inside_a_region_are_written_in_its_box(tmp_path: Path) -> None:
    chain = model("chain (float[N, 2] x) => (float[N, 2] y) { a = Neg(x) b = Tanh(a) y = Abs(b) }")
    onnx.save_model(outlined(chain, {1}, {0, 1}, {0, 1, 2}), tmp_path / "model.onnx")
    drawn = diagram(read_compiled(tmp_path / "model.onnx"), {"r2": seen("r2", 3, 1), "r0": seen("r0", 1, 1)})
    assert [box.kind for box in drawn.boxes] == ["region", "input", "output"]
    assert drawn.boxes[0].hit == 75
    assert drawn.boxes[0].text.replace("\N{NO-BREAK SPACE}", " ") == (
        "r2. 75 % reused. 1 Neg, 1 Tanh, …. ▸ r1: not looked up. ▸ r0: 50 % reused"
    )
    assert "75" in drawn.description


def seen(name: str, hits: int, misses: int) -> RegionSums:
    sums = RegionSums(name)
    sums.outcomes.update({"h": hits, "m": misses})
    return sums


@pytest.mark.parametrize("count", [3, 40])
def test_many_inputs_of_one_place_are_one_box(count: int, tmp_path: Path) -> None:
    names = [f"x{i}" for i in range(count)]
    inputs = ", ".join(f"float[N, 4] {name}" for name in names)
    found = picture(
        outlined(model(f"m ({inputs}) => (float[N, 4] y) {{ s = Sum({', '.join(names)}) y = Tanh(s) }}"), {1}), tmp_path
    )
    assert [box.title for box in found.boxes if box.kind == "input"] == [f"{count} inputs"]
    assert found.edges[2, 0] == names


@given(
    edges=st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda e: e[0] != e[1]), max_size=16, unique=True
    )
)
def test_boxes_do_not_overlap_and_edges_end_at_them(edges: list[tuple[int, int]]) -> None:
    sizes = [(100.0 + 10 * i, 40.0 + 5 * i) for i in range(9)]
    found = lay_out(sizes, edges)
    places = [(found.x[i], found.y[i], *sizes[i]) for i in range(9)]
    for (x0, y0, w0, h0), (x1, y1, w1, h1) in itertools.combinations(places, 2):
        assert x0 + w0 <= x1 or x1 + w1 <= x0 or y0 + h0 <= y1 or y1 + h1 <= y0
    assert all(x >= 0 and x + w <= found.width and y >= 0 and y + h <= found.height for x, y, w, h in places)
    assert found.paths.keys() == set(edges)
    for (source, target), path in found.paths.items():
        ends = {source: path[0], target: path[-1]}
        if path[0][1] > found.y[source] + sizes[source][1] or path[-1][1] > found.y[target]:
            ends = {target: path[0], source: path[-1]}  # an edge of a cycle is drawn the other way
        for box, (x, _) in ends.items():
            assert found.x[box] <= x <= found.x[box] + sizes[box][0]


def test_edges_without_cycles_go_down() -> None:
    edges = [(a, b) for a in range(6) for b in range(a + 1, 6)]
    found = lay_out([(50.0, 20.0)] * 6, edges)
    assert found.paths.keys() == set(edges)
    for path in found.paths.values():
        assert [y for _, y in path] == sorted(y for _, y in path)
        assert path[0][1] < path[-1][1]
