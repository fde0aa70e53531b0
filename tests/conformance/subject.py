"""What is checked, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import onnx

from actcache.passes.cuts.feeds import Feed

#: What granularity ``auto`` led to: rows, regions of both kinds, whole calls, nothing. ``not run``: this onnxruntime
#: cannot run the original. ``wrong``: whatever it led to.
Verdict = Literal["row", "mixed", "prefix", "tensor", "refused", "not run", "wrong"]
VERDICTS: tuple[Verdict, ...] = ("row", "mixed", "prefix", "tensor", "refused", "not run", "wrong")


@dataclass
class Subject:
    """A model and calls of it.

    Attributes:
        name: Unique, and enough to make it again: what ``--filter`` matches.
        model: The model.
        feeds: Inputs for single calls; the first is what shapes are measured on.
    """

    name: str
    model: onnx.ModelProto
    feeds: list[Feed]


@dataclass
class StrictRefusal:
    """A refusal that looks too strict: the tensor was refused for rows, yet follows them wherever it was tried."""

    rule: str
    reason: str
    node: str
    tensor: str
    axis: int

    @property
    def operator(self) -> str:
        """The operator that stopped it."""
        return self.node.split(" ", 1)[0] or "?"


@dataclass
class Outcome:
    """What came of one subject.

    Attributes:
        name: The subject's.
        verdict: See :data:`Verdict`.
        rule: The refusal that stopped rows (``mixed``, ``tensor``) or everything (``refused``); why it is not run.
        reason: The same, in words.
        problems: What was wrong, one line each.
        checks: How many comparisons were made.
        unstable: How many differences were put down to an ill-conditioned model.
        candidates: Refusals that look too strict.
        operators: Operators in what was compiled to rows.
        text: The model, when something was wrong.
    """

    name: str
    verdict: Verdict
    rule: str = ""
    reason: str = ""
    problems: list[str] = field(default_factory=list)
    checks: int = 0
    unstable: int = 0
    candidates: list[StrictRefusal] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as it crosses between processes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        """Undo :meth:`to_json`."""
        candidates = [StrictRefusal(**c) for c in data.pop("candidates")]
        return cls(candidates=candidates, **data)
