"""``benchmarks.triton``: what is asked, and the table. The server needs an environment of its own."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.triton import main, requests, triton_table


def test_the_table_has_a_line_for_each_kind_of_request() -> None:
    spread = {"median": 2.0, "low": 1.5, "high": 2.5}
    kinds = dict.fromkeys(("unique", "same", "changed"), spread)
    times = dict.fromkeys(("original", "cached", "compiled"), kinds)
    found = {"milliseconds": times, "shape_told_of_3_2": [2, 3], "largest_difference": 1e-7}
    lines = triton_table(found).splitlines()
    assert lines[2] == "| new sentences | " + " | ".join(["2.00 ms (1.50–2.50)"] * 3) + " |"
    assert len(lines) == 7 and "answer for [2, 3]" in lines[-1]


def test_a_changed_request_has_one_new_sentence() -> None:
    asked = requests(3)
    assert asked["unique"].shape == asked["changed"].shape == (3, 8, 64)
    same = (asked["changed"] == asked["known"]).all(-1)
    assert same.sum(1).tolist() == [7, 7, 7]
    new = [*asked["changed"][~same], *asked["unique"].reshape(-1, 64), *asked["known"]]
    assert len(np.unique(new, axis=0)) == 3 + 24 + 8


def test_an_environment_without_triton_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["triton", "--python", "/no/such/python"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
