"""``actcache run`` in programs that fork, replace parts of Python, go to another folder, or are given little room."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import onnx
import pytest
from learning_programs import copy_learnt, environment, look, run, write_model
from onnx import TensorProto, helper

from actcache.learn import launch

_SESSION = 'session = ort.InferenceSession("model.onnx", options)'
#: The session starts with the original: this program has no answer yet. It is told after eight calls.
_GOES_OVER = f"""
    {_SESSION}
    for _ in range(8):
        session.run(None, {{"x": draw()}})
    print(learnt(session), session._learner.reason)
    """


@pytest.fixture
def unanswered(learnt_folder: Path) -> Path:
    """Returns a folder with a compiled model of which no program has been told."""
    (answer,) = (learnt_folder / "cache").glob("places/*/answer.json")
    answer.unlink()
    return learnt_folder


def goes_over(folder: Path, before: str, **more: Any) -> None:
    """Assert that a session goes over to the compiled model in a program that begins in some way."""
    done = run(f"{before}\n{_GOES_OVER}", folder=folder, ACTCACHE_AUTO_CALLS="8", **more)
    assert (done.stdout, done.stderr, done.returncode) == ("True None\n", "", 0)


def test_a_program_that_replaces_threads_and_waiting(unanswered: Path) -> None:
    """As gevent and eventlet do: what they put there is no thread, and waits for others of its kind."""
    goes_over(
        unanswered,
        """
    import _thread, threading
    def replace(module, name):
        real = getattr(module, name)
        def replaced(*arguments, **keywords):
            caller = sys._getframe(1).f_globals["__name__"]
            if caller.startswith("actcache"):
                print(caller, "uses", name, file=sys.stderr)
            return real(*arguments, **keywords)
        setattr(module, name, replaced)
    for name in ("start_new_thread", "allocate_lock", "RLock", "get_ident"):
        replace(_thread, name)
    for name in ("Lock", "RLock", "get_ident", "Thread"):
        replace(threading, name)
    for module, name in ((time, "sleep"), (os, "waitpid"), (os, "posix_spawn")):
        replace(module, name)
        """,
    )


def test_onnxruntime_may_be_loaded_again(learnt_folder: Path) -> None:
    done = run(
        """
    before = list(sys.meta_path)
    del sys.modules["onnxruntime.capi.onnxruntime_inference_collection"]
    import onnxruntime.capi.onnxruntime_inference_collection as again
    options.add_session_config_entry("session.set_denormal_as_zero", "0")
    session = again.InferenceSession("model.onnx", options)
    binding = session.io_binding()
    binding.bind_cpu_input("x", pool)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    print(binding.copy_outputs_to_cpu()[0].shape, session.run(None, {"x": pool})[0].shape)
    print(session._learner.reason, session._learner.sampling.recorded)
    print(before == sys.meta_path)  # another thread may just be going through them
    """,
        folder=learnt_folder,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("(6, 512) (6, 512)\nNone 2\nTrue\n", "", 0)


def test_a_program_that_other_settings_of_python_are_for(unanswered: Path) -> None:
    goes_over(unanswered, "", PYTHONWARNINGS="error", PYTHONOPTIMIZE="2")


#: Forks, or else changes the session, while the service thread is trying the compiled model.
_MEANWHILE = """
    from pathlib import Path
    def being_tried():
        # A thread that is in onnxruntime shows the frame that called it.
        files = [frame.f_code.co_filename for frame in sys._current_frames().values()]
        return any(file.endswith(("learn/trial.py", "learn/opening.py")) for file in files)
    os.register_at_fork(before=lambda: print("tried while it forks:", being_tried()))

    session = ort.InferenceSession("model.onnx", options)
    for _ in range(6):
        session.run(None, {"x": draw(1200)})
    (hidden,) = Path("cache").glob("places/*/hidden")
    hidden.rename(hidden.with_name("answer.json"))
    end = time.monotonic() + 60
    while not being_tried() and time.monotonic() < end:
        time.sleep(0.001)
    """


@pytest.fixture
def hidden(learnt: Path, tmp_path: Path) -> Path:
    """Returns a folder with a compiled model whose answer the program itself puts in place."""
    folder = copy_learnt(learnt, tmp_path)
    (answer,) = (folder / "cache").glob("places/*/answer.json")
    answer.rename(answer.with_name("hidden"))
    return folder


def test_a_fork_waits_until_nothing_is_tried_and_the_session_goes_over_after_it(hidden: Path) -> None:
    """What the child gets is the memory as it is: a lock that a thread of the parent holds stays locked there."""
    done = run(
        f"""{_MEANWHILE}
    child = os.fork()
    if child == 0:
        os._exit(len(session.run(None, {{"x": draw()}})[0]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(learnt(session), session._learner.reason)
    """,
        folder=hidden,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("tried while it forks: False\n4\nTrue None\n", "", 0)


def test_a_session_that_is_made_anew_while_the_compiled_model_is_tried_stays_what_it_is(hidden: Path) -> None:
    done = run(
        f"""{_MEANWHILE}
    session.set_providers(["CPUExecutionProvider"])
    below = session._sess
    from actcache.learn import ending
    with ending.at_work():
        print(session._sess is below, session._learner.ready)
    """,
        folder=hidden,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True None\n", "", 0)


def test_a_program_that_inherits_the_compiling_process_keeps_nothing_of_it(tmp_path: Path) -> None:
    """As the first process of a container does."""
    write_model(tmp_path / "model.onnx")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\ntouch started\n")
    python.chmod(0o755)
    done = run(
        f"""
    import ctypes
    PR_SET_CHILD_SUBREAPER = 36
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    {_SESSION}
    for _ in range(8):
        session.run(None, {{"x": draw()}})
    end = time.monotonic() + 60
    while not os.path.exists("started") and time.monotonic() < end:
        time.sleep(0.05)
    try:
        while time.monotonic() < end:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            time.sleep(0.05)
    except ChildProcessError:
        print("has no child")
    """,
        folder=tmp_path,
        ACTCACHE_AUTO_CALLS="8",
        ACTCACHE_AUTO_PYTHON=str(python),
    )
    assert (tmp_path / "started").exists()
    assert (done.stdout, done.stderr, done.returncode) == ("has no child\n", "", 0)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_that_end_leave_what_they_have_recorded(tmp_path: Path, method: str) -> None:
    write_model(tmp_path / "model.onnx")
    done = run(
        f"""
    import concurrent.futures, multiprocessing
    def work(rows):
        return ort.InferenceSession("model.onnx", options).run(None, {{"x": rows}})[0].shape
    if __name__ == "__main__":
        context = multiprocessing.get_context("{method}")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as workers:
            print(set(workers.map(work, [draw() for _ in range(6)])))
    """,
        folder=tmp_path,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("{(4, 512)}\n", "", 0)
    left = [chunk.name for chunk in (tmp_path / "cache").glob("places/*/calls/*.calls")]
    assert sum(int(name.split("-")[3]) for name in left) == 6, left


def test_a_folder_that_is_named_from_where_the_program_starts(learnt_folder: Path) -> None:
    for wrapped in (True, False):
        done = run(
            f"""
    import actcache.auto
    options = ort.SessionOptions()
    {_SESSION}
    os.mkdir("elsewhere")
    os.chdir("elsewhere")
    print(session._learner.ready is not None, session.run(None, {{"x": draw()}})[0].shape)
    """,
            folder=learnt_folder,
            wrapped=wrapped,
            ACTCACHE_CACHE_DIR="cache",
        )
        assert (done.stdout, done.stderr, done.returncode) == ("True (4, 512)\n", "", 0)
        (learnt_folder / "elsewhere").rmdir()  # nothing was left there


def test_nothing_is_left_of_a_model_that_there_is_no_room_for(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    done = run(
        """
    import resource
    session = ort.InferenceSession(open("model.onnx", "rb").read(), options)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    for _ in range(4):
        session.run(None, {"x": draw()})
    """,
        folder=tmp_path,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left and not [path for path in left if path.name.endswith(".tmp") or path.stat().st_size > 1 << 19]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_nothing_in_another_users_home(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 65534, 65534)
    done = run(
        f"{_SESSION}\nprint(session._learner)",
        folder=tmp_path,
        options=("--summary",),
        ACTCACHE_CACHE_DIR="",
        XDG_CACHE_HOME="",
        HOME=str(tmp_path / "home"),
    )
    assert (done.stdout, done.returncode) == ("None\n", 0) and "belongs to another user" in done.stderr
    assert not list((tmp_path / "home").rglob("actcache"))  # onnxruntime itself leaves something there


def shell(folder: Path, command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a shell, in which RUN stands for ``actcache run`` and PYTHON for Python."""
    command = command.replace("RUN", f"{sys.executable} -m actcache run --").replace("PYTHON", sys.executable)
    given = environment(folder / "cache", **more)
    return subprocess.run(["sh", "-c", command], cwd=folder, env=given, capture_output=True, text=True, check=False)


def test_streams_that_were_closed(learnt_folder: Path) -> None:
    text = f"import onnxruntime as ort\noptions = None\n{_SESSION}\nprint(session._learner.ready is not None)\n"
    (learnt_folder / "told.py").write_text(f"{text}import sys\nsys.exit(3)\n")
    for closed, expected in ((">&-", ""), ("2>&-", "True\n"), ("<&- >&- 2>&-", "")):
        done = shell(learnt_folder, f"RUN PYTHON told.py {closed}", ACTCACHE_AUTO_SUMMARY="1")
        summary = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (3, expected), closed
        assert [line.startswith("actcache: process ") for line in summary] == [True] * ("2>&-" not in closed)
    done = shell(learnt_folder, "RUN /nowhere/at-all 2>&-")
    assert (done.returncode, done.stdout) == (127, "")


def test_a_text_without_an_interpreter_is_for_the_shell(tmp_path: Path) -> None:
    (tmp_path / "tells").write_text('echo "$0" "$@" $ACTCACHE_AUTO\nexit 4\n')
    (tmp_path / "tells").chmod(0o755)
    for name, path in (("./tells", "./tells"), ("tells", f"{tmp_path}/tells")):
        done = shell(tmp_path, f"PATH={tmp_path}:$PATH RUN {name} a 'b c'")
        assert (done.returncode, done.stdout, done.stderr) == (4, f"{path} a b c 1\n", "")


@pytest.mark.parametrize(("switch", "expected"), [("", "1"), ("yes", "1"), ("0", "0")])
def test_only_zero_switches_it_off(tmp_path: Path, switch: str, expected: str) -> None:
    assert shell(tmp_path, "RUN printenv ACTCACHE_AUTO", ACTCACHE_AUTO=switch).stdout == f"{expected}\n"


def test_options_that_are_read_from_the_model_by_the_environment(learnt_folder: Path) -> None:
    done = run(f"{_SESSION}\nprint(session._learner.reason)", folder=learnt_folder, ORT_LOAD_CONFIG_FROM_MODEL="1")
    assert (done.stdout, done.stderr, done.returncode) == ("its options are read from the model\n", "", 0)


def test_what_one_program_lacks_is_no_reason_against_the_model(learnt_folder: Path) -> None:
    text = f'{_SESSION}\nprint(session._learner.ready is not None, session.run(None, {{"x": draw()}})[0].shape)'
    known = os.environ.get("ACTCACHE_LIBRARY", "")
    for library, ready in (("/nowhere/libactcache.so", False), (known, True)):
        done = run(text, folder=learnt_folder, ACTCACHE_LIBRARY=library)
        assert (done.stdout, done.stderr, done.returncode) == (f"{ready} (4, 512)\n", "", 0)


def test_random_numbers_of_a_seed_stay_what_they_are(tmp_path: Path) -> None:
    """They are drawn one after the other, so a call that the program did not make would change all that follow."""
    model = onnx.load(write_model(tmp_path / "model.onnx"))
    model.graph.node.append(helper.make_node("RandomNormal", [], ["drawn"], shape=[2], seed=4.0))
    model.graph.output.append(helper.make_tensor_value_info("drawn", TensorProto.FLOAT, [2]))
    onnx.save(model, tmp_path / "model.onnx")
    done = run(f'{_SESSION}\nfor _ in range(24):\n    session.run(None, {{"x": draw()}})', folder=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    found = look(tmp_path)
    assert (found["state"], "draws random numbers by a seed" in found["reason"]) == ("refused", True)
    assert not list((tmp_path / "cache").glob("models/*/compiled-*"))


def test_the_compiling_process_is_told_what_is_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/env\ngrep SigIgn /proc/self/status > {tmp_path}/part\n"
        f"mv {tmp_path}/part {tmp_path}/signals\n"
    )
    python.chmod(0o755)
    for name, value in (("AUTO_PYTHON", str(python)), ("CACHE_DIR", str(tmp_path))):
        monkeypatch.setenv(f"ACTCACHE_{name}", value)
    for name in ("PYTHONWARNINGS", "PYTHONPATH", "PYTHONUTF8"):
        monkeypatch.setenv(name, "1")
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # what the program ignores, and no shell sets itself
    try:
        launch.start(str(tmp_path), "place")
    finally:
        signal.signal(signal.SIGUSR1, before)
    end = time.monotonic() + 60
    while not (tmp_path / "signals").exists() and time.monotonic() < end:
        time.sleep(0.01)
    ignored = int((tmp_path / "signals").read_text().split()[1], 16)
    assert not ignored & 1 << (signal.SIGUSR1 - 1)
    told = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert {"PYTHONWARNINGS", "PYTHONPATH", "PYTHONUTF8"} & told.keys() == {"PYTHONUTF8"}
    assert told["ACTCACHE_AUTO"] == "0" and told["ACTCACHE_CACHE_DIR"] == str(tmp_path)
