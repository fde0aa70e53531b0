"""Streams of the catalogue as workloads of benchmarks.natural: queries, fields of records, cells of table pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.natural_play import Natural, Played
from models.fetch import fetch
from models.workloads import WORKLOADS

#: Rows when only a look is wanted, but six calls at least.
QUICK = 48


def stream(name: str, rows: int, calls: int) -> Callable[[Path, bool], Played]:
    """Return what plays the beginning of a stream of the catalogue; a third of the calls is what comes first."""

    def make(_: Path, quick: bool) -> Played:
        workload = WORKLOADS[name]
        count = max(6, QUICK // rows) if quick else calls
        return Played(fetch(workload.model), list(workload.batches(count, rows)), count // 3)

    return make


def _what(name: str) -> str:
    return f"{WORKLOADS[name].model}: {WORKLOADS[name].description}"


TEXTS = (
    Natural("words-1", "words by frequency, batch 1", _what("word-queries"), stream("word-queries", 1, 2400)),
    Natural("words-32", "words by frequency, batch 32", _what("word-queries"), stream("word-queries", 32, 200)),
    Natural("chat-1", "chat utterances, batch 1", _what("chat-utterances"), stream("chat-utterances", 1, 900)),
    Natural("chat-32", "chat utterances, batch 32", _what("chat-utterances"), stream("chat-utterances", 32, 36)),
    Natural("remarks", "remarks in reports, batch 16", _what("strike-remarks"), stream("strike-remarks", 16, 40)),
    Natural("media", "media of artworks, batch 32", _what("artwork-media"), stream("artwork-media", 32, 36)),
    Natural("titles", "titles of artworks, batch 32", _what("artwork-titles"), stream("artwork-titles", 32, 36)),
    Natural("table-cells", "cells of table pages, batch 8", _what("table-cells"), stream("table-cells", 8, 36)),
)
TWEETS = Natural("tweets", "unique tweets, batch 1", _what("tweets"), stream("tweets", 1, 480), control=True)
