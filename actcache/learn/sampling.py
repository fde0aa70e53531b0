"""The recorded calls of a session: copies in memory, bounded, until they are written (``chunks.py``)."""

from __future__ import annotations

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

    from actcache.learn.place import Place

#: Bounds of what a session records: calls and bytes altogether, and bytes that wait to be written.
MOST_CALLS, MOST_BYTES, MOST_WAITING = 4096, 64 << 20, 16 << 20
#: The last calls are kept to try a compiled model on.
_KEPT, _KEPT_BYTES = 6, 16 << 20
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
        full: Whether as much was recorded as there is room for; :meth:`seldom` makes new room.
        seconds: What the calls took that were made while calls were recorded.
        recorded: Calls recorded.
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
        if self._waiting_bytes + size > MOST_WAITING:
            return
        if self.recorded >= MOST_CALLS or self._bytes + size > MOST_BYTES:
            self.full, self.recording = True, False
            return
        copied = {name: array.copy() for name, array in inputs.items()}
        self._waiting.append(copied)
        if size <= _KEPT_BYTES // _KEPT:
            self._latest.append(copied)
        self._waiting_bytes += size
        self._bytes += size
        self.recorded += 1

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

    def seldom(self) -> None:
        """From now on, record little, within bounds of its own: what is learnt may change."""
        self._pace.seldom(self._clock())
        self.full, self.recording = False, not self._stopped
        self.recorded = self._bytes = 0
        self._latest.clear()

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
            seconds, self._told = self.seconds - self._told, self.seconds
            write_chunk(cache.below(folder, chunks.chunk_name(self._chunks, len(taken), seconds)), taken)
        self._pace.pay(self._clock(), time.thread_time() - start)  # it keeps Python's lock from the program's threads


def _can_be_recorded(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind in KINDS or (array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat))
