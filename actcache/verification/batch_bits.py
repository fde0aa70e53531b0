"""Which of onnxruntime's operators give a row other bits in another batch, and which tensors its optimiser leaves.

Both are asked of the model as onnxruntime runs it: optimised, every value of the main graph handed out. An operator
depends on the batch if rows that go into it equal come out of it different.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from actcache.passes.choice.dependent import Dependent
from actcache.passes.cuts.feeds import Feed, more_rows, row_count, take
from actcache.passes.graph.nodes import node_reads

#: Rows of the batch that is compared, and first row and end of what is run beside it.
_ROWS, _PARTS = 7, ((0, 1), (3, 4), (0, 2), (1, 4), (2, 7))
#: How many values are handed out at first, and how many bytes at a time: all at once may not fit into memory.
_AT_FIRST, _BYTES_AT_ONCE = 8, 256 << 20


def optimised(options: ort.SessionOptions, model: Path, target: Path) -> onnx.ModelProto:
    """Write the model as onnxruntime runs it to `target` and return it."""
    options.optimized_model_filepath = str(target)
    ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return onnx.load_model(target)


def kept_tensors(model: onnx.ModelProto) -> list[str]:
    """Return the values of the main graph."""
    return [name for node in model.graph.node for name in node.output if name]


def dependent_nodes(
    model: onnx.ModelProto, options: ort.SessionOptions, target: Path, sample: Feed, axes: Mapping[str, int]
) -> list[Dependent]:
    """Return the nodes of an optimised model that give equal rows different bits in batches of different sizes.

    Args:
        model: The model (:func:`optimised`); edited.
        options: Loads it without optimising it again.
        target: A file to write it to.
        sample: Inputs for one call.
        axes: The inputs that have rows, each with their axis.
    """
    given = {name: axis for name, axis in axes.items() if name in sample}
    if not given:
        return []
    full = sample if row_count(sample, given) >= _ROWS else more_rows(take(sample, given, np.arange(1)), given, _ROWS)
    full = take(full, given, np.arange(_ROWS))
    apart: dict[tuple[str, tuple[int, int]], float] = {}
    floats: set[str] = set()  # whole numbers that differ are sizes of the batch
    for outputs, run in _runs(model, options, target):
        whole = run(full)
        floats |= {n for n, a in zip(outputs, whole, strict=True) if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
        for part in _PARTS:
            few = run(take(full, given, np.arange(*part)))
            apart |= {(n, part): _apart(a, b, part) for n, a, b in zip(outputs, few, whole, strict=True)}
    return list(_dependent(model, floats, apart))


def _dependent(
    model: onnx.ModelProto, floats: Collection[str], apart: Mapping[tuple[str, tuple[int, int]], float]
) -> Iterator[Dependent]:
    """Yield the nodes whose rows are apart where those that they read are not."""
    for node in model.graph.node:
        found = []
        for part in _PARTS:
            if any(apart.get((name, part), 0.0) for name in node_reads(node)):
                continue  # it had other rows to work on
            found += [(part[1] - part[0], apart.get((name, part), 0.0), name) for name in node.output if name in floats]
        different = [(rows, error, output) for rows, error, output in found if error]
        if different:
            rows, error, output = max(different)
            yield Dependent(output, f"{node.op_type} '{node.name}'" if node.name else node.op_type, rows, error)


def _runs(
    model: onnx.ModelProto, options: ort.SessionOptions, target: Path
) -> Iterator[tuple[list[str], Callable[[Feed], list[Any]]]]:
    """Yield sets of values with what runs the model to them. How many there are follows from the bytes of those before;
    each set has to be run before the next one is asked for.
    """
    names = kept_tensors(model)
    outputs = list(model.graph.output)
    start, count = 0, _AT_FIRST
    while start < len(names):
        wanted, start = names[start : start + count], start + count
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        target.write_bytes(model.SerializeToString())
        session = ort.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])
        known = {value.name for value in session.get_inputs()}
        largest = [1]  # bytes of one value

        def run(
            feed: Feed,
            session: ort.InferenceSession = session,
            known: set[str] = known,
            largest: list[int] = largest,
        ) -> list[Any]:
            found = list(session.run(None, {name: a for name, a in feed.items() if name in known}))
            largest += [a.nbytes for a in found if isinstance(a, np.ndarray)]
            return found

        yield wanted, run
        count = max(1, min(4 * count, _BYTES_AT_ONCE // max(largest)))
    del model.graph.output[:]
    model.graph.output.extend(outputs)


def _apart(few: Any, whole: Any, part: tuple[int, int]) -> float:
    """Return the largest difference of rows to the same rows of the batch; 0 exactly if every bit is equal."""
    if not isinstance(few, np.ndarray) or not isinstance(whole, np.ndarray) or few.ndim != whole.ndim:
        return 0.0
    axes = [axis for axis, (a, b) in enumerate(zip(few.shape, whole.shape, strict=True)) if a != b]
    count = part[1] - part[0]
    if count != _ROWS and len(axes) == 1 and few.shape[axes[0]] * _ROWS == whole.shape[axes[0]] * count:
        block = whole.shape[axes[0]] // _ROWS
        whole = np.take(whole, np.arange(part[0] * block, part[1] * block), axes[0])
    if few.shape != whole.shape or few.dtype != whole.dtype or few.dtype.kind in "OUS":
        return 0.0
    if few.tobytes() == whole.tobytes():
        return 0.0
    if few.dtype.kind not in "fiu":
        return 1.0  # not to be measured
    with np.errstate(invalid="ignore"):
        apart = np.abs(few.astype(np.float64) - whole.astype(np.float64))
    return max(float(apart[np.isfinite(apart)].max(initial=0.0)), float(np.finfo(np.float64).tiny))
