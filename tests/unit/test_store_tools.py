"""`actcache store`: a store is looked into, checked, copied, emptied and warmed from outside."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import actcache

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
  g (float[N, 8] x) => (float[N, 8] y) { a = Exp(x) b = Tanh(a) y = Sin(b) }"""


def store(*arguments: object, code: int = 0) -> Any:
    """What a command answers with --json."""
    done = subprocess.run(
        [sys.executable, "-m", "actcache", "store", *map(str, arguments), "--json"], capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was warmed with four calls of two rows."""
    folder = tmp_path_factory.mktemp("warm")
    onnx.save(onnx.parser.parse_model(TEXT), folder / "m.onnx")
    model = actcache.compile_model(folder / "m.onnx", min_saving=0).output
    (folder / "calls").mkdir()
    for call in range(4):
        np.savez(
            folder / "calls" / f"{call}.npz", x=np.full((2, 8), call, np.float32) + np.array([[0], [100]], np.float32)
        )
    answer = store("warm", model, folder / "calls", folder / "store", "--budget", "32MiB")
    assert answer == {"calls": 4, "stored": 8, "entries": 8}
    return folder / "store"


def test_stat_and_ls(warmed: Path) -> None:
    found = store("stat", warmed)
    assert (found["entries"], found["budget_bytes"]) == (8, 32 << 20)
    (region,) = found["regions"]
    assert (region["entries"], region["namespace"]) == (8, "")
    listed = store("ls", warmed, "--limit", 3)["entries"]
    assert len(listed) == 3
    assert {entry["region"] for entry in listed} == {region["region"]}
    assert len({entry["key"] for entry in listed}) == 3
    assert store("ls", warmed, "--region", "another")["entries"] == []


def test_a_copy_has_the_same_entries_and_secret(warmed: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    assert store("export", warmed, target) == {"copied": 8, "present": 0, "damaged": 0, "refused": 0}
    assert store("import", target, warmed) == {"copied": 0, "present": 8, "damaged": 0, "refused": 0}
    assert (target / "secret").read_bytes() == (warmed / "secret").read_bytes()
    keys = [sorted(entry["key"] for entry in store("ls", one)["entries"]) for one in (warmed, target)]
    assert len(keys[0]) == 8 and keys[0] == keys[1]
    assert store("purge", target, "--region", "another") == {"removed": 0, "damaged_index": False}
    assert store("purge", target) == {"removed": 8, "damaged_index": False}
    assert store("stat", target)["entries"] == 0


def test_verify_finds_every_damaged_record(warmed: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    store("export", warmed, target)
    database = sqlite3.connect(target / "index.sqlite")
    records = database.execute("SELECT id, record FROM records ORDER BY id").fetchall()
    assert len(records) == 8
    for (number, record), at in zip(records[:3], (3, 70, len(records[0][1]) - 1), strict=True):
        damaged = bytearray(record)
        damaged[at] ^= 1
        database.execute("UPDATE records SET record = ? WHERE id = ?", (bytes(damaged), number))
    database.commit()
    database.close()
    assert store("verify", target, code=2) == {"entries": 8, "damaged": 3, "removed": 0}
    assert store("verify", target, "--repair") == {"entries": 8, "damaged": 3, "removed": 3}
    assert store("verify", target) == {"entries": 5, "damaged": 0, "removed": 0}


def test_purge_empties_a_store_whose_index_is_damaged(warmed: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    store("export", warmed, target)
    secret = (target / "secret").read_bytes()
    for log in target.glob("index.sqlite-*"):
        log.unlink()  # it may hold all pages
    (target / "index.sqlite").write_bytes(b"no database" * 5000)
    (target / "values" / "07").mkdir(parents=True, exist_ok=True)
    (target / "values" / "07" / "7").write_bytes(b"a value")
    assert "empties it" in store("purge", target, "--region", "r", code=2)["error"]["message"]
    assert store("purge", target) == {"removed": 1, "damaged_index": True}
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["secret"]
    assert (target / "secret").read_bytes() == secret
    # It can be filled again.
    assert store("import", target, warmed)["copied"] == 8


def test_purge_leaves_what_is_no_store_alone(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"somebody's own" * 5000)
    assert "has no secret" in store("purge", tmp_path, code=2)["error"]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["index.sqlite"]


def test_two_secrets_do_not_mix(warmed: Path, tmp_path: Path) -> None:
    code = f"import actcache; actcache.configure(disk_path={str(tmp_path / 'other')!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    answer = store("export", warmed, tmp_path / "other", code=2)
    assert "a secret of its own" in answer["error"]["message"]


@pytest.mark.parametrize("command", ["stat", "ls", "verify", "purge"])
def test_no_store_is_one_line(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "actcache", "store", command, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path} holds no store\n"
    assert not list(tmp_path.iterdir())
