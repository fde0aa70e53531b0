"""``actcache top``: the table, live on a terminal and once, and what it says of files that tell nothing."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import refused, run
from serving import eventually, host

from actcache.metrics.metrics_file import Snapshot, activity, read_snapshot

SERVE = "actcache.configure(metrics_path={path!r})\nwhile True: serve(); time.sleep(0.005)"


def region(**changes: Any) -> dict[str, Any]:
    counts = dict.fromkeys("hits misses bypassed mismatches evicted bytes saved_seconds overhead_seconds".split(), 0)
    return {**counts, "state": "active", **changes}


def content(**changes: Any) -> dict[str, Any]:
    store = {"bytes": 3 << 20, "entries": 7, "budget_bytes": 4 << 20, "evictions": 2}
    regions = {"encoder": region(hits=30, misses=60, bypassed=10, saved_seconds=5.5, overhead_seconds=0.5)}
    now = {"schema": 1, "time": time.time(), "pid": os.getpid(), "version": "0.1.0"}
    return {**now, "regions": regions, "store": store, **changes}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "m.json"
    path.write_text(json.dumps(content(**changes)))
    return path


# -- once --------------------------------------------------------------------------------------------


def test_once_shows_a_running_process(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    with host(SERVE.format(path=str(path))) as process:
        eventually(lambda: path.exists() and json.loads(path.read_text())["store"]["entries"])
        done = run("top", path, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"process {process.pid}, actcache" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("squares")]
    assert "active" in row and re.search(r"\d+\.\d%", row)
    assert "stale" not in done.stdout


def test_once_says_what_the_file_says(tmp_path: Path) -> None:
    shown = run("top", written(tmp_path), "--once").stdout
    assert "] 75%: 3.0 MiB of 4.0 MiB, 7 entries, 2 evicted" in shown
    assert shown.count("#") == 22
    (row,) = [line for line in shown.splitlines() if "encoder" in line]
    assert row.split() == "encoder active 100 30.0% - - - 0 B 5.0s 0 10 0".split()


def test_once_has_a_line_for_each_tier(tmp_path: Path) -> None:
    names = "hits misses damaged stored refused dropped entries bytes budget_bytes".split()
    disk = {**dict.fromkeys(names, 0), "problem": None, "hits": 30, "misses": 10, "stored": 12, "damaged": 2}
    held = {"entries": 40, "bytes": 3 << 20, "budget_bytes": 1 << 30}
    remote = {**dict.fromkeys(names, 0), "problem": "the server is full", "hits": 1}
    shown = run("top", written(tmp_path, tiers={"disk": {**disk, **held}, "remote": remote}), "--once").stdout
    lines = shown.splitlines()
    assert "disk: had 30 of 40 values, stored 12, 2 damaged; holds 40 in 3.0 MiB of 1.0 GiB" in lines
    assert "remote: had 1 of 1 values, stored 0; the server is full" in lines
    assert "had" not in run("top", written(tmp_path), "--once").stdout  # of an earlier version, or without tiers


def test_a_terminal_cannot_be_written_to_by_a_models_names(tmp_path: Path) -> None:
    shown = run("top", written(tmp_path, regions={"a\x1b[2J\nb": region()}), "--once").stdout
    assert "\x1b" not in shown and "a?[2J?b" in shown


def test_energy_is_an_estimate_that_says_so(tmp_path: Path) -> None:
    assert "; 60 J (estimate: 12 W per busy core)" in run("top", written(tmp_path), "--once", "--watts", 12).stdout


def test_nothing_loaded_yet_and_nothing_allowed(tmp_path: Path) -> None:
    store = {"bytes": 0, "entries": 0, "budget_bytes": 0, "evictions": 0}
    shown = run("top", written(tmp_path, regions={}, store=store), "--once").stdout
    assert "no compiled model has been loaded yet" in shown and "] 0%: 0 B of 0 B" in shown


# -- files that tell nothing of now ------------------------------------------------------------------


def test_a_process_that_ended_is_said_to_have_ended(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    shown = run("top", written(tmp_path, pid=ended.pid, time=time.time() - 60), "--once")
    assert shown.returncode == 0
    assert f"stale: process {ended.pid} has ended; its last snapshot is 6" in shown.stdout


def test_a_process_that_hangs_is_said_to_hang(tmp_path: Path) -> None:
    shown = run("top", written(tmp_path, time=time.time() - 1200), "--once").stdout
    assert f"stale: process {os.getpid()} has written nothing for 20 min; it hangs" in shown


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    refused(run("top", tmp_path / "none.json"), "none.json: no such file; set the knob metrics_path")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "this file is empty"),
        (json.dumps(content())[:-40], "this metrics file is cut off"),
        ("[1]", "this is not a metrics file"),
        ("{}", "this file has no schema, actcache 0.1.0 reads schema 1"),
        (json.dumps(content(schema=2)), "this file has schema 2, actcache 0.1.0 reads schema 1; use the actcache of"),
        (json.dumps(content(store={})), "a member of its schema is missing or wrong"),
        (json.dumps(content(regions={"r": {}})), "a member of its schema is missing or wrong"),
        (json.dumps(content(tiers={"disk": {}})), "a member of its schema is missing or wrong"),
        (json.dumps(content(regions=[])), "a member of its schema is missing or wrong"),
        ("# HELP actcache_build_info 1\n", "this is the metrics file for Prometheus; set the knob metrics_path"),
    ],
)
def test_other_files_are_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    refused(run("top", path, "--once"), says)


def test_binary_files_and_folders_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(b"\xff\xfe\x00")
    refused(run("top", path), "this is not a metrics file")
    refused(run("top", tmp_path), "cannot be read: Is a directory")


# -- live --------------------------------------------------------------------------------------------


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *arguments: object, columns: int = 150) -> None:
        self._own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "actcache", *map(str, arguments)],
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns), "LINES": "40"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # Who runs the tests in the background has Ctrl-C ignored, and so would the program.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(theirs)
        os.set_blocking(self._own, False)
        self.shown = ""

    def shows(self, pattern: str) -> str | None:
        with contextlib.suppress(OSError):  # nothing new; or the program has ended
            self.shown += os.read(self._own, 1 << 16).decode(errors="replace")
        found = re.search(pattern, self.shown, re.DOTALL)
        return found[0] if found else None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._own)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        eventually(lambda: (self.shows("$"), self.process.poll() is not None)[1])
        return self.process.returncode


def test_a_narrow_terminal_gets_what_matters_most(tmp_path: Path) -> None:
    with Terminal("top", written(tmp_path), columns=80) as terminal:
        row = eventually(lambda: terminal.shows(r"encoder [^\n\x1b]*(?=[\n\x1b])"))
        assert row.split() == "encoder active 100 30.0% - - - 0 B 0".split()
        assert terminal.interrupt() == 0


def test_it_refreshes_until_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    with host(SERVE.format(path=str(path))) as process:
        eventually(lambda: path.exists() and json.loads(path.read_text())["store"]["entries"])
        with Terminal("top", path, "--interval", "0.2") as terminal:
            # The second snapshot and later ones have rates: rows per second, and the ratio of hits of late.
            eventually(lambda: terminal.shows(r"squares[^\n]*active[^\n]*\d%[^\n]*\d% +[1-9]\d* +-?\d\.\d\ds "))
            process.kill()
            eventually(lambda: terminal.shows("stale: process"))
            path.unlink()
            eventually(lambda: terminal.shows("no such file; set the knob"))
            assert terminal.interrupt() == 0
            assert "Traceback" not in terminal.shown
            assert terminal.shown.rstrip().endswith("\x1b[?25h")  # the cursor is back


# -- rates -------------------------------------------------------------------------------------------


def snapshot(time: float, pid: int = 1, **counts: Any) -> Snapshot:
    return Snapshot(time, pid, "0.1.0", {"r": region(**counts)}, {})


def test_rates_are_those_between_two_snapshots_of_one_process() -> None:
    before = snapshot(10, hits=10, misses=10, saved_seconds=1.0)
    now = snapshot(12, hits=40, misses=20, saved_seconds=4.0, overhead_seconds=1.0)
    done = activity(before, now, "r")
    assert (done.rows, done.hit_ratio, done.recent_hit_ratio) == (60, 40 / 60, 0.75)
    assert (done.rows_per_second, done.saved_per_second) == (20, 1.0)
    for other in (None, now, snapshot(10, pid=2)):
        assert activity(other, now, "r").rows_per_second is None
    idle = activity(now, snapshot(13, hits=40, misses=20, saved_seconds=4.0, overhead_seconds=1.0), "r")
    assert (idle.recent_hit_ratio, idle.rows_per_second, idle.saved_per_second) == (None, 0, 0)


def test_a_region_that_was_not_there_before_counts_from_0() -> None:
    before = Snapshot(10, 1, "0.1.0", {}, {})
    assert activity(before, snapshot(12, hits=8), "r").rows_per_second == 4


def test_a_snapshot_of_the_library_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    with host(f"actcache.configure(metrics_path={str(path)!r}); serve(3)") as process:
        process.communicate()
    (found,) = read_snapshot(path).regions.values()
    assert found["misses"] == 16
