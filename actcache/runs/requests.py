"""What the compiler asks of the process that runs models, and what that answers: one type for each.

Requests and answers travel as JSON files (:mod:`actcache.base.typed_json`). A request says in its ``type`` which one
it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from actcache.base.per_call import PerCall
from actcache.passes.choice.dependent import Dependent
from actcache.passes.choice.trace_keys import Place
from actcache.passes.costs.cost import Costs
from actcache.passes.costs.time_model import FewRows
from actcache.passes.cuts import AnyDivision
from actcache.verification.verify import Verification

T = TypeVar("T")
#: Graph input to the axis of its rows.
RowAxes = Mapping[str, int]


@dataclass(frozen=True)
class FixedBatch:
    """The one batch size that an original takes, where the model that the passes edit takes any.

    Attributes:
        size: The size.
        inputs: Graph input to the axis of its rows.
        outputs: Per graph output the axis of its rows; None: it does not depend on them.
    """

    size: int
    inputs: Mapping[str, int]
    outputs: Sequence[int | None]


@dataclass(frozen=True)
class Originals:
    """Where the original model is, and what it needs.

    Attributes:
        source: The model as the user gave it (what messages name).
        model: The file to run.
        base: The model in the working folder, which the passes edit.
        libraries: Custom-op libraries that the model itself needs.
        signature: A model with the inputs of the original, which samples are made for; `base` if it is empty.
        fixed: The batch size of the original, if `base` takes others.
        reads: Outputs of which callers read the last position alone, each with the axis of its positions: `base` hands
            out NaN for the others.
    """

    source: str
    model: str
    base: str
    libraries: Sequence[str] = ()
    signature: str = ""
    fixed: FixedBatch | None = None
    reads: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Compiled:
    """A compiled model to be run in place of the original.

    Attributes:
        path: Its file.
        per_call: Inputs and outputs that it has besides the original's.
    """

    path: Path
    per_call: PerCall


# -- answers ------------------------------------------------------------------------------------------


class Told(msgspec.Struct, frozen=True):
    """Answers :class:`AskTypes`: value to its element type (``TensorProto.DataType``; 0: no dense tensor), and whether
    onnx infers the others without crashing.
    """

    types: Mapping[str, int]
    infers: bool


class Measurement(msgspec.Struct, frozen=True):
    """Answers :class:`Measure`: the samples (made up, if none were given) and the version of onnxruntime that ran them;
    costs, if they were asked for.
    """

    samples: Sequence[Path]
    onnxruntime: str
    costs: Costs | None


class BatchBits(msgspec.Struct, frozen=True):
    """Answers :class:`FindBatchBits`: operators whose results depend on the batch, and the tensors that onnxruntime's
    optimiser leaves; None if it does not tell.
    """

    dependent: Sequence[Dependent] = ()
    kept: Sequence[str] | None = None


class RowCounts(msgspec.Struct, frozen=True):
    """Rows that one region was asked for, and those that were computed."""

    lookups: int
    computed: int

    def __sub__(self, before: RowCounts) -> RowCounts:
        return RowCounts(self.lookups - before.lookups, self.computed - before.computed)

    @property
    def reuse(self) -> float:
        """Share of the rows looked up that did not have to be computed."""
        return 1 - self.computed / self.lookups if self.lookups else 0.0


class Played(msgspec.Struct, frozen=True):
    """Answers :class:`PlayTrace`.

    Attributes:
        calls: How many calls were played.
        original: Seconds that the original took for them.
        compiled: Seconds that the compiled model took.
        regions: What each region was asked for.
        max_abs_error: Largest difference between their outputs.
        failure: What went beyond the tolerance, or None.
    """

    calls: int
    original: float
    compiled: float
    regions: Mapping[str, RowCounts]
    max_abs_error: float
    failure: str | None


class Failure(msgspec.Struct, frozen=True):
    """An error of the other process, as the arguments of its class."""

    kind: str
    message: str
    file: str | None
    node: str | None
    hint: str | None


# -- requests -----------------------------------------------------------------------------------------


class Request(msgspec.Struct, Generic[T], frozen=True, tag=True):
    """Something to do for the compiler; it is answered with a T."""

    #: T, for the reader of the answer.
    answer: ClassVar[Any] = None
    #: Whether the process that carried it out may go on with another one.
    leaves_nothing: ClassVar[bool] = False

    @property
    def instead(self) -> Request[T] | None:
        """What to ask if the process crashes over it; None: nothing, the model is refused."""
        return None

    @property
    def source(self) -> str:
        """What messages call the model."""
        raise NotImplementedError


class OfOriginals(Request[T], Generic[T], frozen=True):
    """A request about the original model."""

    originals: Originals

    @property
    def source(self) -> str:
        """What messages call the model."""
        return self.originals.source


class AskTypes(OfOriginals[Told], frozen=True):
    """Ask onnxruntime for the types that onnx does not infer (:func:`actcache.passes.graph.told_types.told_types`).

    Attributes:
        infers: Whether onnx is to infer what it can. It may crash.
    """

    answer = Told
    leaves_nothing = True
    infers: bool = True

    @property
    def instead(self) -> AskTypes | None:
        """The types of all values."""
        return AskTypes(self.originals, infers=False) if self.infers else None


class Measure(OfOriginals[Measurement], frozen=True):
    """Run the model on samples, or make some up; measure its costs on the first one, if `timed`."""

    answer = Measurement
    samples: Sequence[Path]
    timed: bool


class Verify(OfOriginals[Verification], frozen=True):
    """Verify a compiled model against the original.

    Attributes:
        compiled: The compiled model.
        samples: Files of inputs.
        divisions: How the inputs are divided into units.
        cones: Per region the graph inputs that it depends on.
        tolerance: Largest accepted relative difference; None: by the types of outputs.
        exact: Accept no difference, not in one bit.
        keeps: What the original answers is kept, as further models may be held to the same calls.
        only_bits: All that is asked is whether no bit differs: the first difference ends it.
    """

    answer = Verification
    compiled: Compiled
    samples: Sequence[Path]
    divisions: Sequence[AnyDivision]
    cones: Sequence[Sequence[str]]
    tolerance: float | None
    exact: bool
    keeps: bool = False
    only_bits: bool = False


class FindBatchBits(OfOriginals[BatchBits], frozen=True):
    """Find operators whose results depend on the batch (:mod:`actcache.verification.batch_bits`)."""

    answer = BatchBits
    sample: Path
    batches: Sequence[RowAxes]


class HashTrace(OfOriginals[list[FewRows]], frozen=True):
    """Hash and time recorded calls, and measure the sample with fewer rows.

    Attributes:
        calls: The calls.
        sample: The call that costs were measured on.
        places: Where to take hashes.
        batches: Every batch that the model may have.
        keys: The file that hashes and times are written to (:func:`actcache.runs.hash_trace.hash_trace`).
    """

    answer = list[FewRows]
    calls: Sequence[Path]
    sample: Path
    places: Sequence[Place]
    batches: Sequence[RowAxes]
    keys: Path


class PlayTrace(OfOriginals[Played], frozen=True):
    """Play recorded calls through the original and the compiled model, with a store of `budget` bytes; only as many as
    tell clearly which is faster, if `until_clear`.
    """

    answer = Played
    compiled: Compiled
    calls: Sequence[Path]
    tolerance: float | None
    budget: int
    until_clear: bool = False


class FrontierCall(msgspec.Struct, frozen=True):
    """A call whose frontiers are wanted: its name in messages, its inputs, and the file for the values."""

    name: str
    feed: Path
    values: Path


class ComputeFrontiers(Request[None], frozen=True):
    """Run parts of a compiled model on calls, one after the other, and keep what they compute."""

    model: str
    parts: Sequence[Path]
    calls: Sequence[FrontierCall]
    libraries: Sequence[str]

    @property
    def source(self) -> str:
        """What messages call the model."""
        return self.model


class LoggedCall(msgspec.Struct, frozen=True, tag=True):
    """A run of the model as an audit log has it.

    Attributes:
        regions: What decided in each of its regions: the arguments of ``actcache_replay`` in ``actcache.h``.
        namespace: Whose entries it looked for; None: not known.
        fetched: What its regions had from tiers: the arguments of ``actcache_replay_fetched``.
        control: The word of the call (:data:`actcache.base.per_call.CONTROL_WORDS`).
    """

    regions: Sequence[tuple[str, str, int, int, int, int, int, str | None]]
    fetched: Sequence[tuple[str, str, int, str, int, int, int, int]]
    namespace: str | None
    control: str


class LoggedControlCall(msgspec.Struct, frozen=True, tag=True):
    """What the host program asked of the cache between two runs, as in a ``control`` line."""

    what: str
    arguments: Mapping[str, Any]


class ReplayLog(OfOriginals[Verification], frozen=True):
    """Make the calls of an audit log again, from an empty store, with an audit log of their own.

    Attributes:
        compiled: The compiled model.
        calls: The inputs of the calls.
        config: The knobs at the beginning.
        steps: What happened; as many runs as there are calls.
        audit: What messages call the log.
        record: The file of the new log.
        store: A disk store that has what came out of tiers; None: nothing did.
        tolerance: As for :class:`Verify`.
    """

    answer = Verification
    compiled: Compiled
    calls: Sequence[Path]
    config: Mapping[str, Any]
    steps: Sequence[LoggedCall | LoggedControlCall]
    audit: str
    record: Path
    store: Path | None
    tolerance: float | None


class FillStore(OfOriginals[None], frozen=True):
    """Make calls of an audit log, so that a disk store has what they compute.

    Attributes:
        compiled: The compiled model.
        calls: The inputs of the calls.
        steps: The calls.
        config: The knobs at the beginning of the log.
        audit: What messages call the log.
        store: The folder of the store.
    """

    compiled: Compiled
    calls: Sequence[Path]
    steps: Sequence[LoggedCall]
    config: Mapping[str, Any]
    audit: str
    store: Path


AnyRequest = (
    AskTypes | Measure | Verify | FindBatchBits | HashTrace | PlayTrace | ComputeFrontiers | FillStore | ReplayLog
)
