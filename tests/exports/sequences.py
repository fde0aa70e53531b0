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
from tests.exports.subject import Subject

#: Opset of each exporter.
EXPORTERS = {"torchscript": 17, "dynamo": 20}
#: What is handed in per position, in any of them.
SEQUENCES = frozenset({"input_ids", "attention_mask", "decoder_input_ids"})


def names() -> Iterator[tuple[str, str, str]]:
    """Yield what is tried: decoder, exporter, whether a mask is handed in."""
    for name in DECODERS:
        forms = ("masked",) if name.endswith((" decoder", " past")) else ("masked", "bare")
        yield from ((name, exporter, form) for exporter in EXPORTERS for form in forms)
    yield from ((name, exporter, "ahead") for name in AHEAD for exporter in EXPORTERS)


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
            export(_subject(decoder_name, form), path, exporter, EXPORTERS[exporter])
    except NotExportable as error:
        path.unlink(missing_ok=True)
        return [f"not exported: {error}"]
    found = judge(path)
    if form != "ahead":
        return found
    return [] if found and found[0].startswith("refused") else ["it looks ahead, and is not refused", *found]


def _subject(name: str, form: str) -> Subject:
    return AHEAD[name]("sdpa") if form == "ahead" else DECODERS[name]("sdpa", form == "masked")


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
            right = "refused" if name[2] == "ahead" else "causal, and right after every prefix"
            print(*name, *(problems or [right]), sep="  ", flush=True)
    print(f"{causal} models are right: causal, or refused as they look ahead; {wrong} are wrong")
    return 1 if wrong or not causal else 0


if __name__ == "__main__":
    sys.exit(main())
