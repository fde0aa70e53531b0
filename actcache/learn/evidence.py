"""Which of a model's recorded calls say what repeats: neighbouring ones, or those kept by their keys.

Parts of inputs, rows in batches, and beginnings of sequences come again in neighbouring calls. They are thinned out
where calls are kept by their keys. Whole calls that come again later than the sample is long are seen there alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from actcache.learn.calls_by_key import key_of, level_of
from actcache.learn.chunks import level_in
from actcache.learn.repetition import repeating_share
from actcache.model.feed_file import read_entries

#: Fewer calls say nothing.
_FEWEST = 8


class Evidence(NamedTuple):
    """Calls to compile by.

    Attributes:
        calls: Their files, in their order.
        one_in: Of so many contents one is among them: a store of all calls holds so many times the entries.
    """

    calls: list[Path]
    one_in: int = 1


def choose(samples: list[Path]) -> Evidence:
    """Choose the calls in which clearly more comes again; neighbouring ones, unless others say so."""
    levels = {sample: level_in(sample.name) for sample in samples}
    known = [level for level in levels.values() if level is not None]
    if not known:
        return Evidence(samples)
    level = max(known)  # programs that share a model may have kept different ones
    neighbours = [sample for sample in samples if levels[sample] is None]
    by_key = [sample for sample in samples if level_of(key_of(read_entries(sample))) >= level]
    if not neighbours:
        return Evidence(by_key, 1 << level)
    if len(by_key) < _FEWEST:
        return Evidence(neighbours)
    shares = [repeating_share(map(read_entries, calls)) for calls in (neighbours, by_key)]
    by_chance = (len(by_key) / 2) ** -0.5  # two standard errors of a half
    return Evidence(by_key, 1 << level) if shares[1] > shares[0] + by_chance else Evidence(neighbours)
