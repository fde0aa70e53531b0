"""benchmarks.large_hits compares what it says: the same rows, found again, copied once and twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

import actcache
from benchmarks.large_hits import copied_once, save_wide, second_copy


def test_hits_that_are_copied_once_are_the_lookup_s_results(tmp_path: Path) -> None:
    plain, twice = tmp_path / "wide.onnx", tmp_path / "twice.onnx"
    region = save_wide(plain, 16)
    sample = {"x": np.zeros((2, 64), np.float32)}
    actcache.compile_model(plain, twice, samples=[sample], regions=[region], verify=False)
    compiled = onnx.load(twice)
    changed = copied_once(compiled)
    (lookup,) = (node for node in compiled.graph.node if node.op_type == "CacheLookup")
    assert [output.name for output in changed.graph.output] == [lookup.output[2], "size"]
    (hit,) = (a.g for node in changed.graph.node for a in node.attribute if a.name == "else_branch")
    assert [node.op_type for node in hit.node] == ["Constant"]


def test_a_measurement_finds_all_rows_again() -> None:
    actcache.invalidate()
    ratio = second_copy(16, 2, pairs=2)
    assert ratio.pairs == 2 and ratio.first > 0 and ratio.second > 0
    (region,) = [region for name, region in actcache.stats()["regions"].items() if "wide" in name]
    assert region["misses"] <= 4 < region["hits"]
