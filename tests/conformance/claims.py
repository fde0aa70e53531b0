"""The proof itself held to the original: what it claims of every intermediate value, under every hypothesis.

A compiled model shows only the claims that its region is built on. Here every tensor that is claimed to be rows, free
of rows, a position or a function of the batch size is computed on the batch, on permutations, subsets, single rows and
repeats of it, and must follow. Only what is claimed is computed: if that fails on fewer rows, the claim is wrong. Apart
from that is computed what has its type from a tensor that nothing is claimed of: no region has such a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from actcache.passes.cuts.feeds import Array, Feed, row_count, take
from actcache.passes.graph.view import GraphView
from actcache.passes.rows import BatchSize, Mixed, Row, RowCoords, RowFree, RowIndex, RowProof, prove_rows
from actcache.passes.rows.state import ALWAYS_FAILS
from actcache.verification.cases import Run
from tests.conformance.agreement import accepted_excess, excess, excess_of_rows, take_blocks, with_moved_numbers
from tests.conformance.running import runner, session, session_in, with_outputs, with_own_weights
from tests.conformance.subject import StrictRefusal


def choices(count: int) -> list[list[int]]:
    """Which rows are run against the whole batch: reversed, a subset, single ones, repeated."""
    rows = list(range(count))
    found = [rows[::-1], rows[1::2], rows[:1], rows[-1:], rows[1:] + rows[:2], [*rows, *rows[::2]]]
    return [c for i, c in enumerate(found) if c and c != rows and c not in found[:i]]


def check_claims(
    view: GraphView, hypothesis: Mapping[str, int], feed: Feed, folder: Path | None
) -> tuple[list[str], int, int]:
    """Hold a proof to the model.

    Returns:
        What was wrong, how many comparisons were made, and how many differences were put down to rounding.
    """
    proof = prove_rows(view, hypothesis)
    states = {name: proof.state(name) for name in _written(view)}
    claimed = [name for name, state in states.items() if not isinstance(state, Mixed)]
    behind = _behind_mixed(view, proof)
    partial = [name for name in claimed if name in behind]
    held = _Held(proof, hypothesis, feed)
    held.hold(view.model, [name for name in claimed if name not in partial], folder, total=True)
    held.hold(view.model, partial, folder, total=False)
    return held.problems, held.checks, held.unstable


class _Held:
    def __init__(self, proof: RowProof, hypothesis: Mapping[str, int], feed: Feed) -> None:
        self.proof, self.hypothesis, self.feed = proof, hypothesis, feed
        self.problems: list[str] = []
        self.checks = self.unstable = 0

    def hold(self, model: onnx.ModelProto, names: list[str], folder: Path | None, *, total: bool) -> None:
        """Compute these tensors for every choice of rows. `total`: they must be computable for each."""
        if not names:
            return
        asked = with_outputs(model, names)
        run = runner(session_in(asked, folder, "claims.onnx"))
        try:
            whole = run(self.feed)
        except Exception:  # values that no output needs may be refused: nothing to hold it to
            return
        for rows in choices(row_count(self.feed, self.hypothesis)):
            try:
                got = run(take(self.feed, self.hypothesis, np.asarray(rows, np.int64)))
            except Exception as error:
                if total:
                    self.problem(f"rows {rows} alone fail: {_first_failure(error)}")
                continue
            self.compare(names, got, whole, rows, lambda: self.limits(names, asked, run, folder))

    def limits(self, names: list[str], model: onnx.ModelProto, run: Run, folder: Path | None) -> list[Array]:
        """How far each tensor may be off; of those with one entry for each row, each row."""
        moved = with_moved_numbers(with_own_weights(model, folder))
        axes = [self.proof.row_axis(name) for name in names]
        return accepted_excess(run, self.feed, runner(session(moved, optimise=False)), axes)

    def compare(
        self, names: list[str], got: list[Any], whole: list[Any], rows: list[int], limit: Callable[[], list[Array]]
    ) -> None:
        limits: list[Array] | None = None
        for position, (name, mine, full) in enumerate(zip(names, got, whole, strict=True)):
            for problem, found in _broken(self.proof, name, mine, full, rows, row_count(self.feed, self.hypothesis)):
                self.checks += 1
                sizes = np.asarray(found)
                if (sizes <= 1.0).all():
                    continue
                if np.isfinite(sizes).all():
                    limits = limits or limit()
                if limits is not None and (sizes <= np.maximum(1.0, _of(limits[position], rows))).all():
                    self.unstable += 1
                else:
                    self.problem(f"'{name}' {problem} on rows {rows} ({sizes.max():.3g} times the tolerance)")

    def problem(self, text: str) -> None:
        self.problems.append(f"claims under {dict(self.hypothesis)}: {text}")


def _of(limits: Array, rows: Sequence[int]) -> Array:
    """The limits of these rows, if each has one."""
    return limits[list(rows)] if limits.ndim else limits


def _written(view: GraphView) -> list[str]:
    return [n for names in view.writes for n in names if n not in view.constants and view.is_tensor(n) is not False]


def _behind_mixed(view: GraphView, proof: RowProof) -> set[str]:
    """Tensors that cannot be computed without one that nothing is claimed of."""
    found: set[str] = set()
    for reads, writes in zip(view.reads, view.writes, strict=True):
        mixed = [name for name in reads if isinstance(proof.state(name), Mixed)]
        if mixed or found.intersection(reads):
            found.update(writes)
    return found


def _first_failure(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _broken(
    proof: RowProof, name: str, got: Any, whole: Any, rows: Sequence[int], count: int
) -> Iterator[tuple[str, float | Array]]:
    """Yield what is claimed of a tensor, and how far it is from that, or each of its rows."""
    state = proof.state(name)
    if isinstance(state, RowFree):
        yield "is claimed to be free of rows, and is not", excess(got, whole)
    elif isinstance(state, Row):
        yield from _rows(state, got, whole, rows)
    elif isinstance(state, RowIndex):
        short = np.take(whole, np.arange(min(len(rows), whole.shape[state.axis])), state.axis)
        mine = np.take(got, np.arange(short.shape[state.axis]), state.axis)
        yield f"is claimed to be positions ({state})", excess(mine, short)
        if state.exact:
            shape = [-1 if axis == state.axis else 1 for axis in range(got.ndim)]
            index = np.broadcast_to(np.arange(len(rows)).reshape(shape), got.shape)
            yield "is claimed to be exact positions", excess(got, index.astype(got.dtype))
    elif isinstance(state, RowCoords):
        place = np.broadcast_to(
            np.arange(len(rows)).reshape([-1 if a == state.axis else 1 for a in range(got.ndim - 1)]), got.shape[:-1]
        )
        yield "is claimed to begin with the position", excess(got[..., 0], place.astype(got.dtype))
        yield "is claimed to be coordinates", excess(got[..., 1:], np.take(whole, rows, state.axis)[..., 1:])
    elif isinstance(state, BatchSize) and len(rows) == count:
        yield "is claimed to depend on the number of rows alone", excess(got, whole)
    yield from _sizes(proof, name, got, len(rows))


def _rows(state: Row, got: Any, whole: Any, rows: Sequence[int]) -> Iterator[tuple[str, float | Array]]:
    problem = f"is claimed to be rows ({state}) and is not"
    if not isinstance(got, np.ndarray) or state.axis >= got.ndim or got.shape[state.axis] % len(rows):
        yield problem, float("inf")
        return
    parts = state.before.value
    if parts is None or got.shape[state.axis] % (parts * len(rows)):
        yield problem, float("inf") if parts else 0.0  # how the axis is cut is not known as a number: nothing to hold
        return
    got, whole = _in_parts(got, state.axis, parts), _in_parts(whole, state.axis, parts)
    axis = state.axis + 1
    block = got.shape[axis] // len(rows)
    if state.block.value is not None and block != state.block.value:
        yield f"{problem}: blocks of {block}", float("inf")
        return
    if whole.shape[axis] < block * (max(rows) + 1):
        yield f"{problem}: shape {got.shape} beside {whole.shape}", float("inf")
        return
    expected = take_blocks(whole, rows, axis, block)
    yield problem, excess_of_rows(got, expected, axis if block == 1 else None)


def _in_parts(array: Any, axis: int, parts: int) -> Any:
    """The array with the parts of an axis, each of which holds all rows, on an axis of their own before it."""
    return array.reshape(*array.shape[:axis], parts, array.shape[axis] // parts, *array.shape[axis + 1 :])


def _sizes(proof: RowProof, name: str, got: Any, count: int) -> Iterator[tuple[str, float]]:
    """Sizes that the proof knows as numbers."""
    shape = proof.shape(name)
    if shape is None or not isinstance(got, np.ndarray):
        return
    wrong = len(shape) != got.ndim or any(
        s.value is not None and s.value != n for s, n in zip(shape, got.shape, strict=False)
    )
    yield f"has shape {got.shape}, claimed {tuple(map(str, shape))}", float("inf") if wrong else 0.0


def too_strict(view: GraphView, hypothesis: Mapping[str, int], feed: Feed, folder: Path | None) -> list[StrictRefusal]:
    """Return the outputs that were refused for rows and yet follow them wherever they are tried.

    A heuristic: a person has to look at them. Outputs that do not change with the rows at all show nothing.
    """
    proof = prove_rows(view, hypothesis)
    names = [n for n in view.outputs if n in view.producer and isinstance(proof.state(n), Mixed)]
    count = row_count(feed, hypothesis)
    if not names or count < 3:
        return []
    run = runner(session_in(with_outputs(view.model, names), folder, "strict.onnx"))
    try:
        whole = run(feed)
        parts = [(rows, run(take(feed, hypothesis, np.asarray(rows, np.int64)))) for rows in choices(count)]
    except Exception:
        return []
    found = []
    for position, name in enumerate(names):
        refusal = proof.refusal(name)
        full = whole[position]
        axes = range(full.ndim) if isinstance(full, np.ndarray) and refusal and refusal.rule != ALWAYS_FAILS else ()
        for axis in axes:
            if refusal and _follows(full, [(rows, part[position]) for rows, part in parts], axis, count):
                found.append(StrictRefusal(refusal.rule, refusal.reason, refusal.node, name, axis))
                break
    return found


def _follows(whole: Any, parts: list[tuple[list[int], Any]], axis: int, count: int) -> bool:
    if whole.shape[axis] != count or excess(np.roll(whole, 1, axis), whole) <= 1.0:
        return False
    return all(excess(part, take_blocks(whole, rows, axis), axis) <= 1.0 for rows, part in parts)
