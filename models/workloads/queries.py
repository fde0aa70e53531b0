"""What people ask: words by how often they are used, and utterances to a chat program."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import msgspec
import numpy as np

from models.fetch import fetch
from models.workloads.stream import Workload
from models.workloads.texts import encoded

_DRAWN_AT_ONCE = 4096
#: Its questions were drawn from 17 stock phrases: 99 % of it repeats, and not by nature.
_STOCK = "tech support"


def words() -> Iterator[str]:
    """English words without end, each as likely as it is frequent; always the same ones."""
    blob = gzip.decompress(fetch("english_word_frequencies").read_bytes())
    # After a header, list i holds the words of frequency 10 ** (-i / 100).
    lists = msgspec.msgpack.decode(blob)[1:]
    known = [word for found in lists for word in found]
    shares = np.concatenate([np.full(len(found), 10 ** (-index / 100)) for index, found in enumerate(lists)])
    random = np.random.default_rng(0)
    while True:
        for place in random.choice(len(known), _DRAWN_AT_ONCE, p=shares / shares.sum()):
            yield known[place]


def utterances() -> Iterator[str]:
    """What is said in English dialogs, file by file, without the one of stock phrases."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("chat-utterances reads YAML: pip install pyyaml") from error
    documents = fetch("english_dialogs").read_text("utf-8").split("categories:\n")[1:]
    for document in documents:
        found = yaml.safe_load("categories:\n" + document)
        if _STOCK not in found["categories"]:
            for dialog in found["conversations"]:
                yield from map(str, dialog)


WORD_QUERIES = Workload(
    name="word-queries",
    model="paraphrase_minilm_l3",
    description="English words drawn by their frequency (wordfreq, 321,180 words), one a query, padded to 8 tokens.",
    repeats="Frequent words come often. The draw is ours, with a fixed seed: real queries also come in bursts.",
    data=("english_word_frequencies", "bert_uncased_tokenizer"),
    stream=lambda: encoded(words(), 8),
)

CHAT_UTTERANCES = Workload(
    name="chat-utterances",
    model="paraphrase_minilm_l3",
    description="2,319 utterances of the English chatterbot corpus, file by file, each cut or padded to 32 tokens.",
    repeats="A question that has several answers stands there once for each. The file of stock phrases is left out.",
    data=("english_dialogs", "bert_uncased_tokenizer"),
    stream=lambda: encoded(utterances(), 32),
)
