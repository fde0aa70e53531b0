"""The knob ``metrics_path``: what a process writes while it lives, when it exits, and after a fork."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from processes import run_python
from serving import NAME, eventually, host

import actcache
from actcache.metrics.metrics_file import SCHEMA, read_snapshot


def content(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def test_a_running_process_writes_what_stats_says(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    with host("serve(10); print(actcache.stats(), flush=True); input()", ACTCACHE_METRICS_PATH=str(path)) as process:
        assert process.stdout is not None
        said = eval(process.stdout.readline())
        found = eventually(lambda: path.exists() and (now := content(path))["regions"] and now)
        assert found.pop("schema") == SCHEMA
        assert found.pop("pid") == process.pid
        assert found.pop("version") == actcache.__version__
        first = found.pop("time")
        eventually(lambda: content(path)["time"] > first)
        found = content(path)
    assert found["regions"] == said["regions"] and found["store"] == said["store"]
    assert found["regions"][NAME]["hits"] == 36 and found["regions"][NAME]["misses"] == 44
    assert found.keys() == {"schema", "time", "pid", "version", *said}


def test_the_last_snapshot_is_written_at_exit(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    with host(f"actcache.configure(metrics_path={str(path)!r}); serve(10)") as process:
        process.communicate()
        assert process.returncode == 0
    assert read_snapshot(path).regions[NAME]["calls"] == 10
    assert [file.name for file in tmp_path.iterdir()] == ["m.json"]


def test_there_is_a_thread_only_while_the_knob_is_set(tmp_path: Path) -> None:
    code = f"""
        import actcache, pathlib, time
        names = lambda: [p.read_text().strip() for p in pathlib.Path("/proc/self/task").glob("*/comm")]
        actcache.stats()
        print("actcache-metric" in names())
        actcache.configure(metrics_path={str(tmp_path / "m.json")!r})
        while "actcache-metric" not in names(): time.sleep(0.01)
        actcache.configure(metrics_path="")
        while "actcache-metric" in names(): time.sleep(0.01)
        print(actcache.configuration()["metrics_path"] == "")
    """
    assert run_python(code, timeout=60).split() == ["False", "True"]


def test_a_forked_child_writes_nothing_until_it_names_its_own_file(tmp_path: Path) -> None:
    code = f"""
        import actcache, json, os, pathlib
        folder = pathlib.Path({str(tmp_path)!r})
        actcache.configure(metrics_path=folder / "parent.json", hash="xxh3")
        if os.fork() == 0:
            found = actcache.configuration()
            assert (found["metrics_path"], found["hash"]) == ("", "xxh3")
            assert len(os.listdir("/proc/self/task")) == 1
            actcache.configure(metrics_path=folder / "%p.json")
            actcache.configure(metrics_path="")
            assert json.loads((folder / f"{{os.getpid()}}.json").read_text())["forked"]
            raise SystemExit  # writes no last snapshot of the parent
        assert os.wait()[1] == 0
        (folder / "parent.json").unlink()
    """
    run_python(code, timeout=60)
    assert content(tmp_path / "parent.json")["forked"] is False


def test_a_path_that_cannot_be_written_is_refused_in_the_environment_too() -> None:
    code = """
        import actcache
        try: actcache.stats()
        except actcache.InvalidOption as error: print(error)
    """
    said = run_python(code, ACTCACHE_METRICS_PATH="/nowhere/m.json")
    assert said == (
        'environment variable ACTCACHE_METRICS_PATH is "/nowhere/m.json", but no file can be written beside it: '
        "No such file or directory"
    )
