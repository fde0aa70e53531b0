"""The audit log's files: parts, processes that end, are killed or fork, paths that cannot be written."""

from __future__ import annotations

import collections
import itertools
import json
import signal
import time
from pathlib import Path

import pytest
from audit_lines import agrees_with_statistics, lines_of, of, outcomes, run
from hand_written import Control, batch, squares


def test_parts_begin_alike_and_lose_nothing(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    region = squares()
    model = region.session()
    before = control.stats(region)
    control.configure("audit_max_bytes", "64KiB")
    control.configure("audit_files", "50")
    control.configure("audit_path", str(path))
    for i in range(400):
        model.run(None, {"x": batch(*range(i, i + 30))})
    control.configure("audit_path", "")
    parts = [path, *(Path(f"{path}.{number}") for number in range(1, 51))]
    found = [lines_of(part) for part in reversed(parts) if part.exists()]
    assert len(found) > 5
    for number, lines in enumerate(found, 1):
        assert (lines[0]["event"], lines[0]["part"]) == ("start", number)
        kinds = [line["event"] for line in lines]
        if "lookup" in kinds:
            assert kinds.index("region") < kinds.index("lookup")
    agrees_with_statistics(list(itertools.chain(*found)), region, control.stats(region), before)


PLAY = """
    import itertools, os, sys
    from hand_written import batch, squares
    region = squares()
    model = region.session()
"""


def test_a_killed_process_leaves_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    endless = PLAY + "\n    for i in itertools.count(): model.run(None, {'x': batch(*range(i, i + 50))})"
    for part in range(2):
        process = run(endless, ACTCACHE_AUDIT_PATH=str(path))
        grown = path.stat().st_size + 200_000 if part else 200_000
        end = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < grown:
            assert time.monotonic() < end and process.poll() is None, "nothing is written"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    broken = 0
    starts = 0
    for line in path.read_text("utf-8").splitlines():
        try:
            starts += json.loads(line)["event"] == "start"
        except json.JSONDecodeError:
            broken += 1
    assert broken <= 2
    assert starts == 2


def test_a_process_that_ends_writes_everything(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    process = run(PLAY + "\n    model.run(None, {'x': batch(1, 2)})", ACTCACHE_AUDIT_PATH=str(path))
    assert process.communicate()[1] == ""
    assert outcomes(of(lines_of(path), "lookup")) == ["mm"]


def test_a_forked_child_has_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = """
        import os, sys
        from hand_written import Control, batch, squares
        Control().configure("audit_path", sys.argv[1])
        child = os.fork()
        if child == 0:
            squares().session().run(None, {"x": batch(1, 2, 3)})
            Control().configure("audit_path", "")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        squares().session().run(None, {"x": batch(1)})
        print(child)
    """
    process = run(code, str(path))
    child, errors = process.communicate(timeout=120)
    assert errors == ""
    assert outcomes(of(lines_of(path), "lookup")) == ["m"]
    assert outcomes(of(lines_of(Path(f"{path}.pid-{child.strip()}")), "lookup")) == ["mmm"]


def test_forks_while_threads_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = """
        import os, sys, threading
        from hand_written import Control, batch, squares
        control = Control()
        control.configure("audit_max_bytes", "64KiB")
        control.configure("audit_path", sys.argv[1])
        region = squares()
        model = region.session()
        done = threading.Event()
        def play():
            while not done.is_set(): model.run(None, {"x": batch(*range(20))})
        threads = [threading.Thread(target=play) for _ in range(2)]
        for thread in threads: thread.start()
        for _ in range(10):
            child = os.fork()
            if child == 0:
                squares().session().run(None, {"x": batch(1)})
                control.configure("audit_path", "")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        done.set()
        for thread in threads: thread.join()
        print(control.counts(region, "calls")[0], control.audit()["dropped"])
    """
    process = run(code, str(path))
    said, errors = process.communicate(timeout=120)
    assert errors == ""
    files = [lines_of(file) for file in sorted(tmp_path.iterdir())]
    pids = collections.Counter(lines[0]["pid"] for lines in files)
    children = [pid for pid in pids if pid != process.pid]
    assert len(children) == 10
    for lines in files:
        if lines[0]["pid"] in children:
            assert outcomes(of(lines, "lookup")) == ["m"]
    kept = sum(len(of(lines, "lookup")) for lines in files if lines[0]["pid"] == process.pid)
    calls, dropped = map(int, said.split())
    parts = [line["part"] for lines in files if lines[0]["pid"] == process.pid for line in of(lines, "start")]
    assert max(parts) > 1 and 0 < kept <= calls - dropped


def test_a_path_that_cannot_be_written_is_refused_at_once(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "audit.jsonl"
    with pytest.raises(ValueError, match=f"the audit log {path} cannot be opened: No such file or directory"):
        control.configure("audit_path", str(path))
    assert control.config()["audit_path"] == ""
    with pytest.raises(ValueError, match="Is a directory"):
        control.configure("audit_path", str(tmp_path))
    process = run(PLAY, ACTCACHE_AUDIT_PATH=str(path))
    errors = process.communicate()[1]
    assert process.returncode != 0
    assert f"the audit log {path} cannot be opened" in errors


def test_a_million_rows(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    region = squares()
    model = region.session()
    x = batch(*range(4096))
    before = control.audit()
    control.configure("audit_buffer_bytes", "64MiB")
    control.configure("audit_path", str(path))
    for _ in range(250):
        model.run(None, {"x": x})
    control.configure("audit_path", "")
    lines = lines_of(path)
    assert sum(line["rows"] for line in of(lines, "lookup", region)) == 250 * 4096
    assert control.audit()["dropped"] == before["dropped"]
    assert control.audit()["bytes"] - before["bytes"] == path.stat().st_size


@pytest.mark.parametrize("refused", ["disk_path", "audit_path", "remote_secret_file"])
def test_a_session_that_is_refused_switches_nothing(tmp_path: Path, refused: str) -> None:
    """Neither the log nor the metrics file is the one that it named."""
    code = """
        import os, sys, time
        from hand_written import batch, session, squares
        folder, refused = sys.argv[1:]
        def entries(name):
            return {"audit_path": f"{folder}/{name}.jsonl", "metrics_path": f"{folder}/{name}.prom",
                    "disk_path": f"{folder}/{name}.store"}
        region = squares()
        model = region.session(**entries("first"))
        wrong = {**entries("second"), refused: f"{folder}/wrong"}
        if refused == "remote_secret_file":
            wrong["remote_url"] = "redis://localhost:1"
        try:
            region.session(**wrong)
        except Exception as error:
            assert "wrong" in str(error), error
        else:
            raise AssertionError("it was not refused")
        model.run(None, {"x": batch(1, 2)})
        while not os.path.exists(f"{folder}/first.prom"):
            time.sleep(0.01)
    """
    wrong = tmp_path / "wrong"
    wrong.mkdir() if refused == "audit_path" else wrong.write_text("")
    process = run(code, str(tmp_path), refused)
    assert process.communicate()[1] == "" and process.returncode == 0
    assert outcomes(of(lines_of(tmp_path / "first.jsonl"), "lookup")) == ["mm"]
    assert not (tmp_path / "second.jsonl").exists() and not (tmp_path / "second.prom").exists()
