"""Row independence: an abstract interpretation of the model that proves which tensors keep rows apart.

The hypothesis says which axis of which graph inputs holds the rows; the interpreter follows every tensor
through the rules of :mod:`registry` for a symbolic number N of rows. It fails closed: what no rule proves is
``Mixed``, with the first cause. The proof holds for every N and every data, given what the runtime checks:
that all row inputs have the same size on their row axes, the ranks of what it reads (:mod:`declared`), and what
:mod:`named_sizes` asks of other sizes. No other size is ever taken for N, whatever symbols the model's author gave
the axes, and no size is believed but those of graph inputs (onnxruntime checks them) and constants.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Mapping, MutableMapping, Sequence

import onnx

from actcache.passes.graph.nodes import captured, node_label, subgraphs
from actcache.passes.graph.op_facts import NON_TENSOR, RANDOM, canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rows.constants import constant, constant_node
from actcache.passes.rows.declared import Believed
from actcache.passes.rows.joining import disagree, fails, join
from actcache.passes.rows.loops import follow_loop, follow_scan
from actcache.passes.rows.named_sizes import NamedSizes, SizeEquation
from actcache.passes.rows.registry import RULES, Op, Rule
from actcache.passes.rows.sizes import ZERO, N, Size, Symbols, const
from actcache.passes.rows.state import (
    BATCH_SIZE,
    ROW_FREE,
    BatchSize,
    Content,
    Draws,
    Mixed,
    Mixes,
    Positional,
    Row,
    RowFree,
    Shape,
    State,
    Value,
)
from actcache.passes.rows.wrapping import without_wrapped

#: How many undecided branches may be followed at once; each doubles the work behind it.
MAX_FORKS = 3


class RowProof:
    """What is proven about every tensor of the main graph under one hypothesis."""

    def __init__(self, values: Mapping[str, Value], believed: Believed, named: NamedSizes | None = None) -> None:
        self._values = values
        self._believed = believed
        self._named = named

    def state(self, name: str) -> State:
        """Return the state of a tensor of the main graph; unknown names are ``Mixed``."""
        value = self._values.get(name)
        return value.state if value is not None else _unknown(name).state

    def row_axis(self, name: str) -> int | None:
        """Return the axis that holds exactly the N rows of a tensor, or None."""
        state = self.state(name)
        return state.axis if isinstance(state, Row) and state.plain else None

    def refusal(self, name: str) -> Refusal | None:
        """Return, for a ``Mixed`` tensor, why and at which node its rows were first mixed."""
        state = self.state(name)
        return state.refusal if isinstance(state, Mixed) else None

    def shape(self, name: str) -> Shape | None:
        """Return the symbolic sizes of a tensor, None when its rank is unknown."""
        value = self._values.get(name)
        return value.shape if value is not None else None

    def content(self, name: str) -> Content | None:
        """Return the elements of a small tensor of integers that are known as sizes, None of others."""
        value = self._values.get(name)
        return value.content if value is not None else None

    def size_equations(self, frontier: Collection[str]) -> tuple[SizeEquation, ...] | None:
        """Return what else has to hold in a call of a region with this frontier; None: that cannot be told from it."""
        return () if self._named is None else self._named.equations(frontier)

    def ranks(self, frontier: Collection[str]) -> dict[str, int]:
        """Return the ranks that tensors of a frontier have to have in a call; of the others any will do."""
        shapes = {name: self.shape(name) for name in frontier}
        return {name: len(shape) for name, shape in shapes.items() if shape is not None}

    def is_told_by(self, frontier: Collection[str]) -> bool:
        """Whether a frontier tells if a call is one that the proof is about: its sizes, ranks and row axes decide."""
        return self.size_equations(frontier) is not None and self._believed.is_told_by(frontier)


def prove_rows(
    view: GraphView,
    row_axes: Mapping[str, int],
    *,
    row_tensors: Mapping[str, int] | None = None,
    named_sizes: bool = False,
    positions: Mapping[str, int] | None = None,
    pasts: Mapping[str, int] | None = None,
    unread: Collection[str] = (),
) -> RowProof:
    """Prove which tensors keep the rows of the batch apart.

    Args:
        view: The model.
        row_axes: Graph input to the axis of its rows. All other inputs are the same for all rows.
        row_tensors: Intermediate tensors taken for rows, with the axis: the frontier of a region that does not
            begin at the graph inputs. What the graph computes before them is not used.
        named_sizes: Take axes of graph inputs that have one name for one size. The proof then holds for calls that
            satisfy :meth:`RowProof.size_equations`.
        positions: Graph inputs, each with an axis: those axes have one size. Whoever uses the proof checks it.
        pasts: Graph inputs, each with an axis along which it has no entries. Likewise.
        unread: Graph inputs that the region does not read itself: of those, only what onnxruntime checks is believed.

    Returns:
        The proof. It holds for calls in which all these tensors have the same size N on those axes, and what the region
        reads has the ranks of :meth:`RowProof.ranks`.

    A region's proof must be about its own frontier: pass exactly the frontier tensors that are cut into rows, so
    that the equality of their sizes, which the runtime checks, is the one that was assumed. ``BatchSize`` and
    positional tensors cannot be in a frontier: computed for N rows, they are wrong for the rows that are left.
    """
    interpreter = Interpreter(view, dict(row_tensors or {}), unread)
    if named_sizes:
        interpreter.named = NamedSizes(view, row_axes, interpreter.symbols)
    interpreter.told = dict.fromkeys((positions or {}).items(), interpreter.symbols.fresh("positions"))
    interpreter.told |= dict.fromkeys((pasts or {}).items(), ZERO)
    interpreter.inputs({**(row_tensors or {}), **row_axes})
    interpreter.run(view.model.graph, interpreter.values, main=True)
    return RowProof(interpreter.values, interpreter.believed, interpreter.named)


class Interpreter:
    """Goes through a model node by node; most callers want :func:`prove_rows`."""

    def __init__(self, view: GraphView, row_tensors: Mapping[str, int], unread: Collection[str] = ()) -> None:
        self.view = view
        self.believed = Believed(view, unread)
        self.row_tensors = row_tensors
        self.values: dict[str, Value] = {}
        self.forks = 0
        self.symbols = Symbols()
        self.named: NamedSizes | None = None
        self.told: dict[tuple[str, int], Size] = {}
        self.contents: dict[int, tuple[Value, Content]] = {}

    def inputs(self, row_axes: Mapping[str, int]) -> None:
        """Give the graph inputs their values."""
        for name in self.view.inputs:
            self.values[name] = self.input(name, row_axes.get(name))

    def input(self, name: str, axis: int | None) -> Value:
        """The value of a tensor given from outside: its declared sizes, and N on the axis of its rows."""
        declared = self.believed.shape(name)
        if declared is None:
            if axis is None:
                return Value(ROW_FREE)
            return _mixed("rank-unknown", f"the rank of '{name}' is unknown")
        sizes = [self.declared(name, axis, size) for axis, size in enumerate(declared)]
        if axis is None:
            return Value(ROW_FREE, tuple(sizes))
        if not -len(sizes) <= axis < len(sizes):
            return _mixed("rank-unknown", f"'{name}' has no axis {axis}")
        sizes[axis] = N
        return Value(Row(axis % len(sizes)), tuple(sizes))

    def declared(self, name: str, axis: int, size: int | str | None) -> Size:
        """The size of an axis, as far as its declaration may be believed."""
        if isinstance(size, int) and size > 0 and name in self.view.inputs:  # other declarations may be stale
            return const(size)
        known = self.told.get((name, axis)) or (self.named and self.named.size(name, axis))  # of graph inputs only
        return known or self.symbols.fresh(f"{name}[{axis}]")

    def run(self, graph: onnx.GraphProto, scope: MutableMapping[str, Value], *, main: bool = False) -> None:
        """Interpret the nodes of one graph into `scope`, which already holds its inputs and captured values."""
        self.constants(graph, scope, main=main)
        self.rest(graph, 0, scope, main=main)

    def constants(self, graph: onnx.GraphProto, scope: MutableMapping[str, Value], *, main: bool) -> None:
        """Give the initializers of one graph their values."""
        for tensor in graph.initializer:
            if not (main and tensor.name in scope):  # the host may override those that are also inputs
                scope[tensor.name] = constant(tensor)
        for sparse in graph.sparse_initializer:
            scope[sparse.values.name] = Value(ROW_FREE, tuple(const(n) for n in sparse.dims))

    def rest(self, graph: onnx.GraphProto, start: int, scope: MutableMapping[str, Value], *, main: bool) -> None:
        """Interpret the nodes from `start` on. Where the branches of an ``If`` leave different ranks or rows, what
        follows is interpreted once for each and then joined.
        """
        for index in range(start, len(graph.node)):
            node = graph.node[index]
            label = node_label(node)
            sides = self.node(node, label, scope)
            if len(sides) == 2 and self.forks < MAX_FORKS and any(map(disagree, *sides)):
                self.forks += 1
                scopes = [ChainMap({}, scope) for _ in sides]
                for side, inner in zip(sides, scopes, strict=True):
                    self.bind(node, side, inner, main=main)
                    self.rest(graph, index + 1, inner, main=main)
                self.forks -= 1
                for name in scopes[0].maps[0]:
                    scope[name] = _labelled(join(scopes[0][name], scopes[1][name], self.symbols), label)
                return
            joined = sides[0] if len(sides) == 1 else [join(a, b, self.symbols) for a, b in zip(*sides, strict=True)]
            self.bind(node, [_labelled(value, label) for value in joined], scope, main=main)

    def bind(
        self, node: onnx.NodeProto, values: Sequence[Value], scope: MutableMapping[str, Value], *, main: bool
    ) -> None:
        """Give a node's outputs their values."""
        for name, value in zip(node.output, values, strict=True):
            if name:
                axis = self.row_tensors.get(name) if main else None
                scope[name] = value if axis is None else self.assumed(name, axis, value)

    def assumed(self, name: str, axis: int, computed: Value) -> Value:
        """A tensor taken for rows: sizes that do not count rows are those computed, where they are known."""
        if computed.shape is None:
            return self.input(name, axis)
        if not -len(computed.shape) <= axis < len(computed.shape):
            return _mixed("rank-unknown", f"'{name}' has no axis {axis}")
        sizes = [self.symbols.fresh(f"{name}[{a}]") if s.batch else s for a, s in enumerate(computed.shape)]
        sizes[axis] = N
        return Value(Row(axis % len(sizes)), tuple(sizes))

    def node(self, node: onnx.NodeProto, label: str, scope: MutableMapping[str, Value]) -> list[list[Value]]:
        """Return the values of a node's outputs; of an ``If`` whose branch is not known, those of each branch."""
        if node.op_type == "Constant" and canonical_domain(node.domain) == "":
            return [[constant_node(node)]]
        domain = canonical_domain(node.domain)
        found = RULES.get((domain, node.op_type))
        inputs = [scope.get(name, _unknown(name)) if name else None for name in node.input]
        for place in found.types if found else ():
            inputs[place] = Value(ROW_FREE)
        for value in inputs:
            if value is not None and isinstance(value.state, Mixed):
                return [[Value(value.state)] * len(node.output)]
        if (domain, node.op_type) in RANDOM:
            return [[_mixed("impure-random", f"{node.op_type} draws random numbers", label)] * len(node.output)]
        op = Op(node, self.view.opsets.get(domain, 1), inputs, self.symbols, self.contents)
        bodies = list(subgraphs(node))
        captures = (scope.get(name, _unknown(name)) for body in bodies for name in captured(body))
        read = [value for value in (*inputs, *captures) if value is not None]  # op.present would count them as seen
        followed = bodies and domain == "" and node.op_type in ("If", "Loop", "Scan")
        try:
            sides = self.control_flow(op, scope) if followed else [_applied(op, domain)]
        except Mixes as cause:
            if isinstance(cause, Draws) or not all(value.state == ROW_FREE for value in read):
                known_cause = next((v for v in read if isinstance(v.state, Mixed)), None)
                refused = known_cause or _mixed(cause.rule, cause.reason, label)
                return [[Value(refused.state)] * len(node.output)]
            # What reads no rows is the same for all of them; with their number in it, it may be defined for some only.
            sides = [[Value(ROW_FREE)] * len(node.output)]
        if followed:  # the bodies have followed each value on its own
            return [[_held(value, label) for value in values] for values in sides]
        (values,) = sides
        types = [self.view.dtype(name) or op.attribute("to") for name in node.output]  # of what is in bodies: Cast's
        checked = (_checked(value, op, label) for value in values)
        return [[without_wrapped(v, op, dtype) for v, dtype in zip(checked, types, strict=True)]]

    def control_flow(self, op: Op, scope: MutableMapping[str, Value]) -> list[list[Value]]:
        """``If`` on a row-free condition is the same branch for every row; for loops see :mod:`loops`."""
        graphs = {a.name: a.g for a in op.node.attribute if a.type == onnx.AttributeProto.GRAPH}
        if op.node.op_type == "Loop":
            return [follow_loop(op, graphs["body"], lambda arguments: self.body(graphs["body"], scope, arguments))]
        if op.node.op_type == "Scan":
            return [follow_scan(op, lambda arguments: self.body(graphs["body"], scope, arguments))]
        known = op.integers(0)
        if known is not None and len(known) == 1:  # with any other number no run gets past it
            return [self.body(graphs["then_branch" if known[0] else "else_branch"], scope)]
        if op.need(0).state != ROW_FREE:
            raise Mixes("condition-from-rows", "the condition of an If depends on the rows or on their number")
        return [self.body(graphs[name], scope) for name in ("then_branch", "else_branch")]

    def body(
        self, graph: onnx.GraphProto, scope: MutableMapping[str, Value], arguments: Sequence[Value] = ()
    ) -> list[Value]:
        """Interpret a body that captures `scope`; its names are its own.

        All of a body runs, or nothing: a node in it that mixes rows may fail on fewer of them, even if nothing of what
        it makes leaves the body.
        """
        if len(arguments) != len(graph.input):
            raise Mixes("malformed-node", "a body is given more values, or fewer, than it takes")
        inner = ChainMap({v.name: value for v, value in zip(graph.input, arguments, strict=True)}, scope)
        self.run(graph, inner)
        for node in graph.node:
            made = [inner[name] for name in node.output if name]
            mixed = next((v for v in made if isinstance(v.state, Mixed) and not fails(v)), None)
            if mixed is not None and all(isinstance(value.state, Mixed) for value in made):
                return [Value(mixed.state) for _ in graph.output]
        return [inner.get(value.name, _unknown(value.name)) for value in graph.output]


def _applied(op: Op, domain: str) -> list[Value]:
    """Apply the rule of the operator, once it is certain that it may see all inputs."""
    found: Rule | None = RULES.get((domain, op.node.op_type))
    if (domain, op.node.op_type) in NON_TENSOR:
        raise Mixes("non-tensor", f"{op.node.op_type} handles sequences, maps or optionals, which are not followed")
    if found is None:
        raise Mixes("no-row-rule", f"no row rule for {domain + ':' if domain else ''}{op.node.op_type}")
    for position, value in enumerate(op.inputs):
        if value is None:
            continue
        if isinstance(value.state, BatchSize) and position not in found.sizes:
            raise Mixes("batch-size-in-data", "a value computed from the number of rows enters the data")
        if isinstance(value.state, Positional) and position not in found.indexes:
            raise Mixes("row-position-in-data", "the position of a row in the batch enters its data")
    try:
        result = found.apply(op)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A node that its operator's specification does not allow: refused, and seen in --explain.
        raise Mixes("rule-error", f"the row rule of {op.node.op_type} does not fit this node: {error}") from error
    for position, value in enumerate(op.inputs):
        if value is not None and value.state != ROW_FREE and position not in op.seen:
            what = f"input {position} of {op.node.op_type}"
            raise Mixes("row-dependent-parameter", f"{what} depends on the batch, and no row rule covers it")
    values = result if isinstance(result, list) else [result]
    if len(values) < len(op.node.output):
        raise Mixes("malformed-node", f"{op.node.op_type} has more outputs than its row rule knows")
    return values[: len(op.node.output)]


def _checked(value: Value, op: Op, label: str) -> Value:
    """Hold every result to the definition of its state, whatever the rule said."""
    state, shape = value.state, value.shape
    held = value.content is None and (shape is None or ZERO not in shape)  # without elements it holds nothing
    if isinstance(state, RowFree | BatchSize) and held and not all(v.number for v in op.present):
        return _mixed("row-dependent-parameter", f"a parameter of {op.node.op_type} depends on the rows", label)
    if isinstance(state, RowFree):
        grows = shape is not None and any(size.batch for size in shape)
        # Only elements that were followed prove that nothing of a batch size is left.
        sized = value.content is None and any(isinstance(v.state, BatchSize) for v in op.present)
        return Value(BATCH_SIZE, shape, value.content) if grows or sized else value
    return _held(value, label)


def _held(value: Value, label: str) -> Value:
    """Hold rows to what their state says of the shape."""
    state, shape = value.state, value.shape
    if isinstance(state, Mixed):
        return _labelled(value, label)
    if isinstance(state, RowFree | BatchSize):
        return value
    if shape is None or state.axis >= len(shape):
        return _mixed("rank-unknown", "the axis of the rows is lost", label)
    expected = state.before * N * state.block if isinstance(state, Row) else N
    others = shape[: state.axis] + shape[state.axis + 1 :]
    if shape[state.axis] != expected or any(size.batch for size in others):
        return _mixed("size-from-batch", "the number of rows sets the size of another axis", label)
    return value


def _mixed(slug: str, reason: str, label: str = "") -> Value:
    return Value(Mixed(Refusal(slug, reason, label)))


def _labelled(value: Value, label: str) -> Value:
    """Name the node of a refusal that came from joining branches; one from within a body names its own node."""
    state = value.state
    if isinstance(state, Mixed) and not state.refusal.node:
        return _mixed(state.refusal.rule, state.refusal.reason, label)
    return value


def _unknown(name: str) -> Value:
    return _mixed("unknown-tensor", f"nothing is known about the tensor '{name}'")
