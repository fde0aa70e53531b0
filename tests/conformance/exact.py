"""``python -m tests.conformance.exact``: how many models hold ``--exact bits``; ends with 1 if any bit differs.

Each model with an output of floats is compiled through the front door, whatever it saves. Its own feeds, which the
compiler has not seen but for the first, are then played in parts, permuted and again, and every output is compared bit
for bit with the original's.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

import actcache
from actcache.errors import ActcacheError, NothingToCache
from actcache.passes.cuts.feeds import Feed, row_count, take
from actcache.verification.comparison import identical
from tests.conformance.parts import PARTS
from tests.conformance.subject import Subject

#: What can become of a model, in the order of the report.
EQUAL, REFUSED, NOT_RUN, DIFFERENT = "equal in every bit", "refused", "not run", "different"


def verdict(subject: Subject, folder: Path) -> tuple[str, str]:
    """Compile a model and play its feeds; return what became of it, and more words."""
    path = folder / "model.onnx"
    path.write_bytes(subject.model.SerializeToString())
    actcache.invalidate()
    try:
        result = actcache.compile_model(
            path, folder / "exact.onnx", samples=[dict(subject.feeds[0])], exact="bits", min_saving=0
        )
    except NothingToCache as error:
        return REFUSED, "; ".join(str(refusal) for refusal in error.refusals[:2])
    except ActcacheError as error:
        return NOT_RUN, str(error)
    original = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    compiled = actcache.InferenceSession(result.output)
    axes = {name: axis for region in result.regions for name, axis in region.candidate.row_axes.items()}
    played = 0
    for feed in (call for given in subject.feeds for call in _calls(dict(given), axes)):
        try:
            expected = original.run(None, feed)
        except Exception:  # the original is the judge of what is a call
            continue
        played += 1
        if not all(map(identical, compiled.run(None, feed), expected)):
            return DIFFERENT, f"call {played}"
    granularities = sorted({region.candidate.region.granularity for region in result.regions})
    return EQUAL, f"{'+'.join(granularities)}, {played} calls"


def _calls(feed: Feed, axes: dict[str, int]) -> Iterator[Feed]:
    yield feed
    given = {name: axis for name, axis in axes.items() if name in feed}
    if given and len({feed[name].shape[axis] for name, axis in given.items()}) == 1:
        count = row_count(feed, given)
        for rows in (np.arange(count)[::-1], np.arange(count)[-1:], np.arange(0, count, 2), np.arange(count)[:1]):
            if len(rows):
                yield take(feed, given, rows)
    yield feed


def floats(subject: Subject) -> bool:
    """Whether an output of a model is of floats."""
    kinds = {value.type.tensor_type.elem_type for value in subject.model.graph.output}
    return bool(kinds & {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16})


def main() -> int:
    """Run a sample of a part and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.exact", description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=list(PARTS), default="random")
    parser.add_argument("--examples", type=int, default=40, metavar="N", help="how many models")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which models")
    asked = parser.parse_args()
    names = PARTS[asked.part].names(asked.examples, asked.seed)
    random.Random(asked.seed).shuffle(names)
    counts: Counter[str] = Counter()
    for name in names:
        subject = PARTS[asked.part].make(name)
        if subject is None or not subject.feeds or not floats(subject):
            continue
        with tempfile.TemporaryDirectory() as folder:
            what, more = verdict(subject, Path(folder))
        counts[what] += 1
        print(f"{what}: {name} ({more[:200]})", flush=True)
        if sum(counts.values()) >= asked.examples:
            break
    print(", ".join(f"{counts[what]} {what}" for what in (EQUAL, REFUSED, NOT_RUN, DIFFERENT)))
    return 1 if counts[DIFFERENT] else 0


if __name__ == "__main__":
    sys.exit(main())
