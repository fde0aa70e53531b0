"""The recorded calls of a session: copies in memory, bounded, and chunks of them in files.

A chunk is a line of JSON, which tells the names, types and shapes of every call, and the bytes of the arrays. It costs
the program little; the compiling process makes samples of it (:func:`read_chunk`).
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from actcache.learn import cache

if TYPE_CHECKING:
    from actcache.learn.place import Place

Feed = dict[str, npt.NDArray[Any]]

#: Bounds of what a session records: calls and bytes altogether, and bytes that wait to be written.
MOST_CALLS, MOST_BYTES, MOST_WAITING = 4096, 64 << 20, 16 << 20
#: The last calls are kept to try a compiled model on.
_KEPT, _KEPT_BYTES = 6, 16 << 20
#: Once a model is compiled, or refused, so many neighbouring calls of every so many are recorded.
_STRETCH, _PERIOD = 64, 4096
_KINDS = frozenset("biufcU")
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
        active: Whether calls are recorded.
        calls: Calls made.
        seconds: What they took.
        recorded: Calls recorded.
        unreadable: Calls that could not be: sequences, maps, values in the memory of a device.
        types: Of the inputs that are tensors, as onnxruntime names them. Lists are recorded as arrays of them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.active = True
        self.calls = self.recorded = self.unreadable = 0
        self.types: Mapping[str, str] = {}
        self.seconds = 0.0
        self._sparse = False
        self._bytes = self._waiting_bytes = self._chunks = 0
        self._waiting: deque[Feed] = deque()
        self._latest: deque[Feed] = deque(maxlen=_KEPT)

    def saw(self, feed: Callable[[], Mapping[str, Any]], seconds: float) -> None:
        """Note a call that was made, and record it if it is due."""
        self.seconds += seconds
        if self.active:
            with suppress(Exception):  # whatever was fed, onnxruntime has answered it
                self.about_to_run(feed)

    def about_to_run(self, feed: Callable[[], Mapping[str, Any]]) -> None:
        """Record a call if it is due."""
        self.calls += 1
        if not self.active or (self._sparse and self.calls % _PERIOD >= _STRETCH):
            return
        inputs = {name: self._array(name, value) for name, value in feed().items()}
        if not inputs or not all(array is not None and _can_be_recorded(array) for array in inputs.values()):
            self.unreadable += 1
            return
        size = sum(array.nbytes for array in inputs.values())
        if self._waiting_bytes + size > MOST_WAITING:
            return
        if self.recorded >= MOST_CALLS or self._bytes + size > MOST_BYTES:
            self.active = False
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
        self.active = False
        self._waiting.clear()
        self._latest.clear()

    def seldom(self) -> None:
        """From now on, record little, within bounds of its own: what is learnt may change."""
        self._sparse, self.active = True, True
        self.recorded = self._bytes = 0
        self._latest.clear()

    def write(self) -> None:
        """Write what waits, as one chunk.

        Raises:
            OSError: It cannot be written.
        """
        taken: list[Feed] = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        if not taken:
            return
        self._waiting_bytes = 0
        self._chunks += 1
        name = f"{time.time_ns():020d}-{os.getpid()}-{self._chunks}-{len(taken)}.calls"
        write_chunk(cache.make_folder(self._place.calls) / name, taken)


def _can_be_recorded(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind in _KINDS or (array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat))


def write_chunk(path: Path, calls: list[Feed]) -> None:
    """Write calls to a file, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    heads, bodies = [], []
    for call in calls:
        head = {}
        for name, array in call.items():
            stored = array.astype(np.str_) if array.dtype.kind == "O" else array
            head[name] = [stored.dtype.str, list(stored.shape)]
            bodies.append(stored.tobytes())
        heads.append(head)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(json.dumps(heads).encode() + b"\n")
            file.writelines(bodies)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_chunk(path: Path) -> Iterator[Feed]:
    """Yield the calls of a chunk.

    Raises:
        ValueError: It is none.
        OSError, cache.Untrusted: It cannot be read, or may be another user's.
    """
    cache.check_owner(path)
    with open(path, "rb") as file:
        for head in json.loads(file.readline()):
            call: Feed = {}
            for name, (kind, shape) in head.items():
                dtype = np.dtype(kind)
                if dtype.kind not in _KINDS:
                    raise ValueError(f"{path}: type {kind}")
                count = int(np.prod(shape, dtype=np.int64))
                data = file.read(count * dtype.itemsize)
                call[name] = np.frombuffer(data, dtype, count).reshape(shape)
            yield call
