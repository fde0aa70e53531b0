"""The table of verdicts, printed and written to docs/exports.md. It holds nothing that changes between two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.exports.reasons import Reasons
from tests.exports.verdict import Verdict

DOCUMENT = Path(__file__).parents[2] / "docs" / "exports.md"
_HEAD = """# Models exported from PyTorch

Which models of PyTorch can be cached by rows. Written by `make conformance-exports`. Each architecture is made from a
small random configuration, exported by both exporters of PyTorch, optimised and quantised by onnxruntime's own tools,
and compiled with verification on. [Another page](exports-sequences.md) is about prefixes of sequence models.

- **row**: the rows of all outputs are proven independent, and the compiled model computes what the original does. The
  last column names the batches that have a region of rows.
- **tensor**: one entry covers a whole call, for the reason given.
- **not exported**: the exporter, or onnxruntime's tool, fails.
"""


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return the counts, and everything that is wrong."""
    lines = [f"{count} {kind}" for kind, count in sorted(Counter(v.proven for v in verdicts).items())]
    wrong = [f"wrong: {' '.join(v.name)}: {problem}" for v in verdicts for problem in v.problems]
    return "\n".join([", ".join(lines), *wrong])


def document(verdicts: Sequence[Verdict]) -> str:
    """Return the page."""
    counts = Counter(v.proven for v in verdicts)
    numbers = ", ".join(
        f"{counts[kind]} {kind}" for kind in ("row", "tensor", "refused", "not exported") if counts[kind]
    )
    lines = [_HEAD, f"{len(verdicts)} models: {numbers}.", ""]
    lines += ["| architecture | exporter | opset | attention | form | verdict | batches |", "|---" * 7 + "|"]
    reasons = Reasons()
    for verdict in verdicts:
        shown = verdict.proven + reasons.mark(verdict.reason)
        lines.append(f"| {' | '.join((*verdict.name, shown, _batches(verdict)))} |")
    return "\n".join([*lines, *reasons.lines()]) + "\n"


def _batches(verdict: Verdict) -> str:
    """The single batches that regions of rows were found for. What else is found varies with measured times."""
    if verdict.proven != "row":
        return ""
    kinds = ("row by ", "prefix by ")
    found = {region.partition(" by ")[2] for region in verdict.regions if region.startswith(kinds)}
    return ", ".join(sorted(batch for batch in found if "/" not in batch))
