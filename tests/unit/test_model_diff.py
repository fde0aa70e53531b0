"""``actcache diff``: whether models share entries, and each ingredient of a key by a change to it alone.

That two models share nothing is not enough: what is said to differ has to be what was changed, and nothing else.
"""

# mypy: no-warn-return-any
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import refused, run
from graphs import TOWERS, encoder, model
from outlining import ALL, region_of

import actcache
from actcache.inspection.model_diff import diff_models
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import fingerprint
from actcache.passes.rewrite.outline import outline
from actcache.passes.rewrite.per_call import add_per_call

BODY = """
g (float[N, 2, 4] x, float[N, 8] s) => (float[N, 8] y, float[N, 8] z)
<float[8, 8] w = {1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
                  0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1}>
{
    shape = Constant<value = int64[2] {-1, 8}>()
    a = Reshape(x, shape)
    b = MatMul(a, w)
    c = Elu<alpha = 0.5>(b)
    d = Add(c, s)
    y = Relu(d)
    z = Tanh(d)
}
"""


def save(
    body: str,
    folder: Path,
    name: str,
    *,
    granularity: str = "row",
    without: str = "",
    per_call: bool = False,
    **options: Any,
) -> Path:
    """Outline all nodes of a model, but for the one that writes the tensor `without`, and write it."""
    view = GraphView(model(body, **options))
    nodes = {i for i, writes in enumerate(view.writes) if without not in writes}
    region = region_of(view, nodes, granularity)
    outline(view, region, fingerprint(view, region.nodes, region.live_outs, {}))
    if per_call:
        add_per_call(view.model, ALL, [region.id])
    path = folder / f"{name}.onnx"
    onnx.save_model(view.model, path)
    return path


def compare(folder: Path, body: str = BODY, **options: Any) -> dict[str, Any]:
    """Compare :data:`BODY` with a change of it."""
    answer = diff_models(save(BODY, folder, "one"), save(body, folder, "two", **options))
    assert not answer["shared"] and (answer["only_first"], answer["only_second"]) == ([], [])
    (pair,) = answer["regions"]
    assert not set(pair["same"]) & set(pair["different"])
    return pair


def test_names_do_not_matter(tmp_path: Path) -> None:
    names = {"a": "renamed_a", "b": "renamed_b", "w": "renamed_w", "x": "renamed_x", "shape": "renamed_shape"}
    proto = model(BODY)
    for node in proto.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
    proto.graph.initializer[0].name = names["w"]
    proto.graph.input[0].name = names["x"]
    view = GraphView(proto)
    region = region_of(view, set(range(7)), name="other")
    outline(view, region, fingerprint(view, region.nodes, region.live_outs, {}))
    onnx.save_model(view.model, tmp_path / "two.onnx")
    answer = diff_models(save(BODY, tmp_path, "one"), tmp_path / "two.onnx")
    assert answer["shared"]
    assert [(p["first"], p["second"], p["matched_by"], p["changes"]) for p in answer["regions"]] == [
        ("r", "other", "fingerprint", [])
    ]


@pytest.mark.parametrize(
    ("body", "ingredient", "says"),
    [
        (BODY.replace("alpha = 0.5", "alpha = 0.25"), "attributes", "Elu → c: 'alpha' is 0.5 in the first and 0.25"),
        (BODY.replace("<alpha = 0.5>", ""), "attributes", "'alpha' is set in the first only"),
        (BODY.replace("w = {1, 0", "w = {1.5, -3"), "weights", "w float[8, 8]: 2 of 64 elements differ, by 3 at most"),
        (BODY.replace("{-1, 8}", "{0, 8}"), "weights", "'value' of Constant → shape int64[2]: 1 of 2 elements differ"),
        (BODY.replace("Elu<alpha = 0.5>", "Selu<alpha = 0.5>"), "operators", "Elu → c is Selu → c in the second"),
        (
            BODY.replace("Add(c, s)", "Add(s, c)"),
            "wiring",
            "Add → d: input 0 is 'c' in the first and 's' in",
        ),
    ],
)
def test_one_change_is_told_alone(body: str, ingredient: str, says: str, tmp_path: Path) -> None:
    pair = compare(tmp_path, body)
    if ingredient == "wiring":  # reading the frontier in another order is another order of it
        assert "wiring" in pair["different"]
    else:
        assert pair["different"] == [ingredient]
    assert any(says in change["text"] and change["ingredient"] == ingredient for change in pair["changes"])


def test_weights_carry_their_numbers(tmp_path: Path) -> None:
    (change,) = compare(tmp_path, BODY.replace("w = {1, 0", "w = {1.5, -3"))["changes"]
    assert change["types"] == ["float[8, 8]"] * 2
    assert (change["elements"], change["changed"], change["largest"]) == (64, 2, 3.0)


def test_another_opset(tmp_path: Path) -> None:
    pair = compare(tmp_path, opset=18)
    assert pair["different"] == ["opsets"]
    (change,) = pair["changes"]
    assert (change["domain"], change["versions"], change["operators"]) == ("ai.onnx", [17, 18], 7)


def test_operators_that_came_and_went(tmp_path: Path) -> None:
    more = BODY.replace("d = Add(c, s)", "n = Neg(c) d = Add(n, s)")
    pair = compare(tmp_path, more)
    assert set(pair["different"]) == {"operators", "wiring"}
    assert [c["text"] for c in pair["changes"] if c["ingredient"] == "operators"] == ["Neg → n is in the second only"]
    back = diff_models(tmp_path / "two.onnx", tmp_path / "one.onnx")["regions"][0]
    assert [c["text"] for c in back["changes"] if c["ingredient"] == "operators"] == ["Neg → n is in the first only"]


def test_frontier_of_another_type(tmp_path: Path) -> None:
    body = BODY.replace("float[N, 2, 4] x", "double[N, 2, 4] x").replace(
        "a = Reshape(x", "f = Cast<to = 1>(x) a = Reshape(f"
    )
    pair = compare(tmp_path, body)
    assert "frontier" in pair["different"]
    assert any(change.get("types") == ["float", "double"] for change in pair["changes"])


def test_other_live_outs(tmp_path: Path) -> None:
    pair = compare(tmp_path, without="z")
    assert pair["different"] == ["operators", "live-outs"]
    assert "gives y, z in the first and d, y in the second" in pair["changes"][-1]["text"]
    assert pair["matched_by"] == "id"


def test_what_keys_cover_besides_the_fingerprint(tmp_path: Path) -> None:
    whole = compare(tmp_path, granularity="tensor")
    assert (whole["matched_by"], whole["different"]) == ("fingerprint", ["granularity", "row axes"])
    named = compare(tmp_path, per_call=True)
    assert (named["matched_by"], named["different"]) == ("fingerprint", ["namespace of a call"])


LOOP = """
g (float[N, 8] x) => (float[N, 8] y)
<float[1] w = {2.0}>
{
    c = Constant<value_int = 0>()
    t = Cast<to = 9>(c)
    y = If(t) <
        then_branch = one () => (float[N, 8] p) { p = Mul(x, w) },
        else_branch = two () => (float[N, 8] q) { q = BODY }
    >
}
"""


@pytest.mark.parametrize(
    ("text", "different"), [("Neg(x)", []), ("Abs(x)", ["attributes"]), ("Add(x, w)", ["attributes"])]
)
def test_bodies(text: str, different: list[str], tmp_path: Path) -> None:
    one = save(LOOP.replace("BODY", "Neg(x)"), tmp_path, "one")
    (pair,) = diff_models(one, save(LOOP.replace("BODY", text), tmp_path, "two"))["regions"]
    assert pair["different"] == different
    assert all("'else_branch' is another body" in change["text"] for change in pair["changes"])


def test_a_constant_that_a_body_captures(tmp_path: Path) -> None:
    one = save(LOOP.replace("BODY", "Neg(x)"), tmp_path, "one")
    (pair,) = diff_models(one, save(LOOP.replace("BODY", "Neg(x)").replace("2.0", "3.0"), tmp_path, "two"))["regions"]
    assert pair["different"] == ["attributes"]


def test_a_fingerprint_by_other_rules_is_told(tmp_path: Path) -> None:
    one, two = save(BODY, tmp_path, "one"), save(BODY, tmp_path, "two")
    proto = onnx.load_model(two)
    for node in onnx_nodes(proto.graph):
        for attribute in node.attribute:
            if attribute.name == "fingerprint":
                attribute.s = b"0" * 64
    onnx.save_model(proto, two)
    (pair,) = diff_models(one, two)["regions"]
    assert pair["different"] == ["fingerprint"]


def onnx_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return [*graph.node, *(node for body in inner for node in onnx_nodes(body))]


# -- weights outside, and the command ------------------------------------------------------------------


def compiled(folder: Path, name: str, change: Callable[[onnx.ModelProto], None] = lambda _: None) -> Path:
    proto = encoder(width=768)
    change(proto)
    folder.mkdir(exist_ok=True)
    onnx.save_model(proto, folder / f"{name}.onnx")
    return actcache.compile_model(folder / f"{name}.onnx", min_saving=0, verify=False).output


def retrained(proto: onnx.ModelProto) -> None:
    array = onnx.numpy_helper.to_array(proto.graph.initializer[1]).copy()
    array[7, :3] += np.float32(0.5)
    proto.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(array, "w1"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("diff")
    return compiled(folder, "one"), compiled(folder, "two", retrained)


def test_the_command_tells_a_retrained_weight(pair: tuple[Path, Path]) -> None:
    done = run("diff", *pair)
    assert (done.returncode, done.stderr) == (0, "")
    assert "'one' and 'two' (matched by frontier and live-outs): entries are not shared" in done.stdout
    assert "different: weights\n" in done.stdout
    assert "  - weights: w1 float[768, 768]: 3 of 589824 elements differ, by 0.5 at most" in done.stdout


def test_the_command_as_json(pair: tuple[Path, Path]) -> None:
    done = run("diff", *pair, "--json")
    answer = json.loads(done.stdout)
    assert answer.keys() == {"first", "second", "shared", "versions", "regions", "only_first", "only_second"}
    assert answer["shared"] is False
    assert answer["regions"][0].keys() == {"first", "second", "matched_by", "shared", "same", "different", "changes"}
    same = json.loads(run("diff", pair[0], pair[0], "--json").stdout)
    assert same["shared"] is True and same["regions"][0]["changes"] == []


def test_equal_regions_need_no_weights(pair: tuple[Path, Path], tmp_path: Path) -> None:
    alone = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in alone:
        path.write_bytes(pair[0].read_bytes())
    done = run("diff", *alone)
    assert done.returncode == 0 and "'one': entries are shared" in done.stdout
    alone[1].write_bytes(pair[1].read_bytes())
    refused(run("diff", *alone), ".data: external data of initializer 'w", "put the file beside the model")


def test_models_that_have_nothing_in_common(tmp_path: Path) -> None:
    one = save(BODY, tmp_path, "one")
    view = GraphView(model(TOWERS))
    outline(view, region_of(view, {0, 1}, name="tower"), "f" * 64)
    onnx.save_model(view.model, tmp_path / "two.onnx")
    done = run("diff", one, tmp_path / "two.onnx")
    assert "'r' is in the first only" in done.stdout and "'tower' is in the second only" in done.stdout


def test_a_file_that_is_no_compiled_model(pair: tuple[Path, Path], tmp_path: Path) -> None:
    refused(run("diff", pair[0], tmp_path / "none.onnx"), "none.onnx: no such file")
    onnx.save_model(model(TOWERS), tmp_path / "plain.onnx")
    refused(run("diff", pair[0], tmp_path / "plain.onnx"), "plain.onnx: this model was not compiled by actcache")
    assert "Examples:" in run("diff", "--help").stdout
