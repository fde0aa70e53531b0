"""``actcache run`` of a program that ends soon: what it did over several starts has its model compiled."""

from __future__ import annotations

import time
from pathlib import Path

from learning_programs import record, run, write_model

#: Fewer calls than are worth a look; over three starts they are enough, once all of them took half a second.
PROGRAM = """
    session = ort.InferenceSession("model.onnx", options)
    for _ in range(8): session.run(None, {"x": draw(192)})
    print("compiled" if session._learner.ready else "original")
"""


def test_a_short_program_is_learnt_after_some_starts(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    for start in range(70):  # a fast machine needs more of them
        done = run(PROGRAM, folder=tmp_path, ACTCACHE_AUTO_CALLS="136")
        assert (done.returncode, done.stderr) == (0, "")
        (place,) = (tmp_path / "cache" / "places").iterdir()
        if start < 2:
            assert done.stdout == "original\n"
            assert len(list((place / "calls").glob("*.calls"))) == start + 1 and not (place / "lock").exists()
        elif (place / "lock").exists() or (place / "answer.json").exists():
            break
    end = time.monotonic() + 200
    while not (place / "answer.json").exists() and time.monotonic() < end:
        time.sleep(0.1)
    found = record(tmp_path)
    assert found["state"] == "compiled" and found["attempts"] == 1, found
    assert run(PROGRAM, folder=tmp_path, ACTCACHE_AUTO_CALLS="136").stdout == "compiled\n"
