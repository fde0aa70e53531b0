"""Hashing and timing recorded calls, in the process that runs models (see ``worker``): what the keys of every frontier
would have been.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from actcache.model.feed_file import arrays_of, read_feed
from actcache.model.model_inputs import model_inputs
from actcache.passes.choice.chained_keys import Hashes
from actcache.passes.choice.trace_keys import Place, TraceKeys
from actcache.passes.costs.time_model import FewRows
from actcache.passes.cuts import TensorShape
from actcache.passes.cuts.feeds import Feed
from actcache.passes.cuts.prefix import MaskOpen, mask_open
from actcache.passes.rewrite.upstream import upstream_model
from actcache.runs.measure_model import measure_one_row
from actcache.runs.requests import HashTrace
from actcache.runs.sessions import open_original, open_session, session_options
from actcache.runs.trace_calls import Calls
from actcache.runs.trace_key_file import save_keys

#: How long the original is timed for, and how often calls of one shape are: only what calls take relative to each
#: other counts. The first run with a shape plans its memory, which shows where runs are no longer than that.
_TIMING_SECONDS, _REPEATS, _SHORT = 2.0, 3, 0.005


def hash_trace(request: HashTrace, directory: Path) -> list[FewRows]:
    """Hash and time the calls of a trace, and measure the costs of one row."""
    originals = request.originals
    proto = onnx.load_model(originals.base, load_external_data=False)
    session = open_original(originals)
    upstream = _upstream(request, proto, directory)
    save_keys(request.keys, _hashed(session, Calls(proto, request.calls), request.places, upstream))
    sample = read_feed(request.sample, model_inputs(proto))
    cuts = (measure_one_row(originals, session, proto, directory, sample, axes) for axes in request.batches)
    return [cut for cut in cuts if cut is not None]


def _upstream(request: HashTrace, proto: onnx.ModelProto, directory: Path) -> ort.InferenceSession | None:
    """Load the part of the model that computes the places which are no inputs; None: there are none."""
    names = {place.tensor for place in request.places} - {value.name for value in proto.graph.input}
    if not names:
        return None
    path = directory / "upstream.onnx"
    path.write_bytes(upstream_model(proto, names).SerializeToString())
    return open_session(path, session_options(request.originals.libraries))


def _hashed(
    session: ort.InferenceSession, calls: Calls, places: Sequence[Place], upstream: ort.InferenceSession | None
) -> TraceKeys:
    """Return the seconds of each call, and what each call puts at the places."""
    names = [value.name for value in upstream.get_outputs()] if upstream else []
    taken = {value.name for value in upstream.get_inputs()} if upstream else set()
    hashes: dict[Place, list[Hashes]] = {place: [] for place in places}
    shapes: dict[str, list[TensorShape]] = {place.tensor: [] for place in places}
    masks: dict[Place, list[MaskOpen]] = {place: [] for place in places if place.positions is not None}
    clock = _Clock(session)
    for feed in calls:
        clock.time(feed)
        values: dict[str, Any] = dict(feed)
        if upstream:
            values |= zip(names, upstream.run(names, {n: a for n, a in feed.items() if n in taken}), strict=True)
        for place, found in hashes.items():
            found.append(hash_units(values.get(place.tensor), place))
        for name, seen in shapes.items():
            seen.append(TensorShape.of(values.get(name)))
        for place, told in masks.items():
            told.append(_mask_open(values.get(place.tensor), place.positions or 0))
    return TraceKeys(np.asarray(clock.seconds()), hashes, shapes, masks)


def hash_units(value: Any, place: Place) -> Hashes:
    """Return a hash of every row or position of an array, row by row, or one of all of it; type and shape count.

    What is no array, or has no such axis, is one value; an input that was left out is one too.
    """
    axes = [axis for axis in (place.rows, place.positions) if axis is not None]
    if not isinstance(value, np.ndarray) or not axes or max(axes) >= value.ndim:
        return np.array([_hash(value)], np.uint64)
    units = np.moveaxis(value, axes, range(len(axes)))
    count, shape = math.prod(units.shape[: len(axes)]), units.shape[len(axes) :]
    apart = units.reshape(count, *shape)
    if value.dtype.kind == "O" or not apart.size:
        return np.array([_hash(unit) for unit in apart], np.uint64)
    start = hashlib.blake2b(_head(value.dtype, shape), digest_size=8)
    digests = []
    for unit in np.ascontiguousarray(apart).reshape(count, -1).view(np.uint8):
        state = start.copy()
        state.update(unit.data)
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _mask_open(value: Any, axis: int) -> MaskOpen:
    return mask_open(value, axis) if isinstance(value, np.ndarray) and axis < value.ndim else MaskOpen.NO


def _head(dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    """What tells arrays of equal bytes apart."""
    return f"{dtype.str} {tuple(shape)} ".encode()


def _hash(value: Any) -> int:
    state = hashlib.blake2b(digest_size=8)
    if isinstance(value, (np.ndarray, np.generic)):
        state.update(_head(value.dtype, value.shape))
        text = value.dtype.kind == "O"
        state.update(repr(value.tolist()).encode() if text else np.ascontiguousarray(value).tobytes())
    else:
        state.update(repr(value).encode())
    return int.from_bytes(state.digest(), "little")


@dataclass
class _Clock:
    """Times calls of every shape a few times, while there is time, and tells what all calls take."""

    session: ort.InferenceSession
    _timed: dict[tuple[Any, ...], list[float]] = field(default_factory=lambda: defaultdict(list))
    _order: list[tuple[tuple[Any, ...], int]] = field(default_factory=list)
    _spent: float = 0.0

    def time(self, feed: Feed) -> None:
        arrays = {name: arrays_of(value) for name, value in sorted(feed.items())}
        shapes = tuple((name, *(array.shape for array in found)) for name, found in arrays.items())
        self._order.append((shapes, sum(array.nbytes for found in arrays.values() for array in found)))
        timed = self._timed[shapes]
        if len(timed) < _REPEATS and (self._spent < _TIMING_SECONDS or not any(self._timed.values())):
            seconds = self._run(feed)
            if not timed and (seconds < _SHORT or len(self._order) == 1):
                seconds = self._run(feed)
            timed.append(seconds)

    def _run(self, feed: Feed) -> float:
        start = time.perf_counter()
        self.session.run(None, feed)
        seconds = time.perf_counter() - start
        self._spent += seconds
        return seconds

    def seconds(self) -> list[float]:
        """Seconds of every call; those of shapes that were not timed follow from their bytes."""
        least = {shapes: min(timed) for shapes, timed in self._timed.items() if timed}
        sizes = {shapes: size for shapes, size in self._order if shapes in least}
        per_byte = sum(least[s] for s in sizes) / max(sum(sizes.values()), 1)
        return [least.get(shapes, size * per_byte) for shapes, size in self._order]
