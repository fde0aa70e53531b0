"""What a person found about refusals that look too strict: results that follow the rows wherever they were tried."""

from __future__ import annotations

from dataclasses import dataclass

#: Any operator.
ANY = ""


@dataclass(frozen=True)
class Review:
    """A verdict on a kind of refusal.

    Attributes:
        rule: The refusal's.
        operator: Of the node that stopped the rows; :data:`ANY` for all that are not listed by themselves.
        safe: Whether the rows can be shown to be apart, so that the refusal is needless.
        why: One sentence.
    """

    rule: str
    operator: str
    safe: bool
    why: str


REVIEWS: tuple[Review, ...] = ()


def review(rule: str, operator: str) -> Review | None:
    """Return the verdict on a kind of refusal, None when nobody has looked at it."""
    found = {(r.rule, r.operator): r for r in REVIEWS}
    return found.get((rule, operator)) or found.get((rule, ANY))
