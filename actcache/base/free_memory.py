"""Giving memory back to the operating system between the steps of a compilation."""

from __future__ import annotations

import ctypes
import gc


def release_memory() -> None:
    """Collect garbage and ask the C library to give back what it no longer needs (glibc; elsewhere only the former)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
