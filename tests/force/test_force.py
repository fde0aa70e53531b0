"""A short proof by force; ``make torture`` runs the long one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.force.budget import keep_busy
from tests.force.faults import ENDS, SORTS, count_operations, every_fault, suffer_all
from tests.force.kills import kill_many
from tests.force.programs import FAULTS, REFUSED, WORKER, ForceError, check_store, missing
from tests.force.progress import Progress
from tests.force.usage import BUDGET, checked_usage, disk_usage

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(bool(missing()), reason="the C++ tests are not built: custom_ops/build.py --tests")


def test_no_failing_file_operation_breaks_the_store(tmp_path: Path) -> None:
    operations = count_operations(tmp_path)
    assert set(operations) == set(SORTS)
    assert operations[SORTS[0]] > 500  # locks and mapped files are among them
    assert operations[SORTS[-1]] > 300  # stores into mapped memory
    outcomes = suffer_all(tmp_path, operations, step=499)
    assert outcomes["used"] > 0
    faults = list(every_fault(operations, step=499))
    assert outcomes["killed"] == sum(fault.kind in ENDS for fault in faults) > 0
    assert outcomes["used"] + outcomes["refused"] + outcomes["killed"] == len(faults)
    sorts = ("failed operations", "kills at operations", "kills at stores", "stops at operations", "stops at stores")
    assert all(outcomes[sort] > 0 for sort in sorts) and sum(outcomes[sort] for sort in sorts) == len(faults)


def test_the_last_line_counts_all_parts() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.force",
        "--kills",
        "3",
        "--operations",
        "400",
        "--step",
        "997",
        "--seed",
        "5",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["sound"] and counts["seed"] == 5
    assert counts["kills at random"]["kills"] == 3
    assert counts["operations"]["operations"] == 400 and counts["operations"]["looks"] > 0
    assert counts["faults"]["kills at operations"] > 0


def test_progress_is_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    Progress(period=3600)("kills", 1, 9)
    assert capsys.readouterr().out == ""
    Progress(period=0)("kills", 2, 9)
    assert capsys.readouterr().out.startswith("kills: 2 of 9, ")


@pytest.mark.parametrize(("number", "system"), [(0x6969, "NFS"), (0xFF534D42, "SMB"), (0x65735546, "FUSE")])
def test_a_file_system_of_the_network_is_refused(tmp_path: Path, number: int, system: str) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(FAULTS), "FAULT_FILE_SYSTEM": str(number)}
    done = subprocess.run([WORKER, "works", tmp_path / "store"], env=environment, capture_output=True, text=True)
    assert done.returncode == REFUSED
    assert f"file system of the network ({system})" in done.stderr
    assert "name a folder on a disk of this machine" in done.stderr
    assert not (tmp_path / "store" / "index.sqlite").exists()


def test_killed_processes_leave_a_sound_store_within_its_budget(tmp_path: Path) -> None:
    counts = kill_many(tmp_path / "store", kills=40, seed=7)
    assert counts["kills"] == 40
    assert counts["hits"] > 0
    assert counts["checked values"] > 0
    assert 0 < counts["most bytes"] <= BUDGET


def test_busy_processes_stay_within_the_budget(tmp_path: Path) -> None:
    counts = keep_busy(tmp_path / "store", operations=4000, seed=3)
    assert counts["operations"] == 4000
    assert counts["puts"] > 1000 and counts["hits"] > 0
    assert counts["looks"] > 0
    assert BUDGET / 2 < counts["most bytes"] <= BUDGET


def test_a_folder_that_is_over_the_budget_is_reported(tmp_path: Path) -> None:
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "large").write_bytes(b"x" * BUDGET)
    said = subprocess.run(["du", "-s", "--block-size=1", tmp_path], capture_output=True, text=True, check=True).stdout
    assert disk_usage(tmp_path) == int(said.split()[0]) > BUDGET
    with pytest.raises(ForceError, match="the store takes"):
        checked_usage(tmp_path, [], "now")


def test_a_store_that_is_not_one_is_reported(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(ForceError, match="does not work"):
        check_store(tmp_path, "nothing")


@pytest.mark.parametrize("step", [1, 7])
def test_every_fault_is_each_sort(step: int) -> None:
    faults = list(every_fault(dict.fromkeys(SORTS, 70), step))
    assert {replace(fault, at=0) for fault in faults} == set(SORTS)
    assert len(set(faults)) == len(faults) == len(SORTS) * 70 // step
