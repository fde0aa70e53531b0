"""The samples that every row rule is tested with, put into random graphs: so every operator of the registry can appear.

A sample's rows are made of whatever the graph has: flattened, cut to the size that the sample takes, in its range.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from actcache.passes.graph.nodes import subgraphs
from tests.conformance.random_graphs.families import FAMILIES, builds
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import FLOATS, Known, element_type

_UNIT_TESTS = Path(__file__).parents[2] / "unit"


@cache
def samples() -> list[Any]:
    """Samples and traps of the rule tests without bodies. Those of refused operators are no more than a name."""
    if str(_UNIT_TESTS) not in sys.path:
        sys.path.append(str(_UNIT_TESTS))
    found: list[Any] = []
    for path in sorted(_UNIT_TESTS.glob("rows_samples_*.py")):
        found += import_module(path.stem).SAMPLES if path.stem != "rows_samples_refused" else []
    for path in sorted(_UNIT_TESTS.glob("rows_traps*.py")):
        found += import_module(path.stem).TRAPS.values()
    return [s for s in found if not s.reference and not any(list(subgraphs(n)) for n in s.model.graph.node)]


@cache
def _nodes(index: int) -> list[onnx.NodeProto]:
    return list(samples()[index].model.graph.node)


@cache
def _only_here() -> list[int]:
    """The samples of operators that no other builder adds."""
    built = {(family.domain, operator) for family in FAMILIES for operator in family.operators}
    return [index for index, sample in enumerate(samples()) if not sample.operators <= built]


@builds(weight=14)
def borrowed(s: Sketch, op: str) -> None:
    index = s.one_of(_only_here()) if s.chance(60) else s.below(len(samples()))
    tensors = samples()[index].tensors
    source = s.pick(FLOATS, range(1, 5), lambda k: len(k.varying) == 1 and k.smallest > 0)
    counts = [array.shape[source.varying[0]] for array in source.arrays]
    values: dict[str, Known] = {}
    for name, tensor in tensors.items():
        if tensor.axis is None:
            values[name] = s.constant(tensor.make(name))
            continue
        others = [k for k in s.known if k.dtype in FLOATS and not k.noisy and _rows_of(k) == counts and k.smallest]
        values[name] = _fitted(s, s.one_of([source, *others]), tensor)
    for node in _nodes(index):
        read = [values[name] if name else None for name in node.input]
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        made = s.add(node.op_type, read, len(node.output), node.domain, **given)
        values.update(zip(node.output, made, strict=True))


def _rows_of(x: Known) -> list[int]:
    return [array.shape[x.varying[0]] for array in x.arrays] if len(x.varying) == 1 else []


def _fitted(s: Sketch, x: Known, tensor: Any) -> Known:
    """`x`, whose one varying axis is that of the rows, in the form that the sample has its rows in."""
    rows, wanted = x.varying[0], math.prod(tensor.shape)
    if not wanted:
        raise Unfit
    if rows:
        x = s.add("Transpose", [x], perm=[rows, *(a for a in range(x.rank) if a != rows)])[0]
    flat = s.add("Flatten", [x], axis=1)[0]
    if flat.shape[1] < wanted:
        flat = s.add("Tile", [flat, s.integers(1, -(-wanted // flat.shape[1]))])[0]
    if flat.shape[1] > wanted:
        flat = s.add("Slice", [flat, s.integers(0), s.integers(wanted), s.integers(1)])[0]
    flat = s.add("Mul", [flat, s.weight([wanted], x.dtype)])[0]
    shaped = s.add("Reshape", [flat, s.integers(-1, *tensor.shape)])[0]
    shaped = _in_range(s, shaped, tensor)
    if not tensor.axis:
        return shaped
    axes = list(range(1, shaped.rank))
    axes.insert(tensor.axis, 0)
    return s.add("Transpose", [shaped], perm=axes)[0]


def _in_range(s: Sketch, x: Known, tensor: Any) -> Known:
    """The same numbers in the type and range that the sample takes."""
    if tensor.dtype == "bool":
        return s.add("Greater", [x, s.constant(0.1, x.dtype)])[0]
    if tensor.dtype == "str" or tensor.dtype.lstrip("u").startswith("int"):
        low, high = (0, 99) if tensor.low is None else (int(tensor.low), int(tensor.high))
        whole = s.add("Abs", [s.add("Cast", [x], to=onnx.TensorProto.INT64)[0]])[0]
        kept = s.add("Mod", [whole, s.constant(high - low + 1, "int64")])[0]
        moved = s.add("Add", [kept, s.constant(low, "int64")])[0] if low else kept
        target = onnx.TensorProto.STRING if tensor.dtype == "str" else element_type(np.dtype(tensor.dtype))
        return s.add("Cast", [moved], to=target)[0]
    if tensor.low is not None:
        x = s.add("Sigmoid", [x])[0]
        x = s.add("Mul", [x, s.constant(tensor.high - tensor.low, x.dtype)])[0]
        x = s.add("Add", [x, s.constant(tensor.low, x.dtype)])[0]
    return s.add("Cast", [x], to=element_type(np.dtype(tensor.dtype)))[0]
