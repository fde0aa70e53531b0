"""The cache folder of ``actcache run`` stays within its bound, and loses nothing that is in use."""

from __future__ import annotations

import os
import time
from pathlib import Path

from learnt_folders import add_model

from actcache.learn import cache
from actcache.learn.prune import prune, remove_model


def keys(root: Path) -> set[str]:
    return {folder.name for folder in (root / "models").iterdir()}


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    now = time.time()
    for number, key in enumerate(("new", "old", "older")):
        add_model(tmp_path, key, used=now - 100 * number, size=100_000)
    before = cache.folder_size(tmp_path)
    removed = prune(tmp_path, before - 150_000)
    assert removed.models == ("older", "old") and keys(tmp_path) == {"new"}
    assert removed.bytes == before - cache.folder_size(tmp_path) > 200_000
    assert {folder.name for folder in (tmp_path / "places").iterdir()} == {"place-of-new"}


def test_nothing_goes_while_there_is_room(tmp_path: Path) -> None:
    add_model(tmp_path, "one", used=time.time())
    size = cache.folder_size(tmp_path)
    assert prune(tmp_path, size).models == () and cache.folder_size(tmp_path) == size


def test_the_model_that_was_just_compiled_stays(tmp_path: Path) -> None:
    now = time.time()
    add_model(tmp_path, "mine", used=now - 1000)
    add_model(tmp_path, "other", used=now)
    assert prune(tmp_path, 0, keep="mine").models == ("other",)
    assert keys(tmp_path) == {"mine"}


def test_left_overs_go_and_what_is_being_written_stays(tmp_path: Path) -> None:
    folder = add_model(tmp_path, "one", used=time.time())
    old, new = folder / ".record.json.1.tmp", folder / ".record.json.2.tmp"
    for file in (old, new):
        file.write_bytes(b"part")
    long_ago = time.time() - 40 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    forgotten = cache.make_folder(cache.place_folder(tmp_path, "forgotten"))
    os.utime(forgotten, (long_ago, long_ago))
    assert prune(tmp_path, 1 << 30).models == ()
    assert not old.exists() and new.exists()
    assert not forgotten.exists() and cache.place_folder(tmp_path, "place-of-one").exists()


def test_links_in_the_folder_are_not_followed(tmp_path: Path) -> None:
    root, other = tmp_path / "cache", tmp_path / "other"
    add_model(root, "one", used=time.time())
    other.mkdir()
    (other / "file").write_text("mine")
    (root / "models" / "link").symlink_to(other)
    prune(root, 0)
    remove_model(root, "link")
    assert (other / "file").read_text() == "mine"


def test_an_empty_folder_is_no_fault(tmp_path: Path) -> None:
    assert prune(tmp_path, 0).models == ()
