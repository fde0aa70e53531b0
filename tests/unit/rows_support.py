"""Samples for the row rules: a few nodes, inputs with rows, what is claimed, and the claim held to onnxruntime."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator

from actcache.passes.graph.view import GraphView
from actcache.passes.rows import Mixed, Row, RowProof, State, prove_rows

ROWS = 5
#: Which rows are run against the whole batch: permuted, cut to subsets, single, repeated.
CHOICES = ([4, 1, 0, 3, 2], [1, 3], [2], [0], [0, 0, 3, 3, 1, 4, 2])
#: The rules were written against this onnxruntime; an older one may lack an operator or an opset.
NEWEST = (1, 32)

Array: TypeAlias = "npt.NDArray[np.generic]"
#: "mixed", "free", the axis of the rows, or (axis, block); "parts": rows with entries in several parts of an axis.
Claim: TypeAlias = str | int | tuple[int, int]


@dataclass(frozen=True)
class Tensor:
    """An input or constant of a sample: random values, or given ones.

    Attributes:
        shape: Without the axis of the rows.
        axis: Where the rows are put in; None: the same for all rows.
        dtype: Element type.
        low, high: Range of the values; None: normal numbers of very different sizes, one row huge.
        values: Given values, instead of random ones.
        constant: An initializer, not an input.
        loose: Declare the other sizes as symbols, not as numbers.
        count: How many rows.
        declared: Say in the model how many axes it has.
    """

    shape: tuple[int, ...] = ()
    axis: int | None = 0
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
    values: Any = None
    constant: bool = False
    loose: bool = False
    count: int = ROWS
    declared: bool = True

    def make(self, name: str) -> Array:
        random = np.random.default_rng(zlib.crc32(name.encode()))
        if self.values is not None:
            return np.asarray(self.values, self.dtype)
        shape = list(self.shape)
        if self.axis is not None:
            shape.insert(self.axis, self.count)
        if self.dtype == "str":
            return np.asarray(random.integers(0, 99, shape).astype(str), dtype=object)
        if self.dtype == "bool":
            return random.integers(0, 2, shape).astype(bool)
        if self.low is not None and self.high is not None:
            if np.dtype(self.dtype).kind in "iu":
                return random.integers(int(self.low), int(self.high) + 1, shape).astype(self.dtype)
            return random.uniform(self.low, self.high, shape).astype(self.dtype)
        if np.dtype(self.dtype).kind in "iu":
            return random.integers(0 if self.dtype.startswith("u") else -100, 100, shape).astype(self.dtype)
        values = random.normal(0.13, 1.7, shape)
        if self.axis is not None:  # a row that no mean, maximum or scale over the batch can overlook
            values.swapaxes(0, self.axis)[min(2, self.count - 1)] *= 37.1
        return values.astype(self.dtype)

    def declaration(self, name: str) -> onnx.ValueInfoProto:
        made = self.make(name)
        sizes: list[int | str] = [f"{name}{a}" if self.loose else n for a, n in enumerate(made.shape)]
        if self.axis is not None:
            sizes[self.axis] = "N"
        element = onnx.TensorProto.STRING if self.dtype == "str" else onnx.helper.np_dtype_to_tensor_dtype(made.dtype)
        return onnx.helper.make_tensor_value_info(name, element, sizes if self.declared else None)


def rows(*shape: int, axis: int = 0, dtype: str = "float32", **options: object) -> Tensor:
    """An input with rows on `axis`, other sizes `shape`."""
    return Tensor(shape, axis, dtype, **options)  # type: ignore[arg-type]


def ints(*shape: int, low: int = 0, high: int = 5, axis: int | None = 0, dtype: str = "int64") -> Tensor:
    """An input of integers from `low` to `high`, both included."""
    return Tensor(shape, axis, dtype, low, high)


def free(*shape: int, dtype: str = "float32", **options: object) -> Tensor:
    """An input that is the same for all rows."""
    return Tensor(shape, None, dtype, **options)  # type: ignore[arg-type]


def weight(*shape: int, dtype: str = "float32", **options: object) -> Tensor:
    """A constant with random values."""
    return Tensor(shape, None, dtype, constant=True, **options)  # type: ignore[arg-type]


def literal(values: Any, dtype: str = "int64") -> Tensor:
    """A constant with these values."""
    return Tensor((), None, dtype, values=values, constant=True)


@dataclass(frozen=True)
class Sample:
    """A few nodes and what the analysis must say about their outputs.

    Attributes:
        reference: Run by onnx's reference implementation: this onnxruntime has no kernel of the operator.
    """

    nodes: str
    claims: dict[str, Claim]
    tensors: dict[str, Tensor]
    opset: int = 18
    tolerance: float = 2e-5
    imports: dict[str, int] = field(default_factory=dict)
    reference: bool = False

    def __str__(self) -> str:
        return " ".join(self.nodes.split())[:100] + f" @{self.opset}"

    @property
    def model(self) -> onnx.ModelProto:
        """The model. Its outputs are those claimed about, in that order."""
        domains = {"com.microsoft": 1, "com.microsoft.nchwc": 1, **self.imports}
        graph = onnx.parser.parse_graph(f"sample () => () {{ {self.nodes} }}")
        inputs = [t.declaration(n) for n, t in self.tensors.items() if not t.constant]
        constants = [from_array(t.make(n), n) for n, t in self.tensors.items() if t.constant]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.claims]
        opsets = [onnx.helper.make_opsetid("", self.opset)]
        opsets += [onnx.helper.make_opsetid(d, v) for d, v in domains.items()]
        made = onnx.helper.make_graph(graph.node, "sample", inputs, outputs, constants)
        return onnx.helper.make_model(made, opset_imports=opsets, ir_version=8 if self.opset < 21 else 10)

    @property
    def operators(self) -> set[tuple[str, str]]:
        return {(node.domain, node.op_type) for node in self.model.graph.node}

    @property
    def proof(self) -> RowProof:
        axes = {n: t.axis for n, t in self.tensors.items() if t.axis is not None and not t.constant}
        return prove_rows(GraphView(self.model), axes)

    def feed(self, chosen: Sequence[int] | None = None) -> dict[str, Array]:
        """The inputs with only the `chosen` rows."""
        made = {name: t.make(name) for name, t in self.tensors.items() if not t.constant}
        if chosen is None:
            return made
        axes = {name: self.tensors[name].axis for name in made}
        return {n: v if axes[n] is None else np.take(v, chosen, axes[n]) for n, v in made.items()}


def sample(
    nodes: str,
    claims: Claim | dict[str, Claim],
    *,
    opset: int = 18,
    tolerance: float = 2e-5,
    ml: int = 3,
    reference: bool = False,
    **tensors: Tensor,
) -> Sample:
    """A sample whose only output is ``y``, unless `claims` names others; `ml` is the opset of ai.onnx.ml."""
    named = claims if isinstance(claims, dict) else {"y": claims}
    return Sample(nodes, named, tensors, opset, tolerance, {"ai.onnx.ml": ml}, reference)


def from_array(values: Array, name: str) -> onnx.TensorProto:
    """As onnx.numpy_helper.from_array, strings included."""
    return onnx.numpy_helper.from_array(values, name)


def described(state: State) -> Claim:
    """A state as samples spell it."""
    if isinstance(state, Mixed):
        return "mixed"
    if isinstance(state, Row) and state.before.value != 1:
        return "parts"
    if isinstance(state, Row):
        return state.axis if state.block.value == 1 else (state.axis, state.block.value or -1)
    return {"RowFree": "free"}.get(type(state).__name__, type(state).__name__)


class Runner(Protocol):
    """What runs a sample: a session of onnxruntime, or onnx's reference implementation."""

    def run(self, names: list[str], feed: dict[str, Array]) -> list[Array]:
        """Return the named outputs."""


def session(tried: Sample, model: onnx.ModelProto | None = None) -> Runner:
    """The sample, or another `model` of it, in onnxruntime: no fusion may replace the operator under test."""
    model = model or tried.model
    if tried.reference:
        reference: Any = ReferenceEvaluator(model)
        return cast(Runner, reference)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        opened: Any = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return cast(Runner, opened)
    except Exception as problem:
        version = tuple(int(part) for part in ort.__version__.split(".")[:2])
        # Some kernels need instructions that not every processor has.
        if version < NEWEST or "not yet supported on this hardware platform" in str(problem):
            pytest.skip(f"onnxruntime {ort.__version__} does not run it: {problem}")
        raise


def follows(tried: Sample, runner: Runner) -> Iterator[tuple[str, list[int], bool]]:
    """For every output claimed to be rows and every choice of rows: whether the result follows the choice."""
    names = list(tried.claims)
    whole = dict(zip(names, runner.run(names, tried.feed()), strict=True))
    for chosen in CHOICES:
        part = dict(zip(names, runner.run(names, tried.feed(chosen)), strict=True))
        for name, claim in tried.claims.items():
            if isinstance(claim, str):
                continue
            axis, block = claim if isinstance(claim, tuple) else (claim, 1)
            places = [row * block + j for row in chosen for j in range(block)]
            expected = np.take(whole[name], places, axis)
            yield name, list(chosen), agree(part[name], expected, axis, tried.tolerance)


def unbounded(tried: Sample) -> list[str]:
    """The inputs with rows of floats of any size."""
    inputs = {name: t for name, t in tried.tensors.items() if t.axis is not None and not t.constant}
    return [n for n, t in inputs.items() if t.dtype.startswith("float") and t.values is None and t.low is None]


def keeps_apart(tried: Sample, runner: Runner) -> Iterator[tuple[str, float, bool]]:
    """For every output claimed to be rows: whether the other rows stay as they are when one is infinite or no number.

    A weight of 0 does not keep rows apart: 0 times infinity is no number. Inputs of given or bounded values stay.
    """
    names = list(tried.claims)
    finite = dict(zip(names, runner.run(names, tried.feed()), strict=True))
    for value in (np.nan, np.inf, -np.inf):
        feed = tried.feed()
        for name in unbounded(tried):
            feed[name].swapaxes(0, tried.tensors[name].axis or 0)[2] = value
        try:
            made = dict(zip(names, runner.run(names, feed), strict=True))
        except Exception:  # it has no result for such a number
            continue
        for name, claim in tried.claims.items():
            if isinstance(claim, str):
                continue
            axis, block = claim if isinstance(claim, tuple) else (claim, 1)
            places = [row * block + j for row in range(ROWS) if row != 2 for j in range(block)]
            other = np.take(made[name], places, axis)
            yield name, value, agree(other, np.take(finite[name], places, axis), axis, tried.tolerance)


def agree(got: Array, expected: Array, axis: int, tolerance: float) -> bool:
    """Equal up to rounding, relative to the largest magnitude in the same row."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    if got.dtype.kind not in "f":
        return bool((got == expected).all())
    a, b = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(np.where(finite, 0, b), np.where(np.isfinite(a), 0, a), equal_nan=True):
        return False
    a, b = np.where(finite, a, 0), np.where(finite, b, 0)
    others = tuple(n for n in range(b.ndim) if n != axis)
    scale = np.abs(b).max(axis=others, keepdims=True, initial=0) if others else np.abs(b)
    return bool((np.abs(a - b) <= tolerance * scale + 1e-30).all())


def mixes(trap: Sample) -> bool:
    """Whether the trap's first output does not follow its rows."""
    output = next(iter(trap.claims))
    runner = session(trap)
    (whole,) = runner.run([output], trap.feed())
    return not all(_follows(trap, runner, whole, list(chosen)) for chosen in CHOICES)


def _follows(trap: Sample, runner: object, whole: np.ndarray, chosen: list[int]) -> bool:
    """Whether the rows, on whichever axis has one entry for each, follow the choice."""
    output = next(iter(trap.claims))
    try:
        (part,) = runner.run([output], trap.feed(chosen))  # type: ignore[attr-defined]
    except Exception:
        return False  # runs for one N only
    axes = [axis for axis, size in enumerate(whole.shape) if size == ROWS]
    return any(agree(part, np.take(whole, chosen, axis), axis, 1e-4) for axis in axes)
