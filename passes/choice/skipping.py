"""A model without some of its nodes, for the minimum cut."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from actcache.passes.graph.view import GraphView


@dataclass(frozen=True)
class Skipping:
    """A model without nodes that anyone may compute for himself: who reads their results reads what those are made of.

    The attributes are those of a :class:`~actcache.passes.graph.view.GraphView`.

    Attributes:
        view: The model.
        skipped: Indices of the nodes.
    """

    view: GraphView
    skipped: Collection[int]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph inputs."""
        return self.view.inputs

    @property
    def constants(self) -> frozenset[str]:
        """Names of the tensors that no input can change."""
        return self.view.constants

    @cached_property
    def writes(self) -> list[tuple[str, ...]]:
        """Per node the tensors that it writes; nothing for those that are skipped."""
        return [() if index in self.skipped else names for index, names in enumerate(self.view.writes)]

    @cached_property
    def reads(self) -> list[tuple[str, ...]]:
        """Per node the tensors that it reads, of nodes that are not skipped; nothing for those that are."""
        return [() if index in self.skipped else self.behind(names) for index, names in enumerate(self.view.reads)]

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """What the graph outputs are made of."""
        return self.behind(self.view.outputs)

    @cached_property
    def producer(self) -> dict[str, int]:
        """Tensor name to the index of the node that writes it."""
        return {name: index for index, names in enumerate(self.writes) for name in names}

    @cached_property
    def consumers(self) -> dict[str, list[int]]:
        """Tensor name to the indices of the nodes that read it."""
        readers: dict[str, list[int]] = {}
        for index, names in enumerate(self.reads):
            for name in names:
                readers.setdefault(name, []).append(index)
        return readers

    def behind(self, names: Collection[str]) -> tuple[str, ...]:
        """Return tensors, those of skipped nodes replaced by what they are made of."""
        return tuple(dict.fromkeys(found for name in names for found in self._made_of.get(name, (name,))))

    def needed(self, names: Collection[str]) -> set[int]:
        """Return the skipped nodes that it takes to compute tensors from what they are made of."""
        found: set[int] = set()
        stack = list(names)
        while stack:
            index = self.view.producer.get(stack.pop())
            if index is not None and index in self.skipped and index not in found:
                found.add(index)
                stack.extend(self.view.reads[index])
        return found

    @cached_property
    def _made_of(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for index in sorted(self.skipped):
            own = tuple(dict.fromkeys(n for name in self.view.reads[index] for n in found.get(name, (name,))))
            found |= dict.fromkeys(self.view.writes[index], own)
        return found
