"""The registry of builders: what adds one operator, or one idiom of several, to a graph under construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.random_graphs.sketch import Sketch

Builder = Callable[[Sketch, str], None]


@dataclass(frozen=True)
class Family:
    """Operators that are built alike.

    Attributes:
        build: Adds the operator of the given name to a graph; raises Unfit where it cannot.
        operators: Their names. An idiom of several operators names none of them.
        domain: Their domain.
        since, until: The opsets of ai.onnx in which they are built.
        weight: How often the family is drawn, against others.
    """

    build: Builder
    operators: tuple[str, ...]
    domain: str = ""
    since: int = 1
    until: int = 99
    weight: int = 2

    @property
    def name(self) -> str:
        return self.build.__name__


FAMILIES: list[Family] = []


def builds(
    operators: str = "", *, domain: str = "", since: int = 1, until: int = 99, weight: int = 2
) -> Callable[[Builder], Builder]:
    """Register the decorated function; see :class:`Family`."""

    def register(function: Builder) -> Builder:
        FAMILIES.append(Family(function, tuple(operators.split()), domain, since, until, weight))
        return function

    return register


def deck(opset: int, focus: str = "") -> list[tuple[Family, int]]:
    """The families for an opset with their weights; with `focus`, only those that build this operator."""
    able = [f for f in FAMILIES if f.since <= opset <= f.until]
    return [(f, f.weight) for f in able if not focus or focus in f.operators or focus == f.name]
