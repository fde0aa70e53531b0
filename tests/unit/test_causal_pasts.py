"""Keys and values of earlier calls in front of the call's own: with none of them, positions read earlier ones only."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from actcache.passes.causal import Ahead
from actcache.passes.graph.pasts import past_axes
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.suffix_branch import SuffixBranch, SuffixNames
from actcache.passes.rewrite.suffix_plan import build_suffix, plan_states
from actcache.passes.rows import SizeEquation
from benchmarks.decoders import Decoder
from tests.conformance.causal.sketches import EMBEDDED, MIXED, POSITIONS, SCORES, Sketch, build
from tests.conformance.causal.truth import behind_past, proven, suffix_model, wrong_suffixes, wrongly_proven

GPT2 = Decoder(layers=1, width=8, heads=2, longest=24, vocabulary=11, past=True, mask="slice", padding=True)
LLAMA = Decoder(
    layers=2, width=16, heads=4, longest=24, vocabulary=11, past=True, padding=True, rotary=True, groups=2,
    position_ids=True,
)  # fmt: skip
DECODERS = {
    "bare": Decoder(layers=1, width=8, heads=2, longest=24, vocabulary=11, past=True),
    "gpt2": GPT2,
    "llama": LLAMA,
}


def sketch_of(sizes: Decoder) -> Sketch:
    """A decoder as the other sketches are: rows are called B."""
    model = sizes.model()
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "B"
    positions = {value.name: 1 for value in model.graph.input if "past" not in value.name}
    return Sketch(model, positions, past_axes(model))


def branch(sketch: Sketch, outputs: list[str]) -> SuffixBranch:
    """The branch of the whole graph."""
    view, proof = sketch.view, proven(sketch, binary_masks=True)
    nodes = range(len(view.model.graph.node))
    states = plan_states(view, nodes, view.inputs, outputs, proof)
    assert not isinstance(states, Refusal), states
    names = SuffixNames({n: f"{n}.compact" for n in sketch.positions}, {n: f"{n}.cached" for n in outputs}, "@r")
    return build_suffix(view, nodes, view.inputs, outputs, states, proof, names)


@pytest.mark.parametrize("name", DECODERS)
def test_without_a_past_a_decoder_is_causal_and_right_after_every_prefix(name: str) -> None:
    sketch = sketch_of(DECODERS[name])
    assert len(sketch.pasts) == 2 * DECODERS[name].layers
    proof, outputs = proven(sketch, binary_masks=True), list(sketch.view.outputs)
    assert [proof.position_axis(output) for output in outputs] == [1] + [2] * len(sketch.pasts)
    assert not list(wrongly_proven(sketch, proof, (5,)))
    assert not list(wrong_suffixes(sketch, proof, outputs, 5, optimised=True))


def test_that_there_is_no_past_has_to_hold_in_a_call() -> None:
    sketch = sketch_of(GPT2)
    found = proven(sketch, binary_masks=True).size_equations(sketch.view.inputs)
    assert found is not None
    assert {equation for equation in found if not equation.terms} == {
        SizeEquation((f"past_key_values.0.{part}", 2), 0, ()) for part in ("key", "value")
    }


def test_one_concat_serves_calls_with_a_past_and_calls_that_know_a_beginning() -> None:
    made = branch(sketch_of(GPT2), ["logits", "present.0.key", "present.0.value"])
    for part in ("key", "value"):
        whole = made.complete[f"present.0.{part}"]
        (node,) = (node for node in made.nodes if whole in node.output)
        own = made.computed[f"present.0.{part}"]
        assert list(node.input) == [f"past_key_values.0.{part}", f"present.0.{part}.cached", own]
        (maker,) = (node for node in made.nodes if own in node.output)
        assert maker.op_type == "Transpose", "entries hold what the call computed, without a past"


def test_the_last_results_come_from_the_branch_and_one_at_least_from_the_store() -> None:
    sketch = sketch_of(GPT2)
    assert list(branch(sketch, ["present.0.key", "present.0.value", "logits"]).complete) == []
    assert list(branch(sketch, ["present.0.key", "present.0.value"]).complete) == []
    view = sketch.view
    del view.model.graph.output[0]
    made = branch(sketch, ["present.0.key", "logits", "present.0.value"])
    assert list(made.complete) == ["present.0.value"]


def test_with_a_past_nothing_is_proven() -> None:
    sketch = sketch_of(GPT2)
    proof = proven(Sketch(sketch.model, sketch.positions), binary_masks=True)
    refusal = proof.refusal("present.0.key")
    assert refusal is not None and refusal.rule == "concat-positions"
    assert isinstance(proof.state("logits"), Ahead)


def test_positions_of_two_kinds_in_one_row_are_refused() -> None:
    sketch = build(
        "int64[B, S] ids, float[B, P, 8] past",
        "h = Gather(wte, ids)  both = Concat<axis=1>(past, h, h)  y = Relu(both)",
        {"ids": 1},
    )
    proof = proven(Sketch(sketch.model, sketch.positions, {"past": 1}))
    refusal = proof.refusal("both")
    assert refusal is not None and refusal.rule == "concat-positions"


FUSED = (
    "Attention<is_causal=1, q_num_heads=2, kv_num_heads=2>(h, k, v)",
    "com.microsoft.MultiHeadAttention<num_heads=2, unidirectional=1>(h, k, v)",
    "Attention<q_num_heads=2, kv_num_heads=2>(h, k, v, ok)",
)


@pytest.mark.parametrize("fused", FUSED)
def test_fused_attention_behind_a_past_stays_what_it_is(fused: str) -> None:
    """A call with a past has fewer queries than keys: what closes positions then depends on onnxruntime's version. So
    the branch has the original's node for it, and another one where it goes on.
    """
    sketch = build(
        "int64[B, S] ids, float[B, P, 8] past_k, float[B, P, 8] past_v",
        f"""sh = Shape(ids)  s = Gather<axis=0>(sh, one)  ps = Shape(past_k)  p = Gather<axis=0>(ps, one)
        t = Add(s, p)  own = Range(p, t, one)  every = Range(zero, t, one)  pi = Unsqueeze(own, axis1)
        pj = Unsqueeze(every, axis0)  ok = LessOrEqual(pj, pi)  h = Gather(wte, ids)  k0 = MatMul(h, wk)
        v0 = MatMul(h, wv)  k = Concat<axis=1>(past_k, k0)  v = Concat<axis=1>(past_v, v0)  y = {fused}""",
        {"ids": 1},
        opset=23,
    )
    sketch = Sketch(sketch.model, sketch.positions, past_axes(sketch.model))
    assert sketch.pasts == {"past_k": 1, "past_v": 1}
    proof = proven(sketch)
    assert proof.position_axis("y") == 1
    assert not list(wrong_suffixes(sketch, proof, ["y", "k", "v"]))
    made = suffix_model(sketch, proof, ["y"])
    assert isinstance(made, tuple), made
    assert ("If" in {node.op_type for node in made[0].graph.node}) == ("ok" not in fused)
    assert behind_past(sketch, proof, "y") is not False


def test_a_mask_that_a_past_widens_is_followed() -> None:
    """A mask made for past and call together, of which the rows of the call are cut out."""
    sketch = build(
        "int64[B, S] ids, float[B, 2, P, 4] past",
        f"""sh = Shape(ids)  s = Gather<axis=0>(sh, axis1)  ps = Shape(past)  p = Gather<axis=0>(ps, axis2)
        t = Add(s, p)  square = Concat<axis=0>(t, t)  open = ConstantOfShape(square)  closed = Add(open, low)
        far = Trilu<upper=1>(closed, one)  bias = Slice(far, p, t, axis0)
        h = Gather(wte, ids)  q0 = MatMul(h, wq)  k0 = MatMul(h, wk)
        q1 = Reshape(q0, heads)  k1 = Reshape(k0, heads)  q = Transpose<perm=[0,2,1,3]>(q1)
        kn = Transpose<perm=[0,2,1,3]>(k1)  v = Concat<axis=2>(past, kn)  k = Transpose<perm=[0,1,3,2]>(v)
        sc0 = MatMul(q, k)  sc2 = Add(sc0, bias)  {MIXED}""",
        {"ids": 1},
    )
    sketch = Sketch(sketch.model, sketch.positions, past_axes(sketch.model))
    proof = proven(sketch)
    assert proof.position_axis("y") == 1, proof.refusal("y")
    assert not list(wrong_suffixes(sketch, proof, ["y", "v"]))


@pytest.mark.parametrize(
    ("inputs", "nodes", "expected"),
    [
        ("float[B, 2, P, 4] a", "y = Concat<axis=-2>(a, c)", {"a": 2}),
        ("float16[B, 2, P, 4] a", "b = Concat<axis=2>(a)  d = Cast<to=1>(b)  y = Concat<axis=2>(d, c)", {"a": 2}),
        ("float[B, 2, P, 4] a", "b = Identity(a)  y = Concat<axis=2>(c, b)", {}),
        ("float[B, 2, 5, 4] a", "y = Concat<axis=2>(a, c)", {}),
        ("float[B, P, 8] a, float[B, Q, 8] b", "y = Concat<axis=1>(a, b)", {}),
        ("float[B, 2, P, 4] a", "y = Concat<axis=2>(c, a)", {}),
        ("int64[B, P] a", "d = Cast<to=7>(c)  y = Concat<axis=0>(a, d)", {}),
    ],
)
def test_pasts_are_what_stands_in_front(inputs: str, nodes: str, expected: dict[str, int]) -> None:
    model = onnx.parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 20]>
        g ({inputs}, float[B, 2, S, 4] x) => (float[N] y) {{ c = Relu(x)  {nodes} }}""")
    assert past_axes(model) == expected


def test_constants_that_a_call_begins_with_are_no_pasts() -> None:
    begin = onnx.numpy_helper.from_array(np.zeros((1, 2, 8), np.float32), "a")
    sketch = build("int64[B, S] ids", "h = Gather(wte, ids)  y = Concat<axis=1>(a, h)", {"ids": 1})
    sketch.model.graph.initializer.append(begin)
    assert past_axes(sketch.model) == {} and GraphView(sketch.model).inputs


def test_from_outside_two_forms_of_a_model_behind_an_if_are_refused() -> None:
    sketch = build(
        "int64[B, S] ids, bool use_cache_branch",
        """h = Gather(wte, ids)  y = If(use_cache_branch) <then_branch = a () => (float[B, S, F] p) { p = Abs(h) },
        else_branch = b () => (float[B, S, F] q) { q = Neg(h) }>""",
        {"ids": 1},
    )
    refusal = proven(sketch).refusal("y")
    assert refusal is not None
    assert refusal.reason.endswith("if it takes most of the time, each is compiled by itself")


@pytest.mark.parametrize(("weights", "asked"), [("w", ("mask",)), ("w1", ())])
def test_any_mask_will_do_where_what_closed_positions_give_is_replaced(weights: str, asked: tuple[str, ...]) -> None:
    """Exporters of PyTorch write that: so prompts with padding on the left are known as well."""
    sketch = build(
        "int64[B, S] ids, int64[B, S] mask",
        f"""{POSITIONS} {EMBEDDED} {SCORES} earlier = LessOrEqual(pj, pi)  given = Cast<to=9>(mask)
        wide = Unsqueeze(given, axis12)  ok = And(earlier, wide)  bias = Where(ok, nothing, closed)
        sc2 = Add(sc1, bias)  w = Softmax<axis=-1>(sc2)  none = IsNaN(w)  w1 = Where(none, nothing, w)
        o = MatMul({weights}, v)  o1 = Transpose<perm=[0,2,1,3]>(o)  y = Reshape(o1, joined)""",
        {"ids": 1, "mask": 1},
        weights={"closed": np.array(-np.inf, np.float32)},
    )
    proof = proven(sketch, binary_masks=True)
    assert proof.position_axis("y") == 1
    assert proof.binary_inputs == asked
    assert not list(wrongly_proven(sketch, proof, (5,)))
