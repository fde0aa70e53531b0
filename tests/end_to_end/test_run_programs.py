"""``actcache run`` is not in the way: exit codes, signals, streams, paths, child processes, and what is untrusted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import pytest
from learning_programs import CALLS, HEAD, environment, record, run, saved

from actcache.learn import cache

BY_PATH = CALLS.format(model="'model.onnx'")


def test_streams_and_exit_code_are_the_programs_own(learnt_folder: Path) -> None:
    done = run(
        """
        session = ort.InferenceSession("model.onnx", options)
        session.run(None, {"x": draw()})
        print(sys.argv[1:], os.environ["ACTCACHE_AUTO"], any("learn" in path for path in sys.path), sys.stdin.read())
        print("problem", file=sys.stderr)
        sys.exit(3)
        """,
        "--summary",
        "-x",
        folder=learnt_folder,
        input="typed",
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "['--summary', '-x'] 1 False typed\n", "problem\n")


def test_signals_reach_the_program_itself(learnt_folder: Path) -> None:
    program = learnt_folder / "waits.py"
    program.write_text(
        "import os, signal, time, onnxruntime as ort\n"
        "session = ort.InferenceSession('model.onnx')\n"
        "print(os.getpid(), signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN, flush=True)\n"
        "time.sleep(300)\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-m", "actcache", "run", sys.executable, str(program)],
        env=environment(learnt_folder / "cache"),
        cwd=learnt_folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == f"{started.pid} True\n"  # Python ignores SIGPIPE by itself
    started.send_signal(signal.SIGTERM)
    assert started.wait(60) == -signal.SIGTERM
    started.stdout.close()


def test_no_such_program(tmp_path: Path) -> None:
    for program, code in (("/nowhere/at-all", 127), (str(tmp_path), 126)):
        done = subprocess.run(
            [sys.executable, "-m", "actcache", "run", "--", program],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")


def test_own_sitecustomize_and_pythonpath_stay(learnt_folder: Path) -> None:
    (learnt_folder / "site").mkdir()
    (learnt_folder / "site" / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = True\n")
    done = run(
        """
        import sitecustomize
        print(mine, sitecustomize.__file__, ort.InferenceSession("model.onnx", options)._learner.ready is not None)
        """,
        folder=learnt_folder,
        PYTHONPATH=os.pathsep.join([str(learnt_folder / "site"), str(Path(__file__).parents[2])]),
    )
    assert done.stderr == ""
    assert done.stdout == f"True {learnt_folder / 'site' / 'sitecustomize.py'} True\n"


def test_environment_without_actcache_says_so_once_and_runs_plain(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    root = Path(__file__).parents[2]
    program = (
        "import subprocess, sys\nprint('ran', flush=True)\n"
        "sys.argv[1:] or subprocess.run([sys.executable, __file__, '1'])"
    )
    (tmp_path / "program.py").write_text(program)
    start = f"import sys; sys.path.insert(0, {str(root)!r}); from actcache.__main__ import main; main()"
    left = {k: v for k, v in environment(tmp_path / "cache").items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", start, "run", "--", str(tmp_path / "env/bin/python"), str(tmp_path / "program.py")],
        env=left,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ran\nran\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"actcache: {tmp_path / 'env/bin/python'} has no usable actcache")


def test_spawned_and_forked_workers(learnt_folder: Path) -> None:
    done = run(
        """
        import multiprocessing

        def work(rows):
            session = ort.InferenceSession("model.onnx", options)
            return session._learner.ready is not None, session.run(None, {"x": rows})[0]

        if __name__ == "__main__":
            x = draw()
            for method in ("spawn", "fork"):
                with multiprocessing.get_context(method).Pool(2) as pool_of_workers:
                    found = pool_of_workers.map(work, [x, x])
                assert all(ready for ready, _ in found)
            session = ort.InferenceSession("model.onnx", options)
            ready, mine = work(x)
            assert all(np.allclose(answer, mine, atol=1e-4) for _, answer in found)
            child = os.fork()
            if child == 0:
                os._exit(0 if not session._learner.sampling.recording and work(x)[0] else 1)
            print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        folder=learnt_folder,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("child 0\n", "", 0)


def test_switched_off(learnt_folder: Path) -> None:
    done = run(
        """
        assert type(ort.InferenceSession("model.onnx", options)).__module__.startswith("onnxruntime")
        import actcache.auto
        print(hasattr(ort.InferenceSession, "_actcache_learns"))
        """,
        folder=learnt_folder,
        ACTCACHE_AUTO="0",
    )
    assert (done.stdout, done.stderr, done.returncode) == ("False\n", "", 0)


def test_first_line_and_explicit_session(learnt_folder: Path) -> None:
    program = learnt_folder / "first.py"
    program.write_text("import actcache.auto\n" + textwrap.dedent(HEAD) + textwrap.dedent(BY_PATH))
    done = subprocess.run(
        [sys.executable, str(program)],
        env=environment(learnt_folder / "cache"),
        cwd=learnt_folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("compiled\n", "", 0)
    done = run(
        """
        import actcache
        Session = actcache.InferenceSession
        options = ort.SessionOptions()
        session = Session("model.onnx", options, compile="auto")
        assert session._learner.ready and isinstance(session, ort.InferenceSession)
        plain = Session("model.onnx")
        assert plain._learner is None
        x = draw()
        assert np.allclose(session.run(None, {"x": x})[0], plain.run(None, {"x": x})[0], atol=1e-4)
        try:
            Session("model.onnx", compile="yes")
        except actcache.InvalidOption as error:
            print(error)
        """,
        folder=learnt_folder,
        wrapped=False,
    )
    assert done.stdout == "compile 'yes' is unknown; write 'auto', or leave it out\n"
    assert (done.stderr, done.returncode) == ("", 0)


def add_site_file(folder: Path) -> None:
    """Put into a folder of packages what has every Python that finds it look at the environment."""
    root = Path(__file__).parents[2]
    (folder / "actcache-auto.pth").write_text((root / "actcache/learn/site/actcache-auto.pth").read_text())


@pytest.mark.parametrize("switch", ["1", "0", ""])
def test_environment_variable_is_enough_where_actcache_is_installed(tmp_path: Path, switch: str) -> None:
    add_site_file(tmp_path)
    text = f"import site; site.addsitedir({str(tmp_path)!r})\nimport onnxruntime\n"
    text += "print(hasattr(onnxruntime.InferenceSession, '_actcache_learns'))"
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=environment(tmp_path / "cache", ACTCACHE_AUTO=switch),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"{switch == '1'}\n", "", 0)


def test_what_is_left_of_an_installation_is_told_in_one_line(tmp_path: Path) -> None:
    add_site_file(tmp_path)
    (tmp_path / "actcache").mkdir()
    (tmp_path / "actcache/__init__.py").write_text("raise ImportError('a part is missing')\n")
    text = f"import site, sys; sys.path.insert(0, {str(tmp_path)!r}); site.addsitedir({str(tmp_path)!r})"
    for switch, told in (("1", "actcache: this program runs without it (a part is missing)\n"), ("0", "")):
        done = subprocess.run(
            [sys.executable, "-S", "-c", text],
            env=environment(tmp_path / "cache", ACTCACHE_AUTO=switch),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr, done.returncode) == ("", told, 0)


@pytest.mark.parametrize("name", ["places/*/answer.json", "models/*/record.json", "models/*/compiled-1/*.onnx"])
def test_what_others_may_have_written_is_not_used(learnt_folder: Path, name: str) -> None:
    (file,) = (learnt_folder / "cache").glob(name)
    file.chmod(0o666)
    done = run(BY_PATH, folder=learnt_folder)
    assert (done.stdout, done.stderr, done.returncode) == ("original\n", "", 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_cache_folder_of_another_user_is_refused(learnt_folder: Path) -> None:
    os.chown(learnt_folder / "cache", 65534, 65534)
    done = run(BY_PATH, folder=learnt_folder, options=("--summary",))
    assert (done.stdout, done.returncode) == ("original\n", 0)
    assert "belongs to another user" in done.stderr


def test_cache_folder_that_cannot_be_made(learnt_folder: Path) -> None:
    (learnt_folder / "file").write_text("")
    done = run(BY_PATH, folder=learnt_folder, ACTCACHE_CACHE_DIR=str(learnt_folder / "file" / "cache"))
    assert (done.stdout, done.stderr, done.returncode) == ("original\n", "", 0)


def test_user_without_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python leaves ``~`` as it is then."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="ACTCACHE_CACHE_DIR"):
        cache.open_cache("~/.cache/actcache")
    assert not list(tmp_path.iterdir())


def test_folder_is_private(learnt_folder: Path) -> None:
    run(BY_PATH, folder=learnt_folder)
    assert record(learnt_folder)["state"] == "compiled"
    for path in [learnt_folder / "cache", *(learnt_folder / "cache").rglob("*")]:
        if path.is_dir() and path.name in ("cache", "places", "models"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_programs_at_the_same_time(learnt_folder: Path) -> None:
    program = learnt_folder / "together.py"
    program.write_text(
        "import numpy as np, onnxruntime as ort\n"
        "session = ort.InferenceSession('model.onnx')\n"
        "x = np.ones((2, 512), np.float32)\n"
        "for _ in range(20): y = session.run(None, {'x': x})[0]\n"
        "print(y.shape)\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "actcache", "run", sys.executable, str(program)],
            env=environment(learnt_folder / "cache"),
            cwd=learnt_folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    assert [process.communicate(timeout=100)[0] for process in started] == ["(2, 512)\n"] * 3
    assert all(process.returncode == 0 for process in started)
    found = saved(learnt_folder)
    assert found["programs"] == 3 and found["lookups"] == 120
