"""Traces: recorded calls of a model, one ``.npz`` file each, in the order in which they were made.

A trace is a folder of them (in the order of their names, numbers counted as numbers), one such file, or a ``.jsonl``
file that names one per line: a string, or an object with ``path``; relative paths are relative to the list.
:func:`actcache.record` writes such folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from actcache.errors import InvalidSamples
from actcache.model.feed_file import arrays_of
from actcache.model.samples import ModelInput, load_sample

_HINT = "a trace is a folder of .npz files, one such file, or a .jsonl file of their paths; actcache.record writes one"
#: Below this many calls all of them are used for the choice and for the measurement.
_FEW = 4
#: So many calls are looked at to find a typical one.
_LOOKED_AT = 64


@dataclass(frozen=True)
class Trace:
    """The calls of a trace, halved.

    Attributes:
        chosen_by: Calls that regions are chosen by.
        measured_on: Calls that the compiled model is then measured on.
    """

    chosen_by: tuple[Path, ...]
    measured_on: tuple[Path, ...]


@dataclass(frozen=True)
class TraceOutcome:
    """What a trace predicted and what then came of it.

    Attributes:
        calls: Calls that the regions were chosen by.
        played: Calls of the other half that the compiled model was measured on, from an empty store.
        predicted: Time of the compiled model relative to the original's, predicted from the first.
        measured: The same, measured on the others.
        reuse: Per region the share of rows (or calls) that did not have to be computed, of those looked up.
        max_abs_error: Largest difference to the original's outputs.
    """

    calls: int
    played: int
    predicted: float | None
    measured: float
    reuse: dict[str, float]
    max_abs_error: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as it stands in ``--json`` output."""
        return asdict(self)


def load_trace(paths: Sequence[str | PathLike[str]]) -> Trace:
    """Find the calls of a trace that is given in one or several parts.

    Raises:
        InvalidSamples: Something does not exist or names no calls.
    """
    calls = list_calls(paths)
    if len(calls) < _FEW:
        return Trace(tuple(calls), tuple(calls))
    half = len(calls) // 2
    return Trace(tuple(calls[:half]), tuple(calls[half:]))


def list_calls(paths: Sequence[str | PathLike[str]]) -> list[Path]:
    """Return the files of all calls of a trace, in their order.

    Raises:
        InvalidSamples: Something does not exist or names no calls.
    """
    return [call for path in paths for call in _calls(Path(path))]


def typical_calls(trace: Trace, inputs: Sequence[ModelInput]) -> list[Path]:
    """Return two calls (one, if there is no other) of the shapes that are most frequent among the first calls.

    Raises:
        InvalidSamples: A call does not fit the model.
    """
    by_shapes: dict[object, list[Path]] = {}
    for call in trace.chosen_by[:_LOOKED_AT]:
        feed = load_sample(call, inputs)
        shapes = tuple((name, *(array.shape for array in arrays_of(feed[name]))) for name in sorted(feed))
        by_shapes.setdefault(shapes, []).append(call)
    return max(by_shapes.values(), key=len)[:2]


def _calls(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(path.glob("*.npz"), key=lambda call: _natural(call.name))
        if not found:
            raise InvalidSamples("this folder has no .npz files", file=path, hint=_HINT)
        return found
    if not path.is_file():
        raise InvalidSamples("no such file or folder", file=path, hint=_HINT)
    return _listed(path) if path.suffix == ".jsonl" else [path]


def _listed(path: Path) -> list[Path]:
    found: list[Path] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSamples(f"cannot be read ({error})", file=path, hint=_HINT) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise InvalidSamples("this is not JSON", file=path, node=where, hint=_HINT) from error
        name = entry.get("path") if isinstance(entry, dict) else entry
        if not isinstance(name, str):
            raise InvalidSamples("this line names no file", file=path, node=where, hint=_HINT)
        call = path.parent / name
        if not call.is_file():
            raise InvalidSamples(f"'{name}' does not exist", file=path, node=where, hint=_HINT)
        found.append(call)
    if not found:
        raise InvalidSamples("the list is empty", file=path, hint=_HINT)
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key in which ``call-10`` comes after ``call-9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
