"""``python -m tests.exports.sequences``: export decoders, prove them causal, and compare what follows each prefix.

The proof is held to onnxruntime, and the branch of the suffix to the whole model, after every prefix of a short text
(:mod:`tests.conformance.causal.truth`). Decoders with a past are proven for calls whose past is empty. Ends with 1 if a
decoder is not proven that should be, or anything is wrong.

--filter TEXT   models whose name has this in it
--keep FOLDER   where the exports are kept, and taken from if they are there
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import torch
import transformers as hf

from actcache.passes.causal import Ahead
from actcache.passes.causal.hypotheses import mask_hypotheses
from actcache.passes.graph.pasts import past_axes
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from tests.conformance.causal.sketches import Sketch
from tests.conformance.causal.truth import proven, suffix_model, wrong_suffixes, wrongly_proven
from tests.exports.exporting import NotExportable, export
from tests.exports.speech import whisper_decoder
from tests.exports.subject import Subject
from tests.exports.text import SMALL, decoder, decoder_with_past, gpt2_config, llama_config, t5_decoder

#: Opset of each exporter.
EXPORTERS = {"torchscript": 17, "dynamo": 20}
#: What is handed in per position, in any of them.
SEQUENCES = frozenset({"input_ids", "attention_mask", "decoder_input_ids"})


def config(kind: type, attention: str, **sizes: object) -> object:
    """A small configuration of a decoder."""
    common = {"max_position_embeddings": 40, "intermediate_size": 96, "use_cache": False, **SMALL}
    return kind(attn_implementation=attention, **{**common, **sizes})


def grouped(model: type, kind: type, **sizes: object) -> Callable[[str, bool], Subject]:
    """A decoder of two heads of keys for four of queries."""
    return lambda attention, masked: decoder(
        model, config(kind, attention, **{"num_key_value_heads": 2, **sizes}), masked=masked
    )


DECODERS: dict[str, Callable[[str, bool], Subject]] = {
    "gpt2": lambda a, masked: decoder(hf.GPT2LMHeadModel, gpt2_config(a), masked=masked),
    "llama": lambda a, masked: decoder(hf.LlamaForCausalLM, llama_config(a), masked=masked),
    "qwen2": grouped(hf.Qwen2ForCausalLM, hf.Qwen2Config),
    "qwen3": grouped(hf.Qwen3ForCausalLM, hf.Qwen3Config, head_dim=16),
    "mistral": grouped(hf.MistralForCausalLM, hf.MistralConfig, sliding_window=5),
    "gemma": grouped(hf.GemmaForCausalLM, hf.GemmaConfig, head_dim=16),
    "phi": grouped(hf.PhiForCausalLM, hf.PhiConfig, num_key_value_heads=4),
    "gpt-neox": lambda a, masked: decoder(hf.GPTNeoXForCausalLM, config(hf.GPTNeoXConfig, a), masked=masked),
    "opt": lambda a, masked: decoder(
        hf.OPTForCausalLM, config(hf.OPTConfig, a, ffn_dim=96, word_embed_proj_dim=64), masked=masked
    ),
    "bloom": lambda a, masked: decoder(
        hf.BloomForCausalLM,
        hf.BloomConfig(vocab_size=99, hidden_size=64, n_layer=2, n_head=4, use_cache=False),
        masked=masked,
    ),
    "gpt2 past": lambda a, masked: decoder_with_past(hf.GPT2LMHeadModel, gpt2_config(a), 2, 4, 16),
    "llama past": lambda a, masked: decoder_with_past(hf.LlamaForCausalLM, llama_config(a), 2, 2, 16),
    "opt past": lambda a, masked: decoder_with_past(
        hf.OPTForCausalLM, config(hf.OPTConfig, a, ffn_dim=96, word_embed_proj_dim=64), 2, 4, 16
    ),
    "t5 decoder": lambda a, masked: t5_decoder(a),
    "whisper decoder": lambda a, masked: whisper_decoder(a),
}


def names() -> Iterator[tuple[str, str, str]]:
    """Yield what is tried: decoder, exporter, whether a mask is handed in."""
    for name in DECODERS:
        forms = ("masked",) if name.endswith((" decoder", " past")) else ("masked", "bare")
        yield from ((name, exporter, form) for exporter in EXPORTERS for form in forms)


def judge(path: Path) -> list[str]:
    """Return what is wrong with an exported decoder; begins with ``refused`` where it is not proven."""
    model = onnx.load(path)
    positions = {value.name: 1 for value in model.graph.input if value.name in SEQUENCES}
    refused: list[str] = []
    for ones in mask_hypotheses(GraphView(model), positions):
        sketch = Sketch(model, positions, past_axes(model), ones)
        proof, outputs = proven(sketch, binary_masks=True), sketch.view.outputs
        ahead = [state.refusal for state in map(proof.state, outputs) if isinstance(state, Ahead)]
        made = ahead[0] if ahead else suffix_model(sketch, proof, outputs)
        if not isinstance(made, Refusal):
            return [*wrongly_proven(sketch, proof, (5,)), *wrong_suffixes(sketch, proof, outputs, 6, optimised=True)]
        refused.append(f"refused: {made}")
    return refused[:1]


def _tried(name: tuple[str, str, str], folder: Path) -> list[str]:
    torch.manual_seed(0)
    decoder_name, exporter, form = name
    path = folder / f"{'-'.join(name).replace(' ', '-')}.onnx"
    try:
        if not path.exists():
            export(DECODERS[decoder_name]("sdpa", form == "masked"), path, exporter, EXPORTERS[exporter])
    except NotExportable as error:
        path.unlink(missing_ok=True)
        return [f"not exported: {error}"]
    return judge(path)


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.exports.sequences", description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", metavar="TEXT", help="models whose name has this in it")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the exports are kept")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    causal, wrong = 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in (name for name in names() if asked.filter in " ".join(name)):
            problems = _tried(name, folder)
            skipped = bool(problems) and problems[0].startswith("not exported")
            causal += not problems
            wrong += bool(problems) and not skipped
            print(*name, *(problems or ["causal, and right after every prefix"]), sep="  ", flush=True)
    print(f"{causal} decoders are causal; {wrong} are wrong, or refused although they should not be")
    return 1 if wrong or not causal else 0


if __name__ == "__main__":
    sys.exit(main())
