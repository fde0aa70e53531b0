"""A sequence model and its compiled form, which keeps prefixes, timed against each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

import actcache
from benchmarks.interleaved import Ratio, interleaved
from benchmarks.sessions import THREADS

Array = NDArray[Any]
Run = Callable[[Array], Array]

#: Enough for what is played: two sequences of 1,024 positions with all their logits.
BUDGET = 1 << 30
#: Calls in which nothing repeats until a region stores at second sight only, and one more.
LEARNT = 8
#: Tokens that one of both writes before it is the other one's turn.
TURN = 16


@dataclass(frozen=True)
class Bar:
    """One line of the result."""

    what: str
    value: float
    bar: float
    detail: str

    @property
    def missed(self) -> bool:
        """Whether it is."""
        return self.value > self.bar

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        return f"| {self.what} | {self.value:.3f} | {self.bar:.2f} | {self.detail}{' **missed**' * self.missed} |"


def timed(what: str, ratio: Ratio, bar: float) -> Bar:
    """Return the line of an interleaved measurement."""
    times = f"{ratio.first * 1e3:.1f} ms against {ratio.second * 1e3:.1f} ms"
    return Bar(what, ratio.ratio, bar, f"{times}, quartiles {ratio.low:.3f}–{ratio.high:.3f}, {ratio.pairs} pairs")


@dataclass(frozen=True)
class Played:
    """What a model is given.

    Attributes:
        sequence: The input that has positions.
        drawn: Makes a new sequence of so many positions, with a batch of one.
        axis: Of its positions.
        others: Inputs that are the same in every call, such as the states of an encoder.
    """

    sequence: str
    drawn: Callable[[int], Array]
    axis: int = 1
    others: Mapping[str, Array] = field(default_factory=dict)

    def length(self, sequence: Array) -> int:
        """Return how many positions it has."""
        return int(sequence.shape[self.axis])

    def first(self, sequence: Array, positions: int) -> Array:
        """Return its first positions, or all of them."""
        return np.take(sequence, range(min(positions, self.length(sequence))), self.axis)

    def joined(self, *parts: Array) -> Array:
        """Return one sequence after the other."""
        return np.concatenate(parts, self.axis)


def token_ids(vocabulary: int, name: str = "input_ids", others: Mapping[str, Array] | None = None) -> Played:
    """Return sequences of random tokens, always the same ones."""
    random = np.random.default_rng(1)
    return Played(name, lambda length: random.integers(0, vocabulary, (1, length)), others=others or {})


def _counts() -> tuple[int, int]:
    """Return how many positions were found, and how many were not, in all regions."""
    regions = actcache.stats()["regions"].values()
    return sum(region["hits"] for region in regions), sum(region["misses"] for region in regions)


class Pair:
    """The original and a compiled model, each in a session.

    Args:
        source: The original.
        target: Where to write the compiled model.
        played: What both are given.
        reads: As for :func:`actcache.compile_model`.
    """

    def __init__(self, source: Path, target: Path, played: Played, reads: Sequence[str] = ()) -> None:
        self.played = played
        sample = {played.sequence: played.drawn(192), **played.others}
        actcache.compile_model(source, target, samples=[sample], reads=reads, budget_bytes=BUDGET)
        self.original, self.compiled = self._session(source), self._session(target)

    def decode(self, given: int, written: int, bar: float, who: str, times: int = 1) -> Bar:
        """Decode greedily with both, in turns of a few tokens: one call for each, the best one of the last position.

        A program that decodes calls one session again and again. In turns of one call, each session would find the
        processor's caches full of the other's weights, which costs short calls more than long ones.

        Each of the `times` begins with an empty store and another prompt, and the median of their ratios counts. Both
        sessions have run once before.
        """
        for run in (self.original, self.compiled):
            run(self.played.drawn(given))
        decoded = [self._decoded(given, written) for _ in range(times)]
        equal = sum(same for _, _, same in decoded)
        plain, compiled, _ = sorted(decoded, key=lambda one: one[1] / one[0])[times // 2]
        value = compiled / plain if equal == times * written else float("inf")
        detail = f"{compiled:.2f} s against {plain:.2f} s; {equal} of {times * written} tokens equal"
        return Bar(f"greedy decoding, {written} tokens after {given}, {who}", value, bar, detail)

    def _decoded(self, given: int, written: int) -> tuple[float, float, int]:
        """Return the seconds of the original, those of the compiled model, and how many tokens are equal."""
        actcache.invalidate()
        ids = [self.played.drawn(given)] * 2
        seconds = [0.0, 0.0]
        for begin in range(0, written, TURN):
            for which in (0, 1) if begin // TURN % 2 else (1, 0):
                for _ in range(min(TURN, written - begin)):
                    start = time.perf_counter()
                    logits = (self.original, self.compiled)[which](ids[which])
                    seconds[which] += time.perf_counter() - start
                    ids[which] = self.played.joined(ids[which], np.argmax(logits[:, -1:], -1))
        return seconds[0], seconds[1], int((ids[0] == ids[1]).sum()) - given

    def same_tokens(self, steps: int, who: str) -> Bar:
        """Decode greedily with both, `steps` tokens in all behind many prompts; half of these begin as earlier ones."""
        actcache.invalidate()
        random = np.random.default_rng(2)
        told = [self.played.drawn(64)]
        differing = written = 0
        before = _counts()
        while written < steps:
            prompt = self.played.drawn(int(random.integers(2, 65)))
            if random.random() < 0.5:
                earlier = told[random.integers(len(told))]
                common = int(random.integers(1, self.played.length(earlier) + 1))
                prompt = self.played.joined(self.played.first(earlier, common), prompt)
            more = min(int(random.integers(16, 129)), steps - written)
            one, two = (self._continued(run, prompt, more) for run in (self.original, self.compiled))
            differing += int((one != two).sum())
            written += more
            told.append(self.played.first(one, 96))
        hits, misses = (after - earlier for after, earlier in zip(_counts(), before, strict=True))
        detail = f"{len(told) - 1} prompts; {hits:,} positions found, {misses:,} computed"
        return Bar(f"tokens that differ, of {steps:,} decoded greedily, {who}", differing, 0, detail)

    def _continued(self, run: Run, prompt: Array, more: int) -> Array:
        ids = prompt
        for _ in range(more):
            ids = self.played.joined(ids, np.argmax(run(ids)[:, -1:], -1))
        return ids

    def shared(self, known: int, length: int, pairs: int) -> Ratio:
        """Run sequences that begin as one that was seen."""
        beginning = self._seen(known)
        feeds = [self.played.joined(beginning, self.played.drawn(length - known)) for _ in range(pairs + 2)]
        return self._ratio(feeds, feeds, pairs)

    def appended(self, known: int, more: int, pairs: int, *, copied: bool = False) -> Ratio:
        """Run sequences that go on from one that was seen, against the original on what is new, alone.

        `copied`: and against a plain copy of all that the compiled model hands out, into memory that is in use.
        """
        beginning = self._seen(known, 0)
        new = [self.played.drawn(more) for _ in range(pairs + 2)]
        whole = [self.played.joined(beginning, part) for part in new]
        if not copied:
            return self._ratio(whole, new, pairs)
        source = self.compiled(self.played.joined(beginning, self.played.drawn(more)))
        target = source.copy()

        def computed_and_copied(sequence: Array) -> None:
            self.original(sequence)
            np.copyto(target, source)

        return interleaved(
            lambda i: lambda: self.compiled(whole[i]), lambda i: lambda: computed_and_copied(new[i]), pairs
        )

    def nothing_shared(self, length: int, pairs: int) -> Ratio:
        """Run sequences that nobody has seen, with default settings and after a few of that kind."""
        actcache.invalidate()
        actcache.configure(bypass="auto")  # begins anew with what it has learnt
        for _ in range(LEARNT):
            self.compiled(self.played.drawn(length))
        feeds = [self.played.drawn(length) for _ in range(pairs + 2)]
        found = self._ratio(feeds, feeds, pairs)
        actcache.configure(bypass="off")
        return found

    def _seen(self, known: int, behind: int = 4) -> Array:
        """Draw a beginning, and run it with so many positions behind it."""
        beginning = self.played.drawn(known)
        actcache.invalidate()
        self.compiled(self.played.joined(beginning, self.played.drawn(behind)))
        return beginning

    def _ratio(self, compiled: Sequence[Array], original: Sequence[Array], pairs: int) -> Ratio:
        return interleaved(
            lambda i: lambda: self.compiled(compiled[i]), lambda i: lambda: self.original(original[i]), pairs
        )

    def _session(self, path: Path) -> Run:
        session = open_session(path)

        def run(sequence: Array) -> Array:
            output: Array = session.run(None, {self.played.sequence: sequence, **self.played.others})[0]
            return output

        return run


def open_session(path: Path) -> ort.InferenceSession:
    """Open a model, compiled or not, as these benchmarks run both."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.register_custom_ops_library(actcache.library_path())
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
