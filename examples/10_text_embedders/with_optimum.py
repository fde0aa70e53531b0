"""Embeds queries with optimum, on a session that learns: ``python with_optimum.py FOLDER [CALLS]``."""

import sys
from pathlib import Path

from optimum.onnxruntime import ORTModelForFeatureExtraction
from queries import batches
from transformers import AutoConfig, AutoTokenizer

import actcache


def main(folder: Path, calls: int) -> None:
    """Embed batches of queries, and print the sum of all embeddings."""
    session = actcache.InferenceSession(folder / "model.onnx", compile="auto")
    model = ORTModelForFeatureExtraction(config=AutoConfig.from_pretrained(folder), session=session)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    total = 0.0
    for batch in batches(calls):
        # One width for all: the same query is then the same row, whatever it is batched with.
        tokens = tokenizer(batch, padding="max_length", max_length=32, truncation=True, return_tensors="np")
        total += float(abs(model(**tokens).last_hidden_state).sum())
    print(f"{total:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
