"""What the original answered is kept for further models that are held to the same calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import parser

from actcache import compile_model
from actcache.base.per_call import PerCall
from actcache.passes.cuts import RowDivision
from actcache.runs.requests import Compiled, Originals, Verify
from actcache.runs.verify_model import verify_model
from actcache.verification.kept_answers import KeptAnswers, keep, read_kept


def test_answers_come_back_bit_for_bit_and_shared(tmp_path: Path) -> None:
    one: list[Any] = [np.array([[np.nan, -0.0]], np.float32), np.array(3)]
    two = [np.zeros((0, 4), np.float16), np.array(True)]
    refused = ValueError("not two rows")
    path = tmp_path / "answers.npz"
    keep(path, KeptAnswers(((1, 2), (3,)), frozenset({1}), [[one, refused, one], [two]]))
    assert [file.name for file in tmp_path.iterdir()] == ["answers.npz"]
    kept = read_kept(path)
    assert kept is not None and kept.sequences == ((1, 2), (3,)) and kept.varying == {1}
    (first, failed, again), (other,) = kept.answers
    assert isinstance(failed, RuntimeError) and str(failed) == "not two rows"
    for given, found in ((one, first), (one, again), (two, other)):
        assert [(a.dtype, a.shape, a.tobytes()) for a in found] == [(a.dtype, a.shape, a.tobytes()) for a in given]


def test_answers_that_are_no_arrays_of_numbers_are_not_kept(tmp_path: Path) -> None:
    for answer in ([np.array(["a", "b"], object)], [[np.zeros(2)]], [{1: 0.5}]):
        keep(tmp_path / "answers.npz", KeptAnswers((), frozenset(), [[answer]]))
        assert read_kept(tmp_path / "answers.npz") is None and not list(tmp_path.iterdir())


def test_the_original_need_not_be_there_a_second_time(tmp_path: Path) -> None:
    text = '<ir_version: 9, opset_import: ["" : 20]> g (float[N, 4] x) => (float[N, 4] y) { a = Tanh(x) y = Exp(a) }'
    model, base, work = tmp_path / "model.onnx", tmp_path / "base.onnx", tmp_path / "work"
    for path in (model, base):
        onnx.save(parser.parse_model(text), path)
    work.mkdir()
    cached = compile_model(base, tmp_path / "cached.onnx", min_saving=0, granularity="row").output
    sample = work / "sample.npz"
    np.savez(sample, x=np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32))
    request = Verify(
        originals=Originals(str(model), str(model), str(base)),
        compiled=Compiled(cached, PerCall()),
        samples=[sample],
        divisions=[RowDivision({"x": 0})],
        cones=[["x"]],
        tolerance=None,
        exact=True,
        keeps=True,
    )
    first = verify_model(request, work)
    assert first.failure is None and first.bit_exact and first.cases > 50
    model.unlink()
    assert verify_model(request, work) == first
