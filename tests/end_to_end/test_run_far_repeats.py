"""``actcache run`` where inputs are so large that the sample is full before any comes again."""

from __future__ import annotations

from pathlib import Path

import pytest
from learning_programs import learn, look, run, write_model

#: Calls take milliseconds: what is measured of some dozens of them then says something on a busy machine, too.
WIDTH = 1024
#: Calls of 16 KB, with room for 24 of them. The same 64 come again and again in turn, or all are new.
FAR = """
    from actcache.learn import calls_by_key, pace, sampling

    pace._PURSE = 60.0  # no rests
    sampling.MOST_BYTES = calls_by_key.MOST_BYTES = 24 * 16384
    session = ort.InferenceSession("model.onnx", options)
    sampled = session._learner.sampling
    calls = random.standard_normal((64, 4, 1024)).astype(np.float32)
    for number in range(256):
        fresh = sys.argv[1] == "new" and number >= 64
        x = random.standard_normal((4, 1024)).astype(np.float32) if fresh else calls[number % 64]
        if sys.argv[2] == "bound":
            binding = session.io_binding()
            binding.bind_cpu_input("x", x)
            binding.bind_output("y", "cpu")
            session.run_with_iobinding(binding)
        else:
            session.run(None, {"x": x})
        end = time.monotonic() + 60
        while number < 250 and not sampled.recording and time.monotonic() < end:
            time.sleep(0.02)
    print(sampled.recorded)
"""


@pytest.mark.parametrize("way", ["plain", "bound"])
def test_calls_that_come_again_late_are_seen(tmp_path: Path, way: str) -> None:
    write_model(tmp_path / "model.onnx", width=WIDTH)

    def first() -> None:
        done = run(FAR, "again", way, folder=tmp_path, ACTCACHE_AUTO_PYTHON="/bin/true")
        assert (done.returncode, done.stderr) == (0, "") and int(done.stdout) >= 250

    found = learn(tmp_path, first, lambda record: record["one_in"] > 1)
    assert found["state"] == "compiled" and found["one_in"] >= 4
    assert max(found["reuse"].values()) > 0.3


def test_calls_that_never_come_again_are_not(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx", width=WIDTH)
    done = run(FAR, "new", "plain", folder=tmp_path, ACTCACHE_AUTO_PYTHON="/bin/true")
    assert (done.returncode, done.stderr) == (0, "")
    found = look(tmp_path)
    assert (found["state"], found["attempts"], found["one_in"]) == ("refused", 1, 1)
