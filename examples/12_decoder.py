"""A decoder that is fed all tokens at each step: what it has read before is not computed again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from small_models import decoder

import actcache

PROMPTS = ([5, 17, 9, 42, 8, 3, 77, 21], [5, 17, 9, 42, 8, 3, 77, 64])  # they share seven tokens


def write(session: actcache.InferenceSession, tokens: list[int], steps: int) -> list[int]:
    """The tokens that follow, the likeliest one at each step."""
    tokens = list(tokens)
    for _ in range(steps):
        logits = session.run(None, {"ids": np.array([tokens])})[0]
        tokens.append(int(logits[0, -1].argmax()))
    return tokens


def main() -> None:
    """Continues two prompts that begin alike, and the first one again."""
    actcache.configure(bypass="off")  # so small a model may not be worth it on every machine
    with tempfile.TemporaryDirectory() as folder:
        sample = {"ids": np.ones((1, 32), np.int64)}
        compiled = actcache.compile_model(
            decoder(Path(folder) / "decoder.onnx"), samples=[sample], granularity="prefix", min_saving=0
        )
        session = actcache.InferenceSession(compiled.output)
        for tokens in (PROMPTS[0], PROMPTS[1], PROMPTS[0]):
            before = actcache.stats()["regions"].get("decoder", {"misses": 0, "lookups": 0})
            write(session, tokens, steps=16)
            after = actcache.stats()["regions"]["decoder"]
            computed, read = after["misses"] - before["misses"], after["lookups"] - before["lookups"]
            print(f"computed {computed} of {read} positions")


if __name__ == "__main__":
    main()
