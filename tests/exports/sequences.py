"""``python -m tests.exports.sequences``: export decoders, prove and compile them, compare what follows prefixes.

The proof is held to onnxruntime, and the branch of the suffix to the whole model, after every prefix of a short text
(:mod:`tests.conformance.causal.truth`). Decoders with a past are proven for calls whose past is empty. The first export
of each decoder is compiled as well (:mod:`tests.exports.sequence_calls`). Ends with 1 if a decoder is not proven that
should be, or anything is wrong. A complete run writes ``docs/exports-sequences.md``.

--filter TEXT   models whose name has this in it
--keep FOLDER   where exports and what came of them are kept: what is there is not done again
--once          each model by the first exporter that can, where --keep has no more
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch

from actcache.passes.causal import Ahead
from actcache.passes.causal.hypotheses import mask_hypotheses
from actcache.passes.graph.pasts import past_axes
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from tests.conformance.causal.sketches import Sketch
from tests.conformance.causal.truth import proven, suffix_model, wrong_suffixes, wrongly_proven
from tests.exports.decoders import AHEAD, DECODERS
from tests.exports.exporting import NotExportable, export
from tests.exports.further_decoders import FURTHER
from tests.exports.sequence_calls import compiled
from tests.exports.sequence_report import DOCUMENT, Name, Outcome, document, summary
from tests.exports.subject import Subject

#: Opset of each exporter.
EXPORTERS = {"torchscript": 17, "dynamo": 20}
#: Decoders that are tried in every form: learnt positions, rotary ones, windows.
THOROUGHLY = ("gpt2", "llama", "mistral", "gemma3")
#: What is handed in per position, in any of them.
SEQUENCES = frozenset({"input_ids", "attention_mask", "decoder_input_ids"})


def names() -> Iterator[Name]:
    """Yield what is tried: decoder, exporter, whether a mask is handed in."""
    for name in (*DECODERS, *FURTHER):
        other = "masked" if name.endswith((" decoder", " past")) else "bare"
        yield from ((name, "torchscript", "masked"), (name, "dynamo", other))
        if name in THOROUGHLY:
            yield from ((name, "torchscript", "bare"), (name, "dynamo", "masked"))
    yield from ((name, exporter, "ahead") for name in AHEAD for exporter in EXPORTERS)


def judge(path: Path, folder: Path, *, compile_it: bool) -> Outcome:
    """Say what came of an exported decoder."""
    model = onnx.load(path)
    positions = {value.name: 1 for value in model.graph.input if value.name in SEQUENCES}
    refused: list[str] = []
    for ones in mask_hypotheses(GraphView(model), positions):
        sketch = Sketch(model, positions, past_axes(model), ones)
        proof, outputs = proven(sketch, binary_masks=True), sketch.view.outputs
        ahead = [state.refusal for state in map(proof.state, outputs) if isinstance(state, Ahead)]
        made = ahead[0] if ahead else suffix_model(sketch, proof, outputs)
        if isinstance(made, Refusal):
            refused.append(str(made))
            continue
        wrong = [*wrongly_proven(sketch, proof, (5,)), *wrong_suffixes(sketch, proof, outputs, 6, optimised=True)]
        if compile_it and not wrong:
            wrong += compiled(path, sketch, folder)
        verdict = "causal" if not wrong else "not compiled" if wrong[0].startswith("not compiled") else "wrong"
        return Outcome(verdict, "; ".join(wrong), compiled=compile_it and not wrong, ones=bool(ones))
    return Outcome("refused", refused[0])


def _tried(name: Name, folder: Path, *, compile_it: bool) -> Outcome:
    torch.manual_seed(0)
    decoder_name, exporter, form = name
    path = folder / f"{'-'.join(name).replace(' ', '-')}.onnx"
    try:
        if not path.exists():
            export(_subject(decoder_name, form), path, exporter, EXPORTERS[exporter])
    except NotExportable as error:
        path.unlink(missing_ok=True)
        plain = re.sub("\x1b\\[[0-9;]*m", "", str(error))  # without colours
        return Outcome("not exported", plain.replace(str(path), path.name))
    with tempfile.TemporaryDirectory() as scratch:
        return judge(path, Path(scratch), compile_it=compile_it)


def _subject(name: str, form: str) -> Subject:
    if form == "ahead":
        return AHEAD[name]("sdpa")
    return (DECODERS | FURTHER)[name]("sdpa", form == "masked")


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.exports.sequences", description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", metavar="TEXT", help="models whose name has this in it")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where exports and outcomes are kept")
    parser.add_argument("--once", action="store_true", help="each model by the first exporter that can")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = _all([name for name in names() if asked.filter in " ".join(name)], folder, once=asked.once)
    print(summary(found))
    if not asked.filter:
        DOCUMENT.write_text(document(found))
    return 1 if any(outcome.is_wrong(name) for name, outcome in found.items()) else 0


def _all(wanted: list[Name], folder: Path, *, once: bool) -> dict[Name, Outcome]:
    """Try models one after the other, further ones by the first exporter that can; write each outcome down at once."""
    kept = folder / "outcomes.jsonl"
    lines = kept.read_text().splitlines() if kept.exists() else []
    known = {tuple(name): Outcome(**outcome) for name, outcome in map(json.loads, lines)}
    found: dict[Name, Outcome] = {}
    with kept.open("a") as notes:
        for number, name in enumerate(wanted, 1):
            before = [outcome for other, outcome in found.items() if other[0] == name[0]]
            is_exported = any(outcome.verdict != "not exported" for outcome in before)
            if is_exported and name not in known and (once or name[0] in FURTHER):
                continue
            first = not any(outcome.compiled for outcome in before)
            outcome = known.get(name) or _tried(name, folder, compile_it=first and name[2] != "ahead")
            if name not in known:
                notes.write(json.dumps([name, vars(outcome)]) + "\n")
                notes.flush()
            found[name] = outcome
            print(f"{number}/{len(wanted)}", *name, outcome, sep="  ", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
