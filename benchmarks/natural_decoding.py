"""Greedy decoding without a KV cache: every token is one call with all tokens before it.

The model is of GPT-2's kind, made on the spot with random weights. Prompts are tweets as they stand in the data, behind
one instruction for all of them, or alone. The original model decodes beforehand, so that both get the same calls.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.decoders import Decoder
from benchmarks.natural_play import Natural, Played
from benchmarks.natural_repeats import Part, beginnings
from benchmarks.sessions import session
from models import Feed
from models.fetch import fetch
from models.workloads import WORKLOADS
from models.workloads.wordpiece import WordPiece

_SIZES = Decoder(layers=6, width=384, heads=6, vocabulary=30522, longest=256)
_INSTRUCTION = (
    "You are a careful assistant. Read the message of the user below, and answer in one short sentence of plain"
    " English. Do not repeat the message. Do not give an opinion of your own. If the message asks for something that"
    " you cannot know, say so. If it has several parts, answer the first one. Be polite. The message follows."
)

Ids = NDArray[np.int64]


def prompts(count: int, shared: bool) -> list[Ids]:
    """Return token ids [1, tokens] without padding."""
    before, mask = WordPiece(fetch("bert_uncased_tokenizer")).encode(_INSTRUCTION, 128)
    found = []
    for row in islice(WORKLOADS["tweets"].stream(), count):
        ids = row["input_ids"][: int(row["attention_mask"].sum())]
        found.append(np.concatenate([before[: int(mask.sum())], ids])[None] if shared else ids[None])
    return found


def calls(path: Path, given: list[Ids], written: int) -> list[Feed]:
    """Return the calls of decoding so many tokens after each prompt; 0: of reading each once."""
    if not written:
        return [{"input_ids": ids} for ids in given]
    found: list[Feed] = []
    original = session(path, compiled=False)
    for ids in given:
        for _ in range(written):
            found.append({"input_ids": ids})
            logits = original.run(None, found[-1])[0]
            ids = np.concatenate([ids, np.argmax(logits[:, -1:], -1)], 1)
    return found


def _maker(count: int, written: int, shared: bool) -> Callable[[Path, bool], Played]:
    def make(folder: Path, quick: bool) -> Played:
        path = folder / "decoder.onnx"
        onnx.save_model(_SIZES.model(), path)
        few = 3 if written else 12
        played = calls(path, prompts(few if quick else count, shared), min(written, 4) if quick else written)
        return Played(path, played, len(played) // 3, [Part("positions", 1.0, beginnings("input_ids"), by_rows=False)])

    return make


_MODEL = "a decoder of GPT-2's kind, made on the spot with random weights"

SHARED = Natural(
    "decoding-shared",
    "greedy decoding, one instruction before all prompts",
    f"Tweets as prompts, behind one instruction of ours; 12 tokens after each; {_MODEL}.",
    _maker(12, 12, shared=True),
)
ALONE = Natural(
    "decoding-alone",
    "greedy decoding, prompts share nothing",
    f"The same prompts without the instruction; 16 tokens after each; {_MODEL}.",
    _maker(24, 16, shared=False),
)
READ_ONCE = Natural(
    "prompts-once",
    "prompts read once, nothing decoded",
    f"Tweets, each read once, as for a score; {_MODEL}.",
    _maker(300, 0, shared=False),
    control=True,
)
