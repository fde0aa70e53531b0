"""Operators that are refused in words: one node of each is enough, as nothing of it may be taken for rows."""

from __future__ import annotations

from rows_support import Sample, rows, sample

from actcache.passes.rows import RULES
from actcache.passes.rows.registry import MICROSOFT

SAMPLES: list[Sample] = [
    sample(f"y = com.microsoft.{operator}(x)", "mixed", x=rows(3))
    for (domain, operator), found in RULES.items()
    if domain == MICROSOFT and found.barrier
]
