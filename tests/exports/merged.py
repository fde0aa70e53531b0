"""``python -m tests.exports.merged``: export both forms of decoders, merge them behind an If, compile, compare calls.

First calls share beginnings, later ones have a past, rows and forms change from call to call. Ends with 1 if an output
differs, nothing is found again, or a branch that should be cached is not.

--filter TEXT   models whose name has this in it
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
import transformers as hf

import actcache
from benchmarks.merged_decoders import CONDITION, merged
from tests.exports.exporting import NotExportable, export
from tests.exports.subject import ROWS, TOKENS, Given, Subject, Wrapped, batch, tokens
from tests.exports.text import decoder_with_past, gpt2_config, llama_config

Array = np.ndarray[Any, Any]
LAYERS, VOCABULARY, WIDTH = 2, 99, 16
EXPORTERS = {"torchscript": 17, "dynamo": 20}
#: Model, configuration, heads of keys.
DECODERS: dict[str, tuple[type, Callable[[str], object], int]] = {
    "gpt2": (hf.GPT2LMHeadModel, gpt2_config, 4),
    "llama": (hf.LlamaForCausalLM, llama_config, 2),
}
NAMES = [f"{layer}.{part}" for layer in range(LAYERS) for part in ("key", "value")]


def first_form(model: type, config: object) -> Subject:
    """A decoder for first calls: tokens and their mask in, logits, keys and values out."""

    def call(inner: torch.nn.Module, ids: torch.Tensor, attended: torch.Tensor) -> object:
        found = inner(input_ids=ids, attention_mask=attended, use_cache=True)
        kept = found.past_key_values.layers
        return found.logits, *(t for layer in kept for t in (layer.keys, layer.values))

    outputs = ("logits", *(f"present.{name}" for name in NAMES))
    attended = Given(torch.ones(ROWS, TOKENS, dtype=torch.int64), {0: "batch", 1: "tokens"})
    made = Wrapped(model(config).eval(), call)
    return Subject(made, {"input_ids": tokens(), "attention_mask": attended}, outputs, batch(outputs))


def exported(name: str, exporter: str, folder: Path) -> Path:
    """Export both forms with the same weights, and merge them."""
    model, configure, heads = DECODERS[name]
    paths = [folder / f"{name}-{exporter}-{form}.onnx" for form in ("first", "later")]
    torch.manual_seed(0)
    export(first_form(model, configure("sdpa")), paths[0], exporter, EXPORTERS[exporter])
    torch.manual_seed(0)
    later = decoder_with_past(model, configure("sdpa"), LAYERS, heads, WIDTH)
    export(later, paths[1], exporter, EXPORTERS[exporter])
    path = folder / f"{name}-{exporter}.onnx"
    onnx.save_model(merged(*map(onnx.load_model, paths)), path)
    return path


def calls() -> Iterator[tuple[bool, Array, int | None]]:
    """Yield calls: with a past or not, tokens, and the number of the call whose past is taken."""
    random = np.random.default_rng(0)
    shared = random.integers(3, VOCABULARY, (3, 8))
    for number in range(24):
        rows = int(random.integers(1, 4))
        if number % 3 == 0:
            own = random.integers(3, VOCABULARY, (rows, 2 + number % 2))
            yield False, np.concatenate([shared[:rows], own], 1), None
        else:
            yield True, random.integers(3, VOCABULARY, (rows, 1)), number - 1


def judge(path: Path, heads: int) -> list[str]:
    """Compile, make the calls, and return what is wrong."""
    result = actcache.compile_model(path, granularity="prefix", min_saving=0)
    regions = [region.candidate.region.id for region in result.regions]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    plain = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    cached = actcache.InferenceSession(str(result.output), options, providers=["CPUExecutionProvider"])
    results: list[list[Array]] = []
    for later, ids, behind in calls():
        past = [np.zeros((len(ids), heads, 0, WIDTH), np.float32)] * len(NAMES)
        if behind is not None:
            past = results[behind][1:]
            ids = np.resize(ids, (len(past[0]), 1))
        attended = np.ones((len(ids), past[0].shape[2] + ids.shape[1]), np.int64)
        feed = {"input_ids": ids, "attention_mask": attended, CONDITION: np.array([later])}
        feed |= {f"past.{name}": array for name, array in zip(NAMES, past, strict=True)}
        results.append(plain.run(None, feed))
        for mine, other in zip(cached.run(None, feed), results[-1], strict=True):
            if mine.shape != other.shape or not np.allclose(mine, other, rtol=0, atol=1e-4):
                return [f"call {len(results)} differs"]
    counts = actcache.stats()["regions"]
    hits = counts[f"{path.stem}.else"]["hits"] if f"{path.stem}.else" in counts else 0
    return [] if hits else [f"nothing was found again; regions: {', '.join(regions)}"]


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.exports.merged", description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", metavar="TEXT", help="models whose name has this in it")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    right, wrong = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        names = [
            (name, exporter) for name in DECODERS for exporter in EXPORTERS if asked.filter in f"{name} {exporter}"
        ]
        for name, exporter in names:
            try:
                problems = judge(exported(name, exporter, Path(folder)), DECODERS[name][2])
            except (NotExportable, actcache.NothingToCache) as error:
                problems = [str(error)]
            right, wrong = right + (not problems), wrong + bool(problems)
            print(name, exporter, *(problems or ["equal, and beginnings are found again"]), sep="  ", flush=True)
    print(f"{right} merged decoders are right; {wrong} are not")
    return 1 if wrong or not right else 0


if __name__ == "__main__":
    sys.exit(main())
