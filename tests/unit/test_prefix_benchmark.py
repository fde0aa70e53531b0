"""The comparison of tokens in ``python -m benchmarks.prefix --steps``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.prefix import compared
from benchmarks.prefix_pair import Array, Pair, Run


def test_tokens_of_both_models_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = compared(40, tmp_path)
    found = next(lines)
    assert found.value == 0 and not found.missed and " 0 positions found" not in found.detail

    continued = Pair._continued

    def wrong_in_the_last(pair: Pair, run: Run, prompt: Array, more: int) -> Array:
        ids = continued(pair, run, prompt, more)
        return ids if run is pair.original else np.concatenate([ids[:, :-1], ids[:, -1:] + 1], 1)

    monkeypatch.setattr(Pair, "_continued", wrong_in_the_last)
    assert next(lines).missed
