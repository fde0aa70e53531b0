"""``actcache run`` where traffic stops repeating: the session goes back to the original, and returns when it pays."""

from __future__ import annotations

from pathlib import Path

from learning_programs import record, run

from actcache.learn import cache

#: Small windows, and a way to make calls whose rows repeat, or never do, until something is so.
PROGRAM = """
    from pathlib import Path
    from actcache.learn import job, settings, worth
    worth._CALLS, worth._SECONDS = 8, 0.0
    session = ort.InferenceSession("model.onnx", options)
    plain = session._actcache_real("model.onnx", options)
    learner = session._learner
    def calls_until(what, repeated):
        end = time.monotonic() + 120
        while not what() and learner.reason is None and time.monotonic() < end:
            x = draw() if repeated else random.standard_normal((4, 512)).astype(np.float32)
            assert np.allclose(session.run(None, {"x": x})[0], plain.run(None, {"x": x})[0], atol=1e-4)
        assert what(), learner.reason
    compiled = learner.ready
    assert compiled is not None
"""


def test_a_session_stays_while_it_pays_and_goes_back_when_the_traffic_stops_repeating(learnt_folder: Path) -> None:
    (model,) = (learnt_folder / "cache" / "models").iterdir()
    cache.write_json(model / "back.json", {"folder": "compiled-1", "reason": "r", "times": 2, "time": 1.0})
    done = run(
        PROGRAM
        + """
    calls_until(lambda: not list(Path(settings.cache_folder()).glob("models/*/back.json")), True)
    assert learner.ready == compiled  # a window has paid
    below = session._sess
    calls_until(lambda: learner.ready is None, False)
    assert session._sess is not below and learner.reason is None
    x = draw()
    assert np.array_equal(session.run(None, {"x": x})[0], plain.run(None, {"x": x})[0])
    print("back", learner.place._next)
    """,
        folder=learnt_folder,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "back 512\n")
    note = cache.read_json(model / "back.json")
    assert note is not None and note["times"] == 1 and "repeats too little" in note["reason"]
    assert note["folder"] == record(learnt_folder)["folder"] == "compiled-1"
    assert run(PROGRAM + "    print(learner.ready.folder)", folder=learnt_folder).stdout == "compiled-1\n"


def test_programs_start_with_the_original_after_three_times(learnt_folder: Path) -> None:
    (model,) = (learnt_folder / "cache" / "models").iterdir()
    cache.write_json(model / "back.json", {"folder": "compiled-1", "reason": "r", "times": 3, "time": 1.0})
    text = "    print(ort.InferenceSession('model.onnx', options)._learner.ready)\n"
    assert run(text, folder=learnt_folder).stdout == "None\n"
    cache.write_json(model / "back.json", {"folder": "compiled-0", "reason": "r", "times": 3, "time": 1.0})
    assert run(text, folder=learnt_folder).stdout != "None\n"


def test_it_is_made_anew_from_newer_calls_and_the_session_returns(learnt_folder: Path) -> None:
    first = record(learnt_folder)
    done = run(
        PROGRAM
        + """
    calls_until(lambda: learner.ready is None, False)
    left = learner._left
    learner.sampling._waiting.clear()  # what never repeated
    learner.sampling.seldom()
    for _ in range(int(sys.argv[1])): session.run(None, {"x": draw()})
    learner.sampling.write()
    job.run(Path(settings.cache_folder()), learner.place.name)
    calls_until(lambda: learner.ready is not None, True)
    print(left.folder, learner.ready.folder)
    """,
        2 * int(first["attempted_with"]) + 16,
        folder=learnt_folder,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "compiled-1 compiled-2\n")
    found = record(learnt_folder)
    assert found["attempts"] == 2 and found["ratio"] < 0.96
