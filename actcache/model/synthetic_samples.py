"""Inputs made up from a model's types and shapes, for models that come without samples.

The model is the judge: sizes and values are tried, likeliest first, until a run accepts them. Rows of a batch
differ from each other, so that a pass which mixes rows up is caught.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from actcache.errors import InvalidSamples
from actcache.model.model_inputs import Feed, ModelInput, Shape, model_inputs
from actcache.model.size_hints import SizeHints, size_hints
from actcache.model.value_hints import ValueHint, value_hints
from actcache.passes.graph.pasts import past_axes

#: Sizes to try for an unknown axis of a sequence or signal, and of a picture (rank 4 and up).
_SEQUENCE_SIZES = (64, 224, 320, 48, 128, 32, 16, 8, 7, 512, 1024, 16000, 4, 3, 2, 1)
_PICTURE_SIZES = (224, 320, 64, 48, 128, 256, 32, 512, 640, 16, 8, 7, 4, 3, 2, 1)

#: How many tensors a sequence gets, and entries a map.
_ITEMS = 3

#: How many entries the inputs of one call get at most, unless they have more with all unknown axes of size 1.
_MOST_ENTRIES = 1 << 23

#: How many frames are tried along the first axis, where it turns out not to be that of a batch.
_FRAMES = 64

_MAX_TRIES = 96
_MAX_SECONDS = 20.0

_HINT = "give real inputs with --sample FILE.npz (actcache.save_sample, or numpy.savez, with the inputs by name)"

Sizes = dict[str, int]


@dataclass(frozen=True)
class _Axis:
    """An axis of unknown size. Axes of one name have one size."""

    name: str
    batch: bool
    picture: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        return _PICTURE_SIZES if self.picture else _SEQUENCE_SIZES


@dataclass(frozen=True)
class _Values:
    """One way to choose values; ``_WAYS`` lists them, likeliest first."""

    positive: bool = False  # floats from [0, 1), not from a normal distribution
    small: bool = False  # integers without a bound are all 0 or 1, scalars 1
    flag: bool = False  # what a lone bool is


_WAYS = (_Values(), _Values(flag=True), _Values(positive=True), _Values(positive=True, small=True))


def make_samples(
    model: onnx.ModelProto, run: Callable[[Feed], object], rows: int = 4, seed: int = 0, count: int = 2
) -> list[Feed]:
    """Make up inputs that the model accepts.

    Args:
        model: The model; weights need not be loaded.
        run: Runs the model once and returns its outputs; raises if it does not accept the feed. Called up to
            96 times, or for about 20 seconds; silence onnxruntime's log while it is.
        rows: Size of the batch, wherever the model leaves it open and takes it; else 1, or 64 frames.
        seed: Of the random generator; the same seed gives the same samples.
        count: How many samples, all of the same shapes.

    Returns:
        One to `count` feeds, all accepted by `run`. Inputs with defaults are left out.

    Raises:
        InvalidSamples: Nothing that was tried runs, or an input is of a type that cannot be fed.
    """
    inputs = [given for given in model_inputs(model) if not given.optional]
    for given in inputs:
        if not given.feedable:
            raise InvalidSamples(
                f"no values can be made up for this input: its type is {given.type_name}", node=f"input '{given.name}'"
            )
    pasts, hints, ends = past_axes(model), value_hints(model), size_hints(model)
    source = _Source(inputs, hints, np.random.default_rng(seed), pasts)
    try:
        sizes, way, first = _search(source, run, rows, ends)
    except InvalidSamples:
        if not pasts:
            raise
        source = _Source(inputs, hints, np.random.default_rng(seed))
        sizes, way, first = _search(source, run, rows, ends)
    samples = [first]
    for _ in range(count - 1):
        feed = source.feed(sizes, way)
        if feed and _accepted(run, feed) is None:
            samples.append(feed)
    return samples


class _Source:
    """Draws feeds for given sizes. `empty`: inputs with an axis along which they have no entries."""

    def __init__(
        self,
        inputs: Sequence[ModelInput],
        hints: Mapping[str, ValueHint],
        generator: np.random.Generator,
        empty: Mapping[str, int] | None = None,
    ) -> None:
        self.shapes = _named_shapes(inputs, empty or {})
        self.axes = _axes(inputs, self.shapes)
        self.has_flags = any(given.dtype.kind == "b" and len(self.shapes[given.name]) < 2 for given in inputs)
        self._inputs = inputs
        self._hints = hints
        self._generator = generator

    def fits(self, sizes: Sizes, rows: int) -> bool:
        """Whether inputs of these sizes are small, or no larger than with `rows` rows and all else open of size 1."""
        batch = {axis.name for axis in self.axes if axis.batch}
        least = {name: min(size, rows) if name in batch else 1 for name, size in sizes.items()}
        return self._entries(sizes) <= max(_MOST_ENTRIES, self._entries(least))

    def _entries(self, sizes: Sizes) -> int:
        return sum(
            math.prod(sizes[size] if isinstance(size, str) else size for size in shape)
            for shape in self.shapes.values()
        )

    def feed(self, sizes: Sizes, way: _Values) -> Feed:
        """Draw a feed, again if two of its rows come out equal (small integers may do that)."""
        feed: Feed = {}
        for _ in range(8):
            for given in self._inputs:
                shape = tuple(sizes[size] if isinstance(size, str) else size for size in self.shapes[given.name])
                feed[given.name] = _draw_value(given, shape, self._hints[given.name], way, self._generator)
            if _rows_differ(feed):
                break
        return feed


def _search(source: _Source, run: Callable[[Feed], object], rows: int, ends: SizeHints) -> tuple[Sizes, _Values, Feed]:
    """Find sizes and a way to choose values that `run` accepts; finite outputs are preferred."""
    deadline = time.monotonic() + _MAX_SECONDS
    problem, tries = "none was tried", 0
    likely = _hinted(source.axes, source.shapes, ends)
    attempts = (
        (sizes, way)
        for sizes, way in _attempts(source.axes, likely, rows, source.has_flags)
        if source.fits(sizes, rows)
    )
    for sizes, way in itertools.islice(attempts, _MAX_TRIES):
        if tries and time.monotonic() > deadline:
            break
        tries += 1
        feed = source.feed(sizes, way)
        refusal = _accepted(run, feed)
        if refusal is None:
            return sizes, way, feed
        if refusal is _NOT_FINITE:
            return _finite(source, run, sizes) or (sizes, way, feed)
        problem = refusal
    raise InvalidSamples(
        f"no inputs could be made up that the model accepts ({tries} tries; the last one: {problem[:300]})", hint=_HINT
    )


def _finite(source: _Source, run: Callable[[Feed], object], sizes: Sizes) -> tuple[Sizes, _Values, Feed] | None:
    """Look for values of the same sizes whose outputs are finite: a logarithm wants positive ones."""
    for way in _WAYS:
        feed = source.feed(sizes, way)
        if _accepted(run, feed) is None:
            return sizes, way, feed
    return None


_NOT_FINITE = "an output is not finite"


def _accepted(run: Callable[[Feed], object], feed: Feed) -> str | None:
    """Run the model; return None if it took the feed and its outputs are finite, else the reason."""
    try:
        outputs = run(feed)
    except Exception as error:  # whatever the runtime raises is its verdict
        return str(error) or type(error).__name__
    for output in outputs if isinstance(outputs, (list, tuple)) else ():
        if isinstance(output, np.ndarray) and output.dtype.kind == "f" and not bool(np.isfinite(output).all()):
            return _NOT_FINITE
    return None


# -- sizes -------------------------------------------------------------------------------------------


def _named_shapes(inputs: Sequence[ModelInput], empty: Mapping[str, int]) -> dict[str, tuple[int | str, ...]]:
    """Give every unknown axis a name; an input of unknown rank is taken for a matrix. `empty`: axes of size 0."""
    shapes: dict[str, tuple[int | str, ...]] = {}
    for given in inputs:
        shape: Shape = (None, None) if given.shape is None else given.shape
        named = [f"{given.name}[{i}]" if size is None else size for i, size in enumerate(shape)]
        if given.name in empty:
            named[empty[given.name]] = 0
        shapes[given.name] = tuple(named)
    return shapes


def _axes(inputs: Sequence[ModelInput], shapes: Mapping[str, tuple[int | str, ...]]) -> list[_Axis]:
    batch = {shape[0] for shape in shapes.values() if shape and isinstance(shape[0], str)}
    if batch:  # recurrent state is [layers, N, ...]; its N may have no name
        for given in inputs:
            match given.shape:
                case (int(), None, *_):
                    batch.add(f"{given.name}[1]")
    found: dict[str, _Axis] = {}
    for given in inputs:
        shape = shapes[given.name]
        for size in shape:
            if isinstance(size, str) and size not in found:
                found[size] = _Axis(size, size in batch, len(shape) >= 4 and given.dtype.kind == "f")
    return list(found.values())


def _hinted(axes: Sequence[_Axis], shapes: Mapping[str, tuple[int | str, ...]], hints: SizeHints) -> list[Sizes]:
    """Return sizes of the free axes that weights suggest: of the last axes, and if it is one size, of all."""
    usual = {axis.name: axis.sizes[0] for axis in axes if not axis.batch}
    found: list[Sizes] = []
    for place, everywhere in itertools.product(range(max(map(len, hints.values()), default=0)), (False, True)):
        sizes = dict(usual)
        for name, several in hints.items():
            shape = shapes.get(name, ())
            ends = several[min(place, len(several) - 1)] if several else ()
            if everywhere and len(ends) == 1:
                ends *= len(shape)
            pairs = zip(reversed(shape), reversed(ends), strict=False)
            sizes.update((axis, size) for axis, size in pairs if isinstance(axis, str) and axis in usual and size > 1)
        if sizes not in (usual, *found):
            found.append(sizes)
    return found


def _attempts(
    axes: Sequence[_Axis], likely: Sequence[Sizes], rows: int, has_flags: bool
) -> Iterator[tuple[Sizes, _Values]]:
    """Yield sizes and ways to choose values, likeliest first: the usual sizes, those of weights, then mixed ones."""
    free = [axis for axis in axes if not axis.batch]
    steps = range(len(_SEQUENCE_SIZES)) if free else range(1)
    equal = [{axis.name: axis.sizes[step] for axis in free} for step in steps]
    batches = [{axis.name: size for axis in axes if axis.batch} for size in dict.fromkeys((rows, 1, _FRAMES))]
    for batch in batches if batches[0] else batches[:1]:
        few = 12 if batch in batches[:2] else 4
        for way in _WAYS[: 2 if has_flags else 1]:
            for sizes in (equal[0], *likely, *equal[1:few]):
                yield {**batch, **sizes}, way
    for sizes in _mixed(free):
        yield {**batches[0], **sizes}, _WAYS[0]
    for way in _WAYS[2:]:
        for sizes in equal:
            yield {**batches[0], **sizes}, way


def _mixed(free: Sequence[_Axis]) -> Iterator[Sizes]:
    """Yield up to 30 combinations in which not all axes have the same size."""
    if len(free) < 2:
        return
    steps = itertools.product(range(5), repeat=min(len(free), 4))
    unequal = (chosen for chosen in steps if len(set(chosen)) > 1)
    for chosen in itertools.islice(unequal, 30):
        yield {axis.name: axis.sizes[step] for axis, step in zip(free, itertools.cycle(chosen), strict=False)}


# -- values ------------------------------------------------------------------------------------------


def _draw_value(
    given: ModelInput, shape: tuple[int, ...], hint: ValueHint, way: _Values, generator: np.random.Generator
) -> Any:
    """Draw a tensor, or as many as a sequence or map has."""
    if given.kind == "tensor":
        return _draw(given, shape, hint, way, generator)
    drawn = [_draw(given, shape, hint, way, generator) for _ in range(_ITEMS)]
    if given.kind == "sequence":
        return drawn
    keys = [f"text {i}" if given.key_type == onnx.TensorProto.STRING else i for i in range(_ITEMS)]
    return dict(zip(keys, (value.item() for value in drawn), strict=True))


def _draw(
    given: ModelInput, shape: tuple[int, ...], hint: ValueHint, way: _Values, generator: np.random.Generator
) -> npt.NDArray[np.generic]:
    dtype = given.dtype
    mask = "mask" in given.name.lower() and hint.bound is None
    if dtype.kind == "O":
        return _strings(shape, generator)
    if dtype.kind == "b":
        return _mask(shape, generator) if len(shape) > 1 else np.full(shape, way.flag, dtype)
    if dtype.kind == "f":
        if mask:
            return _mask(shape, generator).astype(dtype)
        drawn = generator.random(shape) if way.positive else generator.standard_normal(shape)
        return np.asarray(drawn).astype(dtype)
    if mask or (hint.bound is None and not hint.indexes and dtype.itemsize >= 4):
        return _numbers(shape, hint, way, generator).astype(dtype)
    return _indices(shape, hint, dtype, way, generator)


def _numbers(
    shape: tuple[int, ...], hint: ValueHint, way: _Values, generator: np.random.Generator
) -> npt.NDArray[np.generic]:
    """Integers that index nothing: a mask; a lone one is what the model compares it with."""
    if len(shape) > 1 or (shape and shape[0] > 1):
        return _mask(shape, generator)
    return np.full(shape, hint.compared[0] if hint.compared and not way.small else 1, np.int64)


def _indices(
    shape: tuple[int, ...], hint: ValueHint, dtype: np.dtype[np.generic], way: _Values, generator: np.random.Generator
) -> npt.NDArray[np.generic]:
    bits = 8 * dtype.itemsize - (dtype.kind == "i")
    low, high = 0, 1
    if hint.bound is not None:
        high = min(hint.bound - 1, 2**bits - 1)
    elif not (hint.indexes or way.small):  # bytes and shorts that index nothing are data: pixels, samples
        low, high = -(2**bits) if dtype.kind == "i" else 0, 2**bits - 1
    return generator.integers(low, high, shape, np.int64, endpoint=True).astype(dtype)


def _mask(shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[np.generic]:
    """Ones, then zeros: every row along the last axis keeps between half of its places and all of them."""
    if not shape:
        return np.ones(shape, bool)
    length = shape[-1]
    kept = generator.integers((length + 1) // 2, length, (*shape[:-1], 1), endpoint=True) if length else 0
    return np.asarray(np.arange(length) < kept)


def _strings(shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[np.generic]:
    count = int(np.prod(shape, dtype=np.int64))
    texts = [f"text {number}" for number in generator.integers(0, 1 << 32, count)]
    return np.array(texts, dtype=object).reshape(shape)


def _rows_differ(feed: Feed) -> bool:
    """Whether no two rows are equal in every input that shares the most frequent leading size."""
    arrays = [array for array in feed.values() if isinstance(array, np.ndarray) and array.ndim]
    if not arrays:
        return True
    rows: int = max({array.shape[0] for array in arrays}, key=[array.shape[0] for array in arrays].count)
    batched = [array for array in arrays if array.shape[0] == rows]
    seen = {tuple(_row_bytes(array[row : row + 1]) for array in batched) for row in range(rows)}
    return len(seen) == rows


def _row_bytes(row: npt.NDArray[np.generic]) -> bytes:
    return repr(row.tolist()).encode() if row.dtype.kind == "O" else row.tobytes()
