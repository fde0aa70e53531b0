"""A short proof by force; ``make torture`` runs the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.force.faults import every_fault, suffer_all
from tests.force.kills import BUDGET, kill_many
from tests.force.programs import ForceError, check_store, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason="the C++ tests are not built: custom_ops/build.py --tests")


def test_no_failing_file_operation_breaks_the_store(tmp_path: Path) -> None:
    outcomes = suffer_all(tmp_path, step=131)
    assert outcomes["operations"] > 300
    assert outcomes["used"] > outcomes["refused"] > 0
    assert outcomes["used"] + outcomes["refused"] == len(list(every_fault(outcomes["operations"], step=131)))


def test_killed_processes_leave_a_sound_store_within_its_budget(tmp_path: Path) -> None:
    counts = kill_many(tmp_path / "store", kills=40, seed=7)
    assert counts["kills"] == 40
    assert counts["hits"] > 0
    assert counts["checked values"] > 0
    assert 0 < counts["most bytes"] <= BUDGET


def test_a_store_that_is_not_one_is_reported(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(ForceError, match="does not work"):
        check_store(tmp_path, "nothing")


@pytest.mark.parametrize("step", [1, 7])
def test_every_fault_is_each_kind_once_and_for_good(step: int) -> None:
    faults = list(every_fault(70, step))
    assert len({(fault.kind, fault.lasts) for fault in faults}) == 6
    assert len(set(faults)) == len(faults) == 6 * 70 // step
