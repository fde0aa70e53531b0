"""The driver: a model in, a model with cached regions out.

load → measure → analyse and choose → outline → verify → emit. A region that verification rejects is dropped with its
reason, and the next candidate is tried. With a trace, its first half decides what is chosen, and the compiled model is
measured on the second.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from actcache import __version__, model_runs
from actcache.byte_size import DEFAULT_BUDGET
from actcache.emit import emit, working_folder
from actcache.errors import ActcacheError, InvalidModel, InvalidOption, NothingToCache
from actcache.explain import explain
from actcache.model_file import LoadedModel, load_model
from actcache.passes.candidate import Candidate
from actcache.passes.choose import Choice, Plan, choose, likely_batches, wanted_places
from actcache.passes.choose_traced import Considered, predicted
from actcache.passes.cost import Costs, estimate_costs
from actcache.passes.dynamic_batch import DynamicBatch, fixed_batches, make_dynamic
from actcache.passes.fingerprint import fingerprint
from actcache.passes.graph import GraphView
from actcache.passes.inline_regions import MANIFEST_KEY
from actcache.passes.local_functions import LocalFunctions
from actcache.passes.named_region import choose_named
from actcache.passes.outline import outline_in
from actcache.passes.prediction import Predictor
from actcache.passes.recording import Place, places
from actcache.passes.refusal import Refusal
from actcache.passes.rows import row_hypotheses, with_namesakes
from actcache.passes.time_model import TimeModel
from actcache.region_spec import RegionSpec
from actcache.samples import check_sample, load_sample, model_inputs
from actcache.trace import Trace, TraceReport, load_trace, typical_calls
from actcache.verify import DEFAULT_TOLERANCE, VerifyReport

Sample = str | os.PathLike[str] | Mapping[str, npt.ArrayLike]
Progress = Callable[[str], None]

GRANULARITIES = ("auto", "row", "tensor")


@dataclass(frozen=True)
class CompiledRegion:
    """One cached region of a compiled model.

    Attributes:
        candidate: The region and what it is expected to save.
        fingerprint: Content hash of the region, 64 hex digits.
    """

    candidate: Candidate
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """Return the region as it stands in ``--json`` output and in the manifest."""
        region = self.candidate.region
        return {
            "id": region.id,
            "granularity": region.granularity,
            "inputs": list(self.candidate.cone),
            "frontier": list(region.frontier),
            "live_outs": list(region.live_outs),
            "nodes": len(region.nodes),
            "time_share": round(self.candidate.time_share, 4),
            "saving_ms": round(self.candidate.saving * 1e3, 4),
            "fingerprint": self.fingerprint,
        }


@dataclass
class CompileResult:
    """What :func:`compile_model` did.

    Attributes:
        model: The model that was compiled.
        output: The file that was written.
        files: `output` and the weights beside it.
        regions: What is cached.
        refusals: What is not, and why.
        verify: What verification found; None when it was turned off.
        notes: What the user should know besides.
        explain: Lines that tell, for every costly node, why it is cached or what stopped it.
        considered: Every candidate that was looked at, and what came of it.
        trace: What a trace predicted and measured; None without one.
    """

    model: Path
    output: Path
    files: list[Path]
    regions: list[CompiledRegion]
    refusals: list[Refusal]
    verify: VerifyReport | None
    notes: list[str] = field(default_factory=list)
    explain: list[str] = field(default_factory=list)
    considered: list[Considered] = field(default_factory=list)
    trace: TraceReport | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``--json`` prints it."""
        return {
            "model": str(self.model),
            "output": str(self.output),
            "files": [str(path) for path in self.files],
            "regions": [region.to_json() for region in self.regions],
            "refusals": [refusal.to_json() for refusal in self.refusals],
            "verify": self.verify.to_json() if self.verify else None,
            "candidates": [considered.to_json() for considered in self.considered],
            "trace": self.trace.to_json() if self.trace else None,
            "notes": self.notes,
        }


def compile_model(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    samples: Sequence[Sample] = (),
    trace: Sequence[str | os.PathLike[str]] = (),
    budget_bytes: int = DEFAULT_BUDGET,
    granularity: str = "auto",
    regions: Sequence[RegionSpec] | None = None,
    min_saving: float | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    dynamic_batch: bool = False,
    verify: bool = True,
    pure_ops: Collection[str] = (),
    custom_op_libraries: Sequence[str | os.PathLike[str]] = (),
    single_file: bool = False,
    progress: Progress | None = None,
) -> CompileResult:
    """Write a model that caches what is worth it.

    Args:
        model: An ONNX file.
        output: The file to write; default: `model` with the suffix ``.cached.onnx``.
        samples: Inputs for single calls, each a ``.npz`` file or a mapping from input name to array; the first one is
            what costs are measured on. Without any, they are taken from the trace, or made up.
        trace: Recorded calls (:mod:`actcache.trace`): regions are chosen by what they would have reused.
        budget_bytes: Bytes that the store will hold where the model runs; only a trace asks for it.
        granularity: ``auto``, ``row`` or ``tensor``.
        regions: Regions to cache instead of the one that the compiler would choose.
        min_saving: Milliseconds that a hit has to save for a region to be worth it; None: several times what its
            lookup costs; 0: whatever is safe.
        tolerance: Largest accepted difference to the original (see :data:`actcache.verify.DEFAULT_TOLERANCE`).
        dynamic_batch: The model takes batches of one size: make it take any (:mod:`actcache.passes.dynamic_batch`). If
            that cannot be done, the model is compiled as it is; the refusals tell why.
        verify: Whether to run original and compiled model against each other.
        pure_ops: Operators, each ``domain:Op``, that the user vouches for.
        custom_op_libraries: Libraries with operators that the model itself needs.
        single_file: Keep the weights inside the model.
        progress: Called with the name of each step as it begins.

    Raises:
        NothingToCache: Nothing is safe and worth caching; nothing is written.
        InvalidModel, InvalidSamples, InvalidRegion, InvalidOption, OutputError, LibraryError: As they say.
    """
    _check_options(granularity, min_saving, tolerance, pure_ops)
    source = Path(model)
    target = Path(output) if output is not None else source.with_suffix(".cached.onnx")
    if not source.exists():
        raise InvalidModel("no such file", file=source)
    if target.exists() and source.resolve() == target.resolve() and source.suffix:
        raise InvalidOption(f"the output '{target}' is the model itself", hint="choose another file with -o")
    step = progress or (lambda _: None)
    with working_folder(target) as folder:
        step("reading the model")
        loaded = load_model(source, folder, single_file=single_file)
        if target.resolve() in loaded.weights.sources:
            problem = f"the output '{target}' holds weights of the model"
            raise InvalidOption(problem, hint="choose another file with -o")
        recorded = load_trace(trace) if trace else None
        libraries = tuple(str(p) for p in custom_op_libraries)
        refusals: list[Refusal] = []
        for dynamic in _batches(loaded, dynamic_batch, refusals):
            compilation = _Compilation(loaded, libraries, tolerance, verify, step, dynamic)
            compilation.measure(samples, recorded)
            choice = compilation.choose(granularity, regions, min_saving, pure_ops, budget_bytes)
            if not dynamic_batch and granularity != "tensor":
                refusals += _fixed_batch(compilation.view)
            choice.refusals[:0] = refusals
            try:
                compiled, report = compilation.first_accepted(choice)
                break
            except NothingToCache as error:
                if dynamic is None:
                    raise
                refusals += error.refusals
        notes = _notes(loaded, single_file, compilation.dynamic)
        step("writing the compiled model")
        view, costs = compilation.view, compilation.costs
        lines = explain(view, costs, [c.candidate for c in compiled], choice.refusals)
        played = compilation.played
        files = emit(
            _with_manifest(compilation.result, compiled, compilation.runtime_version),
            loaded.weights,
            target,
            single_file=single_file,
        )
    considered = choice.considered
    return CompileResult(source, target, files, compiled, choice.refusals, report, notes, lines, considered, played)


class _Compilation:
    """State of one compilation between its steps."""

    def __init__(
        self,
        loaded: LoadedModel,
        libraries: tuple[str, ...],
        tolerance: float,
        verify: bool,
        step: Progress,
        dynamic: DynamicBatch | None = None,
    ) -> None:
        self.loaded, self.tolerance, self.verify, self.step, self.dynamic = loaded, tolerance, verify, step, dynamic
        self.originals = model_runs.Originals(str(loaded.source), str(loaded.runnable), str(loaded.base), libraries)
        self.functions = loaded.functions
        if dynamic is not None:
            self.functions = LocalFunctions(dynamic.model)
            base = loaded.directory / "dynamic.onnx"
            base.write_bytes(self.functions.inlined.SerializeToString())
            fixed = model_runs.FixedBatch(dynamic.size, dynamic.inputs, dynamic.outputs)
            self.originals = replace(self.originals, base=str(base), signature=str(loaded.base), fixed=fixed)
        self.view = GraphView(self.functions.inlined)
        self.samples: list[Path] = []
        self.runtime_version = ""
        self.costs: Costs
        self.result: onnx.ModelProto
        self.trace: Trace | None = None
        self.predictor: Predictor | None = None
        self.budget = DEFAULT_BUDGET
        self.played: TraceReport | None = None
        self.must_pay = False

    def measure(self, samples: Sequence[Sample], trace: Trace | None) -> None:
        """Take or make samples and measure costs on the first; estimate them where nothing may be run."""
        inputs = model_inputs(self.loaded.proto)
        self.trace = trace
        given = []
        for index, sample in enumerate(samples or (typical_calls(trace, inputs) if trace else ())):
            if isinstance(sample, (str, os.PathLike)):
                feed = load_sample(sample, inputs)
            else:
                feed = check_sample(sample, inputs, f"samples[{index}]")
            given.append(model_runs.save_sample(self.loaded.directory / f"given{index}.npz", feed))
        self.step("measuring what each node costs")
        try:
            self.samples, self.costs, self.runtime_version = model_runs.measure(
                self.originals, given, self.loaded.directory
            )
        except ActcacheError as error:
            if self.verify or given or isinstance(error, InvalidModel):
                raise
            self.costs = estimate_costs(self.view)

    def choose(
        self,
        granularity: str,
        regions: Sequence[RegionSpec] | None,
        min_saving: float | None,
        pure_ops: Collection[str],
        budget: int,
    ) -> Choice:
        if regions:
            self.step("looking at the regions given")
            choice = choose_named(self.view, self.costs, regions, granularity, pure_ops)
            plan = choice.plans[0]
            self._record({place for c in plan for place in places(c.region)}, [c.row_axes for c in plan], budget)
            if self.predictor:
                choice.considered = predicted(plan, self.predictor)
            return choice
        self.must_pay = min_saving is None
        if self.trace:
            wanted = wanted_places(self.view, self.costs, pure_ops)
            self._record(wanted, likely_batches(self.view, self.costs), budget)
        self.step("choosing regions")
        return choose(
            self.view,
            self.costs,
            granularity=granularity,
            min_saving=None if min_saving is None else min_saving * 1e-3,
            pure_ops=pure_ops,
            name=re.sub(r"[^\w.-]", "_", self.loaded.source.name.removesuffix(".onnx").removesuffix(".cached")),
            predictor=self.predictor,
        )

    def _record(self, wanted: Collection[Place], batches: Sequence[Mapping[str, int]], budget: int) -> None:
        """Take from the trace what predictions need."""
        if self.trace is None:
            return
        calls = self.trace.chosen_by
        self.step(f"looking for what repeats in {len(calls)} recorded calls")
        recording, fewer = model_runs.record(
            self.originals, calls, self.samples[0], wanted, batches, self.loaded.directory
        )
        self.budget = budget
        self.predictor = Predictor(TimeModel(self.costs, fewer), recording, budget)

    def first_accepted(self, choice: Choice) -> tuple[list[CompiledRegion], VerifyReport | None]:
        """Compile plans, best first, until one passes verification.

        Raises:
            NothingToCache: None does, or there is none.
        """
        for plan in choice.plans:
            if self.dynamic and all(candidate.region.granularity != "row" for candidate in plan):
                continue  # without rows, the model as it is does as well
            compiled, report = self._accepted(plan, choice.refusals)
            if compiled and self._pays(compiled, choice.refusals):
                return compiled, report
        hint = "--explain lists every reason; --min-saving 0 caches whatever is safe"
        raise NothingToCache(choice.refusals, file=self.loaded.source, hint=hint)

    def _pays(self, compiled: Sequence[CompiledRegion], refusals: list[Refusal]) -> bool:
        """Measure the compiled model on the other half of the trace; False if it is wrong there, or saves nothing."""
        if self.trace is None or self.predictor is None:
            return True
        calls = self.trace.measured_on
        self.step(f"measuring the result on {len(calls)} recorded calls")
        path = self.loaded.directory / "compiled.onnx"
        path.write_bytes(self.result.SerializeToString())
        answer = model_runs.replay(self.originals, path, calls, self.tolerance, self.budget)
        names = ", ".join(c.candidate.region.id for c in compiled)
        if answer["failure"] is not None:
            refusals.append(Refusal("verification", answer["failure"], names))
            return False
        plan = [c.candidate for c in compiled]
        known = all(map(self.predictor.can_predict, plan))
        self.played = TraceReport(
            calls=len(self.trace.chosen_by),
            played=answer["calls"],
            predicted=self.predictor.predict(plan).ratio if known else None,
            measured=answer["compiled"] / max(answer["original"], 1e-12),
            reuse={n: 1 - r["computed"] / r["lookups"] for n, r in answer["regions"].items() if r["lookups"]},
            max_abs_error=answer["max_abs_error"],
        )
        if self.must_pay and self.played.measured >= 1:
            reason = (
                f"measured on the other half of the trace it takes {self.played.measured:.3f} of the original's time"
            )
            refusals.append(Refusal("not-worth", reason, names))
            return False
        return True

    def _accepted(self, plan: Plan, refusals: list[Refusal]) -> tuple[list[CompiledRegion], VerifyReport | None]:
        """Compile and verify a plan. If it fails, find the regions that fail alone and do without them."""
        compiled = self._outline(plan)
        if not self.verify:
            return compiled, None
        self.step("verifying " + ", ".join(f"'{c.region.id}' by {c.region.granularity}" for c in plan))
        path = self.loaded.directory / "compiled.onnx"
        path.write_bytes(self.result.SerializeToString())
        cones, batches = [c.cone for c in plan], self._batches(plan)
        report = model_runs.check(self.originals, path, self.samples, batches, cones, self.tolerance)
        if report.failure is None:
            return compiled, report
        if len(plan) == 1:
            refusals.append(Refusal("verification", report.failure, plan[0].region.id))
            return [], None
        sound = tuple(c for c in plan if self._accepted((c,), refusals)[0])
        if not sound:
            return [], None
        if len(sound) == len(plan):
            refusals.append(Refusal("verification", f"together, its regions fail: {report.failure}"))
            sound = (max(sound, key=lambda c: c.saving),)
        return self._accepted(sound, refusals)

    def _batches(self, plan: Plan) -> list[dict[str, int]]:
        """The ways in which verification cuts the inputs into rows: as each region does, as all of them do, and with
        inputs that share the batch and are in no region.
        """
        own = [with_namesakes(self.view, c.row_axes) for c in plan if c.row_axes]
        together = dict(self.dynamic.inputs) if self.dynamic else {}
        together |= {name: axis for axes in own for name, axis in axes.items()}
        wider = [h for h in row_hypotheses(self.view, self.view.inputs) if together.items() < h.items()]
        found: list[dict[str, int]] = []
        for axes in (*wider[:1], together, *own):
            if axes and axes not in found:
                found.append(axes)
        return found

    def _outline(self, plan: Plan) -> list[CompiledRegion]:
        written, regions = self.functions.with_calls(self.view, [candidate.region for candidate in plan])
        self.result = onnx.ModelProto()
        self.result.CopyFrom(written.model)
        compiled = []
        for candidate, region in zip(plan, regions, strict=True):
            found = candidate.region
            digest = fingerprint(self.view, found.nodes, found.live_outs, self.loaded.weights.tensors)
            outline_in(self.result, written, region, digest)
            compiled.append(CompiledRegion(candidate, digest))
        return compiled


def _check_options(granularity: str, min_saving: float | None, tolerance: float, pure_ops: Collection[str]) -> None:
    if granularity not in GRANULARITIES:
        raise InvalidOption(f"granularity '{granularity}' is unknown", hint=f"choose one of {', '.join(GRANULARITIES)}")
    if min_saving is not None and not (np.isfinite(min_saving) and min_saving >= 0):
        raise InvalidOption(f"min_saving {min_saving} means nothing", hint="give milliseconds, 0 or more")
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise InvalidOption(f"tolerance {tolerance} means nothing", hint="give a number, 0 or more")
    for name in pure_ops:
        if ":" not in name:
            raise InvalidOption(f"'{name}' does not name an operator", hint="write --pure-op domain:Op")


def _fixed_batch(view: GraphView) -> list[Refusal]:
    """Return why there are no rows, for a batch of constant size."""
    guess = next(iter(fixed_batches(view)), None)
    if guess is None or guess.size == 1:
        return []
    where = ", ".join(f"axis {axis} of '{name}'" for name, axis in guess.axes.items())
    reason = f"the batch is a constant {guess.size} ({where}): rows need a variable one, see --dynamic-batch"
    return [Refusal("fixed-batch", reason)]


def _batches(loaded: LoadedModel, dynamic_batch: bool, refusals: list[Refusal]) -> Iterator[DynamicBatch | None]:
    """Yield what to compile: the model with its batch made variable, if that is asked for; then the model as it is.

    What stands against a variable batch is added to `refusals`.
    """
    if dynamic_batch:
        made = make_dynamic(loaded.proto, loaded.read)
        if isinstance(made, DynamicBatch):
            del made.model.functions[:]  # those that nothing calls any more are kept, too
            made.model.functions.extend(loaded.functions.model.functions)
            yield made
        else:
            refusals.append(made)
    yield None


def _notes(loaded: LoadedModel, single_file: bool, dynamic: DynamicBatch | None) -> list[str]:
    notes = []
    if dynamic is not None:
        names = ", ".join(f"axis {axis} of '{name}'" for name, axis in dynamic.inputs.items())
        notes.append(f"the batch, a constant {dynamic.size}, was made variable: {names}")
    if loaded.recompiled:
        notes.append("the model had been compiled before; its old regions were taken out first")
    if single_file and loaded.weights.size:
        size = loaded.weights.size / 2**20
        notes.append(f"single file: onnxruntime keeps weights inside a branch twice, up to {size:.0f} MiB more memory")
    return notes


def _with_manifest(model: onnx.ModelProto, regions: Sequence[CompiledRegion], runtime_version: str) -> onnx.ModelProto:
    manifest = {
        "version": 1,
        "tool": f"actcache {__version__}",
        "onnxruntime": runtime_version,
        "regions": [region.to_json() for region in regions],
    }
    model.metadata_props.add(key=MANIFEST_KEY, value=json.dumps(manifest, sort_keys=True))
    return model
