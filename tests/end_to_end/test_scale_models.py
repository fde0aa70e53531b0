"""The models of benchmarks.scale: as many regions, and as many bytes, as the tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

import actcache
from benchmarks.scale_models import LAYER_BYTES, row, save_chain, save_heavy
from benchmarks.sessions import session


def test_a_chain_has_a_region_for_each_layer(tmp_path: Path) -> None:
    plain, cached = tmp_path / "chain.onnx", tmp_path / "cached.onnx"
    result = actcache.compile_model(plain, cached, regions=save_chain(plain, 3), verify=False)
    assert [region.candidate.region.granularity for region in result.regions] == ["row"] * 3
    running, feed = session(cached, compiled=True), row(plain, 0)
    wanted = session(plain, compiled=False).run(None, feed)
    for _ in range(2):
        np.testing.assert_allclose(running.run(None, feed), wanted, rtol=1e-6)


def test_a_heavy_model_has_its_bytes_beside_it(tmp_path: Path) -> None:
    plain = tmp_path / "heavy.onnx"
    save_heavy(plain, 2)
    assert plain.with_suffix(".data").stat().st_size == 2 * LAYER_BYTES
    (first,) = ort.InferenceSession(str(plain)).run(None, row(plain, 0))
    assert first.shape == (1, 4096) and np.isfinite(first).all() and first.std() > 0.01
