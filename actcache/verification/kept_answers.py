"""What the original answered, kept for further compiled models that are held to the same calls.

Only answers that are arrays are kept, and only in the working folder of one compilation. The calls themselves are not
kept: they are made again (:func:`actcache.verification.cases.cases`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Per sample and case its answer: results, or the exception of a call that the original refuses.
Answers = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class KeptAnswers:
    """What the original answered.

    Attributes:
        sequences: The sizes of batches that were tried.
        varying: The positions of outputs that it does not repeat.
        answers: Its answers; a refused call is a RuntimeError.
    """

    sequences: tuple[tuple[int, ...], ...]
    varying: frozenset[int]
    answers: Answers


def keep(path: Path, kept: KeptAnswers) -> None:
    """Write what the original answered to a file; nothing if an answer holds anything but arrays of fixed size."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    known: dict[int, list[str]] = {}  # cases with one feed share their answer
    told: list[list[Any]] = []
    for sample in kept.answers:
        told.append([])
        for answer in sample:
            if isinstance(answer, Exception):
                told[-1].append(str(answer))
                continue
            if not all(isinstance(a, np.ndarray) and a.dtype.kind in "biufc" for a in answer):
                return
            if id(answer) not in known:
                names = [f"{len(arrays) + number}" for number in range(len(answer))]
                arrays |= zip(names, answer, strict=True)
                known[id(answer)] = names
            told[-1].append(known[id(answer)])
    index = {"sequences": kept.sequences, "varying": sorted(kept.varying), "answers": told}
    temporary = path.with_name(path.name + ".tmp.npz")
    np.savez(temporary, allow_pickle=False, index=np.array(json.dumps(index)), **arrays)
    temporary.replace(path)


def read_kept(path: Path) -> KeptAnswers | None:
    """Return what :func:`keep` wrote, or None if there is no such file."""
    if not path.exists():
        return None
    with np.load(path) as arrays:
        index = json.loads(str(arrays["index"]))
        loaded = {name: arrays[name] for name in arrays.files if name != "index"}
    answers = [
        [RuntimeError(answer) if isinstance(answer, str) else [loaded[name] for name in answer] for answer in sample]
        for sample in index["answers"]
    ]
    return KeptAnswers(tuple(map(tuple, index["sequences"])), frozenset(index["varying"]), answers)
