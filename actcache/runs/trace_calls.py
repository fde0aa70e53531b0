"""Recorded calls, in the process that runs models (see ``worker``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from actcache.model.samples import load_sample, model_inputs
from actcache.passes.cuts.feeds import Feed


class Calls:
    """The calls of a trace, checked against the model as they are read.

    Args:
        model: The model.
        paths: Their files.
    """

    def __init__(self, model: onnx.ModelProto, paths: Sequence[Path]) -> None:
        self._inputs, self._paths = model_inputs(model), paths

    def __iter__(self) -> Iterator[Feed]:
        return (load_sample(path, self._inputs) for path in self._paths)

    def __len__(self) -> int:
        return len(self._paths)
