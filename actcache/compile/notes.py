"""What a user should know of a compilation besides its regions: one sentence each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from actcache.base.per_call import PerCall
from actcache.compile.cost_profile import CostProfile
from actcache.compile.result import CompiledRegion
from actcache.model.model_file import LoadedModel
from actcache.passes.choice.choose import Choice
from actcache.passes.costs.cost import Costs
from actcache.passes.graph.nodes import all_nodes
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.dynamic_batch import DynamicBatch

#: Spread of the measured runs, relative to their median, from which on the machine is called noisy.
NOISY = 0.3


def model_notes(
    loaded: LoadedModel,
    single_file: bool,
    dynamic: DynamicBatch | None,
    per_call: PerCall,
    reads: Collection[str],
) -> list[str]:
    """Return what was done to the model beside caching; `reads`: outputs of which only the last position is read."""
    notes = []
    if per_call.namespace_input is not None:
        notes.append(f"every call must feed '{per_call.namespace_input}', a string scalar: the call's namespace")
    if dynamic is not None:
        names = ", ".join(f"axis {axis} of '{name}'" for name, axis in dynamic.inputs.items())
        notes.append(f"the batch, a constant {dynamic.size}, was made variable: {names}")
    for name in reads:
        notes.append(f"of output '{name}' only the last position is computed, the others are NaN (--reads)")
    if loaded.recompiled:
        notes.append("the model had been compiled before; its old regions were taken out first")
    if single_file and loaded.weights.size:
        size = loaded.weights.size / 2**20
        notes.append(f"single file: onnxruntime keeps weights inside a branch twice, up to {size:.0f} MiB more memory")
    return notes


def types_note(view: GraphView) -> list[str]:
    """Say that onnx was left out, where it crashes: without sizes, less can be proven."""
    if view.infers:
        return []
    return ["onnx crashes while it infers types: those that onnxruntime tells were used, and no sizes"]


def unknown_operators(loaded: LoadedModel, pure_ops: Collection[str]) -> list[str]:
    """Say which operators that the user declared pure the model does not have: a misspelt name has no effect."""
    bodies = [loaded.proto.graph.node, *(function.node for function in loaded.functions.model.functions)]
    nodes = [node for body in bodies for node in all_nodes(body)]
    known = {f"{domain}:{n.op_type}" for n in nodes for domain in (n.domain, canonical_domain(n.domain))}
    others = sorted({f"{n.domain}:{n.op_type}" for n in nodes if canonical_domain(n.domain)})
    listed = f"its own are {', '.join(others)}" if others else "it has none of its own"
    return [f"the model has no operator '{name}' (--pure-op); {listed}" for name in pure_ops if name not in known]


def choice_notes(
    view: GraphView, costs: Costs, choice: Choice, compiled: Sequence[CompiledRegion], profile: CostProfile
) -> list[str]:
    """Return what the user should know of the choice: how sure it is, and what would make entries smaller."""
    notes = [] if profile.path else list(choice.close)
    if costs.spread > NOISY and not profile.path:
        notes.append(f"the machine is noisy: the middle half of the measured times differs by {costs.spread:.0%}")
    if notes:
        notes.append(
            "another measurement may lead to other regions; --profile FILE keeps these costs for the next time"
        )
    for region in compiled:
        notes += _unread_hint(view, region)
    return [*notes, *filter(None, [profile.note()])]


def _unread_hint(view: GraphView, region: CompiledRegion) -> list[str]:
    """Say which output makes the entries of a region large, if others are small."""
    kept = region.candidate.kept_bytes
    given = {name: size for name, size in kept.items() if name in view.outputs}
    largest = max(given, key=lambda name: given[name], default=None)
    if largest is None or len(view.outputs) < 2 or given[largest] < sum(kept.values()) / 2:
        return []
    others = ",".join(name for name in view.outputs if name != largest)
    share = given[largest] / max(sum(kept.values()), 1e-12)
    what = f"output '{largest}' takes {share:.0%} of an entry of region '{region.candidate.region.id}'"
    return [f"{what}; if nobody reads it, compile with --outputs {others}"]
