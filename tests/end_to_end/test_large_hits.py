"""benchmarks.large_hits compares what it says: the same rows, found again, copied once and twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import actcache
from benchmarks.large_hits import copied_twice, fetch_nodes, save_wide, second_copy


def test_what_is_copied_twice_has_no_fetch(tmp_path: Path) -> None:
    plain, once = tmp_path / "wide.onnx", tmp_path / "once.onnx"
    region = save_wide(plain, 16)
    sample = {"x": np.zeros((2, 64), np.float32)}
    actcache.compile_model(plain, once, samples=[sample], regions=[region], verify=False)
    compiled = onnx.load(once)
    assert len(fetch_nodes(compiled)) == 1
    changed = copied_twice(compiled)
    assert fetch_nodes(changed) == []
    (lookup,) = (node for node in changed.graph.node if node.op_type == "CacheLookup")
    (hit,) = (a.g for node in changed.graph.node for a in node.attribute if a.name == "else_branch")
    assert [(node.op_type, list(node.input)) for node in hit.node] == [("Identity", [lookup.output[2]])]
    assert {"hands_over", "store_fetches"}.isdisjoint(attribute.name for attribute in lookup.attribute)


@pytest.mark.parametrize("new", [0, 1])
def test_a_measurement_finds_all_rows_again(new: int) -> None:
    actcache.invalidate()
    before = actcache.stats()["regions"]
    ratio = second_copy(16, 2, pairs=2, new=new)
    assert ratio.pairs == 2 and ratio.first > 0 and ratio.second > 0
    ((name, region),) = [(name, region) for name, region in actcache.stats()["regions"].items() if "wide" in name]
    misses = region["misses"] - before.get(name, {"misses": 0})["misses"]
    assert 8 * new <= misses <= 4 + 8 * new, "each of two models is warmed up by two calls, and timed by two"
