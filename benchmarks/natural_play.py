"""Plays a stream of calls with a model and its compiled form in turn: what benchmarks.natural measures."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import actcache
from actcache.errors import NothingToCache
from benchmarks.against_itself import AgainstItself
from benchmarks.contender_names import ACTCACHE, LIMIT, ORIGINAL
from benchmarks.contenders import largest_difference
from benchmarks.counts import Reused, begin_anew, states, use_other_namespace
from benchmarks.interleaved import Spread, turn
from benchmarks.natural_control_play import Rounds, measured_control
from benchmarks.natural_repeats import ROWS, Part, Repeats
from benchmarks.rows import row_count, rows_of
from benchmarks.sessions import session
from models import Feed

LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Played:
    """A model and the calls that it gets, in the order of the data.

    Attributes:
        model: The file.
        calls: All of them. The first are what the model is compiled by, the others what it is measured on.
        first: How many the first are.
        parts: What can repeat, and how much of the model's time depends on it.
    """

    model: Path
    calls: Sequence[Feed]
    first: int
    parts: Sequence[Part] = (ROWS,)


@dataclass(frozen=True)
class Natural:
    """A workload.

    Attributes:
        name: On the command line.
        title: In tables.
        what: Where the calls come from, and what of them is ours, in one or two sentences.
        make: Makes the model and the calls; given a folder for files, and whether a few calls are enough.
        control: Nothing repeats: it must not become slower.
    """

    name: str
    title: str
    what: str
    make: Callable[[Path, bool], Played]
    control: bool = False


@dataclass(frozen=True)
class Effort:
    """How long a workload is played, and by which clock.

    Attributes:
        rounds: So many at least.
        seconds: More of them while these are not over.
        clock: Says how late it is, in seconds.
        loads: Rounds of a control, at least: its sessions are loaded anew for each.
    """

    rounds: int = LEAST_ROUNDS
    seconds: float = 20.0
    clock: Callable[[], float] = time.perf_counter
    loads: int = 7


@dataclass(frozen=True)
class _Compiled:
    """The compiled model, by what it was compiled, and what the compiler said where it refused a trace."""

    path: Path
    by: str
    regions: list[dict[str, Any]]
    refused: str | None = None


def measured(workload: Natural, effort: Effort, quick: bool, tell: Callable[[str], object]) -> dict[str, Any]:
    """Compile by the first part of the calls and play the rest.

    Raises:
        WrongOutputError: An output is not the original's.
        NothingToCache: The compiler refuses the model.
    """
    with tempfile.TemporaryDirectory(prefix="actcache-natural-") as holder:
        folder = Path(holder)
        tell("data")
        played = workload.make(folder, quick)
        tell("compiling")
        compiled = _compiled(played, folder)
        rest = played.calls[played.first :]
        repeats = Repeats.of(rest, played.parts)
        return {
            "name": workload.name,
            "title": workload.title,
            "what": workload.what,
            "control": workload.control,
            "compiled_by": compiled.by,
            "refused": compiled.refused,
            "regions": compiled.regions,
            "first_calls": played.first,
            "calls": len(rest),
            "rows": sum(map(row_count, rest)),
            "repeats": repeats.by_part,
            "shares": {part.name: round(part.share, 4) for part in played.parts},
            "reuse": round(repeats.total, 4),
            **_told(workload, played, compiled, repeats, effort, tell),
        }


def _told(
    workload: Natural,
    played: Played,
    compiled: _Compiled,
    repeats: Repeats,
    effort: Effort,
    tell: Callable[[str], object],
) -> dict[str, Any]:
    """Play it: a control against itself, as there one per cent counts."""
    if not workload.control:
        return _Player(played, compiled, repeats).play(effort, tell)
    warm, rest = played.calls[0], played.calls[played.first :]
    clock = "cpu" if effort.clock is time.process_time else "wall"
    rounds = Rounds(effort.loads, effort.seconds, len(compiled.regions), clock)
    return measured_control(AgainstItself(played.model, compiled.path), warm, rest, rounds, tell)


def _compiled(played: Played, folder: Path) -> _Compiled:
    """Compile by a trace of the first calls; where nothing repeats in it, by one call, as without a trace."""
    trace, target = folder / "trace", folder / "compiled.onnx"
    trace.mkdir()
    for number, feed in enumerate(played.calls[: played.first]):
        np.savez(trace / f"call-{number:05d}.npz", allow_pickle=False, **feed)
    refused = None
    try:
        result = actcache.compile_model(played.model, target, trace=[trace])
    except NothingToCache as error:
        refused = error.message
        result = actcache.compile_model(played.model, target, samples=[played.calls[0]])
    kept = ("id", "granularity", "inputs", "time_share", "entry_bytes")
    regions = [{name: region.to_json()[name] for name in kept} for region in result.regions]
    return _Compiled(target, "a call" if refused else "a trace", regions, refused)


@dataclass
class _Player:
    """Both sessions of a workload and the calls that are measured."""

    played: Played
    compiled: _Compiled
    repeats: Repeats
    _times: list[dict[str, float]] = field(default_factory=list)
    _difference: float = 0.0

    def __post_init__(self) -> None:
        self._original = session(self.played.model, compiled=False)
        # One of its own: a session that follows its own calls finds the weights in the processor's cache.
        self._alone = session(self.played.model, compiled=False)
        self._rest = self.played.calls[self.played.first :]
        for feed in self.played.calls[:1]:  # onnxruntime allocates in the first run
            for each in (self._original, self._alone):
                each.run(None, feed)

    def play(self, effort: Effort, tell: Callable[[str], object]) -> dict[str, Any]:
        """Play rounds, each from an empty store, and then one in which everything was seen."""
        end = time.monotonic() + effort.seconds
        reused = Reused()
        while len(self._times) < effort.rounds or time.monotonic() < end:
            tell(f"round {len(self._times) + 1}")
            use_other_namespace()
            self._cached = session(self.compiled.path, compiled=True)
            begin_anew(self._cached, self.played.calls[0])
            reused.begin()
            self._times.append(self._round(len(self._times), effort.clock))
            reused.end()
        now = states(len(self.compiled.regions))
        tell("again")
        again = self._round(len(self._times), effort.clock)
        return {
            "rounds": len(self._times),
            "reused": reused.shares(),
            "states": now,
            "original_ms": _spread([1e3 * each[ORIGINAL] / len(self._rest) for each in self._times]),
            "ratio": self._ratio(ACTCACHE),
            "new_alone": self._ratio(LIMIT) if self.repeats.new is not None else None,
            "again": round(again[ACTCACHE] / again[ORIGINAL], 4),
            "largest_difference": float(f"{self._difference:.2g}"),
        }

    def _round(self, number: int, clock: Callable[[], float]) -> dict[str, float]:
        """Make every call by every contender; return what each took, in seconds.

        The limit is the original on the new rows alone. Of a model with several parts, each of them gives its share of
        the time that the whole takes for so many rows.
        """
        seconds = dict.fromkeys((ORIGINAL, ACTCACHE, LIMIT), 0.0)
        for place, feed in enumerate(self._rest):
            counted = [(ORIGINAL, 1.0), (ACTCACHE, 1.0)]
            calls = [_call(self._original, feed), _call(self._cached, feed)]
            for new, share in self.repeats.new[place] if self.repeats.new is not None else ():
                if new:
                    counted.append((LIMIT, share))
                    calls.append(_call(self._alone, rows_of(feed, np.asarray(new))))
            took = turn(calls, number + place, clock)
            for (name, share), each in zip(counted, took, strict=True):
                seconds[name] += share * each.seconds
            difference = largest_difference(ACTCACHE, [took[1].result], [took[0].result])
            self._difference = max(self._difference, difference)
        always = 1 - sum(part.share for part in self.played.parts)
        return seconds | {LIMIT: seconds[LIMIT] + always * seconds[ORIGINAL]}

    def _ratio(self, name: str) -> dict[str, float]:
        return _spread([each[name] / each[ORIGINAL] for each in self._times])


def _call(runner: ort.InferenceSession, feed: Feed) -> Callable[[], object]:
    return lambda: runner.run(None, feed)


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(Spread.of(values)).items()}
