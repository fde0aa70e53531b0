"""One compilation, step by step: measure → analyse and choose → outline → verify → measure on a trace."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto
from onnx.helper import tensor_dtype_to_np_dtype

from actcache.base.per_call import PerCall
from actcache.base.region_spec import RegionSpec
from actcache.base.tolerance import accepted_by_spread, type_tolerance
from actcache.compile.cost_profile import CostProfile, file_digest, measurement_key, model_digest
from actcache.compile.result import CompiledRegion
from actcache.errors import ActcacheError, InvalidModel, NothingToCache
from actcache.model.model_file import LoadedModel
from actcache.model.samples import check_sample, load_sample, model_inputs, save_sample
from actcache.model.trace import Trace, TraceReport, typical_calls
from actcache.passes.choice.bits import BitRules, known_barriers, measured_rules, never_alone
from actcache.passes.choice.choose import Choice, Plan, choose, likely_batches, wanted_places
from actcache.passes.choice.choose_traced import predicted
from actcache.passes.choice.named_region import choose_named
from actcache.passes.choice.prediction import Predictor
from actcache.passes.choice.trace_keys import Place, places
from actcache.passes.costs.cost import Costs, estimate_costs, typical_costs
from actcache.passes.costs.time_model import FewRows, TimeModel
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import fingerprint
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.dynamic_batch import DynamicBatch
from actcache.passes.rewrite.local_functions import LocalFunctions
from actcache.passes.rewrite.outline import outline_in
from actcache.passes.rewrite.per_call import add_per_call
from actcache.passes.rewrite.store_tolerance import state_tolerances
from actcache.passes.rows import row_hypotheses, with_namesakes
from actcache.runs import client as model_runs
from actcache.serve.byte_size import DEFAULT_BUDGET
from actcache.verification.verify import VerifyReport

Sample = str | os.PathLike[str] | Mapping[str, npt.ArrayLike]
Progress = Callable[[str], None]


class Compilation:
    """State of one compilation between its steps; they are called in the order in which they stand here.

    Args:
        loaded: The model.
        libraries: Custom-op libraries that it needs.
        tolerance: Largest accepted difference to the original; None: by type and spread.
        verify: Whether to run the compiled model against it.
        step: Told what is being done.
        dynamic: The model with its batch made variable, if that is what is compiled.
        per_call: Inputs and outputs that the compiled model has besides.
        profile: Measurements of earlier compilations.
        exact: Accept no difference to the original, not in one bit.

    Attributes:
        view: What the analyses see.
        costs: What its nodes cost.
        result: The compiled model, once a plan is accepted.
        played: What a trace predicted and measured of it.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        libraries: tuple[str, ...],
        tolerance: float | None,
        verify: bool,
        step: Progress,
        dynamic: DynamicBatch | None = None,
        per_call: PerCall | None = None,
        profile: CostProfile | None = None,
        *,
        exact: bool = False,
    ) -> None:
        self.exact = exact
        self.per_call = per_call or PerCall()
        self.profile = profile or CostProfile(None)
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
        self._digest = model_digest(Path(self.originals.base), loaded.weights.digest)
        self._costs_key, self._fresh = "", False  # where costs are kept; whether they were measured just now
        self._choose_within: Callable[[BitRules | None], Choice] | None = None  # none: the user named the regions

    def measure(self, samples: Sequence[Sample], trace: Trace | None) -> None:
        """Take or make samples and measure costs on the first; estimate them where nothing may be run."""
        self._ask_for_types()
        inputs = model_inputs(self.loaded.proto)
        self.trace = trace
        given = []
        for index, sample in enumerate(samples or (typical_calls(trace, inputs) if trace else ())):
            if isinstance(sample, (str, os.PathLike)):
                feed = load_sample(sample, inputs)
            else:
                feed = check_sample(sample, inputs, f"samples[{index}]")
            given.append(save_sample(self.loaded.directory / f"given{index}.npz", feed))
        self._costs_key = self._key("costs", samples=[file_digest(path) for path in given])
        known = self.profile.find(self._costs_key)
        self.step("running the model on samples" if known else "measuring what each node costs")
        try:
            self.samples, self.costs, self.runtime_version = model_runs.measure(
                self.originals, given, self.loaded.directory, Costs.from_json(known) if known else None
            )
            self._fresh = known is None
        except ActcacheError as error:
            if self.verify or given or isinstance(error, InvalidModel):
                raise
            self.costs, self._fresh = estimate_costs(self.view), False

    def _ask_for_types(self) -> None:
        """Learn from onnxruntime what onnx cannot infer; this needs no sample."""
        if self.view.untyped:
            self.step("asking onnxruntime for types")
            told = model_runs.types(self.originals, self.view.untyped, self.loaded.directory)
            self.view = GraphView(self.view.model, told)

    def choose(
        self,
        granularity: str,
        regions: Sequence[RegionSpec] | None,
        min_saving: float | None,
        pure_ops: Collection[str],
        budget: int,
    ) -> Choice:
        """Find the regions to cache: those the user names, or by what repeats in the trace, or by what a hit saves.

        Arguments as :func:`actcache.compile.driver.compile_model`.
        """
        if regions:
            self.step("looking at the regions given")
            choice = choose_named(self.view, self.costs, regions, granularity, pure_ops)
            self._keep_costs()
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

        def by_costs(bits: BitRules | None) -> Choice:
            return choose(
                self.view,
                self.costs,
                granularity=granularity,
                min_saving=None if min_saving is None else min_saving * 1e-3,
                pure_ops=pure_ops,
                name=re.sub(r"[^\w.-]", "_", self.loaded.source.name.removesuffix(".onnx").removesuffix(".cached")),
                predictor=self.predictor,
                bits=bits,
            )

        self._choose_within = by_costs
        bits = known_barriers(self.view) if self.exact else None
        choice = by_costs(bits)
        if choice.close and self._fresh and self.predictor is None:
            self._measure_again()
            choice = by_costs(bits)
        if bits:
            choice.refusals += bits.barriers.values()
        self._keep_costs()
        return choice

    def _measure_again(self) -> None:
        """Measure twice more, because one measurement decides by too little, and take the medians."""
        self.step("measuring again, because the choice is close")
        again = [model_runs.measure(self.originals, self.samples, self.loaded.directory)[1] for _ in range(2)]
        self.costs = typical_costs([self.costs, *again])

    def _keep_costs(self) -> None:
        if self._fresh:
            self.profile.add(self._costs_key, self.costs.to_json())

    def _key(self, task: str, **asked: Any) -> str:
        return measurement_key(task, self._digest, **asked)

    def _record(self, wanted: Collection[Place], batches: Sequence[Mapping[str, int]], budget: int) -> None:
        """Take from the trace what predictions need."""
        if self.trace is None:
            return
        calls = self.trace.chosen_by
        self.step(f"looking for what repeats in {len(calls)} recorded calls")
        recording, fewer = model_runs.record(
            self.originals, calls, self.samples[0], wanted, batches, self.loaded.directory
        )
        key = self._key("trace", calls=[file_digest(path) for path in calls], batches=[dict(axes) for axes in batches])
        known = self.profile.find(key)
        if known:
            recording = replace(recording, seconds=np.array(known["seconds"]))
            fewer = [FewRows.from_json(cut) for cut in known["fewer"]]
        else:
            measured = {"seconds": recording.seconds.tolist(), "fewer": [cut.to_json() for cut in fewer]}
            self.profile.add(key, measured)
        self.budget = budget
        self.predictor = Predictor(TimeModel(self.costs, fewer), recording, budget)

    def first_accepted(self, choice: Choice) -> tuple[list[CompiledRegion], VerifyReport | None]:
        """Compile plans, best first, until one passes verification.

        Raises:
            NothingToCache: None does, or there is none.
        """
        for plan, in_part in self._plans(choice):
            if self.dynamic and all(candidate.region.granularity != "row" for candidate in plan):
                continue  # without rows, the model as it is does as well
            compiled, report = self._accepted(plan, choice.refusals, in_part=in_part)
            if compiled and self._pays(compiled, report, choice.refusals):
                if report is not None:
                    report.region_bits = self._region_bits(compiled, report)
                state_tolerances(self.result, self._region_tolerances(compiled, report))
                return compiled, report
        hint = "--explain lists every reason" + ("; --min-saving 0 caches whatever is safe" if self.must_pay else "")
        raise NothingToCache(choice.refusals, file=self.loaded.source, hint=hint)

    def _plans(self, choice: Choice) -> Iterator[tuple[Plan, bool]]:
        """Yield the plans, each with whether it may be taken in part. Where bits count, other places for the same
        regions come before parts of the best plan, and before whole calls.
        """
        if not (self.exact and self.verify and self._choose_within and choice.plans):
            yield from ((plan, True) for plan in choice.plans)
            return
        best = choice.plans[0]
        yield best, False
        yield from ((plan, False) for plan in self._placed_for_bits(best, choice) if plan not in choice.plans)
        yield from ((plan, True) for plan in choice.plans if len(plan) > 1 or plan is not best)

    def _placed_for_bits(self, best: Plan, choice: Choice) -> Sequence[Plan]:
        """Choose again, by what onnxruntime makes of the model: which operators and which edges change bits."""
        self.step("looking for operators whose results depend on the batch")
        batches = self._batches(best)
        dependent, kept = model_runs.batch_bits(self.originals, self.samples[0], batches, self.loaded.directory)
        rules = measured_rules(self.view, known_barriers(self.view), dependent, kept)
        assert self._choose_within is not None
        again = self._choose_within(rules)
        choice.refusals += [r for r in rules.barriers.values() if r not in choice.refusals]
        return again.plans

    def _region_bits(self, compiled: Sequence[CompiledRegion], report: VerifyReport) -> dict[str, bool]:
        """Return per region whether the model with it alone is the original bit for bit."""
        plan = [c.candidate for c in compiled]
        if report.bit_exact or len(plan) == 1:
            return {c.region.id: report.bit_exact for c in plan}
        accepted, found = self.result, {}
        for candidate in plan:
            alone = self._verified((candidate,))[1]
            found[candidate.region.id] = alone.bit_exact and alone.failure is None
        self.result = accepted
        return found

    def _region_tolerances(self, compiled: Sequence[CompiledRegion], report: VerifyReport | None) -> dict[str, float]:
        """Return per region the accepted difference of its live-outs."""
        stated = accepted_by_spread(report.outputs if report else (), self.tolerance)
        found = {}
        for region in (c.candidate.region for c in compiled):
            types = [tensor_dtype_to_np_dtype(self.view.dtype(name) or TensorProto.FLOAT) for name in region.live_outs]
            found[region.id] = max(map(type_tolerance, types)) if self.tolerance is None else self.tolerance
            found[region.id] = max(found[region.id], stated or 0.0)
        return found

    def _pays(self, compiled: Sequence[CompiledRegion], report: VerifyReport | None, refusals: list[Refusal]) -> bool:
        """Measure the compiled model on the other half of the trace; False if it is wrong there, or saves nothing."""
        if self.trace is None or self.predictor is None:
            return True
        calls = self.trace.measured_on
        self.step(f"measuring the result on {len(calls)} recorded calls")
        accepted = self.tolerance if report is None else accepted_by_spread(report.outputs, self.tolerance)
        answer = model_runs.replay(self.originals, self._written(), calls, accepted, self.budget)
        names = ", ".join(c.candidate.region.id for c in compiled)
        if answer["failure"] is not None:
            refusals.append(Refusal("verification", answer["failure"], names))
            return False
        cached = [[c.fingerprint, c.candidate.region.granularity] for c in compiled]
        key = self._key("replay", calls=[file_digest(path) for path in calls], regions=cached, budget=self.budget)
        known_answer = self.profile.find(key)
        if known_answer is None:
            self.profile.add(key, answer)
        answer = known_answer or answer
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

    def _verified(self, plan: Plan) -> tuple[list[CompiledRegion], VerifyReport]:
        """Compile and verify a plan; where bits count, also so that no row of a larger call is computed alone."""
        compiled = self._outline(plan)
        self.step("verifying " + ", ".join(f"'{c.region.id}' by {c.region.granularity}" for c in plan))
        cones, batches = [c.cone for c in plan], self._batches(plan)
        report = model_runs.check(
            self.originals, self._written(), self.samples, batches, cones, self.tolerance, exact=self.exact
        )
        if self.exact and report.different and (apart := never_alone(plan)) != plan:
            return self._verified(apart)
        return compiled, report

    def _accepted(
        self, plan: Plan, refusals: list[Refusal], *, in_part: bool = True
    ) -> tuple[list[CompiledRegion], VerifyReport | None]:
        """Compile and verify a plan. If it fails, find the regions that fail alone and do without them, if it may be
        taken in part.
        """
        if not self.verify:
            return self._outline(plan), None
        compiled, report = self._verified(plan)
        if report.failure is None:
            return compiled, report
        if not in_part and len(plan) > 1:
            return [], None
        if len(plan) == 1:
            refusals.append(Refusal("verification", report.failure, plan[0].region.id))
            return [], None
        sound = tuple(c for c in plan if self._accepted((c,), refusals)[0])
        if not sound:
            return [], None
        if len(sound) == len(plan):
            refusals.append(Refusal("verification", f"together, its regions fail: {report.failure}"))
            # By rows first: a call that repeats is found by its rows, too.
            sound = (max(sound, key=lambda c: (c.region.granularity == "row", c.saving)),)
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

    def _written(self) -> model_runs.Compiled:
        """Write the compiled model into the working folder."""
        path = self.loaded.directory / "compiled.onnx"
        path.write_bytes(self.result.SerializeToString())
        return model_runs.Compiled(path, self.per_call)

    def _outline(self, plan: Plan) -> list[CompiledRegion]:
        written, regions = self.functions.with_calls(self.view, [candidate.region for candidate in plan])
        self.result = onnx.ModelProto()
        self.result.CopyFrom(written.model)
        compiled = []
        for candidate, region in zip(plan, regions, strict=True):
            found = candidate.region
            digest = fingerprint(self.view, found.nodes, found.live_outs, self.loaded.weights.tensors)
            outline_in(self.result, written, region, digest)
            seconds = sum(self.costs.seconds[index] for index in found.nodes)
            compiled.append(CompiledRegion(candidate, digest, seconds))
        add_per_call(self.result, self.per_call, [region.id for region in regions])
        return compiled
