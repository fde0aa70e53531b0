"""The compiling process: takes recorded calls over, compiles the model if that pays, and writes down what came of it.

Started by ``launch.py``. It waits for its moment (``moment.py``); one at a time compiles for each cache folder.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from actcache.learn import cache, identity, moment, settings

#: What is kept of a model's calls: so much of neighbouring ones, and as much of those kept by their keys.
_MOST_CALLS, _MOST_BYTES = 4096, 64 << 20
#: With fewer calls nothing can be said about what repeats.
_FEWEST = 4
#: After an attempt, so many times its calls have to come before the next.
_GROWTH = 2
#: A compiled model is used from this ratio of the original's time on, as measured on the calls.
PAYS = 0.98
#: Memory and disk that compiling takes, as multiples of the model.
_MEMORY, _DISK = 4, 3


def main(arguments: list[str]) -> NoReturn:
    """Do the work, in a process of its own."""
    os.umask(0o077)
    os.closerange(3, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16))
    os.chdir(arguments[0])
    code = 1
    try:
        run(Path(arguments[0]), arguments[1], waits=True)
        code = 0
    except BaseException:
        with suppress(OSError):
            log = cache.place_folder(Path(arguments[0]), arguments[1]) / "job.log"
            log.write_text(traceback.format_exc())
    os._exit(code)


def run(root: Path, place: str, *, waits: bool = False) -> None:
    """Look at a place, unless another process is at it.

    Args:
        root: The cache folder.
        place: The place's name.
        waits: Whether to wait for the moment, and then to go behind all others or to take a share.
    """
    folder = cache.place_folder(root, place)
    with cache.locked(folder / "lock", wait=False) as mine:
        if not mine:
            return
        with moment.awaited(root, folder) if waits else cache.locked(root / "lock"):
            _look_at(root, folder)


def wait_for_all(root: Path) -> None:
    """Wait until no process looks at a place, or waits for its moment to do so."""
    for lock in (root / "places").glob("*/lock"):
        with cache.locked(lock):
            pass


def _look_at(root: Path, folder: Path) -> None:
    from actcache.learn import attempt, prune, set_aside

    request = cache.read_json(folder / "request.json")
    if request is None or request.get("refused"):
        return
    model = Path(request["model"])
    try:
        signature = identity.signature(model)
        if request["signature"] is not None and signature != request["signature"]:
            raise FileNotFoundError("it has been changed since the program read it")
        key, files = identity.content_key(model, request["around"])
    except OSError as error:
        _answer(folder, None, {}, "refused", f"the model cannot be read: {error.strerror or error}", 0)
        return
    target = cache.make_folder(cache.model_folder(root, key))
    record = cache.read_json(target / "record.json") or {}
    fresh = take_over(folder / "calls", cache.make_folder(target / "calls"))
    record["fresh"] = record.get("fresh", 0) + fresh
    aside = set_aside.noted(target, record.get("folder"))
    if aside is not None:
        set_aside.drop_older_calls(target / "calls", aside)
    record["sources"] = sorted({*record.get("sources", []), request["source"]})[-20:]
    record.setdefault("state", "learning")
    record.setdefault("around", request["around"])
    record.setdefault("created", time.time())
    if due(root, key, record, target):
        attempt.attempt(root, key, model, request, record)
    cache.write_json(target / "record.json", record, lasting=True)
    files = files if request["source"] != "bytes" else {}
    missing = max(1, _wanted(record) - record["fresh"])
    _answer(folder, key, files, record["state"], record.get("reason"), missing)
    with suppress(OSError):
        prune.prune(root, settings.folder_bytes(), keep=key)


def due(root: Path, key: str, record: Mapping[str, Any], target: Path) -> bool:
    """Whether a model is to be compiled now: there are enough new calls, or its compiled model is damaged."""
    from actcache.learn.place import find_ready

    calls = len(list((target / "calls").glob("*.npz")))
    if calls < _FEWEST:
        return False
    if record["state"] == "compiled" and find_ready(root, key) is None:
        return not (target / "rejected.json").exists()  # damaged: made anew; refused by a program: not again
    return bool(record["fresh"] >= _wanted(record))


def _wanted(record: Mapping[str, Any]) -> int:
    """Return how many new calls are worth another attempt."""
    return min(_GROWTH * int(record.get("attempted_with", 0)), _MOST_CALLS // 2) or _FEWEST


def _answer(
    folder: Path, key: str | None, files: Mapping[str, Any], state: str, reason: str | None, wanted: int
) -> None:
    content = {"key": key, "files": dict(files), "state": state, "reason": reason, "wanted": wanted}
    cache.write_json(folder / "answer.json", {**content, "time": time.time()}, lasting=True)


def take_over(calls: Path, target: Path) -> int:
    """Make samples of recorded chunks, and return how many calls these stand for.

    The oldest samples go if there are too many. Calls that one program keeps by their keys take the place of those that
    it kept before.
    """
    from actcache.learn.chunks import level_in, told

    taken = 0
    for chunk in sorted(calls.glob("*.calls")) if calls.is_dir() else []:
        name = told(chunk.name)
        by_key = name if name is not None and name.level is not None else None
        if by_key is not None:
            for sample in target.glob(f"{by_key.origin}-*.npz"):
                sample.unlink(missing_ok=True)
        made = _make_samples(chunk, target)
        taken += made if by_key is None else by_key.calls
        with suppress(OSError):
            chunk.unlink()
    kept = sorted(target.glob("*.npz"), reverse=True)
    _keep_newest([sample for sample in kept if level_in(sample.name) is None])
    _keep_newest([sample for sample in kept if level_in(sample.name) is not None])
    return taken


def _make_samples(chunk: Path, target: Path) -> int:
    """Make a sample of each call, and return how many; of equal calls there is one file, with several names."""
    from actcache.learn.chunks import read_chunk, sample_name
    from actcache.model.feed_file import save_sample

    known: dict[int, Path] = {}
    made = 0
    with suppress(ValueError, cache.Untrusted):  # cut off, or not ours
        for feed in read_chunk(chunk):
            sample = target / sample_name(chunk.name, made)
            temporary = sample.with_name(f".{sample.stem}.tmp")
            temporary.unlink(missing_ok=True)
            first = known.setdefault(id(feed), sample)
            if first is sample:
                save_sample(temporary, feed)
            else:
                _link(first, temporary)
            temporary.replace(sample)
            made += 1
    return made


def _link(known: Path, other: Path) -> None:
    try:
        os.link(known, other)
    except OSError:  # this file system has no hard links
        shutil.copyfile(known, other)


def _keep_newest(samples: list[Path]) -> None:
    """Remove the samples that there is no more room for; `samples`: all of them, the newest first."""
    total = 0
    counted: set[int] = set()
    for number, sample in enumerate(samples):
        found = sample.stat()
        total += found.st_size if found.st_ino not in counted else 0
        counted.add(found.st_ino)
        if number >= _MOST_CALLS or (total > _MOST_BYTES and number >= _FEWEST):
            sample.unlink()


def check_room(model: Path, size: int) -> str | None:
    """Return why there is no room to compile; None if there is."""
    if shutil.disk_usage(model).free < _DISK * size + (64 << 20):
        return "there is no room on the disk of the cache folder"
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
        if available < _MEMORY * size + (256 << 20):
            return "there is too little memory to compile it beside the program"
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
