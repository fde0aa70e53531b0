"""Lines of text from pages: crops that are padded to fixed widths are found again, whatever stands beside them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from small_models import line_reader

import actcache

WORDS = ("UA", "AA", "EWR", "LGA", "JFK", "ORD", "1545", "N14228", "2013-01-01", "cancelled")


def crop(word: str) -> np.ndarray:
    """A picture of a word as a detector would cut it out: 16 high, 8 wide for each letter."""
    bits = np.unpackbits(np.frombuffer(word.encode(), np.uint8)).reshape(len(word), 8)
    return np.kron(bits.reshape(1, -1), np.ones((16, 1))).astype(np.float32)


def widest(crops: list[np.ndarray]) -> list[np.ndarray]:
    """What many readers do: one batch, padded to its widest crop, so a crop's bytes depend on its neighbours."""
    return [_pad(crops, max(picture.shape[1] for picture in crops))]


def fixed(crops: list[np.ndarray]) -> list[np.ndarray]:
    """A batch for each of a few widths."""
    widths = (32, 64, 128)
    return [
        _pad(chosen, width)
        for below, width in zip((0, *widths), widths, strict=False)
        if (chosen := [picture for picture in crops if below < picture.shape[1] <= width])
    ]


def _pad(crops: list[np.ndarray], width: int) -> np.ndarray:
    return np.stack([np.pad(picture, ((0, 0), (0, width - picture.shape[1])))[None] for picture in crops])


def reuse(session: actcache.InferenceSession, pages: list[list[str]], cut: Callable[..., list[np.ndarray]]) -> str:
    """Reads all pages, six crops at a time, and says how many were known."""
    actcache.invalidate()
    before = actcache.stats()["regions"]["reader"]
    for page in pages:
        for first in range(0, len(page), 6):
            for batch in cut([crop(word) for word in page[first : first + 6]]):
                session.run(None, {"line": batch})
    after = actcache.stats()["regions"]["reader"]
    return f"{after['hits'] - before['hits']} of {after['lookups'] - before['lookups']} crops were known"


def main() -> None:
    """Reads four pages of a table in both ways."""
    actcache.configure(bypass="off")  # so small a model may not be worth it on every machine
    pages = np.random.default_rng(0).choice(WORDS, size=(4, 12)).tolist()
    with tempfile.TemporaryDirectory() as folder:
        model = line_reader(Path(folder) / "reader.onnx")
        sample = {"line": np.ones((6, 1, 16, 32), np.float32)}
        compiled = actcache.compile_model(model, samples=[sample], min_saving=0)
        session = actcache.InferenceSession(compiled.output)
        print("padded to the widest crop:", reuse(session, pages, widest))
        print("padded to fixed widths:", reuse(session, pages, fixed))


if __name__ == "__main__":
    main()
