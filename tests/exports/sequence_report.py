"""What came of exported sequence models: counts, and the page docs/exports-sequences.md. It holds no times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.exports.reasons import Reasons

#: Decoder, exporter, form.
Name = tuple[str, str, str]
#: Decoders that look back only, and are refused: the page says why.
REFUSED = frozenset({"mpt"})
DOCUMENT = Path(__file__).parents[2] / "docs" / "exports-sequences.md"
_HEAD = """# Sequence models exported from PyTorch

Which decoders are proven to be causal, so that [prefixes](prefix.md) can be cached, and which are refused. Written by
`make conformance-exports` (`python -m tests.exports.sequences`).

Each decoder is made from a small random configuration and exported by both exporters of PyTorch (with `--once`, by the
first that can), with a mask of padding as an input (`masked`) or without (`bare`). What the proof says of every tensor
is compared with onnxruntime. So is the branch that computes the last positions, after every prefix of a text. The first
export of each decoder that allows it is compiled (`--granularity prefix`), and calls with the same beginning are
compared with the original's.

- **causal**: it is proven, and the branch was right after every prefix.
- **compiled**: in addition the compiled model was right, and found beginnings again.
- **refused**: it is not proven, for the reason given. The last models of the table look ahead, and have to be refused.
- **not exported**: the exporter fails, or its export does not compute what the module does.

MPT is refused although it only looks back. Its biases count from the last position, so they change with the length.
(They all change by the same number, which softmax ignores, but the proof does not see that.)
"""


@dataclass(frozen=True)
class Outcome:
    """What came of one export.

    Attributes:
        verdict: ``causal``, ``refused``, ``not exported``, ``not compiled``, ``wrong``.
        reason: Why it is not causal.
        compiled: Whether it was compiled as well, and that was right.
        ones: Whether calls are cached only if their mask is 1 everywhere.
    """

    verdict: str
    reason: str = ""
    compiled: bool = False
    ones: bool = False

    def __str__(self) -> str:
        shown = f"{self.verdict}{', compiled' if self.compiled else ''}{' (mask of ones)' if self.ones else ''}"
        return f"{shown}: {self.reason}" if self.reason else shown

    def is_wrong(self, name: Name) -> bool:
        """Whether this is not what has to come of a model."""
        expected = "refused" if name[2] == "ahead" or name[0] in REFUSED else "causal"
        return self.verdict not in (expected, "not exported")


def summary(found: Mapping[Name, Outcome]) -> str:
    """Return the counts, and everything that is wrong."""
    wrong = [f"wrong: {' '.join(name)}: {outcome}" for name, outcome in found.items() if outcome.is_wrong(name)]
    return "\n".join([_counts(found), *wrong])


def _counts(found: Mapping[Name, Outcome]) -> str:
    kinds = Counter(outcome.verdict for outcome in found.values())
    numbers = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    decoders = len({name[0] for name, outcome in found.items() if outcome.verdict == "causal"})
    compiled = sum(outcome.compiled for outcome in found.values())
    wrong = kinds.get("wrong", 0)
    return (
        f"{len(found)} exports: {numbers}. {decoders} different decoders are causal, {compiled} were compiled with "
        f"prefixes; {wrong} gave a wrong output."
    )


def document(found: Mapping[Name, Outcome]) -> str:
    """Return the page."""
    lines = [_HEAD, _counts(found), "", "| model | exporter | form | verdict |", "|---" * 4 + "|"]
    reasons = Reasons()
    for name, outcome in found.items():
        shown = "compiled" if outcome.compiled else outcome.verdict
        shown += ", if the mask is 1 everywhere" if outcome.ones else ""
        shown += reasons.mark(outcome.reason)
        lines.append(f"| {' | '.join((*name, shown))} |")
    return "\n".join([*lines, *reasons.lines()]) + "\n"
