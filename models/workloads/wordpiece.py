"""The uncased BERT tokenizer, as far as English text needs it; agrees with the `tokenizers` package.

Clean and lower-case, drop accents, split at spaces and around punctuation, then take the longest
known piece again and again (Devlin et al. 2018, https://arxiv.org/abs/1810.04805).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LONGEST_WORD = 100  # characters; a longer one is [UNK]
_CJK = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))


class WordPiece:
    """A vocabulary and how text becomes ids of it."""

    def __init__(self, tokenizer_json: Path) -> None:
        """Reads the vocabulary of a `tokenizer.json`."""
        document = json.loads(tokenizer_json.read_text(encoding="utf-8"))
        self._ids: dict[str, int] = document["model"]["vocab"]

    def encode(self, text: str, tokens: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and attention mask, int64 [tokens] both: [CLS] text [SEP], cut or filled with [PAD]."""
        ids = [self._ids["[CLS]"]]
        ids += [piece for word in _words(text) for piece in self._pieces(word)][: tokens - 2]
        ids.append(self._ids["[SEP]"])
        padded = np.full(tokens, self._ids["[PAD]"], np.int64)
        padded[: len(ids)] = ids
        return padded, (np.arange(tokens) < len(ids)).astype(np.int64)

    def _pieces(self, word: str) -> list[int]:
        """The longest known pieces from the left; all [UNK] if some part is not known."""
        pieces: list[int] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            for end in range(len(word), start, -1):
                piece = word[start:end] if start == 0 else "##" + word[start:end]
                if piece in self._ids:
                    pieces.append(self._ids[piece])
                    start = end
                    break
            else:
                return [self._ids["[UNK]"]]
        return pieces or [self._ids["[UNK]"]]


def _words(text: str) -> Iterator[str]:
    """Lower-case words without accents; every punctuation mark and CJK character is its own."""
    decomposed = unicodedata.normalize("NFD", text).lower()
    word = ""
    for character in decomposed:
        if unicodedata.category(character) == "Mn" or _is_dropped(character):
            continue
        alone = _is_punctuation(character) or any(a <= ord(character) <= b for a, b in _CJK)
        if (alone or character.isspace()) and word:
            yield word
            word = ""
        if alone:
            yield character
        elif not character.isspace():
            word += character
    if word:
        yield word


def _is_dropped(character: str) -> bool:
    """Control characters and the replacement character, but not white space."""
    return character not in "\t\n\r" and (
        character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co")
    )


def _is_punctuation(character: str) -> bool:
    """Unicode punctuation, and every ASCII mark that is neither letter, digit nor space."""
    if "!" <= character <= "~":
        return not character.isalnum()
    return unicodedata.category(character).startswith("P")
