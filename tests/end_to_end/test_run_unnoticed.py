"""Programs return and print the same under ``actcache run`` as without it, with nothing learnt and with a model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from learning_programs import copy_learnt, environment, run

_SESSION = "session = ort.InferenceSession('model.onnx', options)"
_PROGRAMS = {
    "providers that are not here": """
        for providers in (["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"] * 2, ["Nobody"]):
            session = ort.InferenceSession("model.onnx", options, providers=providers)
            print(session.get_providers(), session.get_provider_options())
        session = ort.InferenceSession("model.onnx", providers=["CUDAExecutionProvider"], provider_options=[{"a": 1}])
        for given in (({"CPU"},), (["CPUExecutionProvider"], [{}, {}]), ([5],), ("CPU",)):
            try:
                print(ort.InferenceSession("model.onnx", options, *given).get_providers())
            except Exception as error:
                print(type(error).__name__, error)
        """,
    "what a model says of itself": f"""
        {_SESSION}
        meta = session.get_modelmeta()
        print(meta.custom_metadata_map, meta.producer_name, meta.graph_name, meta.description, meta.version)
        print([(v.name, v.type, v.shape) for v in session.get_inputs() + session.get_outputs()])
        """,
    "calls that make no sense": f"""
        {_SESSION}
        binding = session.io_binding()
        makes = [ort.InferenceSession, lambda: ort.InferenceSession(5), lambda: ort.InferenceSession("no.onnx")]
        calls = [session.run, session.run_async, binding.bind_input, lambda: session.run(None, {{"x": pool[0]}})]
        calls += [lambda: session.run(None, {{}}), lambda: session.run(["no"], {{"x": pool}})]
        for call in [*makes, *calls, lambda: session.run(None, pool), lambda: binding.bind_cpu_input("no", pool)]:
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        """,
    "copies": f"""
        import copy, pickle
        {_SESSION}
        for make in (pickle.dumps, copy.deepcopy):
            try:
                make(session)
            except TypeError as error:
                print(error)
        other = copy.copy(session)
        print(other.run(None, {{"x": pool}})[0].shape, vars(other).get("_learner"))

        class Lasting(ort.InferenceSession):
            def __getstate__(self):
                return {{name: value for name, value in vars(self).items() if name in ("_model_path", "_learner")}}

        print(pickle.loads(pickle.dumps(Lasting("model.onnx", options)))._model_path)
        """,
    "signatures": """
        import inspect
        session = ort.InferenceSession
        print(inspect.signature(session))
        for name in ("run", "run_async", "run_with_iobinding", "run_with_ort_values"):
            method = getattr(session, name)
            print(name, inspect.signature(method), method.__annotations__, inspect.getsource(method)[:20])
        """,
    "options that are changed later": """
        def told(options):
            kind = type(options)
            return [(n, str(getattr(options, n))) for n in dir(kind) if isinstance(getattr(kind, n), property)]
        def made():
            return ort.InferenceSession("model.onnx", options, ["CPUExecutionProvider"]).get_session_options()
        options.logid, options.log_severity_level = "mine", 3
        first = made()
        options.intra_op_num_threads = 2
        print(told(first), first is options)
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        print(told(made()), made().get_session_config_entry("session.inter_op.allow_spinning"))
        print(told(ort.InferenceSession("model.onnx").get_session_options()))
        """,
    "a call that is to be answered to nobody": f"""
        {_SESSION}
        for callback in (None, 5):
            try:
                session.run_async(["y"], {{"x": pool}}, callback, None)
            except Exception as error:
                print(type(error).__name__, str(error).split("Invoked")[0])
        """,
    "what is logged of a call that fails": f"""
        import select
        {_SESSION}
        read, write = os.pipe()
        stderr = os.dup(2)
        os.dup2(write, 2)
        for _ in range(2):
            try:
                session.run(None, {{"x": None}})
            except Exception as error:
                print(type(error).__name__)
        os.dup2(stderr, 2)
        os.close(write)
        lines = os.read(read, 1 << 16).decode().splitlines() if select.select([read], [], [], 0)[0] else []
        print([line.partition("[E:")[2] for line in lines])
        """,
    "calls that the program breaks off": f"""
        {_SESSION}
        given = ort.RunOptions()
        given.terminate = True
        for _ in range(2):
            try:
                session.run(None, {{"x": pool}}, given)
            except Exception as error:
                print(type(error).__name__, error)
        given.terminate = False
        print(session.run(None, {{"x": pool}}, given)[0].shape)
        print(getattr(getattr(session, "_learner", None), "_original", None))  # that takes memory, and time to load
        """,
    "no room for one more thread": f"""
        import threading
        threading.stack_size(1 << 46)
        {_SESSION}
        print(session.run(None, {{"x": pool}})[0].shape)
        """,
    "a fork while its session is changed": f"""
        import signal, threading
        {_SESSION}
        held, done = threading.Event(), threading.Event()
        def hold():
            lock = getattr(getattr(session, "_learner", None), "lock", threading.Lock())
            with lock:
                held.set()
                done.wait(60)
        threading.Thread(target=hold).start()
        held.wait(60)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            session.io_binding().bind_cpu_input("x", pool)
            os._exit(5)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        done.set()
        """,
}


@pytest.mark.parametrize("name", list(_PROGRAMS))
def test_programs_print_the_same(learnt_folder: Path, name: str) -> None:
    def result(*, wrapped: bool) -> tuple[int, str, str]:
        done = run(_PROGRAMS[name], folder=learnt_folder, wrapped=wrapped)
        return done.returncode, done.stdout, done.stderr

    plain = result(wrapped=False)
    assert plain[0] == 0 and plain[1]
    assert result(wrapped=True) == plain
    shutil.rmtree(learnt_folder / "cache")
    assert result(wrapped=True) == plain


def _environment_of_env(folder: Path, given: dict[str, str], *words: str) -> dict[str, str]:
    """Return what a program that is no Python finds in its environment."""
    done = subprocess.run([*words, "env"], env=given, cwd=folder, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("path", ["", os.pathsep, f"/nowhere{os.pathsep}"])
def test_environment_is_the_programs_own(tmp_path: Path, path: str) -> None:
    root = Path(__file__).parents[2]
    given = {k: v for k, v in environment(tmp_path).items() if k not in ("LC_ALL", "LC_CTYPE", "LANG")}
    given["PYTHONPATH"] = path
    start = f"import sys; sys.path.insert(0, {str(root)!r}); from actcache.__main__ import main; main()"
    plain = _environment_of_env(tmp_path, given)
    wrapped = _environment_of_env(tmp_path, given, sys.executable, "-c", start, "run", "--")
    site, _, rest = wrapped.pop("PYTHONPATH").partition(os.pathsep)
    assert Path(site) == root / "actcache/learn/site"
    assert rest == plain.pop("PYTHONPATH")  # an empty part of it is the current folder
    assert wrapped.pop("ACTCACHE_AUTO") == "1"
    assert wrapped == plain


#: Ends while the session is about to go over: the thread that sees to it is running the program's last calls.
_ENDS_MEANWHILE = """
    from pathlib import Path
    session = ort.InferenceSession("model.onnx", options)
    for _ in range(6):
        session.run(None, {"x": draw(1200)})
    (hidden,) = Path("cache").glob("places/*/hidden")
    hidden.rename(hidden.with_name("answer.json"))

    def being_tried():
        # A thread that is in onnxruntime shows the frame that called it.
        files = [frame.f_code.co_filename for frame in sys._current_frames().values()]
        return any(file.endswith(("learn/trial.py", "learn/opening.py")) for file in files)

    end = time.monotonic() + 60
    while not being_tried() and time.monotonic() < end:
        time.sleep(0.001)
    print(being_tried())
    sys.exit(3)
"""


def test_a_program_that_ends_while_its_session_goes_over(learnt: Path, tmp_path: Path) -> None:
    folder = copy_learnt(learnt, tmp_path)
    (answer,) = (folder / "cache").glob("places/*/answer.json")
    answer.rename(answer.with_name("hidden"))
    done = run(_ENDS_MEANWHILE, folder=folder)
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 3)
    assert not list((folder / "cache").glob("models/*/rejected.json"))
    again = run(f"{_SESSION}\nprint(session._learner.ready is not None)", folder=folder)
    assert (again.stdout, again.stderr, again.returncode) == ("True\n", "", 0)
