"""Model files that are written anew while a program runs: its session stays with the model that it has loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from learning_programs import copy_learnt, run, write_model

_OPEN = """
    learnt_model, other = sys.argv[1:3]
    import shutil
    from pathlib import Path
    from actcache.learn import cache, ending, identity

    def answer(*files):
        '''Write down that the learnt model was compiled from these files.'''
        (known,) = (p for p in Path("cache").glob("places/*/answer.json"))
        content = cache.read_json(known)
        content["files"] = {os.path.realpath(f): identity.signature(f) for f in files}
        folder = cache.make_folder(Path("cache/places") / session._learner.place.name)
        cache.write_json(folder / "answer.json", content)

    def write(file, content):
        '''Put a file in the place of another.'''
        shutil.copyfile(content, file + ".new")
        os.replace(file + ".new", file)

    x = draw()
"""


def _run(learnt: Path, folder: Path, text: str) -> str:
    copy_learnt(learnt, folder)
    other = write_model(folder / "other.onnx", seed=5)
    done = run(_OPEN + text, learnt / "model.onnx", other, folder=folder)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def test_the_original_is_not_loaded_from_a_file_that_was_written_anew(learnt: Path, tmp_path: Path) -> None:
    printed = _run(
        learnt,
        tmp_path,
        """
    write("mine.onnx", learnt_model)
    session = ort.InferenceSession("mine.onnx", options)
    expected = session.run(None, {"x": x})[0]
    answer("mine.onnx")
    session = ort.InferenceSession("mine.onnx", options)
    print(session._learner.ready is not None)
    write("mine.onnx", other)
    session._learner.stay("it is to go back")
    print(np.allclose(session.run(None, {"x": x})[0], expected, atol=1e-4))
    try:
        session.run(None, {"x": x[0]})
    except Exception as error:
        print(type(error).__name__)
    now = ort.InferenceSession("mine.onnx", options)
    print(now._learner.ready, np.allclose(now.run(None, {"x": x})[0], expected, atol=1e-4))
    """,
    )
    assert printed == "True\nTrue\nInvalidArgument\nNone False\n"


@pytest.mark.parametrize("what", ["model", "weights"])
def test_a_session_does_not_go_over_to_what_was_written_after_it_was_made(
    learnt: Path, tmp_path: Path, what: str
) -> None:
    printed = _run(
        learnt,
        tmp_path,
        f"""
    write("mine.onnx", other if {what == "model"} else learnt_model)
    session = ort.InferenceSession("mine.onnx", options)
    session.run(None, {{"x": x}})
    time.sleep(0.1)
    if {what == "model"}:
        write("mine.onnx", learnt_model)
        answer("mine.onnx")
    else:
        Path("weights.bin").write_bytes(b"others")
        answer("mine.onnx", "weights.bin")
    end = time.monotonic() + 60
    while session._learner.place.has_news() and time.monotonic() < end:
        time.sleep(0.05)
    with ending.at_work():  # what is done about the news is done by then
        pass
    print(session._learner.place.has_news(), session._learner.ready, session._learner.reason)
    now = ort.InferenceSession("mine.onnx", options)
    print(now._learner.ready is not None)
    """,
    )
    assert printed == "False None None\nTrue\n"
    assert not list((tmp_path / "cache").glob("models/*/rejected.json"))
