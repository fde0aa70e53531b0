"""Valid inputs for every model of the catalogue, made up from a seed: right types, shapes, ranges.

They resemble what each model was made for (photographs, lines of text, token ids under a mask, a
voice), because white noise drives activations where no real input does. For streams of *real*
inputs with natural repeats see `models.workloads`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import drawing as draw
from models.catalogue import model

Array = NDArray[Any]
Feed = dict[str, Array]
Rng = np.random.Generator


def feed(name: str, rows: int, *, seed: int = 0, size: int | None = None) -> Feed:
    """Inputs of `rows` rows (0 and more) for the model `name`, as `InferenceSession.run` takes them.

    `size` varies the axis that the model leaves open beside the batch: tokens for a text model,
    pixels for an OCR model (the width of a line; the side of a page); models of one fixed size take
    none. Row i depends on (name, seed, size, i) alone, so `feed(name, 8)` begins with the rows of
    `feed(name, 4)`, and two seeds share no row. Raises UnknownName, and ValueError for a size that
    the model cannot take.
    """
    entry = model(name)
    if rows < 0:
        raise ValueError(f"rows must be 0 or more, not {rows}")
    if size is not None and entry.default_size is None:
        raise ValueError(f"{name} has one fixed size; leave size out")
    chosen = entry.default_size if size is None else size
    # One generator per row, so that a row does not depend on how many rows there are.
    rngs = [np.random.default_rng([seed, row]) for row in range(rows)]
    columns = _OF_ONE_SIZE[name](rngs) if chosen is None else _SIZED[name](rngs, chosen)
    return {tensor.name: columns[tensor.name] for tensor in entry.inputs}


def _stack(rows: Iterator[Array], shape: tuple[int, ...], dtype: type, axis: int = 0) -> Array:
    """The rows as one array; of 0 rows, too, which numpy would not stack."""
    listed = list(rows)
    if not listed:
        return np.zeros((*shape[:axis], 0, *shape[axis:]), dtype)
    return np.stack(listed, axis).astype(dtype, copy=False)


# --- text ------------------------------------------------------------------------------------


def _sentence(rng: Rng, tokens: int, words: tuple[int, int], first: int | None, last: int) -> tuple[Array, Array]:
    """Token ids and their mask, int64 [tokens] both: a sentence that fills a quarter of the row or
    more, rare words rarer (Zipf) as in real text, 0 behind it.
    """
    length = int(rng.integers(min(tokens, max(3, tokens // 4)), tokens + 1))
    ids = np.zeros(tokens, np.int64)
    ids[:length] = words[0] + (rng.zipf(1.3, length) * 7919) % (words[1] - words[0])
    if first is not None:
        ids[0] = first
    ids[length - 1] = last
    return ids, (np.arange(tokens) < length).astype(np.int64)


def _sentences(
    rngs: list[Rng], tokens: int, *, words: tuple[int, int], first: int | None, last: int
) -> tuple[Array, Array]:
    """Ids and masks, int64 [rows, tokens] both."""
    if tokens < 3:
        raise ValueError(f"size must be 3 tokens or more, not {tokens}")
    pairs = [_sentence(rng, tokens, words, first, last) for rng in rngs]
    ids = _stack((pair[0] for pair in pairs), (tokens,), np.int64)
    return ids, _stack((pair[1] for pair in pairs), (tokens,), np.int64)


def _bert(rngs: list[Rng], tokens: int) -> Feed:
    # Below 1996 the vocabulary holds [PAD], [CLS] = 101, [SEP] = 102, unused slots and single letters.
    ids, mask = _sentences(rngs, tokens, words=(1996, 30522), first=101, last=102)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def _t5_encoder(rngs: list[Rng], tokens: int) -> Feed:
    ids, mask = _sentences(rngs, tokens, words=(3, 32100), first=None, last=1)
    return {"input_ids": ids, "attention_mask": mask}


def _t5_decoder(rngs: list[Rng], tokens: int) -> Feed:
    """`tokens` is the length of what was generated so far, and of the encoder's side."""
    ids, _ = _sentences(rngs, tokens, words=(3, 32100), first=0, last=3)
    _, mask = _sentences(rngs, tokens, words=(3, 4), first=None, last=1)
    states = (0.2 * rng.standard_normal((tokens, 512)) for rng in rngs)
    return {
        # Without padding: the decoder has no mask of its own, and generation never pads.
        "input_ids": np.where(ids == 0, 3, ids) * (np.arange(tokens) > 0),
        "encoder_hidden_states": _stack(states, (tokens, 512), np.float32),
        "encoder_attention_mask": mask,
    }


# --- images ----------------------------------------------------------------------------------


def _half_range(pixels: Array) -> Array:
    """uint8 [..., height, width, 3] to float32 [..., 3, height, width] in [-1, 1], as PP-OCR takes it."""
    return np.moveaxis((pixels.astype(np.float32) / 255 - 0.5) / 0.5, -1, -3)


def _lines(rngs: list[Rng], width: int) -> Feed:
    if width < 16 or width % 8:
        raise ValueError(f"size must be a multiple of 8 pixels, 16 or more, not {width}")
    crops = (_half_range(draw.line_of_text(rng, 48, width)) for rng in rngs)
    return {"x": _stack(crops, (3, 48, width), np.float32)}


def _pages(rngs: list[Rng], side: int) -> Feed:
    if side < 32 or side % 32:
        raise ValueError(f"size must be a multiple of 32 pixels, not {side}")
    pages = (_half_range(draw.page_of_text(rng, side, side)) for rng in rngs)
    return {"x": _stack(pages, (3, side, side), np.float32)}


def _photographs_bgr(rngs: list[Rng]) -> Feed:
    mean = np.array([104, 117, 123], np.float32)
    photographs = (draw.photograph(rng, 224, 224).astype(np.float32) - mean for rng in rngs)
    return {"input:0": _stack(photographs, (224, 224, 3), np.float32)}


def _photographs_imagenet(rngs: list[Rng]) -> Feed:
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    photographs = ((draw.photograph(rng, 224, 224) / np.float32(255) - mean) / deviation for rng in rngs)
    planes = (photograph.transpose(2, 0, 1) for photograph in photographs)
    return {"input_image": _stack(planes, (3, 224, 224), np.float32)}


# --- bytes and sound -------------------------------------------------------------------------


def _file_ends(rng: Rng) -> Array:
    """What magika looks at, int32 [2048]: the first and the last 1,024 bytes of a file, 256 where
    the file is shorter.
    """
    content = np.frombuffer(draw.source_code(rng), np.uint8).astype(np.int32)
    ends = np.full(2048, 256, np.int32)
    begin, end = content[:1024], content[-1024:]
    ends[: len(begin)] = begin
    ends[2048 - len(end) :] = end
    return ends


def _magika(rngs: list[Rng]) -> Feed:
    return {"bytes": _stack((_file_ends(rng) for rng in rngs), (2048,), np.int32)}


def _silero(rngs: list[Rng]) -> Feed:
    # The state is [2, N, 128]: rows are on axis 1 there, and on axis 0 of the sound.
    return {
        "input": _stack((draw.voice(rng, 576) for rng in rngs), (576,), np.float32),
        "state": _stack((0.2 * rng.standard_normal((2, 128)) for rng in rngs), (2, 128), np.float32, axis=1),
        "sr": np.array(16000, np.int64),
    }


_SIZED: dict[str, Callable[[list[Rng], int], Feed]] = {
    "minilm_l6_int8": _bert,
    "paraphrase_minilm_l3": _bert,
    "rapidocr_det_v6s": _pages,
    "rapidocr_rec_v6s": _lines,
    "rapidocr_cls_v2": _lines,
    "flan_t5_small_enc_int8": _t5_encoder,
    "flan_t5_small_dec_int8": _t5_decoder,
}

_OF_ONE_SIZE: dict[str, Callable[[list[Rng]], Feed]] = {
    "open_nsfw_resnet": _photographs_bgr,
    "vit_s_focus": _photographs_imagenet,
    "magika_v3_3": _magika,
    "silero_vad": _silero,
}
