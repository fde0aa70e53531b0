"""Queries as a search box gets them: a few of them most of the time."""

from collections.abc import Iterator

import numpy as np

_WORDS = "price of the red blue small shoes coat table lamp for winter near me cheap best open today how to fix".split()


def batches(count: int) -> Iterator[list[str]]:
    """Yield batches of four queries, drawn by Zipf's law from 150; the same at every run."""
    random = np.random.default_rng(1)
    queries = [" ".join(random.choice(_WORDS, random.integers(2, 9))) for _ in range(150)]
    for _ in range(count):
        yield [queries[min(number, 150) - 1] for number in random.zipf(1.3, 4)]
