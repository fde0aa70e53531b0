"""One model: compiled in this process with the cost threshold off, and held to the original.

Granularity ``auto`` (whatever it leads to), whole tensors, and other cuts (see :func:`plans`). Each compiled model runs
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

from actcache import runtime, verify
from actcache.errors import ActcacheError
from actcache.model_file import LoadedModel, load_model
from actcache.passes.choose import Choice, Plan, choose
from actcache.passes.cost import Costs, estimate_costs
from actcache.passes.fingerprint import fingerprint
from actcache.passes.graph import GraphView
from actcache.passes.outline import outline_in
from actcache.passes.refusal import Refusal
from actcache.passes.rows import prove_rows, row_hypotheses
from actcache.verify import Case, Feed
from tests.conformance.agreement import accepted_excess, excess, identical, with_moved_weights
from tests.conformance.calls import agree_on_rows, answers
from tests.conformance.claims import check_claims, too_strict
from tests.conformance.running import intermediate_values, runner, session
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
    original: verify.Run
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
        costs = measured_shapes(view, self.feeds[0], self.folder)
        self.claims(view)
        self.stage("compiling")
        chosen = choose(view, costs, min_saving=0, name="region")
        self.verdict(view, chosen)
        for plan in plans(view, costs, chosen):
            self.compiled(loaded, view, plan)

    def claims(self, view: GraphView) -> None:
        if self.subject.quick:
            return
        self.stage("original, by rows")
        for place, hypothesis in enumerate(row_hypotheses(view, view.inputs)):
            for feed in self.feeds:
                if not agree_on_rows(feed, hypothesis):
                    continue
                several = feed if verify.row_count(feed, hypothesis) > 2 else verify.more_rows(feed, hypothesis, 4)
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
        if self.outcome.verdict == "row":
            return
        refusal = _decisive(view, chosen.refusals)
        self.outcome.rule, self.outcome.reason = refusal.rule, str(refusal)

    @cached_property
    def moved(self) -> verify.Run:
        """Runs the original with its weights moved a little."""
        return runner(session(with_moved_weights(self.subject.model)))

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
            runtime.clear()
            for case, wanted in answered:
                problem = self.difference(run, case, wanted, rows)
                self.note(f"compiled by {how}, {case.name}: {problem}" if problem else None)

    def difference(self, run: verify.Run, case: Case, wanted: list[Any], rows: list[int | None]) -> str | None:
        """Make a call of the compiled model and return what is wrong with the answer.

        Args:
            run: Runs the compiled model.
            case: The call, and those before it.
            wanted: The original's answer.
            rows: Per output the axis of its rows, if they are known to be apart.
        """
        if case.prepare or case.repeat:
            runtime.clear()
        try:
            for feed in case.prepare:
                run(feed)
            got = run(case.feed)
            again = run(case.feed) if case.repeat else got
        except Exception as error:
            return f"fails: {_short(error)}"
        self.outcome.checks += 1
        limits: list[float] | None = None
        for position, (mine, original) in enumerate(zip(got, wanted, strict=True)):
            if position in self.varying:
                continue
            if not identical(again[position], mine):
                return f"output {position}: the warm answer is not the cold one bit for bit"
            size = excess(mine, original, rows[position])
            if size <= 1.0:
                continue
            limits = limits or accepted_excess(self.original, case.feed, self.moved)
            if size > limits[position]:
                return f"output {position} differs by {size:.3g} times the tolerance"
            self.outcome.unstable += 1
        return None

    def note(self, problem: str | None) -> None:
        if problem:
            self.outcome.problems.append(problem)


def plans(view: GraphView, costs: Costs, chosen: Choice) -> list[Plan]:
    """What is compiled: the choice, whole tensors, and other cuts of the same model (nodes take random times)."""
    found = [*chosen.plans, *choose(view, costs, granularity="tensor", min_saving=0, name="region").plans]
    random = np.random.default_rng(len(view.nodes))
    for granularity in ("row", "auto"):
        seconds = tuple(random.exponential(1e-6, len(view.nodes)))
        priced = Costs(seconds, sum(seconds), costs.shapes, measured=False)
        found += choose(view, priced, granularity=granularity, min_saving=1e-30, name="region").plans[:1]
    return list({frozenset((c.region.granularity, c.region.nodes) for c in plan): plan for plan in found}.values())


def batches(view: GraphView, plan: Plan) -> list[dict[str, int] | None]:
    """The axes of rows that calls are made by: those of each row region, and with the rest of its batch.

    Axes that the model gives one name go together: a call in which they differ is no call of this model.
    """
    found: list[dict[str, int] | None] = []
    for own in (dict(c.row_axes) for c in plan if c.region.granularity == "row"):
        whole = [h for h in row_hypotheses(view, view.inputs) if own.items() <= h.items()]
        # A region that begins behind other nodes has no axes of inputs: they are whatever leads to its rows.
        for axes in ([_with_namesakes(view, own)] if own else []) + whole:
            if axes not in found:
                found.append(axes)
    return found or [None]


def _with_namesakes(view: GraphView, axes: dict[str, int]) -> dict[str, int]:
    sizes = {name: view.shape(name) or () for name in view.inputs}
    symbols = {sizes[name][axis] for name, axis in axes.items() if isinstance(sizes[name][axis], str)}
    others = {n: axis for n, shape in sizes.items() for axis in range(len(shape)) if shape[axis] in symbols}
    return {**others, **axes}


def outlined(loaded: LoadedModel, view: GraphView, plan: Plan) -> onnx.ModelProto:
    """Return the model with the regions of a plan behind their lookups."""
    result = onnx.ModelProto()
    result.CopyFrom(loaded.proto)
    for candidate in plan:
        region = candidate.region
        outline_in(result, view, region, fingerprint(view, region.nodes, region.live_outs, loaded.weights.tensors))
    return result


def measured_shapes(view: GraphView, feed: Feed, folder: Path) -> Costs:
    """Shapes from one real run with every value as an output; the time of a node is taken to be its elements."""
    names = [n for names in view.writes for n in names if view.is_tensor(n) is not False]
    try:
        values: dict[str, Any] = intermediate_values(view, names, feed, folder)
    except Exception:
        return estimate_costs(view)
    shapes = {n: v.shape for n, v in {**feed, **values}.items() if isinstance(v, np.ndarray)}
    seconds = [1e-9 * sum(1 + int(np.prod(shapes.get(n, ()))) for n in names) for names in view.writes]
    return Costs(tuple(seconds), sum(seconds), shapes, measured=False)


def printed(model: onnx.ModelProto) -> str:
    """The model as text, for the report."""
    try:
        text: str = onnx.printer.to_text(model)
    except Exception:
        text = str(model)
    return text[:20_000]


def _runs(run: verify.Run, feed: Feed) -> bool:
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


def _decisive(view: GraphView, refusals: list[Refusal]) -> Refusal:
    """The refusal that a reader wants: what stopped the outputs, else the first one."""
    proofs = [prove_rows(view, hypothesis) for hypothesis in row_hypotheses(view, view.inputs)[:1]]
    found = [r for proof in proofs for name in view.outputs if (r := proof.refusal(name))]
    impure = [r for r in refusals if r.rule.startswith(("impure", "non-tensor"))]
    return next(iter([*impure, *found, *refusals]), Refusal("nothing-to-cache", "no node depends on an input"))


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:397] + "..."
