"""Plays a trace through the native store or through a reference policy, and says which requests hit."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.native_programs import program
from benchmarks.policy_traces import Trace

Hits = NDArray[np.bool_]

#: Policies of libcachesim. They know no costs.
REFERENCES = ("LRU", "LFU", "ARC", "S3FIFO", "Sieve", "WTinyLFU", "LHD", "Hyperbolic", "GDSF", "Belady")
#: Those that know the future. Belady's is the optimum where all sizes and costs are equal.
OFFLINE = ("Belady",)
_NEVER = 1 << 62


@dataclass(frozen=True)
class MissRatios:
    """Shares of what was asked for that was not there: of requests, of nanoseconds of computing, and of bytes."""

    requests: float
    cost: float
    bytes: float


def miss_ratios(trace: Trace, hits: Hits) -> MissRatios:
    """Weigh the misses of a replay."""

    def share(weights: NDArray[np.int64]) -> float:
        return float(weights[~hits].sum(dtype=float) / weights.sum(dtype=float))

    return MissRatios(float((~hits).mean()), share(trace.costs), share(trace.sizes))


def play_ours(trace: Trace, capacity: int) -> Hits:
    """Replay through the native store with a budget of `capacity` bytes (``custom_ops/bench/replay.cc``)."""
    requests = np.stack([trace.keys, trace.sizes, trace.costs], axis=1).astype(np.uint64)
    command = [str(program("replay")), str(capacity)]
    played = subprocess.run(command, input=requests.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(played.stdout, np.bool_)


def silence() -> None:
    """Send all that this process prints to nowhere: libcachesim prints a line for much of what it does not expect.

    Its output comes from C, past Python's streams, so that only a process of its own can be kept silent.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def play_reference(policy: str, trace: Trace, capacity: int) -> Hits:
    """Replay through one of :data:`REFERENCES`.

    Raises:
        ModuleNotFoundError: libcachesim is not installed.
    """
    try:
        import libcachesim
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the reference policies are libcachesim's: pip install 'actcache[bench]'") from error
    hits = np.zeros(len(trace.keys), np.bool_)
    columns = zip(trace.keys.tolist(), trace.sizes.tolist(), next_uses(trace.keys).tolist(), strict=True)
    request = libcachesim.Request()
    cache = getattr(libcachesim, policy)(capacity)
    for time, (request.obj_id, request.obj_size, request.next_access_vtime) in enumerate(columns):
        request.clock_time = time
        hits[time] = cache.get(request)
    return hits


def next_uses(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each request, the number of the next one for the same object."""
    order = np.argsort(keys, kind="stable")
    following = np.full(len(keys), _NEVER)
    same = keys[order[:-1]] == keys[order[1:]]
    following[order[:-1][same]] = order[1:][same]
    return following
