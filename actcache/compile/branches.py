"""Compiling the branches of an ``If`` that holds a model's work, each as a model of its own: merged decoders.

Each branch is measured, analysed, outlined and verified by itself. Then all are put back, and the whole model is
verified again, with calls that take each of them. Only regions of prefixes are worth that: regions of rows and of whole
calls are found in the whole model, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import onnx

from actcache.base.per_call import PerCall
from actcache.compile.accepting import Accepted, first_accepted, paying
from actcache.compile.branch_calls import BranchCalls, read_calls
from actcache.compile.building import Built, divisions, on_disk
from actcache.compile.choosing import Chosen, choose_regions, model_name
from actcache.compile.job import Job, Subject, prepare
from actcache.compile.measuring import Measured, measure
from actcache.compile.own_sizes import telling_sizes_apart
from actcache.errors import ActcacheError, NothingToCache
from actcache.model.feed_file import save_sample
from actcache.model.model_inputs import Feed
from actcache.passes.causal.hypotheses import position_hypotheses
from actcache.passes.choice.candidate import Candidate
from actcache.passes.graph.nodes import node_label
from actcache.passes.graph.pasts import past_axes
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.branch_models import Branch, branch_model, branches_of, move_constants, put_back
from actcache.passes.rewrite.per_call import add_per_call
from actcache.passes.rewrite.shown_constants import show_constants
from actcache.runs.requests import Verify
from actcache.verification.verify import Verification

#: Share of the time of one call that an If has to hold.
_MOST = 0.5


@dataclass(frozen=True)
class Part:
    """A part of a model that was compiled by itself.

    Attributes:
        label: What messages call it; empty: it is the whole model.
        subject: The part as a model.
        chosen: What was chosen in it, and what that rests on.
        accepted: What became of it.
    """

    label: str
    subject: Subject
    chosen: Chosen
    accepted: Accepted


@dataclass(frozen=True)
class _Compiled:
    """A branch that has regions, with calls of the whole model that take it."""

    branch: Branch
    part: Part
    calls: Sequence[Feed]


@dataclass(frozen=True)
class Branches:
    """What came of the branches: a model, or only reasons why there is none.

    Attributes:
        accepted: The whole model; None: nothing was compiled.
        parts: Its branches that have regions.
        refusals: What stands against others, and against more.
    """

    accepted: Accepted | None = None
    parts: Sequence[Part] = ()
    refusals: Sequence[Refusal] = ()


def compile_branches(job: Job, subject: Subject, measured: Measured) -> Branches:
    """Compile the branches of the Ifs that hold most of a model's time, if they have sequences.

    Args:
        job: The compilation.
        subject: The whole model.
        measured: Its costs.
    """
    asked = job.options
    if asked.granularity not in ("auto", "prefix") or asked.regions:
        return Branches()
    wanted = list(_large(subject.view, measured))
    if not wanted:
        return Branches()
    model = onnx.ModelProto()
    model.CopyFrom(subject.view.model)
    move_constants(model, wanted)
    view = subject.view.of(model)
    calls = BranchCalls(job, view, read_calls(job, measured.samples))
    refusals: list[Refusal] = []
    compiled = [
        found
        for branch in wanted
        if (found := _compiled(job, view, branch, _name(branch, wanted), calls, refusals)) is not None
    ]
    alone = [[one] for one in compiled]
    for together in [compiled, *alone] if len(alone) > 1 else alone:
        sound = _together(job, subject, view, together, refusals)
        if sound is not None:
            attempt = paying(job, subject, sound)
            return Branches(attempt.accepted, [found.part for found in together], [*refusals, *attempt.refusals])
    return Branches(refusals=refusals)


def _large(view: GraphView, measured: Measured) -> Iterator[Branch]:
    costs = measured.costs
    for node, seconds in zip(view.model.graph.node, costs.seconds, strict=True):
        if seconds >= _MOST * costs.total:
            yield from branches_of(node)


def _name(branch: Branch, wanted: Sequence[Branch]) -> str:
    """Name a branch: ``then`` or ``else``; with a number, should there be several Ifs."""
    outputs = list(dict.fromkeys(other.output for other in wanted))
    number = outputs.index(branch.output) + 1
    return branch.short + (str(number) if len(outputs) > 1 else "")


# -- one branch --------------------------------------------------------------------------------------


def _compiled(
    job: Job, view: GraphView, branch: Branch, name: str, calls: BranchCalls, refusals: list[Refusal]
) -> _Compiled | None:
    """Compile a branch by itself. What stands against it is added to `refusals`."""
    node = branch.node(view.model)
    label = f"the {branch.short} branch of {node_label(node)}"
    model = branch_model(view, branch)
    if isinstance(model, Refusal):
        refusals.append(_said_of(label, model))
        return None
    inside = view.of(model)
    if not position_hypotheses(inside, past_axes(model)):
        refusals.append(Refusal("prefix-no-sequence", "no input that it reads is a sequence of variable length", label))
        return None
    given = calls.of_branch(branch, inside.inputs) if job.options.samples or job.trace else []
    asked = replace(job.options, samples=given, per_call=PerCall(), outputs=(), reads=())
    own = replace(job, loaded=job.loaded.part_of(name, model), options=asked, trace=None)
    try:
        subject = prepare(own, None)
        subject, measured = telling_sizes_apart(own, subject, measure(own, subject))
        chosen = choose_regions(own, subject, measured)
        chosen.choice.plans = [plan for plan in chosen.choice.plans if any(map(_is_of_prefixes, plan))]
        accepted = first_accepted(own, subject, chosen)
    except NothingToCache as error:
        refusals += [_said_of(label, refusal) for refusal in error.refusals]
        return None
    except ActcacheError as error:
        refusals.append(Refusal("branch", f"it cannot be compiled by itself: {error}", label))
        return None
    refusals += [_said_of(label, refusal) for refusal in chosen.choice.refusals]
    if not any(_is_of_prefixes(region.candidate) for region in accepted.built.regions):
        refusals.append(Refusal("no-prefix", "nothing in it can be cached by prefixes", label))
        return None
    whole = calls.whole(branch, read_calls(own, chosen.measured.samples))
    if job.options.verify and not whole:
        reason = "no call is known that takes it; give one with --sample"
        refusals.append(Refusal("branch-not-reached", reason, label))
        return None
    taken = f"{label}, taken if '{node.input[0]}' is {str(branch.taken_if).lower()}"
    return _Compiled(branch, Part(taken, subject, chosen, accepted), whole)


def _is_of_prefixes(candidate: Candidate) -> bool:
    return candidate.region.granularity == "prefix"


def _said_of(label: str, refusal: Refusal) -> Refusal:
    return replace(refusal, node=f"{refusal.node}, in {label}" if refusal.node else label)


# -- the whole model ---------------------------------------------------------------------------------


def _together(
    job: Job, subject: Subject, view: GraphView, compiled: Sequence[_Compiled], refusals: list[Refusal]
) -> Accepted | None:
    """Put branches back and verify the whole model; None: it is wrong, as is added to `refusals`."""
    built = _built(job, view, compiled)
    report = _verified(job, subject, built, compiled) if job.options.verify else None
    if report is not None and report.failure is not None:
        refusals.append(Refusal("verification", f"with its branches put back: {report.failure}", built.names))
        return None
    return Accepted(built, report)


def _built(job: Job, view: GraphView, compiled: Sequence[_Compiled]) -> Built:
    model = onnx.ModelProto()
    model.CopyFrom(view.model)
    for found in compiled:
        put_back(model, found.branch, found.part.accepted.built.model)
    ifs = list({found.branch.output: found.branch for found in compiled}.values())
    for number, branch in enumerate(ifs, 1):
        show_constants(model, branch, f"@{model_name(job)}.if{number}")
    regions = [region for found in compiled for region in found.part.accepted.built.regions]
    add_per_call(model, job.options.per_call, [region.candidate.region.id for region in regions])
    return Built(model, regions)


def _verified(job: Job, subject: Subject, built: Built, compiled: Sequence[_Compiled]) -> Verification:
    job.step("verifying the whole model")
    directory = job.loaded.directory
    calls = [call for found in compiled for call in found.calls[:1]]
    plans = [tuple(c.candidate for c in found.part.accepted.built.regions) for found in compiled]
    divided = [d for found, plan in zip(compiled, plans, strict=True) for d in divisions(found.part.subject, plan)]
    request = Verify(
        originals=subject.originals,
        compiled=on_disk(job, built),
        samples=[save_sample(directory / f"whole{i}.npz", call) for i, call in enumerate(calls)],
        divisions=[division for i, division in enumerate(divided) if division not in divided[:i]],
        cones=[candidate.cone for plan in plans for candidate in plan],
        tolerance=job.options.tolerance,
        exact=job.options.bits,
    )
    report = job.ask(request)
    own = [found.part.accepted.report for found in compiled]
    report.region_bits = {name: bits for one in own if one is not None for name, bits in one.region_bits.items()}
    return report
