"""A refusal is data: why something is not cached, and which node stopped it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why a node, a tensor or a whole region is not reused.

    Attributes:
        rule: Short stable identifier of the rule that refused (``impure-random``, ``rows-mixed``, ...),
            for counting and for tests.
        reason: One sentence for the author of the model.
        node: Label of the node that stopped it (see :meth:`GraphView.label`), or ``""`` where no single
            node did.
    """

    rule: str
    reason: str
    node: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the refusal as it stands in ``--json`` output."""
        return {"rule": self.rule, "reason": self.reason, "node": self.node}

    def __str__(self) -> str:
        return f"{self.node}: {self.reason}" if self.node else self.reason
