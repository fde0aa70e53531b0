"""Calls that reach a branch of an ``If``: what the branch is measured on, and what the whole model is verified on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actcache.compile.job import Job
from actcache.errors import InvalidModel, InvalidSamples
from actcache.model.feed_file import read_entries, read_feed, save_sample
from actcache.model.model_inputs import Feed, model_inputs
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.branch_models import Branch
from actcache.passes.rewrite.upstream import upstream_model
from actcache.runs.requests import ComputeFrontiers, FrontierCall


@dataclass(frozen=True)
class BranchCalls:
    """Calls of the whole model, and which branch each takes.

    Attributes:
        job: The compilation of the whole model.
        view: The whole model.
        given: Calls that were given or made up for it.
    """

    job: Job
    view: GraphView
    given: Sequence[Feed]

    def of_branch(self, branch: Branch, inputs: Collection[str]) -> list[Feed]:
        """Return what the given calls that take a branch hand to it: its `inputs`."""
        return [values for _, values in self._taking(branch, self.given, inputs)]

    def whole(self, branch: Branch, inside: Sequence[Feed]) -> list[Feed]:
        """Return calls of the whole model that take a branch: given ones, and those made of calls `inside` of it.

        Inputs that the branch does not read are those of the first given call. None, if nothing is known to take it.
        """
        condition = branch.node(self.view.model).input[0]
        made = []
        for base in self.given[:1]:
            flag = {condition: np.full_like(base[condition], branch.taken_if)} if condition in base else {}
            made += [{**base, **call, **flag} for call in inside if base.keys() >= call.keys()]
        return [call for call, _ in self._taking(branch, [*made, *self.given], ())]

    def _taking(self, branch: Branch, calls: Sequence[Feed], names: Collection[str]) -> list[tuple[Feed, Feed]]:
        """Return the calls that take a branch, each with the values of `names` in it."""
        condition = branch.node(self.view.model).input[0]
        found = [(call, self._values(call, {condition, *names})) for call in calls]
        return [
            (call, {name: values[name] for name in names})
            for call, values in found
            if values is not None and bool(np.all(values[condition])) == branch.taken_if
        ]

    def _values(self, call: Feed, names: Collection[str]) -> Feed | None:
        """Return what tensors of the main graph are in a call; None: the model refuses it."""
        fed = {name: call[name] for name in names if name in call}
        computed = sorted(set(names).difference(fed))
        if not computed:
            return fed
        directory = self.job.loaded.directory
        part, values = directory / "upstream.onnx", directory / "upstream.npz"
        part.write_bytes(upstream_model(self.view.model, computed).SerializeToString())
        source = str(self.job.loaded.source)
        wanted = FrontierCall(source, save_sample(directory / "upstream-feed.npz", call), values)
        try:
            self.job.ask(ComputeFrontiers(source, [part], [wanted], self.job.options.libraries))
        except (InvalidModel, InvalidSamples):
            return None
        return {**fed, **read_entries(values)}


def read_calls(job: Job, paths: Sequence[Path]) -> list[Feed]:
    """Read samples of the whole model."""
    inputs = model_inputs(job.loaded.proto)
    return [read_feed(path, inputs) for path in paths]
