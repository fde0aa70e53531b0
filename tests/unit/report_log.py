"""An audit log with something of everything, for tests of the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import audit_logs as logs
import numpy as np
import onnx
from graphs import encoder

import actcache


def eventful(fingerprint: str, count: int = 4000) -> Iterator[str]:
    """A log with something of everything."""
    yield logs.start()
    yield logs.region(name="encoder", fingerprint=fingerprint)
    keys = logs.zipf_keys(count, 500)
    yield from logs.played(keys)
    yield logs.lookup(1, "hmdjevr?", keys[:8], call=10**6)
    yield logs.store(1.5, "srp=xn", call=10**6)
    yield logs.lookup(2, "bbbb", None)
    yield logs.line("policy", 3, region=7, state="bypassed", reason="costs <more> than it saves & so on")
    yield logs.line(
        "control", 3, what="invalidate", arguments={"namespace": "</script><script>alert(1)</script>"}, count=5
    )
    yield logs.line("evict", 3, region=7, keys=["0" * 16], reason="room")
    yield logs.line("dropped", 4, events=1234)
    yield '{"event":"lookup","t":'


def compiled_encoder(folder: Path) -> Path:
    """Compiles an encoder whose region the log tells of."""
    onnx.save_model(encoder(width=768), folder / "encoder.onnx")
    sample = {"x": np.random.default_rng(0).standard_normal((4, 768)).astype(np.float32)}
    return actcache.compile_model(folder / "encoder.onnx", samples=[sample], min_saving=0).output
