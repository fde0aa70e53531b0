"""The note on a compiled model that stopped paying: ``back.json`` beside it.

A session that goes back to the original writes it. The compiling process then measures newer calls only, and makes
the model anew if that pays. Each time this went wrong before, it has to pay more. Once the model pays, the note goes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from actcache.learn import cache

if TYPE_CHECKING:
    from pathlib import Path

    from actcache.learn.cache import AnyPath
    from actcache.learn.place import Ready

_BACK = "back.json"
#: After so many sessions went back, and none was paid, programs start with the original.
_ENOUGH = 3
#: What a model has to save more for each time that it was set aside, as a share of the time, and the most of that.
_MORE, _MOST = 0.02, 0.2


def note(root: AnyPath, ready: Ready, reason: str) -> int:
    """Write down that a session went back, and return how many did since the model paid last.

    Raises:
        OSError: That cannot be written.
    """
    folder = cache.model_folder(root, ready.key)
    back = cache.below(folder, _BACK)
    with cache.locked(cache.below(folder, "saved.lock")):
        times = int((cache.read_json(back) or {}).get("times", 0)) + 1
        content = {"folder": ready.folder, "reason": reason, "times": times, "time": time.time()}
        cache.write_json(back, content)
    return times


def clear(root: AnyPath, ready: Ready) -> None:
    """Forget that sessions went back: the model has paid."""
    with suppress(OSError):
        os.unlink(cache.below(cache.model_folder(root, ready.key), _BACK))


def noted(folder: AnyPath, compiled: str | None) -> Mapping[str, Any] | None:
    """Return the note on a compiled model of a model's folder; None if sessions keep to it."""
    found = cache.read_json(cache.below(folder, _BACK))
    if found is None or compiled is None or found.get("folder") != compiled:
        return None
    return found if isinstance(found.get("times"), int) and isinstance(found.get("time"), float) else None


def is_out_of_use(folder: AnyPath, compiled: str | None) -> bool:
    """Whether programs are to start with the original."""
    found = noted(folder, compiled)
    return found is not None and found["times"] >= _ENOUGH


def drop_older_calls(calls: Path, found: Mapping[str, Any]) -> None:
    """Remove the samples from before the note: they speak for a model that does not pay any more."""
    for sample in calls.glob("*.npz"):
        recorded = sample.name.partition("-")[0]
        if recorded.isdecimal() and int(recorded) < found["time"] * 1e9:
            sample.unlink(missing_ok=True)


def stricter(ratio: float, found: Mapping[str, Any]) -> float:
    """Return the ratio of the original's time that is accepted now, in place of the usual one."""
    return ratio - min(_MOST, _MORE * int(found["times"]))
