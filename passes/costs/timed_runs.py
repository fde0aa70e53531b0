"""Runs of a model that are timed, as a whole or node by node, and repeated until that says enough.

Of several times the least counts: other work on the machine only ever adds to a time, and it adds to some nodes more
than to others. With twelve busy processes on two cores, eight runs gave one of two towers 7 to 30 % of the model's time
by their medians, and 23 to 35 % by their least times (ten measurements).
"""

from __future__ import annotations

import errno
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError

from actcache.base.files import check_room
from actcache.base.free_memory import release_memory

Feed = Mapping[str, Any]
#: A line of onnxruntime's profile.
Event = Mapping[str, object]

#: What the node of a number is called in a numbered copy, and how its line in a profile goes on.
NODE, KERNEL_TIME = "actcache_node_", "_kernel_time"
#: About how long each measurement repeats its call, and how often. It ends before once the median is known so well: its
#: standard error, as a share of it; but not with fewer calls.
_SECONDS, _MOST, _PRECISE, _FEWEST = 1.5, 50, 0.02, 8


def run_seconds(session: ort.InferenceSession, sample: Feed) -> tuple[float, float]:
    """Time runs of the model, with its default optimisation: the least, and the interquartile range over the median."""
    times = _run_times(lambda: session.run(None, dict(sample)), _SECONDS)
    low, median, high = statistics.quantiles(times, n=4)
    return min(times), (high - low) / max(median, 1e-9)


@contextmanager
def numbered_copy(model: onnx.ModelProto, directory: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the file of a copy whose nodes are named by their numbers, beside the model's weights in `directory`, and a
    folder for what onnxruntime writes; both are gone afterwards.

    Raises:
        OSError: Something failed because onnxruntime could not write there, which it does not say.
    """
    path = directory / "profiled.onnx"
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for index, node in enumerate(copy.graph.node):
        node.name = f"{NODE}{index}"
    path.write_bytes(copy.SerializeToString())
    with tempfile.TemporaryDirectory(dir=directory) as scratch, _room_needed(Path(scratch)):
        yield path, Path(scratch)
    path.unlink()


@contextmanager
def _room_needed(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        check_room(folder)
        if isinstance(error, (json.JSONDecodeError, DecodeError)):  # written by onnxruntime, and cut off
            raise OSError(errno.EIO, "onnxruntime could not write a complete file", str(folder)) from error
        raise


def profile(path: Path, scratch: Path, sample: Feed, libraries: Sequence[str], *, optimise: bool) -> list[Event]:
    """Run a model under the profiler, which writes to the folder `scratch`."""
    options = session_options(libraries)
    options.enable_profiling = True
    options.profile_file_prefix = str(scratch / ("optimised" if optimise else "plain"))
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    profiled = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    _run_times(partial(profiled.run, None, dict(sample)), _SECONDS if optimise else _SECONDS / 4)
    written = Path(profiled.end_profiling())
    del profiled  # thousands of events take as much memory as the model: not both at once
    release_memory()
    events: list[Event] = json.loads(written.read_text())
    return events


def session_options(libraries: Sequence[str]) -> ort.SessionOptions:
    """Options of a session that logs nothing."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for library in libraries:
        options.register_custom_ops_library(library)
    return options


def _run_times(call: Callable[[], object], seconds: float) -> list[float]:
    """Times of a call that is repeated for about `seconds`, after one warm-up; fewer if they say enough."""
    call()
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < deadline and len(times) < _MOST and not say_enough(times)):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        if times[0] > seconds and len(times) > 1:
            break
    return times


def say_enough(times: Sequence[float]) -> bool:
    """Whether the median is known. Its standard error is 0.93 interquartile ranges by the root of the number of times,
    if those are spread as a normal distribution is.
    """
    if len(times) < _FEWEST:
        return False
    low, median, high = statistics.quantiles(times, n=4)
    return 0.93 * (high - low) <= _PRECISE * median * math.sqrt(len(times))
