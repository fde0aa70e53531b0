"""Emission: all of it or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import model

from actcache.errors import OutputError
from actcache.model.emit import emit, working_folder
from actcache.passes.rewrite.weights import move_weights

WEIGHT = np.random.default_rng(0).standard_normal((600, 600)).astype(np.float32)


def large_model(scale: float = 1.0) -> onnx.ModelProto:
    proto = model("g (float[N, 600] x) => (float[N, 600] y) { y = MatMul(x, w) }")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHT * np.float32(scale), "w"))
    return proto


def written(target: Path, proto: onnx.ModelProto, **options: bool) -> list[Path]:
    with working_folder(target) as folder:
        weights = move_weights(proto, target, folder / "w.bin")
        return emit(proto, weights, target, **options)


def test_large_weights_stand_beside_the_model(tmp_path: Path) -> None:
    target = tmp_path / "m.cached.onnx"
    files = written(target, large_model())
    assert sorted(tmp_path.iterdir()) == sorted(files) and len(files) == 2
    back = onnx.load(target)
    assert np.array_equal(onnx.numpy_helper.to_array(back.graph.initializer[0]), WEIGHT)


def test_a_single_file_holds_everything(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    assert written(target, large_model(), single_file=True) == [target]
    assert list(tmp_path.iterdir()) == [target]
    assert np.array_equal(onnx.numpy_helper.to_array(onnx.load(target).graph.initializer[0]), WEIGHT)


def test_writing_again_replaces_the_weights_of_before_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    bystander = tmp_path / "m.data"
    bystander.write_bytes(b"mine")
    first = written(target, large_model())
    assert written(target, large_model()) == first
    second = written(target, large_model(2.0))
    assert second[1] != first[1]
    assert sorted(tmp_path.iterdir()) == sorted([*second, bystander])


@pytest.mark.parametrize("successes", [0, 1])
def test_nothing_remains_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, successes: int) -> None:
    target = tmp_path / "m.onnx"
    first = written(target, large_model())
    before = target.read_bytes()

    done: list[object] = []

    def full(source: Path, place: Path) -> None:
        if len(done) == successes:
            raise OSError(28, "No space left on device")
        done.append(source.rename(place))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        written(target, large_model(2.0))
    assert target.read_bytes() == before and sorted(tmp_path.iterdir()) == sorted(first)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), working_folder(tmp_path / "nowhere" / "m.onnx"):
        pass
    with pytest.raises(OutputError, match="this is a folder"), working_folder(tmp_path):
        pass
