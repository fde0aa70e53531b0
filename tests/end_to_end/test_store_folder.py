"""A disk store is taken away, replaced or made read-only while a service uses it: outputs do not change."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disk_programs import compiled, play

#: `eight()` runs rows 0 to 7 with nothing in memory, and returns whether the outputs are what they always are.
EIGHT = """
import shutil, subprocess
store = os.environ["ACTCACHE_DISK_PATH"]
model = session()
first = run(model, range(8)).tobytes()

def eight():
    actcache.invalidate()
    same = run(model, range(8)).tobytes() == first
    return same and actcache.flush(60)

def until(reached):
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end and eight(), actcache.stats()["tiers"]
        time.sleep(0.05)

assert actcache.flush(60)
"""


def serve(model: Path, code: str, **environment: str) -> Any:
    """What the last line says that a service prints, which runs `code` once it has stored the rows."""
    return play(model, EIGHT + textwrap.dedent(code), **environment)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("model"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A folder that can be made read-only by a mount, as permissions do not stop root."""
    folder = tmp_path / "store"
    folder.mkdir(mode=0o700)
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False).returncode:
        pytest.skip("this user or this container cannot mount")
    subprocess.run(["umount", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=False)


def test_a_store_that_is_deleted_is_made_again(model: Path, tmp_path: Path) -> None:
    code = """
        shutil.rmtree(store)
        until(lambda: os.path.exists(store + "/index.sqlite") and tier("entries") == 8)
        print(json.dumps([eight(), counts("mismatches")[0], tier("available")]))
    """
    assert serve(model, code, ACTCACHE_DISK_PATH=str(tmp_path / "store")) == [True, 0, True]


def test_another_store_in_its_place_is_not_used_until_the_first_is_back(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    serve(model, "print(1)", ACTCACHE_DISK_PATH=str(other))
    code = """
        os.rename(store, store + ".mine")
        shutil.copytree(os.environ["OTHER"], store)
        until(lambda: not tier("available"))
        off = [eight(), tier("hits")]
        shutil.rmtree(store)
        os.rename(store + ".mine", store)
        until(lambda: tier("available") and tier("hits") > off[1])
        print(json.dumps([off[0], eight(), counts("mismatches")[0]]))
    """
    found = serve(model, code, ACTCACHE_DISK_PATH=str(tmp_path / "store"), OTHER=str(other))
    assert found == [True, True, 0]


def test_a_store_that_becomes_read_only_is_read(model: Path, store: Path) -> None:
    code = """
        subprocess.run(["mount", "--bind", store, store], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", store], check=True)
        hits = tier("hits")
        until(lambda: tier("hits") > hits)
        run(model, range(100, 108))
        print(json.dumps([eight(), actcache.flush(60), counts("mismatches")[0]]))
    """
    assert serve(model, code, ACTCACHE_DISK_PATH=str(store)) == [True, True, 0]
    # It is so still: a new process reads it, too, and writes nothing.
    code = """
        until(lambda: tier("hits") >= 8)
        print(json.dumps([eight(), tier("stored"), tier("refused"), tier("available")]))
    """
    assert not os.access(store / "secret", os.W_OK)
    assert serve(model, code, ACTCACHE_DISK_PATH=str(store)) == [True, 0, 0, True]
