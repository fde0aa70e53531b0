"""Building: a plan becomes a compiled model, and is verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx

from actcache.compile.choosing import Chosen
from actcache.compile.job import Job, Subject
from actcache.compile.result import CompiledRegion
from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.choose import Plan
from actcache.passes.cuts import AnyDivision, PrefixDivision, RowDivision
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import fingerprint
from actcache.passes.region import inner_axes
from actcache.passes.rewrite.key_constants import constants_behind
from actcache.passes.rewrite.outline import outline_in
from actcache.passes.rewrite.per_call import add_per_call
from actcache.passes.rows import prove_rows, row_hypotheses, with_namesakes
from actcache.runs.requests import Compiled, Verify
from actcache.verification.verify import Verification


@dataclass(frozen=True)
class Built:
    """A compiled model.

    Attributes:
        model: The model.
        regions: Its regions, in the order of the plan.
    """

    model: onnx.ModelProto
    regions: Sequence[CompiledRegion]

    @property
    def names(self) -> str:
        """The names of the regions, for messages."""
        return ", ".join(built.candidate.region.id for built in self.regions)


def build(job: Job, subject: Subject, chosen: Chosen, plan: Plan) -> Built:
    """Outline the regions of a plan and put the operators around them."""
    plan = tuple(_with_inner_axes(subject.view, candidate) for candidate in plan)
    found_regions = [candidate.region for candidate in plan]
    if any(region.granularity == "prefix" for region in found_regions):  # its branch has nodes, not calls
        written, regions = subject.view, found_regions
    else:
        written, regions = subject.functions.with_calls(subject.view, found_regions)
    model = onnx.ModelProto()
    model.CopyFrom(written.model)
    compiled = []
    shown = {name for region in regions for name in constants_behind(written, region)}
    for candidate, region in zip(plan, regions, strict=True):
        found = candidate.region
        digest = fingerprint(subject.view, found.keyed, list(map(found.like, found.kept)), job.loaded.weights.tensors)
        outline_in(model, written, region, digest, job.loaded.weights.path, job.loaded.read, shown)
        seconds = sum(chosen.measured.costs.seconds[index] for index in found.nodes)
        compiled.append(CompiledRegion(candidate, digest, seconds))
    add_per_call(model, job.options.per_call, [region.id for region in regions])
    return Built(model, compiled)


def _with_inner_axes(view: GraphView, candidate: Candidate) -> Candidate:
    """Say where the tensors of a region by rows have their rows, so that what is known of their sizes can be kept."""
    if candidate.region.granularity != "row":
        return candidate
    axes = inner_axes(view, candidate.region, prove_rows(view, candidate.row_axes))
    return replace(candidate, region=replace(candidate.region, inner_axes=axes))


def on_disk(job: Job, built: Built) -> Compiled:
    """Write a compiled model into the working folder, for the process that runs it."""
    path = job.loaded.directory / "compiled.onnx"
    path.write_bytes(built.model.SerializeToString())
    return Compiled(path, job.options.per_call)


def build_and_verify(
    job: Job, subject: Subject, chosen: Chosen, plan: Plan, part_of: Plan | None = None
) -> tuple[Built, Verification]:
    """Compile and verify a plan.

    Args:
        job: The compilation.
        subject: The model.
        chosen: What that rests on.
        plan: The plan.
        part_of: Of a plan that was verified before, this is a part: make the same calls, and end at the first
            difference.
    """
    built = build(job, subject, chosen, plan)
    step = "verifying " + ", ".join(f"'{c.region.id}' by {c.region.granularity}" for c in plan)
    job.step(step)
    request = Verify(
        originals=subject.originals,
        compiled=on_disk(job, built),
        samples=chosen.measured.samples,
        divisions=divisions(subject, part_of or plan),
        cones=[c.cone for c in part_of or plan],
        tolerance=job.options.tolerance,
        exact=job.options.bits,
        keeps=job.options.bits or len(plan) > 1,
        only_bits=part_of is not None,
    )
    # Where bits count, it takes a while.
    progress = (lambda case: job.step(f"{step}: {case}")) if job.options.bits else None
    return built, job.ask(request, progress)


def divisions(subject: Subject, plan: Plan) -> list[AnyDivision]:
    """Return how verification divides the inputs."""
    regions = [(c.region, c.row_axes) for c in plan if c.region.positions]
    positions = [PrefixDivision(r.positions, rows, r.pasts, r.ones) for r, rows in regions]
    return [*map(RowDivision, verified_batches(subject, plan)), *positions]


def verified_batches(subject: Subject, plan: Plan) -> list[dict[str, int]]:
    """Return the ways in which verification cuts the inputs into rows: as each region does, as all of them do, and with
    inputs that share the batch and are in no region.
    """
    view = subject.view
    own = [with_namesakes(view, c.row_axes) for c in plan if c.row_axes]
    together = dict(subject.dynamic.inputs) if subject.dynamic else {}
    together |= {name: axis for axes in own for name, axis in axes.items()}
    wider = [h for h in row_hypotheses(view, view.inputs) if together.items() < h.items()]
    found: list[dict[str, int]] = []
    for axes in (*wider[:1], together, *own):
        if axes and axes not in found:
            found.append(axes)
    return found
