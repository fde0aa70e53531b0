"""Recording the calls of a session, as a trace for ``actcache-compile --trace``."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from actcache.base.files import check_room, file_error, writing
from actcache.base.per_call import PerCall
from actcache.errors import InvalidOption, OutputError
from actcache.model.feed_file import arrays_of, can_be_saved, save_sample
from actcache.passes.rewrite.inline_regions import MANIFEST_KEY

#: Calls are sampled in stretches of this many: what repeats between neighbours is what a trace is for.
STRETCH = 64


class Recorder:
    """A session whose calls of ``run`` are written down; everything else is the session's own.

    Made by :func:`record`. Safe to call from several threads. A call that cannot be written (a full disk) never fails
    for it: recording stops with a warning.

    Attributes:
        recorded: Calls written so far.
        bytes: Bytes written so far.
        full: Whether recording has stopped.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, folder: Path, max_calls: int, max_bytes: int, sample: float
    ) -> None:
        self._session, self._folder = session, folder
        self._not_inputs = set(_per_call(session).names().values())
        self._max_calls, self._max_bytes, self._sample = max_calls, max_bytes, sample
        self._lock = threading.Lock()
        self._random = np.random.default_rng(0)
        self._calls = 0
        self._stretch_is_recorded = True
        self.recorded = 0
        self.bytes = 0
        self.full = False

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None) -> Any:
        """Run the session, and write the inputs down if the run succeeds."""
        result = self._session.run(output_names, input_feed, run_options)
        if not self.full:
            with self._lock:
                self._write(input_feed)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def _write(self, feed: Mapping[str, Any]) -> None:
        if self._calls % STRETCH == 0 and self._calls:
            self._stretch_is_recorded = bool(self._random.random() < self._sample)
        self._calls += 1
        inputs = {name: value for name, value in feed.items() if name not in self._not_inputs}
        if self.full or not self._stretch_is_recorded or not all(map(can_be_saved, inputs.values())):
            return
        size = sum(array.nbytes for value in inputs.values() for array in arrays_of(value))
        if self.recorded >= self._max_calls or self.bytes + size > self._max_bytes:
            self.full = True
            return
        path = self._folder / f"call-{self.recorded:06d}.npz"
        temporary = path.with_suffix(".tmp.npz")
        try:
            save_sample(temporary, inputs)
            written = temporary.stat().st_size
            temporary.replace(path)
        except Exception as error:  # a full disk, or what no file takes: the run itself succeeded
            self.full = True
            with suppress(OSError):  # the folder may be gone, or its disk broken
                temporary.unlink(missing_ok=True)
            reason = file_error(error, path, "record into another folder") if isinstance(error, OSError) else error
            problem = f"actcache has stopped recording after {self.recorded} calls: {reason}"
            warnings.warn(problem, RuntimeWarning, stacklevel=4)
            return
        self.recorded += 1
        self.bytes += written


def _per_call(session: onnxruntime.InferenceSession) -> PerCall:
    """Return what a compiled model takes besides the inputs of its original."""
    return PerCall.from_manifest(session.get_modelmeta().custom_metadata_map.get(MANIFEST_KEY, ""))


def record(
    session: onnxruntime.InferenceSession,
    path: str | PathLike[str],
    *,
    max_calls: int = 10_000,
    max_bytes: int = 1 << 30,
    sample: float = 1.0,
) -> Recorder:
    """Wrap a session so that its calls are written to a folder, for ``actcache-compile --trace``.

    Args:
        session: A session of the original model, or of a compiled one (of which the original's inputs are written).
        path: The folder; made if it does not exist.
        max_calls: Recording stops after this many calls.
        max_bytes: Recording stops before the folder holds more bytes.
        sample: Share of the calls to record. They are recorded in stretches of 64 successive calls; the first stretch
            always is.

    Returns:
        What to call instead of `session`.

    Raises:
        InvalidOption: A bound or the share means nothing.
        OutputError: Nothing can be written to the folder, or it holds calls already.
    """
    if max_calls < 1 or max_bytes < 1 or not 0 < sample <= 1:
        raise InvalidOption(
            "nothing would be recorded", hint="max_calls and max_bytes must be 1 or more, sample above 0 and at most 1"
        )
    folder = Path(path)
    with writing(folder, "give another folder"):
        os.makedirs(folder, exist_ok=True)
        check_room(folder)
    if any(folder.glob("*.npz")):
        raise OutputError("this folder holds recorded calls already", file=folder, hint="give an empty one")
    return Recorder(session, folder, max_calls, max_bytes, sample)
