"""Text as people typed it, as token ids for the MiniLM sentence encoders."""

from __future__ import annotations

from collections.abc import Iterator

from models.fetch import fetch
from models.workloads.frames import read_frame
from models.workloads.stream import Row, Workload
from models.workloads.wordpiece import WordPiece


def _column(data: str, column: str, tokens: int) -> Iterator[Row]:
    """The texts of one column of a table, in its order, empty ones left out."""
    encoder = WordPiece(fetch("bert_uncased_tokenizer"))
    for text in read_frame(fetch(data))[column]:
        if isinstance(text, str) and text.strip():
            ids, mask = encoder.encode(text, tokens)
            yield {"input_ids": ids, "attention_mask": mask}


STRIKE_REMARKS = Workload(
    name="strike-remarks",
    model="paraphrase_minilm_l3",
    description="The remarks in 16,516 reports of birds that struck aircraft (US FAA, 1990-97), "
    "as typed by pilots and airports, each cut or padded to 64 tokens: embedding reports for search.",
    repeats='People write the same short remark ("NO DAMAGE"). Case and accents do not count, '
    "as the tokenizer drops them; a full stop does.",
    data=("bird_strikes", "bert_uncased_tokenizer"),
    stream=lambda: _column("bird_strikes", "remarks", 64),
)

ARTWORK_MEDIA = Workload(
    name="artwork-media",
    model="paraphrase_minilm_l3",
    description="The medium of 4,284 artworks made since 1990 (the Tate's catalogue), as written by "
    "cataloguers, each cut or padded to 32 tokens: embedding a descriptive field of every record.",
    repeats='Many works share a medium ("Etching on paper"), and works of one series stand together.',
    data=("tate_artworks", "bert_uncased_tokenizer"),
    stream=lambda: _column("tate_artworks", "medium", 32),
)
