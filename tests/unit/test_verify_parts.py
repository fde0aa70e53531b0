"""A part of a plan is held to the calls of the whole plan, whose answers were kept."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
from graphs import model

from actcache.base.per_call import PerCall
from actcache.model.feed_file import save_sample
from actcache.passes.cuts import RowDivision
from actcache.runs.client import ask
from actcache.runs.requests import Compiled, Originals, Verify

BODY = "g (float[N, 2] x) => (float[N, 2] y) <float[2] w = {FACTOR, 2}> { y = Mul(x, w) }"


def test_the_first_difference_ends_it_and_the_original_is_not_asked_again(tmp_path: Path) -> None:
    base, original, other = (tmp_path / f"{name}.onnx" for name in ("base", "original", "other"))
    for path, factor in ((base, "1"), (original, "1"), (other, "1.5")):
        onnx.save(model(BODY.replace("FACTOR", factor)), path)
    sample = save_sample(tmp_path / "sample.npz", {"x": np.arange(6, dtype=np.float32).reshape(3, 2)})
    originals = Originals(str(original), str(original), str(base))
    compiled = Compiled(other, PerCall())
    request = Verify(originals, compiled, [sample], [RowDivision({"x": 0})], [["x"]], 10.0, exact=False, keeps=True)
    whole = ask(request, tmp_path)
    assert whole.cases > 5 and not whole.bit_exact and len(whole.different) > 1
    assert len(list(tmp_path.glob("answers-*.npz"))) == 1
    original.unlink()
    part = ask(msgspec.structs.replace(request, only_bits=True), tmp_path)
    assert part.cases < whole.cases and part.different == ["cold and warm"]
    assert part.failure is not None and "bit for bit" in part.failure
