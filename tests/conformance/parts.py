"""The parts of the run: where their subjects come from, by name, so that a worker process can make them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance import catalogue, node_tests, random_graphs
from tests.conformance.subject import Subject


@dataclass(frozen=True)
class Part:
    """A body of models.

    Attributes:
        title: What it is, for people.
        names: Names of its subjects, of as many `examples` from a `seed` as are asked for where they are made up.
        make: Makes the subject of a name; None where there is no such variant.
        seconds: A subject that takes longer has hung.
    """

    title: str
    names: Callable[[int, int], list[str]]
    make: Callable[[str], Subject | None]
    seconds: float = 120.0


PARTS = {
    "node": Part("onnx's backend node tests", lambda examples, seed: node_tests.names(), node_tests.make),
    "random": Part("random graphs", random_graphs.names, random_graphs.make),
    "catalogue": Part("catalogue models", lambda examples, seed: catalogue.names(), catalogue.make, 1200.0),
}
