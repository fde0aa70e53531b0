"""Embeds queries with sentence-transformers: ``python with_sentence_transformers.py FOLDER [CALLS]``."""

import sys

from queries import batches
from sentence_transformers import SentenceTransformer

import actcache.auto  # before the sessions are made: they learn


def main(folder: str, calls: int) -> None:
    """Embed batches of queries, and print the sum of all embeddings."""
    model = SentenceTransformer(folder, backend="onnx", model_kwargs={"provider": "CPUExecutionProvider"})
    # One width for all: the same query is then the same row, whatever it is batched with.
    model.tokenizer.model_max_length = model.max_seq_length = 32
    total = sum(float(abs(model.encode(batch, show_progress_bar=False)).sum()) for batch in batches(calls))
    print(f"{total:.3f}")


if __name__ == "__main__":
    assert actcache.auto
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
