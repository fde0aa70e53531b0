"""One model: compiled in this process with the cost threshold off, and held to the original.

Granularity ``auto`` (whatever it leads to), whole calls, and other cuts (see ``cuts``). Each compiled model runs
cold, warm (bit for bit the cold answer), after calls that share some of the inputs, and for rows permuted, partly warm,
with equal rows, as subsets and one by one; the answers are those of the original in plain onnxruntime. Compiling again
must start from the same nodes, and onnx's checker must accept what it accepted before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from actcache.errors import ActcacheError
from actcache.model.model_file import LoadedModel, load_model
from actcache.passes.choice.candidate import can_be_kept
from actcache.passes.choice.choose import Choice, Plan, choose
from actcache.passes.costs.cost import estimate_costs
from actcache.passes.cuts.case import Case
from actcache.passes.cuts.feeds import Array, Feed, more_rows, row_count
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rows import prove_rows, row_hypotheses
from actcache.serve import runtime
from actcache.verification import verify
from actcache.verification.cases import Run
from tests.conformance.agreement import accepted_excess, excess_of_rows, identical, with_moved_numbers
from tests.conformance.calls import agree_on_rows, answers
from tests.conformance.claims import check_claims, too_strict
from tests.conformance.cuts import batches, outlined, plans
from tests.conformance.running import runner, session
from tests.conformance.sizes import elements, measured_shapes
from tests.conformance.structure import structure_problems
from tests.conformance.subject import Outcome, Subject

#: Called with what is about to run, so that a crash of the process can be told: of the original or of our work.
Stage = Callable[[str], None]


def check(subject: Subject, folder: Path, stage: Stage = lambda _: None) -> Outcome:
    """Compile a model in every way and compare. Writes into `folder`; never raises."""
    outcome = Outcome(subject.name, "not run")
    stage("original")
    try:
        run = runner(session(subject.model))
        feeds = [feed for feed in subject.feeds if _runs(run, feed)]
        if not feeds:
            run(subject.feeds[0])
        varying = verify.varying_outputs(run, feeds[0])
    except Exception as error:
        outcome.rule, outcome.reason = _why_not_run(error), _short(error)
        return outcome
    try:
        _Check(subject, feeds, folder, outcome, stage, run, varying).run()
    except Exception as error:
        outcome.problems.append(f"the compiler fails: {type(error).__name__}: {_short(error)}")
    if outcome.problems:
        outcome.verdict = "wrong"
        outcome.text = printed(subject.model)
    return outcome


@dataclass
class _Check:
    subject: Subject
    feeds: list[Feed]
    folder: Path
    outcome: Outcome
    stage: Stage
    original: Run
    varying: frozenset[int]

    def run(self) -> None:
        source = self.folder / "source.onnx"
        source.write_bytes(self.subject.model.SerializeToString())
        self.stage("compiling")
        try:
            loaded = load_model(source, self.folder)
        except ActcacheError as error:
            self.outcome.verdict, self.outcome.rule, self.outcome.reason = "refused", type(error).__name__, str(error)
            return
        view = GraphView(loaded.proto)
        self.stage("original")
        shapes = measured_shapes(view, self.feeds, self.folder)
        self.claims(view)
        costs = elements(view, shapes[0]) if shapes else estimate_costs(view)
        self.stage("compiling")
        chosen = choose(view, costs, min_saving=0, name="region")
        self.verdict(view, chosen)
        for plan in plans(view, costs, chosen):
            self.compiled(loaded, view, plan)

    def claims(self, view: GraphView) -> None:
        self.stage("original, by rows")
        for place, hypothesis in enumerate(row_hypotheses(view, view.inputs)):
            for feed in self.feeds:
                if not agree_on_rows(feed, hypothesis):
                    continue
                several = feed if row_count(feed, hypothesis) > 2 else more_rows(feed, hypothesis, 4)
                problems, checks, unstable = check_claims(view, hypothesis, several, self.folder)
                self.outcome.problems += problems[:3]
                self.outcome.checks += checks
                self.outcome.unstable += unstable
                if place == 0 and feed is self.feeds[0]:
                    self.outcome.candidates += too_strict(view, hypothesis, several, self.folder)

    def verdict(self, view: GraphView, chosen: Choice) -> None:
        """Say what granularity ``auto`` leads to, and what stopped rows."""
        regions = [c.region for plan in chosen.plans[:1] for c in plan]
        granularities = {region.granularity for region in regions}
        inside = {i for region in regions if region.granularity == "row" for i in region.nodes}
        self.outcome.operators = sorted({view.model.graph.node[i].op_type for i in inside})
        self.outcome.verdict = "mixed" if len(granularities) == 2 else next(iter(granularities), "refused")
        refusal = None if self.outcome.verdict == "row" else _decisive(view, chosen.refusals, some_rows=bool(inside))
        if refusal is not None:
            self.outcome.rule, self.outcome.reason = refusal.rule, str(refusal)

    @cached_property
    def moved(self) -> Run:
        """Runs the original with its weights and sums moved a little."""
        return runner(session(with_moved_numbers(self.subject.model)))

    @cached_property
    def unoptimised(self) -> Run:
        """Runs the original as it is written: onnxruntime's optimiser takes out nodes that refuse a call."""
        return runner(session(self.subject.model, optimise=False))

    # -- one compiled model ----------------------------------------------------------------------------

    def compiled(self, loaded: LoadedModel, view: GraphView, plan: Plan) -> None:
        how = " and ".join(f"{c.region.granularity} {c.region.id}" for c in plan)
        self.stage(f"compiling by {how}")
        path = self.folder / "compiled.onnx"
        path.write_bytes(outlined(loaded, view, plan).SerializeToString())
        self.outcome.problems += structure_problems(loaded.base, path)
        self.stage("original, by rows")
        calls = [
            (axes, list(answers(self.original, self.feeds, axes, [c.cone for c in plan])))
            for axes in batches(view, plan)
        ]
        self.stage(f"running what was compiled by {how}")
        try:
            run = runner(session(path, actcache=True))
        except Exception as error:
            self.note(f"onnxruntime refuses the model compiled by {how}: {_short(error)}")
            return
        for axes, answered in calls:
            proof = prove_rows(view, axes or {})
            rows = [proof.row_axis(name) for name in view.outputs]
            runtime.invalidate()
            for case, wanted in answered:
                problem = self.difference(run, case, wanted, rows)
                self.note(f"compiled by {how}, {case.name}: {problem}" if problem else None)

    def difference(self, run: Run, case: Case, wanted: list[Any], rows: list[int | None]) -> str | None:
        """Make a call of the compiled model and return what is wrong with the answer.

        Args:
            run: Runs the compiled model.
            case: The call, and those before it.
            wanted: The original's answer.
            rows: Per output the axis of its rows, if they are known to be apart.
        """
        if case.prepare or case.repeat:
            runtime.invalidate()
        try:
            for feed in case.prepare:
                run(feed)
            got = run(case.feed)
            again = run(case.feed) if case.repeat else got
        except Exception as error:
            called = all(_runs(self.unoptimised, feed) for feed in (*case.prepare, case.feed))
            return f"fails: {_short(error)}" if called else None
        self.outcome.checks += 1
        limits: list[Array] | None = None
        for position, (mine, original) in enumerate(zip(got, wanted, strict=True)):
            if position in self.varying:
                continue
            if not identical(again[position], mine):
                return f"output {position}: the warm answer is not the cold one bit for bit"
            sizes = excess_of_rows(mine, original, rows[position])
            if (sizes <= 1.0).all():
                continue
            limits = limits or accepted_excess(self.original, case.feed, self.moved, rows)
            if (sizes > np.maximum(1.0, limits[position])).any():
                return f"output {position} differs by {sizes.max():.3g} times the tolerance"
            self.outcome.unstable += 1
        return None

    def note(self, problem: str | None) -> None:
        if problem:
            self.outcome.problems.append(problem)


def printed(model: onnx.ModelProto) -> str:
    """The model as text, for the report."""
    try:
        text: str = onnx.printer.to_text(model)
    except Exception:
        text = str(model)
    return text[:20_000]


def _runs(run: Run, feed: Feed) -> bool:
    try:
        run(feed)
    except Exception:
        return False
    return True


def _why_not_run(error: Exception) -> str:
    signs = {
        "NOT_IMPLEMENTED": "onnxruntime has no kernel",
        "is not a registered function/op": "onnxruntime does not know the operator",
        "MLDataType": "a type that cannot be fed from Python",
        "No corresponding Numpy type": "a type that cannot be read from Python",
        "during initialization": "onnxruntime refuses the model",
        "ShapeInferenceError": "onnxruntime refuses the model",
        "Non-zero status code": "onnxruntime fails on the test's own inputs",
    }
    return next((rule for sign, rule in signs.items() if sign in str(error)), type(error).__name__)


def _decisive(view: GraphView, refusals: list[Refusal], *, some_rows: bool) -> Refusal | None:
    """The refusal that a reader wants: what stopped the outputs, else (where no rows are cached) the first one."""
    proofs = [prove_rows(view, hypothesis) for hypothesis in row_hypotheses(view, view.inputs)[:1]]
    found = [r for proof in proofs for name in view.outputs if (r := proof.refusal(name))]
    impure = [r for r in refusals if r.rule.startswith(("impure", "non-tensor"))]
    kept = [name for name in view.outputs if can_be_kept(view, name)]
    strings = [] if kept else [Refusal("output-type", "its outputs are of types that are not kept (strings, 4 bits)")]
    nothing = Refusal("no-rows", "no output has rows: they depend on the number of rows alone, or on no input")
    others = [] if some_rows else [*refusals, nothing]
    return next(iter([*impure, *strings, *found, *others]), None)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:397] + "..."
