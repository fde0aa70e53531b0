"""Masks: those that are proven close all later positions in onnxruntime, those that do not are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from actcache.passes.causal import Ahead, Causal
from actcache.passes.causal.forms import COMPUTED_HALF
from tests.conformance.causal.masks import (
    AHEAD,
    BINARY,
    CAUSAL,
    HALF,
    HALF_AHEAD,
    HALF_BINARY,
    LOWEST,
    OPENED,
    OPENED_AHEAD,
)
from tests.conformance.causal.truth import looks_ahead, proven, session, wrong_suffixes, wrongly_proven


@pytest.mark.parametrize("name", [*CAUSAL, *HALF])
def test_masks_that_close_later_positions(name: str) -> None:
    sketch = (CAUSAL | HALF)[name]
    proof = proven(sketch)
    assert isinstance(proof.state("y"), Causal), proof.refusal("y")
    assert proof.binary_inputs == ()
    assert not list(wrongly_proven(sketch, proof, (6,)))
    assert not list(wrong_suffixes(sketch, proof, ["y"]))


@pytest.mark.parametrize("name", [*BINARY, *HALF_BINARY])
def test_masks_that_the_caller_closes_further(name: str) -> None:
    sketch = (BINARY | HALF_BINARY)[name]
    refused = proven(sketch).refusal("y")
    assert refused is not None
    proof = proven(sketch, binary_masks=True)
    assert isinstance(proof.state("y"), Causal), proof.refusal("y")
    assert proof.binary_inputs == ("mask",)
    assert not list(wrongly_proven(sketch, proof, (6,)))
    assert not list(wrong_suffixes(sketch, proof, ["y"]))


@pytest.mark.parametrize("name", OPENED)
def test_masks_that_close_all_unless_the_caller_closes_nothing(name: str) -> None:
    sketch = OPENED[name]
    assert proven(replace(sketch, ones=()), binary_masks=True).refusal("y") is not None
    proof = proven(sketch, binary_masks=True)
    assert isinstance(proof.state("y"), Causal), proof.refusal("y")
    assert (proof.ones_inputs, proof.binary_inputs) == (("mask",), ())
    assert proof.is_told_by(["ids", "mask"]) and not proof.is_told_by(["ids"])
    assert not list(wrongly_proven(sketch, proof, (6,)))
    assert not list(wrong_suffixes(sketch, proof, ["y"]))


@pytest.mark.parametrize("name", OPENED_AHEAD)
def test_masks_that_do_not_close_later_positions_whatever_the_caller_hands_in(name: str) -> None:
    sketch = OPENED_AHEAD[name]
    state = proven(sketch, binary_masks=True).state("y")
    assert isinstance(state, Ahead) and state.refusal.node
    assert looks_ahead(sketch)


@pytest.mark.parametrize("name", AHEAD)
def test_masks_that_do_not_are_refused(name: str) -> None:
    state = proven(AHEAD[name]).state("y")
    assert isinstance(state, Ahead)
    assert state.refusal.node


#: What is drawn for a caller is small; a given mask closes all of a row only if it begins with 0; a part of a mask
#: fits no longer sequence; types that cannot count show it in longer sequences. This onnxruntime computes float16 in
#: float32, and its Tanh gets to 1.
SHORT_TYPES = {"int8": 128, "bfloat16": 256, "float16": 2048}
QUIET = {
    "-10000 beside numbers that the caller hands in",
    "triangle, at most a part",
    "and a given one, finite",
    "not its own, -inf",
}
QUIET |= {"products too small for float16", "Tanh near its end"}
QUIET |= {f"compared as {name}" for name in SHORT_TYPES}
#: Sequences of thousands of positions show these.
FLATTENED = {"float32": 4_100, "int32": 60_100}
QUIET |= {f"flattened numbers as {name}" for name in FLATTENED}
#: What becomes of it depends on the processor.
QUIET |= {"a float that no integer holds"}


@pytest.mark.parametrize("name", FLATTENED)
def test_flattened_numbers_round_or_wrap_around_in_long_sequences(name: str) -> None:
    """Why masks that compare such numbers in these types are refused."""
    length, cast = FLATTENED[name], f"Cast<to={onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name))}>"
    text = f"""<ir_version: 9, opset_import: ["" : 19]> g (int64 s, int64[R] i, int64[R] j) => (bool[R] open) {{
        rows = Mul(i, s) key = Add(rows, j) own = Add(rows, i)
        a = {cast}(key) b = {cast}(own) open = LessOrEqual(a, b) }}"""
    i = np.arange(length - 1)
    later = i + 1 if name == "float32" else np.full(length - 1, length - 1)
    (opened,) = session(onnx.parser.parse_model(text)).run(None, {"s": np.array(length), "i": i, "j": later})
    assert opened.any() and not opened.all()


@pytest.mark.parametrize("name", SHORT_TYPES)
def test_short_types_take_a_later_position_for_an_earlier_one(name: str) -> None:
    """Why masks that compare positions in such types are refused."""
    cast = "Cast<to=1>" if name == "bfloat16" else "Identity"  # onnxruntime compares none
    text = f"""<ir_version: 9, opset_import: ["" : 19]> g (int64[S] n) => (bool[S] ok) {{
        short = Cast<to={onnx.TensorProto.DataType.Value(name.upper())}>(n) all = {cast}(short)
        first = Gather(all, first_one) ok = LessOrEqual(all, first) }}"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "first_one"))
    last = SHORT_TYPES[name] - (name == "int8")  # the last number that the type tells from the next one
    assert session(model).run(None, {"n": np.array([last, last + 1])})[0].all()


@pytest.mark.parametrize("name", sorted(AHEAD.keys() - QUIET))
def test_refused_masks_let_later_positions_through(name: str) -> None:
    assert looks_ahead(AHEAD[name])


@pytest.mark.parametrize("name", HALF_AHEAD)
def test_masks_of_float16_that_scores_may_outweigh(name: str) -> None:
    refusal = proven(HALF_AHEAD[name]).refusal("y")
    assert refusal is not None
    assert refusal.rule == "not-causal"
    assert "which scores may outweigh" in refusal.reason


@pytest.mark.parametrize("apply", ["Where", "Add"])
@pytest.mark.parametrize("optimised", [False, True])
def test_what_is_allowed_for_scores_of_float16_leaves_later_positions_no_weight(apply: str, optimised: bool) -> None:
    """The bound in docs/declarations.md, and that there has to be one."""
    nodes = "m = Where(ok, nothing, low) a = Add(s, m)" if apply == "Add" else "a = Where(ok, s, low)"
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float16[Q, K] s, bool[Q, K] ok) => (float16[Q, K] w)
        {{ {nodes} w = Softmax<axis=-1>(a) }}"""
    model = onnx.parser.parse_model(text)
    for name, number in (("low", LOWEST), ("nothing", 0)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(number, np.float16), name))
    runner = session(model, optimised=optimised)

    def weight(largest: float) -> float:
        scores = np.array([[-largest, largest], [largest, -largest]], np.float16)
        return float(runner.run(None, {"s": scores, "ok": np.tril(np.ones((2, 2), bool))})[0][0, 1])

    assert weight(COMPUTED_HALF.high) == 0
    assert weight(-LOWEST) > 0.4
