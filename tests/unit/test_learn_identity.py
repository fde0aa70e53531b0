"""Which model a session runs: places, which are quick to find, and keys, which follow the content."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from actcache.learn import identity

AROUND = identity.circumstances("1.32.0", {})


def write(path: Path, *, seed: int = 0, external: bool = False) -> Path:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        one (float[N, 32] x) => (float[N, 32] y) { y = MatMul(x, w) }""")
    weight = np.random.default_rng(seed).standard_normal((32, 32)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    location = f"{path.name}.data"
    onnx.save(model, path, save_as_external_data=external, location=location if external else None, size_threshold=0)
    return path


def test_the_key_follows_the_content_wherever_it_lies(tmp_path: Path) -> None:
    one, same = write(tmp_path / "one.onnx"), write(tmp_path / "same.onnx")
    other = write(tmp_path / "other.onnx", seed=1)
    key, read = identity.content_key(one, AROUND)
    assert key == identity.content_key(same, AROUND)[0] != identity.content_key(other, AROUND)[0]
    assert list(read) == [str(one)]


def test_external_data_is_part_of_the_key(tmp_path: Path) -> None:
    model = write(tmp_path / "big.onnx", external=True)
    weights = tmp_path / "big.onnx.data"
    key, read = identity.content_key(model, AROUND)
    assert set(read) == {str(model), str(weights)}
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    assert identity.content_key(model, AROUND)[0] != key
    assert identity.has_external_data(model.read_bytes())
    assert not identity.has_external_data(write(tmp_path / "one.onnx").read_bytes())


def test_names_of_external_files_are_found_across_the_pieces_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path / "big.onnx", external=True)
    key, _ = identity.content_key(model, AROUND)
    start = model.read_bytes().index(b"location")
    for size in range(start, start + 24):
        monkeypatch.setattr(identity, "_CHUNK", size)
        found, read = identity.content_key(model, AROUND)
        assert found == key and len(read) == 2, size


@pytest.mark.parametrize(
    "around",
    [identity.circumstances("1.31.0", {}), identity.circumstances("1.32.0", {"graph_optimization_level": "x"})],
    ids=["runtime", "options"],
)
def test_versions_and_options_are_part_of_places_and_keys(tmp_path: Path, around: dict[str, object]) -> None:
    model = write(tmp_path / "one.onnx")
    assert identity.content_key(model, AROUND)[0] != identity.content_key(model, around)[0]
    assert identity.place_of(str(model), AROUND) != identity.place_of(str(model), around)
    assert AROUND["machine"] and AROUND["actcache"]


def test_places_of_models_in_bytes_follow_the_bytes() -> None:
    one, other = (identity.place_of(identity.bytes_source(model), AROUND) for model in (b"one", b"other"))
    assert one != other and one == identity.place_of(identity.bytes_source(b"one"), AROUND)


def test_files_that_were_replaced_or_touched_are_noticed(tmp_path: Path) -> None:
    model = write(tmp_path / "one.onnx")
    files = identity.content_key(model, AROUND)[1]
    assert identity.unchanged(files)
    assert not identity.unchanged({})  # nothing is known
    content, times = model.read_bytes(), model.stat()
    other = tmp_path / "other"
    other.write_bytes(content)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(model)  # the same bytes, size and time, but another file
    assert not identity.unchanged(files)
    model.unlink()
    assert not identity.unchanged(files)


def test_missing_models_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        identity.content_key(tmp_path / "none.onnx", AROUND)
