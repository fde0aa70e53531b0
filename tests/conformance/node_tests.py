"""The node tests of onnx's own backend test suite, as they are and with their batch left open."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.loader as loader

from actcache.passes.cuts.feeds import Feed, take
from tests.conformance.subject import Subject

KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")
#: As it is; N on axis 0 of all inputs that agree on it, of the first input alone, of the first with all others as
#: constants, of all floats with the integers (axes, shapes, indices) as constants; N on axis 1.
VARIANTS = ("static", "all", "first", "weights", "parameters", "axis1")


@cache
def cases() -> dict[str, Any]:
    """Every test case by name (takes seconds: onnx computes them on the spot)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [case for kind in KINDS for case in loader.load_model_tests(kind=kind)]
    return {case.name: case for case in sorted(found, key=lambda c: str(c.name))}


def names() -> list[str]:
    """Names of all subjects; :func:`make` may find that a variant makes no sense."""
    return [f"{name}|{variant}" for name in cases() for variant in VARIANTS]


def make(name: str) -> Subject | None:
    """Make the subject of this name; None when there is no such variant of the test."""
    test, _, variant = name.partition("|")
    case = cases()[test]
    model, feeds = _loaded(case)
    if variant == "static":
        return Subject(name, model, feeds)
    return _with_batch(name, model, feeds, variant) if feeds else None


def _loaded(case: Any) -> tuple[onnx.ModelProto, list[Feed]]:
    if case.model is not None:
        model = case.model
        inputs = [value.name for value in model.graph.input]
        return model, [
            dict(zip(inputs, map(_value, values), strict=False)) for values, _ in case.data_sets or [([], [])]
        ]
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    feeds = []
    for data in sorted(folder.glob("test_data_set_*")):
        feed = {}
        for position, value in enumerate(model.graph.input):
            path = data / f"input_{position}.pb"
            if path.exists():
                feed[value.name] = _tensor(path, value)
        feeds.append(feed)
    return model, feeds


def _value(given: Any) -> Any:
    """An input as onnxruntime takes it: tests give some as numpy scalars or protobufs."""
    if isinstance(given, onnx.TensorProto):
        return onnx.numpy_helper.to_array(given)
    return np.asarray(given) if isinstance(given, np.generic) else given


def _tensor(path: Path, value: onnx.ValueInfoProto) -> Any:
    kind = value.type.WhichOneof("value")
    if kind == "sequence_type":
        sequence = onnx.SequenceProto.FromString(path.read_bytes())
        return onnx.numpy_helper.to_list(sequence)
    if kind == "optional_type":
        return onnx.numpy_helper.to_optional(onnx.OptionalProto.FromString(path.read_bytes()))
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def _with_batch(name: str, source: onnx.ModelProto, feeds: list[Feed], variant: str) -> Subject | None:
    feed = feeds[0]
    fixed = {t.name for t in source.graph.initializer}
    order = [v.name for v in source.graph.input if isinstance(feed.get(v.name), np.ndarray) and v.name not in fixed]
    axis = 1 if variant == "axis1" else 0
    able = [n for n in order if feed[n].ndim > axis]
    constants: list[str] = []
    if variant == "weights":
        constants = order[1:]
    elif variant == "parameters":
        constants = [n for n in order if feed[n].dtype.kind in "iub" and n != order[0]]
    if not able or (variant in ("weights", "parameters") and not constants):
        return None
    if variant == "parameters" and constants == order[1:]:
        return None
    if variant == "first" and len(able) < 2:
        return None
    able = [n for n in able if n not in constants]
    if variant in ("first", "weights"):
        able = [n for n in able if n == order[0]]
    if not able:
        return None
    count = feed[able[0]].shape[axis]
    axes = {n: axis for n in able if feed[n].shape[axis] == count}
    if count == 0:
        return None
    model = _opened(source, axes)
    for constant in constants:
        model.graph.initializer.append(onnx.numpy_helper.from_array(feed[constant], constant))
        kept = [v for v in model.graph.input if v.name != constant]
        del model.graph.input[:]
        model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)
    given = {n: v for n, v in feed.items() if n not in constants}
    return Subject(name, model, list(_feeds(given, axes, count)))


def _opened(source: onnx.ModelProto, axes: dict[str, int]) -> onnx.ModelProto:
    """Name the axis N, and forget what the model says of shapes that follow from it."""
    model = onnx.ModelProto()
    model.CopyFrom(source)
    for value in model.graph.input:
        if value.name in axes:
            value.type.tensor_type.shape.dim[axes[value.name]].dim_param = "N"
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return model


def _feeds(feed: Feed, axes: dict[str, int], count: int) -> Iterator[Feed]:
    """The test's own inputs, its rows repeated and permuted, and three rows with other values."""
    rows = np.arange(count)
    yield feed
    yield take(feed, axes, np.concatenate([rows[::-1], rows]))
    if all(feed[n].dtype.kind == "f" for n in axes):
        more = take(feed, axes, np.resize(rows, 5))
        yield {n: _different(v, axes[n]) if n in axes else v for n, v in more.items()}


def _different(values: Any, axis: int) -> Any:
    factors = np.array([-1.7, 0.31, 37.1, -0.05, 1.13]).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return (values * factors).astype(values.dtype)
