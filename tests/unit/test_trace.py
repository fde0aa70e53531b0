"""Traces: reading them, recording them, and what goes wrong with either."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from graphs import model

import actcache
from actcache.errors import InvalidOption, InvalidSamples, OutputError
from actcache.model.trace import load_trace
from actcache.serve.recorder import STRETCH

DOUBLE = "g (float[N, 2] x) => (float[N, 2] y) { y = Add(x, x) }"


def call(path: Path, value: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x=np.full((1, 2), value, np.float32))
    return path


def session() -> ort.InferenceSession:
    return ort.InferenceSession(model(DOUBLE).SerializeToString(), providers=["CPUExecutionProvider"])


# -- reading ------------------------------------------------------------------------------------------


def test_a_folder_is_read_in_the_order_of_its_numbers_and_halved(tmp_path: Path) -> None:
    for number in (10, 9, 1, 2, 100, 11):
        call(tmp_path / f"call-{number}.npz")
    (tmp_path / "notes.txt").write_text("not a call")
    trace = load_trace([tmp_path])
    assert [p.name for p in trace.chosen_by] == ["call-1.npz", "call-2.npz", "call-9.npz"]
    assert [p.name for p in trace.measured_on] == ["call-10.npz", "call-11.npz", "call-100.npz"]


def test_a_list_names_calls_relative_to_itself(tmp_path: Path) -> None:
    one, two = call(tmp_path / "a" / "1.npz"), call(tmp_path / "2.npz")
    listed = tmp_path / "calls.jsonl"
    listed.write_text(f'"a/1.npz"\n\n{json.dumps({"path": str(two)})}\n"a/1.npz"\n')
    trace = load_trace([listed])
    assert trace.chosen_by == (one, two, one) and trace.measured_on == trace.chosen_by


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('"call.npz"\n{broken', "line 2: this is not JSON"),
        ("[1]", "line 1: this line names no file"),
        ('"missing.npz"', "line 1: 'missing.npz' does not exist"),
        ("\n", "the list is empty"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, content: str, problem: str) -> None:
    call(tmp_path / "call.npz")
    listed = tmp_path / "calls.jsonl"
    listed.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InvalidSamples, match=problem) as caught:
        load_trace([listed])
    assert str(listed) in str(caught.value)


def test_nothing_and_an_empty_folder_are_no_trace(tmp_path: Path) -> None:
    with pytest.raises(InvalidSamples, match="no such file or folder"):
        load_trace([tmp_path / "missing"])
    with pytest.raises(InvalidSamples, match=r"has no \.npz files"):
        load_trace([tmp_path])


# -- recording ----------------------------------------------------------------------------------------


def test_recorded_calls_are_a_trace_and_the_session_stays_usable(tmp_path: Path) -> None:
    recorded = actcache.record(session(), tmp_path / "calls")
    for number in range(3):
        x = np.full((1, 2), number, np.float32)
        assert recorded.run(None, {"x": x})[0].tolist() == (x + x).tolist()
    assert [value.name for value in recorded.get_inputs()] == ["x"]
    assert recorded.recorded == 3 and not recorded.full
    loaded = [np.load(path)["x"][0, 0] for path in load_trace([tmp_path / "calls"]).chosen_by]
    assert loaded == [0, 1, 2]


def test_recording_is_bounded_by_calls_and_by_bytes(tmp_path: Path) -> None:
    feed = {"x": np.ones((1, 2), np.float32)}
    few = actcache.record(session(), tmp_path / "few", max_calls=2)
    small = actcache.record(session(), tmp_path / "small", max_bytes=600)
    for _ in range(5):
        few.run(None, feed)
        small.run(None, feed)
    assert few.full and len(list((tmp_path / "few").iterdir())) == few.recorded == 2
    assert small.full and 0 < small.recorded < 5
    assert sum(path.stat().st_size for path in (tmp_path / "small").iterdir()) <= 1200


def test_sampling_keeps_neighbours_together(tmp_path: Path) -> None:
    recorded = actcache.record(session(), tmp_path, sample=0.5)
    for number in range(10 * STRETCH):
        recorded.run(None, {"x": np.full((1, 2), number, np.float32)})
    kept = [int(np.load(path)["x"][0, 0]) for path in sorted(tmp_path.iterdir())]
    stretches = {number // STRETCH for number in kept}
    assert kept == [n for n in range(10 * STRETCH) if n // STRETCH in stretches]
    assert 0 in stretches and 2 < len(stretches) < 10


def test_calls_from_several_threads_are_all_recorded(tmp_path: Path) -> None:
    recorded = actcache.record(session(), tmp_path)

    def work() -> None:
        for _ in range(20):
            recorded.run(None, {"x": np.ones((1, 2), np.float32)})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorded.recorded == len(list(tmp_path.glob("*.npz"))) == 80


def test_a_failed_call_is_not_recorded_and_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    recorded = actcache.record(session(), tmp_path / "calls")
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument):
        recorded.run(None, {"x": np.ones((1, 3), np.float32)})
    assert recorded.recorded == 0
    (tmp_path / "calls").rmdir()
    with pytest.warns(RuntimeWarning, match="has stopped recording after 0 calls"):
        assert recorded.run(None, {"x": np.ones((1, 2), np.float32)})
    assert recorded.full


def test_options_that_mean_nothing_and_used_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption):
        actcache.record(session(), tmp_path, sample=0)
    call(tmp_path / "old.npz")
    with pytest.raises(OutputError, match="holds recorded calls already"):
        actcache.record(session(), tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        actcache.record(session(), tmp_path / "old.npz" / "calls")
