"""What must hold of a compiled model without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx.checker

from actcache.passes.rewrite.inline_regions import inline_regions


def structure_problems(base: Path, compiled: Path) -> Iterator[str]:
    """Yield what is wrong with a compiled model, beside the model that it was made from."""
    yield from _checker_problems(base, compiled)
    before = onnx.load_model(str(base), load_external_data=False)
    after = onnx.load_model(str(compiled), load_external_data=False)
    yield from _changes_on_the_way_back(before, after)


def _checker_problems(base: Path, compiled: Path) -> Iterator[str]:
    """What onnx's checker says of the compiled model, if it said nothing of the original."""
    for full in (False, True):
        if checker_message(base, full) is None:
            message = checker_message(compiled, full)
            if message is not None:
                yield f"onnx.checker (full_check={full}) refuses the compiled model: {message}"
                return


def checker_message(path: Path, full: bool) -> str | None:
    """Return what onnx's checker says against a model, or None."""
    try:
        onnx.checker.check_model(str(path), full_check=full)
    except Exception as error:
        return " ".join(str(error).split())[:400]
    return None


def _changes_on_the_way_back(before: onnx.ModelProto, compiled: onnx.ModelProto) -> Iterator[str]:
    """Compiling again starts from the nodes and constants of the first time."""
    inline_regions(compiled)
    for what in ("node", "initializer", "sparse_initializer", "input", "output", "quantization_annotation"):
        if _as_set(getattr(compiled.graph, what)) != _as_set(getattr(before.graph, what)):
            yield f"taking the regions out again does not give back the same graph.{what}"
    if _as_set(compiled.opset_import) != _as_set(before.opset_import):
        yield "taking the regions out again changes the opsets"


def _as_set(items: Any) -> Counter[bytes]:
    return Counter(item.SerializeToString(deterministic=True) for item in items)
