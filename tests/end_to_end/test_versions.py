"""``scripts.versions``: what it plays under other versions passes under this one, and what is wrong fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

import actcache
from actcache.passes.graph.nodes import all_nodes
from scripts.versions import cases
from scripts.versions.__main__ import PROGRAM, main
from scripts.versions.environments import Pair, UnavailableError, dependencies, environment, interpreter
from scripts.versions.table import table, verdict


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("versions")
    cases.write(place, cases.QUICK)
    return place


def played(folder: Path) -> dict[str, Any]:
    command = [sys.executable, str(PROGRAM), actcache.library_path(), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["cases"]
    return found


def test_all_cuts_and_operators_pass_under_this_onnxruntime(folder: Path) -> None:
    found = played(folder)
    hits = {"rows of images": [0, 4, 3, 1, 0], "large hits": [0, 4, 3, 1, 0], "prefixes": [0, 40, 40, 40, 0]}
    hits["branches of an If"] = hits["prefixes"]
    assert {name: case.get("hits") for name, case in found.items()} == {
        name + mode: counted for name, counted in hits.items() for mode in ("", ", parallel")
    }
    assert all(case["passed"] and case["repeated"] for case in found.values()), found


def test_every_operator_is_in_a_model(folder: Path) -> None:
    found = {case.name: onnx.load(folder / case.name / "compiled.onnx") for case in cases.QUICK}
    ours = {
        name: {node.op_type for node in all_nodes(model.graph.node) if node.domain == "ai.actcache"}
        for name, model in found.items()
    }
    around = {"CacheLookup", "CacheStore"}
    assert ours["large hits"] == around | {"CacheFetch"}
    assert ours["branches of an If"] >= around | {"CacheConstants"}


def test_what_is_wrong_fails(folder: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("no cache", "other model", "no model", "new")}
    for place in places.values():
        shutil.copytree(folder / "rows of images", place)
    shutil.copy(places["no cache"] / "original.onnx", places["no cache"] / "compiled.onnx")
    shutil.copy(folder / "prefixes" / "original.onnx", places["other model"] / "original.onnx")
    (places["no model"] / "compiled.onnx").write_bytes(b"")
    (places["new"] / "calls" / "1-known.npz").rename(places["new"] / "calls" / "1-new.npz")
    found = played(tmp_path)
    tried = [name + mode for name in places for mode in ("", ", parallel")]
    assert {name: case["passed"] for name, case in found.items()} == dict.fromkeys(tried, False)
    assert "error" in found["other model"] and "error" in found["no model"]
    assert found["no cache"]["hits"] == [0] * 5 and found["new"]["hits"] == [0, 4, 3, 1, 0]


def test_the_table_says_what_passed_failed_and_could_not_be_had() -> None:
    good = {"passed": True, "difference": 0.0, "repeated": True, "hits": [0, 4]}
    bad = {**good, "passed": False, "repeated": False, "difference": 0.5}
    head = {"asked_python": "3.10", "python": "3.10.13"}
    pairs: list[dict[str, Any]] = [
        {**head, "asked_onnxruntime": "1.9", "onnxruntime": "1.9.2", "cases": {"rows": good}},
        {**head, "asked_onnxruntime": "1.18", "onnxruntime": "1.18.1", "cases": {"rows": good, "prefixes": good}},
        {**head, "asked_onnxruntime": "1.30", "unavailable": "no wheel"},
    ]
    assert table(pairs).splitlines()[2:] == [
        "| 1.9 | 1.9.2: passed |",
        "| 1.18 | 1.18.1: passed |",
        "| 1.30 | none |",
        "",
        "- onnxruntime 1.30, Python 3.10: no wheel",
    ]
    assert verdict(pairs) == "All 2 pairs passed: onnxruntime 1.9.2 to 1.18.1, Python 3.10.13 to 3.10.13."
    pairs[1]["cases"]["prefixes"] = bad
    assert "| 1.18 | 1.18.1: **1 of 2 failed** |" in table(pairs)
    assert "- onnxruntime 1.18, Python 3.10, prefixes: differs by 0.5 of the scale, other bits when repeated" in table(
        pairs
    )
    assert verdict(pairs) == verdict([]) == "Not all pairs passed."


def test_a_python_that_is_not_here_is_told(tmp_path: Path) -> None:
    here = "{}.{}".format(*sys.version_info)
    assert interpreter(here) == Path(sys.executable)
    with pytest.raises(UnavailableError, match=r"no Python 3\.99 on this machine"):
        environment(Pair("3.99", "1.24"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_asked_of_pip() -> None:
    assert Pair("3.11", "newest").requirements == ["onnxruntime", "numpy"]
    assert Pair("3.11", "1.18").requirements == ["onnxruntime==1.18.*", "numpy<2"]
    assert Pair("3.11", "1.20").requirements == ["onnxruntime==1.20.*", "numpy"]
    assert "scipy>=1.10" in dependencies() and not [each for each in dependencies() if "pytest" in each]


def test_a_version_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--onnxruntime", "old"])
    assert ended.value.code == 2
    assert "1.24" in capsys.readouterr().err
