"""Rules for regions whose results have to be the original's bit for bit (``--exact bits``).

A row's bits can depend on the rest of its batch in three ways, and each has its remedy:

- *One row is a case of its own* (a reduction or a product over one row goes another way): calls of one row share no
  entries with others (:attr:`~actcache.passes.cuts.Cut.min_units`), and of a larger call no row is computed alone
  by the nodes to which that applies (:attr:`~actcache.passes.region.Region.filled`), or by the whole region.
- *An operator depends on where a row lies in the batch* (a vector's tail, an unaligned start): no region of rows may
  contain it. Regions end before it or begin behind it.
- *An edge cuts what onnxruntime's optimiser would fuse*: edges lie only where it leaves a tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.dependent import Dependent
from actcache.passes.graph.nodes import subgraphs
from actcache.passes.graph.op_bits import batch_dependence, is_known_alone
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rows import Row, RowFree, RowProof, prove_rows
from actcache.passes.rows.sizes import ONE

#: Name of the rule in refusals.
RULE = "exact-bits"
#: See :attr:`~actcache.passes.cuts.Cut.min_units`: what tells a single row apart from all other calls.
NEVER_ALONE = 2


@dataclass(frozen=True)
class BitRules:
    """Where regions may lie so that no bit changes. Without arguments: anywhere.

    Attributes:
        barriers: Nodes that no region of rows contains.
        edges: Tensors at which a region may begin or end, beside the graph's inputs and outputs; None: any.
    """

    barriers: Mapping[int, Refusal] = field(default_factory=dict)
    edges: frozenset[str] | None = None

    def may_be_edge(self, name: str) -> bool:
        """Whether a region may begin or end at a tensor."""
        return self.edges is None or name in self.edges


def known_barriers(view: GraphView) -> BitRules:
    """Return the rules that follow from the operators alone (:mod:`actcache.passes.graph.op_bits`)."""
    found = {}
    for index, names in enumerate(view.writes):
        reason = None if view.constants.issuperset(names) else batch_dependence(view, index)
        if reason is not None:
            found[index] = Refusal(RULE, f"{reason} (--exact bits)", view.label(index))
    return BitRules(found)


def measured_rules(
    view: GraphView, known: BitRules, dependent: Iterable[Dependent], kept: Sequence[str] | None
) -> BitRules:
    """Return the rules that follow from what onnxruntime was seen to do, too.

    Args:
        view: The model.
        known: Rules known before.
        dependent: Nodes of the optimised model. One that writes no tensor of the model cannot be told from others.
        kept: Tensors of the optimised model; None: not known.
    """
    barriers = dict(known.barriers)
    for node in dependent:
        index = view.producer.get(node.output)
        if index is not None and node.rows > 1:
            barriers.setdefault(index, Refusal(RULE, str(node), view.label(index)))
    return BitRules(barriers, None if kept is None else frozenset(kept) | frozenset(view.outputs))


def never_alone(plan: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the regions of a plan so that no row of a larger call is computed alone."""
    return tuple(
        replace(c, region=replace(c.region, cut=replace(c.region.cut, min_units=NEVER_ALONE)))
        if c.region.granularity == "row"
        else c
        for c in plan
    )


def filled_up(view: GraphView, plan: Sequence[Candidate], dependent: Iterable[Dependent]) -> tuple[Candidate, ...]:
    """Return the regions of a plan so that those nodes compute no row of a larger call alone which were seen to give a
    single row other bits, and those behind them which are known to. The plan as it is, if that cannot be done.
    """
    seen = {view.producer[node.output] for node in dependent if node.rows == 1 and node.output in view.producer}
    alone = seen | {i for i in _behind(view, seen) if is_known_alone(view, i)}
    found = []
    for candidate in plan:
        region, nodes = candidate.region, alone & candidate.region.nodes
        if region.granularity == "row" and nodes:
            proof = prove_rows(view, candidate.row_axes)
            filled = {view.writes[i][0]: _row_axes(view, proof, i) for i in sorted(nodes)}
            whole = {name: axes for name, axes in filled.items() if axes is not None}
            if len(whole) == len(nodes):
                cut = replace(region.cut, min_units=NEVER_ALONE, min_computed=1)
                candidate = replace(candidate, region=replace(region, cut=cut, filled=whole))
        found.append(candidate)
    return tuple(found)


def _behind(view: GraphView, nodes: Collection[int]) -> set[int]:
    """Return the nodes that read, directly or through others, what `nodes` write."""
    told = {name for index in nodes for name in view.writes[index]}
    found = set()
    for index, reads in enumerate(view.reads):
        if not told.isdisjoint(reads):
            found.add(index)
            told.update(view.writes[index])
    return found


def _row_axes(view: GraphView, proof: RowProof, index: int) -> dict[str, int] | None:
    """Return the tensors with rows that a node reads and writes, with their axes; None if not all of them are known, or
    lie so that a copy of the tensor behind itself is a batch of twice the rows.
    """
    node = view.model.graph.node[index]
    axes = {}
    for name in dict.fromkeys((*view.reads[index], *view.writes[index])):
        state = proof.state(name)
        if isinstance(state, Row) and state.before == ONE:
            axes[name] = state.axis
        elif name in view.writes[index] or not isinstance(state, RowFree):
            return None
    return None if any(subgraphs(node)) or set(view.reads[index]) != set(filter(None, node.input)) else axes
