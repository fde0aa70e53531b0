"""The compiler's runs on recorded calls, in the process that runs models for it (see ``worker``).

:func:`take_recording` finds out what the keys of every frontier would have been; :func:`replay` plays calls through
the original and the compiled model in turn.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from actcache.model.feed_file import arrays_of
from actcache.model.samples import load_sample, model_inputs
from actcache.passes.choice.trace_keys import Hashes, Place
from actcache.passes.graph.nodes import node_reads
from actcache.serve import runtime
from actcache.verification import verify

#: How long the original is timed for, and how long a replay takes at most; calls beyond that are left out.
_TIMING_SECONDS, _REPLAY_SECONDS = 15.0, 40.0
#: How often calls of one shape are timed.
_REPEATS = 5


class Calls:
    """The calls of a trace, checked against the model as they are read.

    Args:
        model: The model.
        paths: Their files.
    """

    def __init__(self, model: onnx.ModelProto, paths: Sequence[str]) -> None:
        self._inputs, self._paths = model_inputs(model), paths

    def __iter__(self) -> Iterator[verify.Feed]:
        return (load_sample(path, self._inputs) for path in self._paths)

    def __len__(self) -> int:
        return len(self._paths)


# -- what a trace holds ------------------------------------------------------------------------------


def take_recording(
    session: ort.InferenceSession, calls: Calls, places: Collection[Place], upstream: ort.InferenceSession | None
) -> dict[str, npt.NDArray[Any]]:
    """Time the calls and hash what they put at every place.

    Args:
        session: The original model.
        calls: The calls.
        places: Tensors with the axis of their rows, graph inputs or outputs of `upstream`.
        upstream: A model that computes the intermediate tensors; None: there are none.

    Returns:
        Arrays for :func:`numpy.savez`: ``seconds``, and per place (by number) its hashes and how many each call has.
    """
    names = [value.name for value in upstream.get_outputs()] if upstream else []
    taken = {value.name for value in upstream.get_inputs()} if upstream else set()
    hashes: dict[Place, list[Hashes]] = {place: [] for place in places}
    clock = _Clock(session)
    for feed in calls:
        clock.time(feed)
        values: dict[str, Any] = dict(feed)
        if upstream:
            values |= zip(names, upstream.run(names, {n: a for n, a in feed.items() if n in taken}), strict=True)
        for (name, axis), found in hashes.items():
            found.append(hash_rows(values.get(name), axis))
    arrays: dict[str, npt.NDArray[Any]] = {"seconds": np.asarray(clock.seconds())}
    for number, place in enumerate(places):
        arrays[f"hashes{number}"] = np.concatenate(hashes[place])
        arrays[f"counts{number}"] = np.array([len(part) for part in hashes[place]])
    return arrays


def hash_rows(value: Any, axis: int | None) -> Hashes:
    """Return a hash of every row of an array, or one of all of it; type and shape count.

    What is no array, or has no such axis, is one value; an input that was left out is one too.
    """
    if not isinstance(value, np.ndarray) or axis is None or axis >= value.ndim:
        return np.array([_hash(value)], np.uint64)
    rows = np.moveaxis(value, axis, 0)
    return np.array([_hash(row) for row in rows], np.uint64)


def _hash(value: Any) -> int:
    state = hashlib.blake2b(digest_size=8)
    if isinstance(value, np.ndarray):
        state.update(f"{value.dtype.str} {value.shape} ".encode())
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

    def time(self, feed: verify.Feed) -> None:
        arrays = {name: arrays_of(value) for name, value in sorted(feed.items())}
        shapes = tuple((name, *(array.shape for array in found)) for name, found in arrays.items())
        self._order.append((shapes, sum(array.nbytes for found in arrays.values() for array in found)))
        timed = self._timed[shapes]
        if len(timed) < _REPEATS and (self._spent < _TIMING_SECONDS or not any(self._timed.values())):
            if not timed:
                self.session.run(None, feed)  # the first run with a shape plans its memory
            start = time.perf_counter()
            self.session.run(None, feed)
            timed.append(time.perf_counter() - start)
            self._spent += 2 * timed[-1] if len(timed) == 1 else timed[-1]

    def seconds(self) -> list[float]:
        """Seconds of every call; those of shapes that were not timed follow from their bytes."""
        medians = {shapes: statistics.median(timed) for shapes, timed in self._timed.items() if timed}
        sizes = {shapes: size for shapes, size in self._order if shapes in medians}
        per_byte = sum(medians[s] for s in sizes) / max(sum(sizes.values()), 1)
        return [medians.get(shapes, size * per_byte) for shapes, size in self._order]


def upstream_model(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """Return the part of the model that computes `names`, with those as its outputs."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    needed, kept = set(names), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node_reads(node))
    graph = result.graph
    del graph.node[:], graph.output[:]
    graph.node.extend(reversed(kept))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    read = [value for value in model.graph.input if value.name in needed]
    del graph.input[:]
    graph.input.extend(read)
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    return result


# -- playing it ---------------------------------------------------------------------------------------


def replay(original: verify.Run, compiled: verify.Run, calls: Calls, tolerance: float | None) -> dict[str, Any]:
    """Play calls through both models in turn, from an empty store, until all are played or the time is up.

    Returns:
        ``calls`` played, ``original`` and ``compiled`` seconds, ``regions`` (per region lookups and rows computed),
        ``max_abs_error``, and ``failure``: what went beyond the tolerance, or None.
    """
    played, seconds, report = 0, [0.0, 0.0], verify.VerifyReport()
    varying: frozenset[int] = frozenset()
    before: dict[str, dict[str, int]] = {}
    deadline = time.monotonic() + _REPLAY_SECONDS
    for feed in calls:
        if played == 0:
            varying = verify.varying_outputs(original, feed)
            compiled(feed)
            runtime.invalidate()
            before = _computed()
        elif time.monotonic() > deadline:
            break
        answers: list[Any] = [None, None]
        for which in (0, 1) if played % 2 else (1, 0):
            start = time.perf_counter()
            answers[which] = (original, compiled)[which](feed)
            seconds[which] += time.perf_counter() - start
        played += 1
        failure = verify.differences(f"call {played} of the trace", answers[1], answers[0], tolerance, varying, report)
        if failure is not None:
            report.failure = failure
            break
    regions = {
        name: {key: count - before.get(name, {}).get(key, 0) for key, count in counts.items()}
        for name, counts in _computed().items()
    }
    return {
        "calls": played,
        "original": seconds[0],
        "compiled": seconds[1],
        "regions": regions,
        "max_abs_error": report.max_abs_error,
        "failure": report.failure,
    }


def _computed() -> dict[str, dict[str, int]]:
    regions: Mapping[str, Mapping[str, int]] = runtime.stats()["regions"]
    return {
        name: {"lookups": counts["lookups"], "computed": counts["misses"] + counts["bypassed"]}
        for name, counts in regions.items()
    }
