"""Nodes with bodies, local functions, and operators that draw random numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import onnx

from actcache.passes.graph.nodes import captured
from tests.conformance.random_graphs.families import FAMILIES, builds
from tests.conformance.random_graphs.sketch import LOCAL, Sketch, Unfit, opset_imports
from tests.conformance.random_graphs.values import BOOL, FLOATS, NUMBERS, Known

#: What bodies are made of.
INSIDE = (
    "unary arithmetic softmax reduce matmul where cumulative concat slice_ transpose comparison centred "
    "layer_normalisation reshape gather random"
).split()
#: onnxruntime's own, without a schema of ONNX: it ends the process on a function with one.
NOT_IN_FUNCTIONS = ("SimplifiedLayerNormalization",)


def _grow(body: Sketch, x: Known, count: int) -> Known:
    """Add nodes to a body that begin at `x` as far as they can; the last result."""
    made: Known | None = None
    families = [f for f in FAMILIES if f.name in INSIDE and f.since <= body.opset <= f.until]
    for _ in range(count * 3):
        family = body.one_of(families)
        before, length = list(body.known), len(body.nodes)
        body.known = [x if made is None else made] * 3 + body.known  # what was made last is what is read most
        with contextlib.suppress(Unfit):
            family.build(body, body.one_of(family.operators) if family.operators else "")
        fresh = [k for k in body.known if k not in before and k is not x]
        body.known = [*before, *fresh]
        made = fresh[-1] if fresh else made
        if len(body.nodes) - length and len(body.nodes) >= count:
            break
    if made is None:
        raise Unfit
    return made


def _graph(body: Sketch, name: str, inputs: Sequence[Known], outputs: Sequence[Known]) -> onnx.GraphProto:
    declared = [k.declaration(dims=[None] * k.rank if k.rank else []) for k in inputs]
    return onnx.helper.make_graph(body.nodes, name, declared, [k.declaration() for k in outputs])


def _condition(s: Sketch) -> Known:
    """Free of rows, of the batch size, or of the rows themselves."""
    how = s.below(4)
    if how == 0:
        return s.pick(BOOL, (0,)) if any(k.dtype == "bool" and k.rank == 0 for k in s.known) else s.constant(True)
    x = s.pick(NUMBERS, range(1, 5), lambda k: k.smallest > 0)
    if how == 1:
        size = s.scalar_size(x, s.below(x.rank))
        return s.add("Less", [size, s.constant(1 + s.below(4), "int64")])[0]
    whole = s.add("ReduceMax", [x], keepdims=0)[0]
    return s.add("Greater", [whole, s.constant(1, x.dtype)])[0]


@builds("If", since=11, weight=4)
def either(s: Sketch, op: str) -> None:
    """Branches that leave a tensor of one type, of the same shape mostly. Both draw random numbers, or none does: an
    output must be random in every call, or in none.
    """
    if s.depth > 1:
        raise Unfit
    x = s.pick(FLOATS, range(1, 5))
    condition = _condition(s)
    branches, noisy = [], []
    for _ in range(2):
        body = s.inner()
        made = _grow(body, x, 1 + s.below(2))
        if made.dtype != x.dtype:
            made = body.add("Cast", [made], to=x.element)[0]
        branches.append(_graph(body, "branch", [], [made]))
        noisy.append(made.noisy)
    if noisy[0] != noisy[1]:
        raise Unfit
    s.add(op, [condition], then_branch=branches[0], else_branch=branches[1])


def _same_shape(s: Sketch, body: Sketch, state: Known, other: Known) -> Known:
    """A new state of the old one's type and shape."""
    made = body.add(body.one_of(("Add", "Mul", "Max")), [state, other])[0]
    if [a.shape for a in made.arrays] != [a.shape for a in state.arrays]:
        raise Unfit
    return body.add("Tanh", [made])[0] if s.chance(50) else made


@builds("Loop", since=11, weight=2)
def loop(s: Sketch, op: str) -> None:
    """A constant number of steps, one per row, or one per entry of another axis; it may read a slice per step."""
    if s.depth:
        raise Unfit
    state = s.pick(("float32",), range(4))
    source = s.pick(NUMBERS, range(1, 4), lambda k: k.smallest > 0)
    axis = s.axis(source)
    by_size = s.chance(60)
    count = s.scalar_size(source, axis) if by_size else s.constant(2, "int64")
    step = Known(f"i{len(s.tensors)}", (np.asarray(0, np.int64),) * s.feeds)
    going = Known(f"g{len(s.tensors)}", (np.asarray(True),) * s.feeds)
    inside = Known(f"s{len(s.tensors)}", state.arrays)
    body = s.inner([step, going, inside])
    kept = body.add("Identity", [going])[0]
    other = inside
    if by_size and s.chance(70):
        other = body.add("Gather", [source, step], axis=axis)[0]
        if other.dtype != "float32":
            other = body.add("Cast", [other], to=1)[0]
    elif s.chance(50):
        other = body.partner(inside)
    after = _same_shape(s, body, inside, other if other.rank <= inside.rank else inside)
    scanned = [_grow(body, after, 1)] if s.chance(60) else []
    graph = _graph(body, "loop", [step, going, inside], [kept, after, *scanned])
    s.add(op, [count, s.constant(True), state], 1 + len(scanned), body=graph)


@builds("Scan", since=11, weight=2)
def scan(s: Sketch, op: str) -> None:
    """One step per entry of an axis, the batch's among them; a state, or none."""
    if s.depth:
        raise Unfit
    x = s.pick(("float32",), range(1, 5), lambda k: k.smallest > 0)
    axis = s.axis(x)
    part = Known(f"p{len(s.tensors)}", tuple(np.take(array, 0, axis) for array in x.arrays))
    state = s.add("ReduceMax", [x], keepdims=0)[0] if s.chance(25) else s.constant(0.5, "float32")
    inside = Known(f"s{len(s.tensors)}", state.arrays)
    with_state = s.chance(50)
    inputs = [inside, part] if with_state else [part]
    body = s.inner(inputs)
    outputs = []
    if with_state:
        most = body.add("ReduceMax", [part], keepdims=0)[0] if part.rank else part
        outputs.append(_same_shape(s, body, inside, most))
        if s.chance(60):
            part = body.add("Mul", [part, outputs[0]])[0]
    outputs.append(_grow(body, part, 1 + s.below(2)))
    given = [state, x] if with_state else [x]
    out_axis = axis if axis <= outputs[-1].rank and s.chance(60) else 0
    s.add(
        op,
        given,
        1 + with_state,
        body=_graph(body, "scan", inputs, outputs),
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_output_axes=[out_axis],
        scan_input_directions=[s.below(2)],
    )


@builds(since=17, weight=3)
def local_function(s: Sketch, op: str) -> None:
    """A function of the model itself, called once or twice."""
    if s.depth:
        raise Unfit
    x = s.pick(("float32",), range(1, 5))
    body = s.inner()
    made = _grow(body, x, 1 + s.below(3))
    graph = _graph(body, "body", [], [made])
    reads = sorted(set(captured(graph)))
    if x.name not in reads or any(node.op_type in NOT_IN_FUNCTIONS for node in body.nodes):
        raise Unfit
    name = f"f{len(s.functions)}"
    s.functions.append(onnx.helper.make_function(LOCAL, name, reads, [made.name], body.nodes, opset_imports(s.opset)))
    try:
        for _ in range(1 + s.below(2)):
            s.mark(s.add(name, [s.tensors[n] for n in reads], domain=LOCAL), noisy=made.noisy)
    except Unfit:
        if not any(node.op_type == name for node in s.nodes):
            s.functions.pop()
        raise


@builds("RandomNormalLike RandomUniformLike", weight=2)
@builds("Bernoulli", since=15, weight=1)
@builds("Dropout", since=12, weight=1)
def random(s: Sketch, op: str) -> None:
    """Random numbers in the shape of a tensor. Two runs must never agree by accident: those of few values get noise
    of many added, and only what keeps it is done with them from here on.
    """
    x = s.pick(("float32",), range(1, 5), lambda k: k.smallest > 0)
    if op == "RandomUniformLike":
        s.mark(s.add(op, [x], seed=3.0, high=50.0), noisy=True)
        return
    noise = s.mark(s.add("RandomNormalLike", [x], seed=3.0, scale=50.0), noisy=True)[0]
    if op == "Bernoulli":
        drawn = s.mark(s.add(op, [s.add("Sigmoid", [x])[0]], seed=4.0), noisy=True)[0]
    elif op == "Dropout":
        drawn = s.mark(s.add(op, [x, s.constant(0.5, "float32"), s.constant(True)], seed=4), noisy=True)[0]
    else:
        return
    s.known.remove(drawn)
    s.add("Add", [drawn, noise])


@builds("RandomNormal RandomUniform", weight=1)
def random_of_a_shape(s: Sketch, op: str) -> None:
    s.mark(s.add(op, [], shape=[3], seed=3.0), noisy=True)
