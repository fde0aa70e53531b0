"""Prefixes of models that PyTorch exports on the spot: ``.venv-exports/bin/python -m benchmarks.prefix_exports``.

Small configurations with random weights, without a cache. As in :mod:`benchmarks.prefix` two sessions take turns, on
two threads each:

- decoders with rotary positions and grouped heads (Llama, Qwen2), by both exporters: 128 tokens after 64;
- decoders on the states of an encoder, of the sizes of whisper-tiny and t5-small: 64 tokens;
- recurrent language models (GRU, LSTM; Mamba, whose loop is exported as a Scan) and a stack of causal convolutions: 64
  positions after 960 that were seen, against the original on the 64 alone.

``make bench-exports`` makes the environment first. The exit code is 1 if a bar is missed or a token differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from numpy.typing import NDArray

from benchmarks.prefix import report
from benchmarks.prefix_pair import Bar, Pair, Played, timed, token_ids
from tests.exports.exporting import export
from tests.exports.scans import mamba
from tests.exports.sequences import EXPORTERS
from tests.exports.speech import whisper_decoder
from tests.exports.subject import Given, Subject, batch, tokens
from tests.exports.text import decoder, t5_decoder

VOCABULARY, WIDTH, LAYERS = 8192, 384, 4
#: Of the decoders on an encoder: their vocabularies, and how many states they are given. Whisper's are of 30 seconds.
WHISPER_VOCABULARY, WHISPER_STATES, T5_VOCABULARY, T5_STATES = 51865, 1500, 32128, 300


@dataclass(frozen=True)
class Case:
    """One export: its subject, the exporters that it is tried with, what it is given, and what is measured of it."""

    subject: Callable[[], Subject]
    played: Callable[[], Played]
    measure: Callable[[Path, Path, Played, int], Iterator[Bar]]
    exporters: tuple[str, ...] = ("torchscript", "dynamo")


def _rotary(model: type, config: type) -> Callable[[], Subject]:
    sizes: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "intermediate_size": 4 * WIDTH}
    heads: dict[str, Any] = {"num_attention_heads": 6, "num_key_value_heads": 2}
    common: dict[str, Any] = {"vocab_size": VOCABULARY, "max_position_embeddings": 1024, "use_cache": False}
    return lambda: decoder(model, config(attn_implementation="sdpa", **sizes, **heads, **common), masked=False)


def _whisper() -> Subject:
    heads = {"decoder_attention_heads": 6, "encoder_attention_heads": 6}
    longest = {"max_source_positions": WHISPER_STATES, "max_target_positions": 448}
    layers = {"decoder_layers": 4, "decoder_ffn_dim": 1536}
    return whisper_decoder("sdpa", vocab_size=WHISPER_VOCABULARY, d_model=384, **heads, **longest, **layers)


def _t5() -> Subject:
    sizes = {"d_kv": 64, "d_ff": 2048, "num_decoder_layers": 6, "num_heads": 8}
    return t5_decoder("eager", vocab_size=T5_VOCABULARY, d_model=512, **sizes)


class _Recurrent(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, layer: type[torch.nn.RNNBase]) -> None:
        super().__init__()
        self.embedded = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.layers = layer(WIDTH, WIDTH, num_layers=2, batch_first=True)
        self.head = torch.nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.embedded(ids))[0])


class _Convolutions(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Conv1d(256, 256, 3, dilation=2**layer) for layer in range(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            padded = torch.nn.functional.pad(x, (2 * layer.dilation[0], 0))
            x = x + torch.relu(layer(padded))
        return x


def _recurrent(layer: type[torch.nn.RNNBase]) -> Callable[[], Subject]:
    given = {"input_ids": tokens(VOCABULARY)}
    return lambda: Subject(_Recurrent(layer).eval(), given, ("logits",), batch(("logits",)))


def _mamba() -> Subject:
    return mamba(hidden_size=WIDTH, vocab_size=VOCABULARY, state_size=16)


def _convolutions() -> Subject:
    given = Given(torch.randn(3, 256, 21), {0: "batch", 2: "steps"})
    return Subject(_Convolutions().eval(), {"x": given}, ("y",), batch(("y",)))


def _samples() -> Played:
    random = np.random.default_rng(1)
    return Played("x", lambda length: random.standard_normal((1, 256, length), np.float32), axis=2)


def _on_states(vocabulary: int, states: NDArray[np.float32], mask: str = "") -> Played:
    others: dict[str, NDArray[Any]] = {"encoder_hidden_states": states}
    if mask:
        others[mask] = np.ones(states.shape[:2], np.int64)
    return token_ids(vocabulary, "decoder_input_ids", others)


def _states(count: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(2).standard_normal((1, count, width), np.float32)


def _decoders(source: Path, target: Path, played: Played, pairs: int) -> Iterator[Bar]:
    yield Pair(source, target, played).decode(64, 128, 0.45, "all positions read")
    pair = Pair(source, target.with_suffix(".last.onnx"), played, ("logits:last",))
    yield pair.decode(64, 128, 0.25, "last position read")
    yield timed("960 of 1,024 positions seen, last position read", pair.shared(960, 1024, pairs), 0.15)


def _on_an_encoder(source: Path, target: Path, played: Played, pairs: int) -> Iterator[Bar]:
    yield Pair(source, target, played).decode(2, 64, 0.35, "all positions read", times=5)
    pair = Pair(source, target.with_suffix(".last.onnx"), played, ("logits:last",))
    yield pair.decode(2, 64, 0.35, "last position read", times=5)


def _appended(source: Path, target: Path, played: Played, pairs: int) -> Iterator[Bar]:
    ratio = Pair(source, target, played).appended(960, 64, pairs)
    yield timed("64 positions after 960, against the 64 alone", ratio, 1.3)


def _appended_to_text(source: Path, target: Path, played: Played, pairs: int) -> Iterator[Bar]:
    pair = Pair(source, target, played)
    yield timed("64 positions after 960, against the 64 alone", pair.appended(960, 64, pairs), 1.3)
    ratio = pair.appended(960, 64, pairs, copied=True)
    yield timed("64 positions after 960, against the 64 alone and a copy of all logits", ratio, 1.3)
    ratio = Pair(source, target.with_suffix(".last.onnx"), played, ("logits:last",)).appended(960, 64, pairs)
    yield timed("64 positions after 960, against the 64 alone, last position read", ratio, 1.3)


CASES = {
    "llama": Case(_rotary(hf.LlamaForCausalLM, hf.LlamaConfig), lambda: token_ids(VOCABULARY), _decoders),
    "qwen2": Case(_rotary(hf.Qwen2ForCausalLM, hf.Qwen2Config), lambda: token_ids(VOCABULARY), _decoders),
    "whisper decoder": Case(
        _whisper, lambda: _on_states(WHISPER_VOCABULARY, _states(WHISPER_STATES, 384)), _on_an_encoder
    ),
    "t5 decoder": Case(
        _t5, lambda: _on_states(T5_VOCABULARY, _states(T5_STATES, 512), "encoder_attention_mask"), _on_an_encoder
    ),
    "gru": Case(_recurrent(torch.nn.GRU), lambda: token_ids(VOCABULARY), _appended_to_text),
    "lstm": Case(_recurrent(torch.nn.LSTM), lambda: token_ids(VOCABULARY), _appended_to_text),
    "mamba": Case(_mamba, lambda: token_ids(VOCABULARY), _appended_to_text, ("dynamo",)),
    "convolutions": Case(_convolutions, _samples, _appended),
}


def measured(wanted: str, folder: Path, pairs: int) -> Iterator[Bar]:
    """Export, compile, measure and yield the lines, one by one."""
    torch.set_num_threads(1)
    for name, case in CASES.items():
        for exporter in case.exporters if wanted in name else ():
            torch.manual_seed(0)
            source = folder / f"{name.replace(' ', '_')}.{exporter}.onnx"
            export(case.subject(), source, exporter, EXPORTERS[exporter])
            for found in case.measure(source, source.with_suffix(".cached.onnx"), case.played(), pairs):
                yield Bar(f"{name}, {exporter}: {found.what}", found.value, found.bar, found.detail)


def main() -> int:
    """Measure and print: 0, or 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefix_exports", description=__doc__)
    parser.add_argument("--pairs", type=int, default=8, help="interleaved pairs per measurement (default: 8)")
    parser.add_argument("--filter", default="", metavar="TEXT", help="models whose name has this in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(measured(options.filter, Path(folder), options.pairs))


if __name__ == "__main__":
    sys.exit(main())
