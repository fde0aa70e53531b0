"""The compiled models that are tried, and the calls that each gets.

There is one for each way in which calls are divided, and for each kind of operator.

``python -m scripts.versions.cases FOLDER`` writes the quick ones to a folder that becomes theirs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import actcache
from benchmarks.decoders import Decoder
from benchmarks.large_hits import save_wide
from benchmarks.merged_decoders import merged_decoder
from benchmarks.prefix_merged import feed_of
from models import Feed, feed
from models.fetch import fetch

_DECODER = Decoder(layers=2, width=64, heads=4, vocabulary=503)
_MERGED = replace(_DECODER, past=True)
#: KiB of a row's result: twice of what a call has to find for ``CacheFetch`` to copy it.
_WIDE = 128


Calls = Sequence[tuple[bool, Feed]]


@dataclass(frozen=True)
class Case:
    """A model and its calls.

    Attributes:
        name: Of its folder.
        granularity: As for :func:`actcache.compile_model`.
        model: Returns the path of the original; gets a folder that it may write to.
        calls: Whether something of it is known by then, and what is fed. The second call repeats the first.
        regions: As for :func:`actcache.compile_model`.
    """

    name: str
    granularity: str
    model: Callable[[Path], Path]
    calls: Callable[[], Calls]
    regions: Sequence[actcache.RegionSpec] | None = None


def _rows(name: str, size: int | None = None) -> Callable[[], Calls]:
    def calls() -> Calls:
        return _parted(feed(name, 7, seed=5, size=size))

    return calls


def _parted(rows: Feed) -> Calls:
    """Return calls of seven rows: new ones, all known, some known, one known, a new one."""
    parts = [(False, [0, 1, 2, 3]), (True, [0, 1, 2, 3]), (True, [4, 3, 0, 4, 5]), (True, [1]), (False, [6])]
    return [(known, {key: array[part] for key, array in rows.items()}) for known, part in parts]


def _large_rows() -> Calls:
    return _parted({"x": np.random.default_rng(5).standard_normal((7, 64), np.float32)})


def _whole_calls() -> Calls:
    rows = feed("flan_t5_small_enc_int8", 3, seed=5, size=16)
    parts = [(False, [0, 1]), (True, [0, 1]), (False, [1, 0]), (False, [1, 2]), (True, [0, 1])]
    return [(known, {key: array[part] for key, array in rows.items()}) for known, part in parts]


def _decoder(folder: Path) -> Path:
    onnx.save_model(_DECODER.model(), folder / "decoder.onnx")
    return folder / "decoder.onnx"


def _prefixes() -> Calls:
    return [(known, {"input_ids": part}) for known, part in _sequences()]


def _sequences() -> Sequence[tuple[bool, Any]]:
    ids = np.random.default_rng(5).integers(0, _DECODER.vocabulary, (1, 48))
    other_end = ids.copy()
    other_end[0, 40:] = (other_end[0, 40:] + 1) % _DECODER.vocabulary
    return [(False, ids[:, :40]), (True, ids[:, :40]), (True, ids), (True, other_end), (False, ids[:, 1:])]


def _merged_decoder(folder: Path) -> Path:
    """Both forms behind an If. A node in front of it reads one of their weights, which so stays in the main graph."""
    model = merged_decoder(_MERGED)
    model.graph.node.insert(0, onnx.helper.make_node("Neg", ["h0.mlp.c_fc.weight"], ["nobody reads it"]))
    onnx.save_model(model, folder / "merged.onnx")
    return folder / "merged.onnx"


def _branches() -> Calls:
    """Return first calls, and in the end a call behind 48 positions: it takes the other branch, and knows nothing."""
    first = [(known, feed_of(_MERGED, part, 0, later=False)) for known, part in _sequences()]
    return [*first[:-1], (False, feed_of(_MERGED, np.array([[7]]), 48, later=True))]


def _wide(folder: Path) -> Path:
    save_wide(folder / "wide.onnx", _WIDE)
    return folder / "wide.onnx"


CASES = (
    Case("rows", "row", lambda _: fetch("paraphrase_minilm_l3"), _rows("paraphrase_minilm_l3", 16)),
    Case("rows of images", "row", lambda _: fetch("rapidocr_cls_v2"), _rows("rapidocr_cls_v2")),
    Case("whole calls", "tensor", lambda _: fetch("flan_t5_small_enc_int8"), _whole_calls),
    Case("large hits", "row", _wide, _large_rows, [actcache.RegionSpec("wide", ("x",), ("y",))]),
    Case("prefixes", "prefix", _decoder, _prefixes),
    Case("branches of an If", "prefix", _merged_decoder, _branches),
)
#: Those that compile within seconds.
QUICK = tuple(case for case in CASES if case.name not in ("rows", "whole calls"))


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
        asked: dict[str, Any] = {"granularity": case.granularity, "regions": case.regions}
        actcache.compile_model(original, target, samples=[calls[0][1]], min_saving=0, verify=False, **asked)
        for number, (known, call) in enumerate(calls):
            np.savez(place / "calls" / f"{number}-{'known' if known else 'new'}.npz", **call)  # type: ignore[arg-type]


if __name__ == "__main__":
    write(Path(sys.argv[1]), QUICK)
