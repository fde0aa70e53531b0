"""The recorded calls of a session: copies in memory, bounded, until they are written (``chunks.py``).

Neighbouring calls are recorded first. If their inputs take all the room, calls are chosen by what they hold from then
on (``calls_by_key.py``).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from actcache.learn import cache, chunks
from actcache.learn.chunks import KINDS, Feed, write_chunk
from actcache.learn.pace import Pace, ProgramTime

if TYPE_CHECKING:
    import numpy.typing as npt

    from actcache.learn.calls_by_key import CallsByKey
    from actcache.learn.place import Place

#: Bounds of what a session records: calls and bytes altogether, and bytes that wait to be written.
MOST_CALLS, MOST_BYTES, MOST_WAITING = 4096, 64 << 20, 16 << 20
#: The last calls are kept to try a compiled model on.
_KEPT, MOST_LATEST = 6, 16 << 20
#: Calls wait to be written, so that few files are written: so many seconds, or until they take so many bytes.
_LONGEST_WAIT, _WORTH_WRITING = 10.0, 4 << 20
#: Types of tensors that onnxruntime makes of lists.
_TYPES: Mapping[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.str_,
    **{f"tensor({name})": np.dtype(name) for name in "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()},
}


class Sampling:
    """Records the calls of one session; safe to call from several threads.

    Attributes:
        recording: Whether the next call is recorded.
        full: Whether as much was recorded as there is room for; :meth:`choose_by_key` and :meth:`seldom` go on.
        seconds: What the calls took that were made while calls were recorded.
        recorded: Calls recorded, and those that were looked at and not kept.
        unreadable: Calls that could not be: sequences, maps, values in the memory of a device.
        types: Of the inputs that are tensors, as onnxruntime names them. Lists are recorded as arrays of them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.recording = True
        self.recorded = self.unreadable = 0
        self.types: Mapping[str, str] = {}
        self.seconds = self._told = 0.0
        self._clock = ProgramTime()
        self._pace = Pace(self._clock())
        self.full = self._stopped = False
        self._bytes = self._waiting_bytes = self._chunks = 0
        self._waiting: deque[Feed] = deque()
        self._written = time.monotonic()
        self._latest: deque[Feed] = deque(maxlen=_KEPT)
        self._by_key: CallsByKey | None = None
        self._may_choose, self._began, self._number, self._told_calls = True, 0, 0, 0
        self._replaced: tuple[cache.AnyPath, int, float] | None = None  # the chunk of chosen calls, as last written

    def saw(self, feed: Mapping[str, Any]) -> None:
        """Record a call, unless none are recorded now."""
        if not self.recording:
            return
        start = time.thread_time()  # what others take meanwhile is no cost of this
        with suppress(Exception):  # whatever was fed, onnxruntime has answered it
            self._record(feed)
        if not self._pace.goes_on(self._clock(), time.thread_time() - start):
            self.recording = False

    def resume(self) -> None:
        """Record again, if the last rest is over."""
        if not (self.recording or self.full or self._stopped) and self._pace.may_resume(self._clock()):
            self.recording = True

    def _record(self, feed: Mapping[str, Any]) -> None:
        inputs = {name: self._array(name, value) for name, value in feed.items()}
        if not inputs or not all(array is not None and _can_be_recorded(array) for array in inputs.values()):
            self.unreadable += 1
            return
        size = sum(array.nbytes for array in inputs.values())
        if self._by_key is not None:
            self._choose(self._by_key, inputs, size)
            return
        if self._waiting_bytes + size > MOST_WAITING:
            return
        if self.recorded >= MOST_CALLS or self._bytes + size > MOST_BYTES:
            self.full, self.recording = True, False
            return
        copied = {name: array.copy() for name, array in inputs.items()}
        self._waiting.append(copied)
        self._keep_latest(copied, size)
        self._waiting_bytes += size
        self._bytes += size
        self.recorded += 1

    def _choose(self, by_key: CallsByKey, inputs: Feed, size: int) -> None:
        """Keep a call if its key says so."""
        if self.recorded >= MOST_CALLS:
            self.full, self.recording = True, False
            return
        kept = by_key.saw(inputs)
        self.recorded += 1
        if kept is not None:
            self._keep_latest(kept, size)

    def _keep_latest(self, copied: Feed, size: int) -> None:
        if size <= MOST_LATEST // _KEPT:
            self._latest.append(copied)

    def _array(self, name: str, value: Any) -> Any:
        """Return what was fed for an input as an array; None if it is none."""
        if isinstance(value, np.ndarray):
            return value
        if hasattr(value, "device_name"):  # an OrtValue
            return value.numpy() if value.device_name() == "cpu" and value.is_tensor() else None
        dtype = _TYPES.get(self.types.get(name, ""))
        return None if dtype is None or value is None else np.asarray(value, dtype)

    def latest(self) -> list[Feed]:
        """Return the last calls."""
        return list(self._latest)

    def stop(self) -> None:
        """Record nothing more."""
        self._stopped, self.recording = True, False
        self._waiting.clear()
        self._latest.clear()
        self._by_key = None

    def choose_by_key(self) -> bool:
        """From now on, choose calls by their keys, if it was the size of neighbouring ones that left no room for more.

        Returns:
            Whether that is done.

        Raises:
            OSError: What waits cannot be written.
        """
        if self._stopped or not self._may_choose or self.recorded >= MOST_CALLS:
            return False
        from actcache.learn.calls_by_key import CallsByKey  # few programs need it

        self.write()
        self._chunks += 1
        self._may_choose, self._began, self._number = False, time.time_ns(), self._chunks
        self._by_key = CallsByKey()
        self.full, self.recording = False, True
        return True

    def seldom(self) -> None:
        """From now on, record little, within bounds of its own: what is learnt may change."""
        self._pace.seldom(self._clock())
        self.full, self.recording = False, not self._stopped
        self.recorded = self._bytes = 0
        self._latest.clear()
        self._by_key, self._may_choose = None, False

    def write_in_time(self) -> None:
        """Write what waits, once it is worth that.

        Raises:
            OSError: It cannot be written.
        """
        if self._waiting_bytes >= _WORTH_WRITING or time.monotonic() - self._written >= _LONGEST_WAIT:
            self.write()

    def write(self) -> None:
        """Write what waits, as one chunk; it is dropped if too many wait there already, of this and other programs.

        Raises:
            OSError: It cannot be written.
        """
        self._written = time.monotonic()
        taken: list[Feed] = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        if not taken:
            return
        start = time.thread_time()
        self._waiting_bytes = 0
        folder = cache.make_folder(self._place.calls)
        if not chunks.waiting(folder).full:
            self._chunks += 1
            name = chunks.chunk_name(self._chunks, len(taken), self._untold_seconds())
            write_chunk(cache.below(folder, name), taken)
        self._pace.pay(self._clock(), time.thread_time() - start)  # it keeps Python's lock from the program's threads

    def write_all(self) -> None:
        """Write what waits, and the chosen calls in the place of those that were written before.

        Raises:
            OSError: It cannot be written.
        """
        self.write()
        by_key = self._by_key
        if by_key is None or by_key.looked_at == self._told_calls:
            return
        start = time.thread_time()
        folder = cache.make_folder(self._place.calls)
        calls, self._told_calls = by_key.looked_at - self._told_calls, by_key.looked_at
        seconds = self._untold_seconds()
        if self._replaced is not None:
            with suppress(FileNotFoundError):  # somebody has taken them over
                os.unlink(self._replaced[0])
                calls, seconds = calls + self._replaced[1], seconds + self._replaced[2]
        sample = by_key.sample()
        if sample and not chunks.waiting(folder).full_by_key:
            name = chunks.chunk_name(self._number, calls, seconds, self._began, by_key.level)
            path = cache.below(folder, name)
            write_chunk(path, sample)
            self._replaced = path, calls, seconds
        self._pace.pay(self._clock(), time.thread_time() - start)

    def _untold_seconds(self) -> float:
        seconds, self._told = self.seconds - self._told, self.seconds
        return seconds


def _can_be_recorded(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind in KINDS or (array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat))
