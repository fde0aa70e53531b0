"""Causal rules of elementwise operators: an entry of the result reads the same entry of each operand, broadcast."""

from __future__ import annotations

from dataclasses import replace

import onnx

from actcache.passes.causal.forms import (
    COMPUTED,
    COMPUTED_HALF,
    Affine,
    Computed,
    Form,
    Some,
    applied,
    is_stable,
    table,
)
from actcache.passes.causal.joining import axes_of, fitted, joined
from actcache.passes.causal.ranges import held
from actcache.passes.causal.registry import MICROSOFT, SIZE_IN_DATA, Op, Result, counted, known, rule
from actcache.passes.causal.state import Counted, LooksAhead, Value
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.rows.rules_elementwise import NARY, UNARY

_BOOL = onnx.TensorProto.BOOL
_FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16})

#: Types that can count the positions of long sequences, and differences of such numbers.
COUNTING = frozenset({onnx.TensorProto.INT32, onnx.TensorProto.INT64})
#: Floats that cannot.
_SHORT: dict[int, str] = {onnx.TensorProto.FLOAT16: "e", onnx.TensorProto.BFLOAT16: "t"}
#: Whose results these round.
_ROUNDED = frozenset({"Add", "Sub", "Mul", "Div", "Sum", "Sqrt", "Exp", "Tanh"})
#: What wraps around in the other integers.
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Neg", "Abs", "Sum"})


@rule(*UNARY, *NARY, "Neg", "Abs", "Not", "Identity", "SwiGLU")
@rule("Gelu", "QuickGelu", "BiasGelu", "FastGelu", domain=MICROSOFT)
def elementwise(op: Op) -> Result:
    """With numpy's broadcasting."""
    ancient = op.opset < 7 and not canonical_domain(op.node.domain) and len(op.present) > 1
    if op.attribute("broadcast") or ancient:
        raise LooksAhead("old-broadcasting", "operators before opset 7 broadcast by attributes, which is not followed")
    return with_form(op, joined(op.inputs, op.symbols), _operator(op))


def _operator(op: Op) -> str:
    name, dtype = op.node.op_type, op.types[0]
    rounds = name in ("Div", "Mod", "Pow") and not _is_float(dtype)
    wraps = name in _ARITHMETIC and not _is_float(dtype) and dtype not in COUNTING
    return f"{name}:i" if rounds or wraps else name


@rule("Cast", "CastLike")
def cast(op: Op) -> Result:
    """Elementwise, whatever the types."""
    x = op.need(0)
    target = int(op.attribute("to")) if op.node.op_type == "Cast" else op.types[1]
    result = Result([Value(x.state, known(x))], {0: axes_of(x)})
    if target is None or x.form is None:
        return Result([_formed(result.values[0], Some(stable=x.stable) if x.form is not None else None)], result.axes)
    form = applied(f"Cast:{_kind(target)}", (x.form,))
    if _kind(target) in ("i", "f"):
        form = held(form, target, known(x))
    return Result([_formed(result.values[0], form)], result.axes)


def _kind(dtype: int) -> str:
    if dtype == _BOOL:
        return "b"
    if dtype in _SHORT:
        return _SHORT[dtype]
    return "f" if dtype in _FLOATS else "i" if dtype in COUNTING else "n"


@rule("Clip")
def clip(op: Op) -> Result:
    """Bounds are the same for all positions."""
    op.fixed(1, 2)
    x = op.need(0)
    return Result(
        [_formed(Value(x.state, known(x)), None if x.form is None else Some(stable=x.stable))], {0: axes_of(x)}
    )


@rule("Dropout")
def dropout(op: Op) -> Result:
    """In inference the identity; in training it draws random numbers."""
    if (op.get(2) is not None and op.integers(2) != [0]) or (op.opset < 7 and not op.attribute("is_test", 0)):
        raise LooksAhead("training-mode", "Dropout is, or may be, in training mode")
    x = op.need(0)
    mask = Value(x.state, known(x))
    return Result([x, mask][: len(op.node.output)], {0: axes_of(x)})


def with_form(op: Op, result: Result, operator: str) -> Result:
    """Add the form to the result of an elementwise operator, where an operand has one that knows positions."""
    shape = known(result.values[0])
    followed = any(value.form is not None for value in op.present)
    if not followed and any(value.data for value in op.present):
        return result
    forms = [_fitted(op, index, value) for index, value in enumerate(op.inputs) if value is not None]
    fit = [fitted(form, known(value), shape) for form, value in zip(forms, op.present, strict=True)]
    form = applied(operator, tuple(form for form in fit if form is not None))
    if operator in _ARITHMETIC:
        form = held(form, op.types[0], shape)
    if op.types[0] in _SHORT and operator in _ROUNDED:
        form = applied(f"Cast:{_SHORT[op.types[0]]}", (form,))
    return Result([_formed(result.values[0], form)], result.axes)


def _fitted(op: Op, index: int, value: Value) -> Form:
    return form_of(value, op.types[index], op.node.input[index])


def form_of(value: Value, dtype: int | None, tensor: str = "") -> Form:
    """Return the form of an operand; of a value that nothing is known of, what its type says. `tensor`: its name."""
    if value.form is not None:
        return value.form
    array = value.array()
    if array is not None and (known_form := table(array)) is not None:
        return known_form
    if value.content is not None and value.content.size == 1:
        return Affine((), value.content.reshape(-1)[0])
    if dtype == _BOOL:
        return Some(0, 1, value.stable)
    is_computed = value.data and _is_float(dtype)
    return replace(scores_of(dtype), tensor=tensor) if is_computed else Some(stable=value.stable)


def scores_of(dtype: int | None) -> Computed:
    """Return what is known of scores of a type."""
    return COMPUTED_HALF if dtype == onnx.TensorProto.FLOAT16 else COMPUTED


def form_of_constant(x: Value) -> Form | None:
    """Return the form of a constant; None for other values, and where it cannot be read."""
    array = x.array() if x.is_constant else None
    return None if array is None else table(array)


def _formed(value: Value, form: Form | None) -> Value:
    """Give a value its form, which decides whether it is stable."""
    state = value.state
    if form is not None and isinstance(state, Counted):
        state = counted(state.places, form, kept=state.stable)
    elif form is not None and value.data and not is_stable(form):
        raise LooksAhead("size-in-data", SIZE_IN_DATA)
    return Value(state, value.shape, form=form)


def _is_float(dtype: int | None) -> bool:
    return dtype in _FLOATS or dtype == onnx.TensorProto.FLOAT16
