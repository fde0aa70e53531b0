"""``actcache explain-miss``: frontiers of compiled models, and that what it says is what then happens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from command_line import refused, run
from graphs import TOWERS, encoder, model
from outlining import ALL, outlined, region_of

import actcache
from actcache.errors import InvalidModel, InvalidRegion
from actcache.inspection.explain_miss import explain_inputs
from actcache.model.compiled_model import read_compiled
from actcache.passes.cuts import RowCut
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.outline import outline
from actcache.passes.rewrite.per_call import add_per_call

#: The second region reads what the first one gives, and one inside it reads what stands in its branch.
STAGES = """
stages (float[N, 2] x, float[N, 2] s) => (float[N, 2] y)
{ a = Neg(x) b = Tanh(a) c = Add(b, s) d = Abs(c) e = Tanh(d) y = Neg(e) }
"""


def written(proto: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    onnx.save_model(proto, folder / name)
    return folder / name


def calls(folder: Path, *feeds: Mapping[str, Any]) -> list[Path]:
    paths = [folder / f"call{number}.npz" for number in range(len(feeds))]
    for path, given in zip(paths, feeds, strict=True):
        np.savez(path, **given)
    return paths


def told(path: Path, first: Path, second: Path, **options: Any) -> dict[str, list[tuple[int | None, str]]]:
    """Per region, row and outcome."""
    found: dict[str, list[tuple[int | None, str]]] = {}
    for record in explain_inputs(path, first, second, **options):
        found.setdefault(record.region, []).append((record.row, record.outcome))
    return found


def happens(path: Path, first: Path, second: Path) -> dict[str, Counter[str]]:
    """Make the two calls, and return per region what the statistics say of the second."""
    options = ort.SessionOptions()
    options.add_session_config_entry("actcache.namespace", str(path))
    actcache.register(options)
    session = ort.InferenceSession(str(path), options)
    counts = []
    for call in (first, second):
        with np.load(call) as arrays:
            session.run(None, {name: a.astype(object) if a.dtype.kind == "U" else a for name, a in arrays.items()})
        counts.append({region["fingerprint"]: region for region in actcache.stats()["regions"].values()})
    keys = ("hits", "duplicates", "misses", "bypassed")
    return {
        lookup.id: Counter({k: counts[1][key][k] - counts[0][key][k] for k in keys})
        for lookup in read_compiled(path).lookups
        if (key := lookup.fingerprint) in counts[1]
    }


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("miss")
    onnx.save_model(encoder(), folder / "encoder.onnx")
    return actcache.compile_model(folder / "encoder.onnx", min_saving=0, verify=False).output


def rows(seed: int, count: int = 4, width: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def test_the_command_names_row_tensor_element_and_distance(compiled: Path, tmp_path: Path) -> None:
    one = rows(1)
    two = one[[3, 0, 3, 2]]
    two[[0, 2], 17] = np.nextafter(two[0, 17], np.float32(9))
    first, second = calls(tmp_path, {"x": one}, {"x": two})
    done = run("explain-miss", compiled, first, second)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "encoder: 1 miss, 2 hit, 1 duplicate"
    assert lines[1].startswith(
        "  row 0: miss: nearest is row 3 of the first call; 'x' differs in 1 of 256 elements, first at [0, 17]: "
    )
    assert "1 ulp apart (0x" in lines[1]
    assert lines[2:] == [
        "  row 1: hit: equal to row 0 of the first call",
        "  row 2: duplicate: equal to row 0 of the same call",
        "  row 3: hit: equal to row 2 of the first call",
    ]
    answer = json.loads(run("explain-miss", compiled, first, second, "--json").stdout)
    assert answer.keys() == {"model", "first", "second", "regions", "rows"}
    assert answer["regions"] == {"encoder": {"miss": 1, "hit": 2, "duplicate": 1}}
    assert answer["rows"][0].keys() == {"region", "row", "outcome", "reason", "text", "details"}
    assert (answer["rows"][0]["details"]["index"], answer["rows"][0]["details"]["ulps"]) == ([0, 17], 1)
    counted = happens(compiled, first, second)["encoder"]
    assert (counted["hits"] - counted["duplicates"], counted["duplicates"], counted["misses"]) == (2, 1, 1)


def test_many_rows_are_cut_short_for_people(compiled: Path, tmp_path: Path) -> None:
    first, second = calls(tmp_path, {"x": rows(1)}, {"x": rows(2, count=30)})
    shown = run("explain-miss", compiled, first, second).stdout
    assert "encoder: 30 miss" in shown and "... and 10 more rows" in shown


def test_frontiers_inside_the_model_are_computed(tmp_path: Path) -> None:
    proto = outlined(model(STAGES), {0, 1}, {4}, {3, 4, 5})
    path = written(proto, tmp_path)
    one = {"x": rows(1, 3, 2), "s": rows(2, 3, 2)}
    two = {"x": one["x"], "s": one["s"].copy()}
    two["s"][1] += 1  # r0 sees x alone; r2 reads b + s, and r1 lies in it
    two["s"][2] = -2 * np.tanh(-one["x"][2]) - one["s"][2]  # another c, and nearly the same |c|
    first, second = calls(tmp_path, one, two)
    found = told(path, first, second)
    assert found["r0"] == [(0, "hit"), (1, "hit"), (2, "hit")]
    assert found["r2"] == [(0, "hit"), (1, "miss"), (2, "miss")]
    assert found["r1"][:2] == [(0, "not asked"), (1, "miss")]
    record = next(r for r in explain_inputs(path, first, second, region="r2") if r.row == 1)
    assert record.details["tensor"] == "c" and record.details["nearest_row"] == 1
    assert told(path, first, second, region="r1") == {"r1": found["r1"]}
    counted = happens(path, first, second)
    for name, listed in found.items():
        outcomes = Counter(outcome for _, outcome in listed)
        assert (counted[name]["hits"], counted[name]["misses"]) == (outcomes["hit"], outcomes["miss"])


def test_a_region_that_is_not_asked_at_all(tmp_path: Path) -> None:
    path = written(outlined(model(STAGES), {4}, {3, 4, 5}), tmp_path)
    one = {"x": rows(1, 3, 2), "s": rows(2, 3, 2)}
    first, second = calls(tmp_path, one, one)
    found = told(path, first, second)
    assert {outcome for _, outcome in found["r1"]} == {"hit"} and {o for _, o in found["r0"]} == {"not asked"}
    assert happens(path, first, second)["r0"].total() == 0


def test_weights_before_a_frontier_are_read_those_behind_are_not(tmp_path: Path) -> None:
    proto = model("g (int64[N] ids) => (float[N, 2048] y) { e = Gather(table, ids) t = Tanh(e) y = Mul(t, scale) }")
    table = np.arange(8 * 2048, dtype=np.float32).reshape(8, 2048) / 1e4
    for name, array in (("table", table), ("scale", table[:1])):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    view = GraphView(proto)
    outline(view, region_of(view, {1, 2}), "e" * 64)
    path = tmp_path / "model.onnx"
    onnx.save_model(view.model, path, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    first, second = calls(tmp_path, {"ids": np.arange(3)}, {"ids": np.array([2, 5])})
    (tmp_path / "scale").unlink()
    hit, miss = explain_inputs(path, first, second)
    assert (hit.outcome, hit.details) == ("hit", {"equal_to": 2})
    assert (miss.details["tensor"], miss.details["differing"]) == ("e", 2048)
    (tmp_path / "table").unlink()
    with pytest.raises(InvalidModel, match="external data of initializer 'table' cannot be read"):
        explain_inputs(path, first, second)


def test_what_a_call_says_about_its_cache(tmp_path: Path) -> None:
    proto = outlined(model(STAGES), {0, 1}, {3, 4, 5})
    add_per_call(proto, ALL, ["r0", "r1"])
    path = written(proto, tmp_path)
    plain: dict[Any, Any] = {"x": rows(1, 2, 2), "s": rows(2, 2, 2), ALL.namespace_input: np.array("a")}
    bypass = plain | {ALL.control_input: np.array("bypass")}
    first, other, passed = calls(tmp_path, plain, plain | {ALL.namespace_input: np.array("b")}, bypass)
    assert set(told(path, first, first)["r1"]) == {(0, "hit"), (1, "hit")}
    records = explain_inputs(path, first, other)
    assert {(r.outcome, r.reason) for r in records} == {("miss", "namespace")}
    assert {(r.outcome, r.reason) for r in explain_inputs(path, first, passed)} == {("bypassed", "control")}
    assert {(r.outcome, r.reason) for r in explain_inputs(path, passed, first)} == {("miss", "control")}
    assert happens(path, first, other)["r1"]["misses"] == 2


def test_an_input_with_a_default(tmp_path: Path) -> None:
    view = GraphView(
        model("g (float[N, 2] x, float[2] k) => (float[N, 2] y) <float[2] k = {1, 2}> { a = Mul(x, k) y = Tanh(a) }")
    )
    region = region_of(view, {0, 1})
    axes = {"x": 0, "k": None}
    outline(view, replace(region, cut=RowCut(tuple(axes[name] for name in region.frontier), (0,))), "d" * 64)
    path = written(view.model, tmp_path)
    x = rows(1, 2, 2)
    default, same, other = calls(
        tmp_path, {"x": x}, {"x": x, "k": np.array([1, 2], np.float32)}, {"x": x, "k": np.array([1, 3], np.float32)}
    )
    assert told(path, default, same)["r"] == [(0, "hit"), (1, "hit")]
    (record, _) = explain_inputs(path, default, other)
    assert "'k', which all entries cover, differs in 1 of 2 elements, first at [1]: 2.0 there, 3.0 here" in record.text


def test_types_that_numpy_lacks(tmp_path: Path) -> None:
    view = GraphView(
        model("g (float[N, 2] x) => (float[N, 2] y) { h = Cast<to = 16>(x) f = Cast<to = 1>(h) y = Tanh(f) }")
    )
    outline(view, region_of(view, {1, 2}), "b" * 64)
    first, second = calls(tmp_path, {"x": rows(1, 2, 2)}, {"x": rows(1, 2, 2)})
    (record,) = explain_inputs(written(view.model, tmp_path), first, second)
    assert (record.outcome, record.reason, record.details) == ("unknown", "unreadable", {"tensor": "h"})


def test_bad_input_is_one_sentence(compiled: Path, tmp_path: Path) -> None:
    first, wrong = calls(tmp_path, {"x": rows(1)}, {"x": rows(1, width=7)})
    refused(run("explain-miss", compiled, first, wrong), "call1.npz: 'x': the sample has shape [4, 7]")
    refused(run("explain-miss", compiled, first, tmp_path / "no.npz"), "no.npz: the sample cannot be read")
    refused(run("explain-miss", compiled, first), "Missing argument 'SECOND.npz|AUDIT'")
    refused(run("explain-miss", compiled, first, first, "--region", "x"), "has no region 'x'; it has encoder")
    refused(run("explain-miss", written(model(TOWERS), tmp_path), first, first), "was not compiled by actcache")
    assert "Examples:" in run("explain-miss", "--help").stdout
    with pytest.raises(InvalidRegion):
        explain_inputs(compiled, first, first, region="")


def test_operators_that_onnxruntime_lacks(tmp_path: Path) -> None:
    proto = model("g (float[N, 2] x) => (float[N, 2] y) { h = far.away.Op(x) y = Tanh(h) }", domains='"far.away" : 1')
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, ["N", 2]))
    view = GraphView(proto)
    outline(view, region_of(view, {1}), "a" * 64)
    (call,) = calls(tmp_path, {"x": rows(1, 2, 2)})
    done = run("explain-miss", written(view.model, tmp_path), call, call)
    refused(done, "model.onnx: onnxruntime", "cannot load what comes before its regions", "--custom-op-library")


def test_a_call_that_the_model_refuses(tmp_path: Path) -> None:
    path = written(outlined(model(STAGES), {3, 4, 5}), tmp_path)
    first, odd = calls(tmp_path, {"x": rows(1, 2, 2), "s": rows(2, 2, 2)}, {"x": rows(1, 2, 2), "s": rows(2, 3, 2)})
    refused(run("explain-miss", path, first, odd), "call1.npz: the model refuses this call (")


def test_a_crash_stays_in_the_other_process(tmp_path: Path) -> None:
    """A module that aborts stands in for onnxruntime, which only the other process loads."""
    (tmp_path / "onnxruntime.py").write_text("import os\nos.abort()\n")
    path = written(outlined(model(STAGES), {3, 4, 5}), tmp_path)
    (call,) = calls(tmp_path, {"x": rows(1, 2, 2), "s": rows(2, 2, 2)})
    done = run("explain-miss", path, call, call, PYTHONPATH=str(tmp_path))
    refused(done, "model.onnx: onnxruntime crashed while running it")
