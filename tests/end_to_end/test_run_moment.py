"""When the compiling process of ``actcache run`` begins: real programs, on a core that is kept busy."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from learning_programs import HEAD, environment, run, write_model

from actcache.learn import cache

CORE = min(os.sched_getaffinity(0))
PROGRAM = textwrap.dedent(HEAD) + textwrap.dedent("""
    session = ort.InferenceSession("model.onnx", options)
    for _ in range(64): session.run(None, {"x": draw()})
    time.sleep(600)
""")


@pytest.fixture
def busy_core() -> Iterator[None]:
    """Keeps the core busy on which models are compiled."""
    code = f"import os; os.sched_setaffinity(0, {{{CORE}}}); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as spinning:
        assert spinning.stdout is not None and spinning.stdout.readline()
        yield
        spinning.kill()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program that has made 64 calls, and does nothing then; ends what it has started."""
    write_model(tmp_path / "model.onnx")
    (tmp_path / "program.py").write_text(PROGRAM)
    settings = {"ACTCACHE_AUTO_NICE": "19", "ACTCACHE_AUTO_CALLS": "64", "ACTCACHE_AUTO_CPUS": str(CORE)}
    with subprocess.Popen(
        [sys.executable, "-m", "actcache", "run", sys.executable, "program.py"],
        env=environment(tmp_path / "cache", **settings),
        cwd=tmp_path,
    ) as started:
        try:
            yield started
        finally:
            started.kill()
            for lock in (tmp_path / "cache" / "places").glob("*/lock"):
                if (pid := holder(lock)) is not None:
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)


def holder(lock: Path) -> int | None:
    """Return the process that holds a lock."""
    if lock.exists():
        inode = str(lock.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].split(":")[-1] == inode:
                return int(words[4])
    return None


def wait_for(what: Callable[[], int | None]) -> int:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def waiting_process(folder: Path, program: subprocess.Popen[bytes], looks: int = 2) -> int:
    """Return the compiling process, once it has looked so many times whether to begin."""

    def started() -> int | None:
        locks = (folder / "cache" / "places").glob("*/lock")
        return next((pid for lock in locks if (pid := holder(lock)) not in (None, program.pid)), None)

    pid = wait_for(started)
    before = _slept(pid)
    wait_for(lambda: _slept(pid) - before >= looks)
    return pid


def _slept(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def test_it_waits_for_the_end_of_a_program_that_leaves_no_core_idle(
    tmp_path: Path, busy_core: None, program: subprocess.Popen[bytes]
) -> None:
    pid = waiting_process(tmp_path, program, looks=5)
    assert holder(tmp_path / "cache" / "lock") is None and not (tmp_path / "cache" / "models").exists()
    assert os.sched_getaffinity(pid) == {CORE} and os.getsid(pid) == pid
    memory = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    assert int(memory.split()[1]) < 40_000, memory  # kB: neither numpy nor onnx
    program.kill()  # it stays a zombie for now
    assert wait_for(lambda: holder(tmp_path / "cache" / "lock")) == pid
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE


def test_it_does_not_wait_if_that_pays_soon(tmp_path: Path, busy_core: None, program: subprocess.Popen[bytes]) -> None:
    other = cache.make_folder(cache.model_folder(tmp_path / "cache", "other"))
    cache.write_json(other / "record.json", {"processor_seconds": 1e-3})  # so this one will take no longer
    pid = wait_for(lambda: holder(tmp_path / "cache" / "lock"))
    assert program.poll() is None
    assert (os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)) == (os.SCHED_OTHER, 0)


def test_it_ends_if_the_cache_folder_is_gone(tmp_path: Path, busy_core: None, program: subprocess.Popen[bytes]) -> None:
    pid = waiting_process(tmp_path, program)
    shutil.rmtree(tmp_path / "cache")
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    assert program.poll() is None


def test_another_one_that_compiles_is_waited_for(tmp_path: Path, program: subprocess.Popen[bytes]) -> None:
    with cache.locked(cache.make_folder(tmp_path / "cache") / "lock"):
        pid = waiting_process(tmp_path, program)
        program.kill()
        assert holder(tmp_path / "cache" / "lock") == os.getpid()
    assert wait_for(lambda: holder(tmp_path / "cache" / "lock")) == pid


@pytest.mark.parametrize(
    ("cores", "said"),
    [("some", "'some' is no list of cores"), ("60000", "none of the cores 60000"), ("0-9999", "core")],
)
def test_cores_that_cannot_be_used_are_told_of_before_the_program_starts(cores: str, said: str, tmp_path: Path) -> None:
    done = run("print('ran')", folder=tmp_path, options=("--learn-on", cores))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --learn-on, ACTCACHE_AUTO_CPUS: ") and said in line


def test_a_wrong_list_of_cores_leaves_sessions_as_they_are(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    text = "import actcache.auto\nprint(hasattr(ort.InferenceSession('model.onnx'), '_learner'))"
    done = run(text, folder=tmp_path, wrapped=False, ACTCACHE_AUTO_CPUS="x", ACTCACHE_AUTO_SUMMARY="1")
    assert done.returncode == 0
    assert "'x' is no list of cores" in done.stderr
