"""The compiled models that are tried: one for each way in which calls are divided, and the calls that each gets.

``python -m scripts.versions.cases FOLDER`` writes the quick ones to a folder that becomes theirs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import actcache
from benchmarks.decoders import Decoder
from models import Feed, feed
from models.fetch import fetch

_DECODER = Decoder(layers=2, width=64, heads=4, vocabulary=503)


Calls = Sequence[tuple[bool, Feed]]


@dataclass(frozen=True)
class Case:
    """A model and its calls.

    Attributes:
        name: Of its folder.
        granularity: As for :func:`actcache.compile_model`.
        model: Returns the path of the original; gets a folder that it may write to.
        calls: Whether something of it is known by then, and what is fed. The second call repeats the first.
    """

    name: str
    granularity: str
    model: Callable[[Path], Path]
    calls: Callable[[], Calls]


def _rows(name: str, size: int | None = None) -> Callable[[], Calls]:
    def calls() -> Calls:
        rows = feed(name, 7, seed=5, size=size)
        parts = [(False, [0, 1, 2, 3]), (True, [0, 1, 2, 3]), (True, [4, 3, 0, 4, 5]), (True, [1]), (False, [6])]
        return [(known, {key: array[part] for key, array in rows.items()}) for known, part in parts]

    return calls


def _whole_calls() -> Calls:
    rows = feed("flan_t5_small_enc_int8", 3, seed=5, size=16)
    parts = [(False, [0, 1]), (True, [0, 1]), (False, [1, 0]), (False, [1, 2]), (True, [0, 1])]
    return [(known, {key: array[part] for key, array in rows.items()}) for known, part in parts]


def _decoder(folder: Path) -> Path:
    onnx.save_model(_DECODER.model(), folder / "decoder.onnx")
    return folder / "decoder.onnx"


def _prefixes() -> Calls:
    ids = np.random.default_rng(5).integers(0, _DECODER.vocabulary, (1, 48))
    other_end = ids.copy()
    other_end[0, 40:] = (other_end[0, 40:] + 1) % _DECODER.vocabulary
    parts = [(False, ids[:, :40]), (True, ids[:, :40]), (True, ids), (True, other_end), (False, ids[:, 1:])]
    return [(known, {"input_ids": part}) for known, part in parts]


CASES = (
    Case("rows", "row", lambda _: fetch("paraphrase_minilm_l3"), _rows("paraphrase_minilm_l3", 16)),
    Case("rows of images", "row", lambda _: fetch("rapidocr_cls_v2"), _rows("rapidocr_cls_v2")),
    Case("whole calls", "tensor", lambda _: fetch("flan_t5_small_enc_int8"), _whole_calls),
    Case("prefixes", "prefix", _decoder, _prefixes),
)
#: Those that compile within seconds.
QUICK = tuple(case for case in CASES if case.name in ("rows of images", "prefixes"))


def write(folder: Path, cases: Sequence[Case] = CASES) -> None:
    """Compile them with this onnxruntime, each into a folder of its own, with its calls.

    Raises:
        ActcacheError: A model cannot be compiled.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for case in cases:
        place = folder / case.name
        (place / "calls").mkdir(parents=True)
        calls = case.calls()
        original = place / "original.onnx"
        shutil.copyfile(case.model(place), original)
        target = place / "compiled.onnx"
        actcache.compile_model(
            original, target, samples=[calls[0][1]], granularity=case.granularity, min_saving=0, verify=False
        )
        for number, (known, call) in enumerate(calls):
            np.savez(place / "calls" / f"{number}-{'known' if known else 'new'}.npz", **call)  # type: ignore[arg-type]


if __name__ == "__main__":
    write(Path(sys.argv[1]), QUICK)
