"""Where models and their weights lie: links, folders, other names; what must not be overwritten; what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import model

import actcache
from actcache.errors import InvalidModel, InvalidOption, OutputError

WEIGHT = np.random.default_rng(0).standard_normal((600, 600)).astype(np.float32)
SAMPLE = {"x": np.random.default_rng(1).standard_normal((3, 600)).astype(np.float32)}


def saved(path: Path, data: str | None = "m.data", scale: float = 1.0) -> Path:
    """A model at `path` whose weight lies in the file `data` beside it, or inside."""
    proto = model("g (float[N, 600] x) => (float[N, 600] y) { h = MatMul(x, w) y = Tanh(h) }")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHT * np.float32(scale), "w"))
    path.parent.mkdir(parents=True, exist_ok=True)
    if data is None:
        onnx.save(proto, path)
    else:
        onnx.save(proto, path, save_as_external_data=True, location=data, size_threshold=0)
    return path


def compiled(source: str | Path, target: Path | None = None) -> actcache.CompileResult:
    return actcache.compile_model(source, target, min_saving=0, samples=[SAMPLE])


def check(result: actcache.CompileResult, scale: float = 1.0) -> None:
    options = ort.SessionOptions()
    actcache.register(options)
    got = ort.InferenceSession(str(result.output), options).run(None, SAMPLE)[0]
    np.testing.assert_allclose(got, np.tanh(SAMPLE["x"] @ (WEIGHT * np.float32(scale))), rtol=1e-3, atol=1e-4)


def test_a_link_to_a_model_and_links_to_both_as_download_caches_have_them(tmp_path: Path) -> None:
    real = saved(tmp_path / "blobs" / "m.onnx")
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "model.onnx"
    link.symlink_to("../blobs/m.onnx")
    check(compiled(link))
    (tmp_path / "links" / "m.data").symlink_to("../blobs/m.data")
    check(compiled(link))
    assert sorted(p.name for p in real.parent.iterdir()) == ["m.data", "m.onnx"]


def test_a_linked_folder_and_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "real" / "m.onnx")
    (tmp_path / "folder").symlink_to("real")
    check(compiled(tmp_path / "folder" / "m.onnx", tmp_path / "1.onnx"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    check(compiled("../real/m.onnx", Path("2.onnx")))
    assert len(list(Path().iterdir())) == 2


def test_the_output_may_not_be_the_weights_of_the_model(tmp_path: Path) -> None:
    source = saved(tmp_path / "m.onnx")
    before = (tmp_path / "m.data").read_bytes()
    (tmp_path / "link").symlink_to("m.data")
    for target in (tmp_path / "m.data", tmp_path / "link"):
        with pytest.raises(InvalidOption, match="holds weights of the model"):
            compiled(source, target)
    assert (tmp_path / "m.data").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "m.data", "m.onnx"]


def test_the_weights_of_a_renamed_compiled_model_are_not_cleared_up(tmp_path: Path) -> None:
    """They bear the name of the output that is now written again."""
    first = compiled(saved(tmp_path / "m.onnx"), tmp_path / "out.onnx")
    renamed = first.output.rename(tmp_path / "renamed.onnx")
    again = compiled(renamed, tmp_path / "out.onnx")
    assert first.files[1].exists() and len(again.files) == 2
    check(again)
    check(compiled(renamed, tmp_path / "third.onnx"))


def test_missing_and_short_weights_name_the_file_and_the_tensor(tmp_path: Path) -> None:
    source = saved(tmp_path / "m.onnx")
    data = tmp_path / "m.data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    with pytest.raises(InvalidModel, match=r"m\.data: the file ends before the data of initializer 'w'; copy it again"):
        compiled(source)
    data.unlink()
    with pytest.raises(InvalidModel, match=r"m\.data: external data of initializer 'w' cannot be read \(No such file"):
        compiled(source)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    source = saved(tmp_path / "closed" / "m.onnx")
    source.parent.chmod(0o500)
    try:
        with pytest.raises(
            OutputError, match=r"m\.cached\.onnx: cannot be written \(Permission denied\); choose another"
        ):
            compiled(source)
        check(compiled(source, tmp_path / "open.onnx"))
    finally:
        source.parent.chmod(0o700)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    source = saved(tmp_path / "m.onnx", None)
    with pytest.raises(OutputError, match=r"cannot be written \(Not a directory\)"):
        compiled(source, source / "out.onnx")
