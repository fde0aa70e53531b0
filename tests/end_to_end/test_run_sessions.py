"""Sessions of ``actcache run``: every way to call one, the habits of packages, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from learning_programs import run, write_model

from actcache.learn import cache

#: Compares a session with a plain one in every way to call it.
EVERY_WAY = """
    import threading
    options.intra_op_num_threads = 2  # run_async asks for that

    def through_binding(session, bind):
        binding = bind(session)
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[0]

    def cpu(session, x):
        binding = ort.IOBinding(session)
        binding.bind_cpu_input("x", x)
        binding.bind_output("y")
        return binding

    def value(session, x):
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
        binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_shape_and_type([len(x), 512], np.float32))
        return binding

    def address(session, x):
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output("y", "cpu")
        return binding

    def later(session, x):
        answers, done = [], threading.Event()
        def callback(results, data, error):
            answers.extend(results if not error else [error])
            done.set()
        session.run_async(["y"], {"x": x}, callback, None)
        assert done.wait(100)
        return answers[0]

    WAYS = {
        "run": lambda s, x: s.run(None, {"x": x})[0],
        "lists": lambda s, x: s.run(None, {"x": x.tolist()})[0],
        "names": lambda s, x: s.run(output_names=["y"], input_feed={"x": x}, run_options=ort.RunOptions())[0],
        "ort values": lambda s, x: s.run_with_ort_values(["y"], {"x": ort.OrtValue.ortvalue_from_numpy(x)})[0].numpy(),
        "below": lambda s, x: s._sess.run(["y"], {"x": x}, None)[0],
        "async": later,
        "cpu": lambda s, x: through_binding(s, lambda s: cpu(s, x)),
        "value": lambda s, x: through_binding(s, lambda s: value(s, x)),
        "address": lambda s, x: through_binding(s, lambda s: address(s, x)),
    }

    def check(session, plain, calls):
        for name, call in WAYS.items():
            for _ in range(calls):
                x = draw()
                expected = plain.run(None, {"x": x})[0]
                got = call(session, x)
                assert got.shape == expected.shape and np.allclose(got, expected, atol=1e-4), name
"""


def reasons(folder: Path) -> list[str]:
    """Return why sessions were left alone."""
    found = (cache.read_json(file) for file in (folder / "cache" / "places").glob("*/request.json"))
    return [request["refused"] for request in found if request is not None and request["refused"]]


def test_every_way_to_call_a_compiled_session(learnt_folder: Path) -> None:
    done = run(
        EVERY_WAY
        + """
    session = ort.InferenceSession("model.onnx", options)
    plain = type(session)._actcache_real("model.onnx", options)
    assert session._learner.ready
    check(session, plain, 4)
    print(session._learner.reason)
    """,
        folder=learnt_folder,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("None\n", "", 0)


def test_every_way_is_recorded_and_bindings_outlive_the_swap(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    done = run(
        EVERY_WAY
        + """
    session = ort.InferenceSession("model.onnx", options)
    plain = type(session)._actcache_real("model.onnx", options)
    before, learner = session._sess, session._learner
    x = np.array(pool[:4])
    old = [bind(session, x) for bind in (cpu, value, address)]
    for name, call in WAYS.items():
        recorded = learner.sampling.recorded
        call(session, x)
        assert learner.sampling.recorded == recorded + (name != "below"), name
    check(session, plain, 3)
    assert learnt(session), learner.reason
    assert session._sess is not before
    for binding in old:
        x[:] = draw()
        session.run_with_iobinding(binding)
        assert np.array_equal(binding.copy_outputs_to_cpu()[0], plain.run(None, {"x": x})[0])
    other = ort.InferenceSession("model.onnx", options)
    try:
        other.run_with_iobinding(old[0])
        print("a binding of another session was taken")
    except ValueError as error:
        print(error)
    check(session, plain, 2)
    """,
        folder=tmp_path,
        ACTCACHE_AUTO_CALLS="24",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "IOBinding must be used with the session that created it.\n"


def test_habits_of_packages(learnt_folder: Path) -> None:
    done = run(
        """
        import abc, copy, inspect, pickle, weakref
        from onnxruntime import InferenceSession
        from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession as collected

        assert InferenceSession is collected is ort.InferenceSession
        real = InferenceSession._actcache_real
        assert InferenceSession.__name__ == real.__name__ and InferenceSession.__module__ == real.__module__
        names = list(inspect.signature(real.__init__).parameters)
        assert list(inspect.signature(InferenceSession.__init__).parameters) == names

        class Picklable(InferenceSession, abc.ABC):
            def __init__(self, path, **keywords):
                super().__init__(path, **keywords)
                self.path, self.keywords = path, keywords

            def run(self, output_names, input_feed, run_options=None):
                self.runs = getattr(self, "runs", 0) + 1
                return super().run(output_names, input_feed, run_options)

            def __getstate__(self):
                return {"path": self.path}

            def __setstate__(self, state):
                self.__init__(state["path"])

        x = draw()
        expected = real("model.onnx", options).run(None, {"x": x})[0]
        cpu = "CPUExecutionProvider"
        for providers in (None, [cpu], ort.get_available_providers(), [(cpu, {})]):
            session = InferenceSession("model.onnx", options, providers=providers)
            assert session._learner.ready, session._learner.reason
            assert session.get_providers()[-1] == "CPUExecutionProvider"
            assert np.allclose(session.run(None, {"x": x})[0], expected, atol=1e-4)
        first = Picklable("model.onnx")
        second = pickle.loads(pickle.dumps(first))
        for session in (first, second):
            assert isinstance(session, ort.InferenceSession) and isinstance(session, real) and session._learner.ready
            assert np.allclose(session.run(["y"], {"x": x})[0], expected, atol=1e-4) and session.runs == 1
        assert weakref.ref(first)() is first
        session = InferenceSession("model.onnx", options, ["CPUExecutionProvider"])
        assert session.get_session_options().intra_op_num_threads == 1
        assert session.get_inputs()[0].name == "x" and session.get_outputs()[0].shape == ["N", 512]
        assert session.get_modelmeta().graph_name == "chain" and session.get_overridable_initializers() == []
        session.disable_fallback(), session.enable_fallback()
        assert session.get_provider_options()
        session.set_providers(["CPUExecutionProvider"])
        assert np.array_equal(session.run(None, {"x": x})[0], expected)
        print(session._learner.reason)
        """,
        folder=learnt_folder,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("its execution providers were changed\n", "", 0)


def test_errors_of_calls_are_the_originals(learnt_folder: Path) -> None:
    done = run(
        """
        session = ort.InferenceSession("model.onnx", options)
        plain = type(session)._actcache_real("model.onnx", options)
        def said(session, names, feed):
            try:
                session.run(names, feed)
            except Exception as error:
                return type(error), str(error)
        for names, feed in (
            (None, {}),
            (None, {"x": np.zeros((2, 3), np.float32)}),
            (None, {"x": np.zeros((2, 512), np.float64)}),
            (["z"], {"x": draw()}),
            (None, {"x": draw(), "other": draw()}),
        ):
            assert said(session, names, feed) == said(plain, names, feed) is not None, feed
        assert session._learner.ready and session._learner.reason is None  # the original fails, too
        print(len(session.run(None, {"x": draw()})))
        """,
        folder=learnt_folder,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


def test_a_call_that_only_the_compiled_model_fails_in_is_answered_by_the_original(learnt_folder: Path) -> None:
    write_model(learnt_folder / "narrow.onnx", seed=3, width=256)
    done = run(
        """
        session = ort.InferenceSession("model.onnx", options)
        plain = type(session)._actcache_real("model.onnx", options)
        # stands for a compiled model that fails
        session._sess = type(session)._actcache_real("narrow.onnx", options)._sess
        for _ in range(3):
            x = draw()
            assert np.array_equal(session.run(None, {"x": x})[0], plain.run(None, {"x": x})[0])
        assert session._learner.ready is None
        print("original")
        """,
        folder=learnt_folder,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("original\n", "", 0)
    (reason,) = reasons(learnt_folder)
    assert reason.startswith("a call failed that the original can make")


LEFT_ALONE: dict[str, tuple[str, str]] = {
    "profiling": ("options.enable_profiling = True", "it profiles"),
    "saving": (
        "options.optimized_model_filepath = 'optimised.onnx'; options.log_severity_level = 4",
        "it saves its optimised model",
    ),
    "weights": (
        "w = ort.OrtValue.ortvalue_from_numpy(np.zeros((512, 512), np.float32)); options.add_initializer('w0y', w)",
        "its options replace weights of the model (add_initializer)",
    ),
    "sizes": (
        "options.add_free_dimension_override_by_name('N', 4)",
        "its options fix sizes of the model (add_free_dimension_override_by_name)",
    ),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_not_supported_is_left_alone_and_on_record(learnt_folder: Path, name: str) -> None:
    setting, reason = LEFT_ALONE[name]
    done = run(
        f"""
        {setting}
        session = ort.InferenceSession("model.onnx", options)
        session.run(None, {{"x": draw()}})
        print(session._learner.ready)
        """,
        folder=learnt_folder,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("None\n", "", 0)
    assert reasons(learnt_folder) == [reason]


def test_session_options_that_change_results_make_another_place(learnt_folder: Path) -> None:
    text = """
        options.{setting}
        session = ort.InferenceSession("model.onnx", options)
        session.run(None, {{"x": draw()}})
        print(session._learner.ready is not None)
        """
    settings: list[tuple[str, Any]] = [
        ("inter_op_num_threads = 3", True),
        ("graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL", False),
        ("add_session_config_entry('session.set_denormal_as_zero', '1')", False),
    ]
    for setting, known in settings:
        done = run(text.format(setting=setting), folder=learnt_folder)
        assert (done.stdout, done.stderr, done.returncode) == (f"{known}\n", "", 0), setting
