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


def many_regions(count: int = 50) -> Iterator[str]:
    """A log of many regions: rows, prefixes and whole calls, some of them bypassed, with a tier."""
    rng = np.random.default_rng(1)
    yield logs.start(config={**logs.CONFIG, "disk_path": "/var/cache/service"})
    for number in range(count):
        granularity = ("row", "prefix", "tensor")[number % 3]
        named = logs.region(number, f"block_{number}_of_a_long_name/layer", fingerprint=f"{number:032x}")
        yield named.replace('"row"', f'"{granularity}"')
    for call in range(20):
        for number in range(count):
            outcomes = "bbbb" if number % 7 == 0 else "".join(rng.choice(list("hdkvem"), 4))
            keys = None if outcomes == "bbbb" else [int(key) for key in rng.integers(0, 2**62, 4)]
            saved = 10**6 * (1 + number) * sum(map(outcomes.count, "hk"))
            at = {"call": call * count + number, "region": number}
            yield logs.lookup(call, outcomes, keys, saved_ns=saved, **at)
            if missing := [letter for letter in outcomes if letter in "mve"]:
                yield logs.store(call, "".join("=" if letter == "v" else "s" for letter in missing), **at)
    yield logs.line("policy", 21, region=0, state="bypassed", reason="overhead exceeds saving")


def compiled_encoder(folder: Path) -> Path:
    """Compiles an encoder whose region the log tells of."""
    onnx.save_model(encoder(width=768), folder / "encoder.onnx")
    sample = {"x": np.random.default_rng(0).standard_normal((4, 768)).astype(np.float32)}
    return actcache.compile_model(folder / "encoder.onnx", samples=[sample], min_saving=0).output
