"""``actcache run``: a program records its calls, goes over to the compiled model, and the next one starts with it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
from learning_programs import CALLS, look, record, run, saved, write_model

from actcache.learn import cache, job

BY_PATH = CALLS.format(model="sys.argv[1]")
BY_BYTES = CALLS.format(model="open(sys.argv[1], 'rb').read()")


def same(folder: Path) -> bool:
    return np.allclose(np.load(folder / "outputs.npy"), np.load(folder / "expected.npy"), rtol=0, atol=1e-4)


def test_next_start_uses_the_compiled_model_from_the_first_call(learnt_folder: Path) -> None:
    folder = learnt_folder
    done = run(BY_PATH, "model.onnx", folder=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "compiled\n", "")
    assert same(folder)
    found = saved(folder)
    assert found["programs"] == 1 and found["lookups"] == 96
    assert found["hits"] == 90  # of six rows
    assert 0 <= time.time() - found["began"] < 300


def test_summary_is_one_line_on_stderr(learnt_folder: Path) -> None:
    folder = learnt_folder
    done = run(BY_PATH, "model.onnx", folder=folder, options=("--summary",))
    assert done.stdout == "compiled\n"
    (line,) = done.stderr.splitlines()
    assert "1 compiled model" in line and "96 rows" in line and "93.8% reused" in line


def test_model_at_another_path_is_the_same_model(learnt_folder: Path) -> None:
    folder = learnt_folder
    shutil.copy(folder / "model.onnx", folder / "copy.onnx")
    done = run(BY_PATH, "copy.onnx", folder=folder)
    assert done.stdout == "original\n"  # nobody has seen this path
    look(folder)
    assert len(list((folder / "cache" / "models").iterdir())) == 1
    assert run(BY_PATH, "copy.onnx", folder=folder).stdout == "compiled\n"
    assert same(folder)


def test_model_in_bytes(learnt_folder: Path) -> None:
    folder = learnt_folder
    done = run(BY_BYTES, "model.onnx", folder=folder, ACTCACHE_AUTO_CALLS="8")
    assert (done.returncode, done.stdout) == (0, "original\n")
    look(folder)
    assert len(list((folder / "cache" / "models").iterdir())) == 1
    assert run(BY_BYTES, "model.onnx", folder=folder).stdout == "compiled\n"
    assert same(folder)


def test_changed_model_is_never_served_by_the_old_one(learnt_folder: Path) -> None:
    folder = learnt_folder
    (folder / "model.onnx").unlink()
    write_model(folder / "model.onnx", seed=1)
    done = run(BY_PATH, "model.onnx", folder=folder)
    assert done.stdout == "original\n"
    assert not same(folder)


def test_damaged_compiled_model_is_not_used_and_would_be_made_anew(learnt_folder: Path) -> None:
    folder = learnt_folder
    (weights,) = (folder / "cache" / "models").glob("*/compiled-1/*.data")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0xFF
    weights.write_bytes(content)
    done = run(BY_PATH, "model.onnx", folder=folder, options=("--summary",))
    assert done.stdout == "original\n"
    assert "not what was written there" in done.stderr
    assert same(folder)
    target = weights.parent.parent
    assert job.due(folder / "cache", target.name, record(folder), target)


def test_swap_between_two_calls_of_a_running_program(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    done = run(
        """
        session = ort.InferenceSession("model.onnx", options)
        plain = type(session)._actcache_real("model.onnx", options)
        wrong = 0
        for call in range(32):
            x = draw()
            wrong += not np.array_equal(session.run(None, {"x": x})[0], plain.run(None, {"x": x})[0])
        before = session._sess
        assert learnt(session), session._learner.reason
        assert session._sess is not before
        for call in range(32):
            x = draw()
            wrong += not np.allclose(session.run(["y"], {"x": x})[0], plain.run(None, {"x": x})[0], atol=1e-4)
        print("wrong", wrong)
        """,
        folder=tmp_path,
        ACTCACHE_AUTO_CALLS="16",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrong 0\n", "")
    assert record(tmp_path)["state"] == "compiled"
    assert saved(tmp_path)["hits"] > 0


def test_refused_model_is_recorded_seldom_by_the_next_program(learnt_folder: Path) -> None:
    (file,) = (learnt_folder / "cache" / "places").glob("*/answer.json")
    answer = cache.read_json(file)
    assert answer is not None and answer["state"] == "compiled"
    cache.write_json(file, {**answer, "state": "refused", "wanted": 4096})  # of so many calls: for good
    (record_file,) = (learnt_folder / "cache" / "models").glob("*/record.json")
    record_file.write_text(record_file.read_text().replace('"compiled"', '"refused"', 1))
    done = run(
        """
        session = ort.InferenceSession("model.onnx", options)
        for _ in range(200):
            session.run(None, {"x": draw(1)})
        print(session._learner.ready, session._learner.sampling.recorded)
        """,
        folder=learnt_folder,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("None 64\n", "", 0)
