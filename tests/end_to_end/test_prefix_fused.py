"""Decoders of onnxruntime's own attention, and of float16: compiled by prefixes, they give what the original gives."""

from __future__ import annotations

import numpy as np
import pytest
from sequences import next_tokens, sequences

from actcache.base.tolerance import type_tolerance
from benchmarks.decoders import Decoder

DECODERS = {
    "MultiHeadAttention and padding": Decoder(attention="MultiHeadAttention", padding=True, layers=1),
    # So wide that the order of sums shows in the last bits.
    "Attention": Decoder(attention="Attention", layers=1, width=256, heads=4),
    "GroupQueryAttention": Decoder(attention="GroupQueryAttention", groups=2, layers=1),
    "float16": Decoder(half=True, layers=1),
}


@pytest.mark.parametrize("name", DECODERS)
def test_two_positions_a_step_and_the_same_logits(name: str) -> None:
    model = sequences(DECODERS[name])
    (region,) = model.result.regions
    assert len(region.candidate.region.states) == (1 if name == "Attention" else 2) * model.sizes.layers
    compiled, plain = model.session(), model.plain()
    ids = model.ids(2, 9)
    steps = []
    for _ in range(5):
        expected = plain.run(None, model.feed(ids))[0]
        logits, counts = model.counted(compiled, ids)
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=type_tolerance(expected.dtype) * scale)
        steps.append((counts.hits, counts.misses))
        ids = np.concatenate([ids, next_tokens(expected)], axis=1)
    assert steps == [(0, 18), (16, 4), (18, 4), (20, 4), (22, 4)]
