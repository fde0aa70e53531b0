"""Record calls, and let what repeats in them decide what is cached."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
from small_models import text_encoder

import actcache


def main() -> None:
    """Records a service whose queries come back, compiles by it, and says what was found."""
    random = np.random.default_rng(0)
    known = random.integers(1, 1000, size=(20, 16))
    with tempfile.TemporaryDirectory() as folder:
        model = text_encoder(Path(folder) / "encoder.onnx", layers=8)
        session = actcache.record(ort.InferenceSession(model), Path(folder) / "calls")
        for _ in range(24):
            session.run(None, {"ids": known[random.integers(0, len(known), size=8)]})
        print("recorded", session.recorded, "calls")
        try:
            compiled = actcache.compile_model(model, trace=[Path(folder) / "calls"])
        except actcache.NothingToCache as nothing:
            print(nothing)  # on a busy machine it may not pay; the message says what was measured
            return
        assert compiled.trace is not None
        for name, share in compiled.trace.reuse.items():
            print(f"region {name}: {share:.0%} of the rows were known; measured time {compiled.trace.measured:.2f}")


if __name__ == "__main__":
    main()
