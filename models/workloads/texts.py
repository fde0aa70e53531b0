"""Text as people typed it, as token ids for the MiniLM sentence encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.fetch import fetch
from models.workloads.frames import read_frame
from models.workloads.stream import Row, Workload
from models.workloads.wordpiece import WordPiece


def encoded(texts: Iterable[str], tokens: int) -> Iterator[Row]:
    """Texts as rows of so many tokens each, in their order."""
    encoder = WordPiece(fetch("bert_uncased_tokenizer"))
    for text in texts:
        ids, mask = encoder.encode(text, tokens)
        yield {"input_ids": ids, "attention_mask": mask}


def column_texts(data: str, column: str) -> Iterator[str]:
    """The texts of one column of a table, in its order, empty ones left out."""
    for text in read_frame(fetch(data))[column]:
        if isinstance(text, str) and text.strip():
            yield text


def _column(data: str, column: str, tokens: int) -> Iterator[Row]:
    return encoded(column_texts(data, column), tokens)


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

ARTWORK_TITLES = Workload(
    name="artwork-titles",
    model="paraphrase_minilm_l3",
    description="The titles of the same artworks, each cut or padded to 32 tokens.",
    repeats='Works of one series have one title, and many have none ("Untitled").',
    data=("tate_artworks", "bert_uncased_tokenizer"),
    stream=lambda: _column("tate_artworks", "title", 32),
)

TWEETS = Workload(
    name="tweets",
    model="paraphrase_minilm_l3",
    description="20,761 tweets of one author (2009-2017), each cut or padded to 64 tokens.",
    repeats="Next to none: nobody writes the same tweet twice.",
    data=("tweets", "bert_uncased_tokenizer"),
    stream=lambda: _column("tweets", "text", 64),
)
