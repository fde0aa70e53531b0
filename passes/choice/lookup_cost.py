"""What a lookup costs, measured on onnxruntime's CPU provider (benchmarks/overhead.py): a fixed part per call, a keyed
hash of every byte that the region reads, and copies of every byte of its results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

LOOKUP_SECONDS = 10e-6
HASH_SECONDS_PER_BYTE = 1 / 3e9
#: A hit of less is copied twice, by the lookup and in the branch; a larger one once (``CacheFetch``).
COPIED_ONCE_BYTES = 64 << 10
_SECONDS_PER_COPIED_BYTE = 1 / 8e9


def copy_seconds_per_byte(entry_bytes: float) -> float:
    """Return the seconds that it takes to hand out a byte of an entry, which holds so many."""
    copies = 1 if entry_bytes >= COPIED_ONCE_BYTES else 2
    return copies * _SECONDS_PER_COPIED_BYTE


def at_its_price(best: Callable[[float], Found], entry_bytes: Callable[[Found], float]) -> Found:
    """Return what is best at the price of copying that its own entries have.

    Args:
        best: What is best at the price that entries of so many bytes have. If bytes cost less, that keeps no fewer.
        entry_bytes: Bytes of an entry of what was found.
    """
    large = best(COPIED_ONCE_BYTES)
    return large if entry_bytes(large) >= COPIED_ONCE_BYTES else best(0)
