"""Embeddings of queries: known rows are not computed again, and how texts are padded decides which are known."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
from small_models import text_encoder

import actcache

QUERIES = (
    "where is my parcel",
    "cancel my order",
    "how do I return the shoes that I bought last week",
    "opening hours",
    "talk to a human please",
    "is the blue one in stock",
)


def tokens(text: str) -> list[int]:
    """A stand-in for a tokenizer: one id a word, none of them 0."""
    return [1 + crc32(word.encode()) % 999 for word in text.split()]


def to_longest(batch: list[list[int]]) -> int:
    """What most tokenizers do: the length depends on the other texts of the batch, and so do a row's bytes."""
    return max(map(len, batch))


def to_a_step(batch: list[list[int]]) -> int:
    """The next of a few lengths: texts of about one length always get the same padding."""
    return 16 if to_longest(batch) <= 16 else 64


def embed(session: actcache.InferenceSession, texts: list[str], length: Callable[[list[list[int]]], int]) -> np.ndarray:
    """The embeddings of a batch of texts."""
    batch = [tokens(text) for text in texts]
    ids = np.zeros((len(batch), length(batch)), np.int64)
    for row, text in zip(ids, batch, strict=True):
        row[: len(text)] = text
    return session.run(None, {"ids": ids})[0]


def main() -> None:
    """Plays one stream of batches in both ways."""
    actcache.configure(bypass="off")  # so small a model may not be worth it on every machine
    batches = np.random.default_rng(0).choice(QUERIES, size=(12, 4)).tolist()
    with tempfile.TemporaryDirectory() as folder:
        model = text_encoder(Path(folder) / "encoder.onnx")
        sample = {"ids": np.ones((4, 16), np.int64)}
        compiled = actcache.compile_model(model, samples=[sample], min_saving=0)
        for length in (to_longest, to_a_step):
            session = actcache.InferenceSession(compiled.output)
            before = actcache.stats()["regions"].get("encoder", {"hits": 0, "lookups": 0})
            for texts in batches:
                embed(session, texts, length)
            after = actcache.stats()["regions"]["encoder"]
            hits, rows = after["hits"] - before["hits"], after["lookups"] - before["lookups"]
            print(f"padded {length.__name__}: {hits} of {rows} rows were known")
            actcache.invalidate()


if __name__ == "__main__":
    main()
