"""Parts of a model that depend on some of its inputs compute the sizes that they are told themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import model
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from actcache.passes.graph.cones import cones, content_cones, slices_without_elements
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.own_sizes import with_own_sizes
from actcache.passes.rows import prove_rows
from actcache.passes.rows.sizes import ZERO

Array = np.ndarray[Any, Any]
STATES = frozenset({"states"})
RANDOM = np.random.default_rng(0)

#: Keys of an encoder's states, told the batch of the tokens by ``{size}``, which is also told to their queries.
ATTENTION = """
attention (int64[batch, tokens] ids, float[batch, encoded, 8] states) => (float[] y)
<float[11, 8] table, float[8, 8] w, int64 zero = {0}, int64[1] first = {0}, int64[1] second = {1},
 int64[1] one = {1}, int64[3] rest = {-1, 2, 4}, int64[2] together = {-1, 8}, int64[1] heads = {2},
 int64[2] flat = {-1, 4}>
{
    x = Gather(table, ids)
    SIZE
    target = Concat <axis = 0> (n, rest)
    q0 = Reshape(x, target)
    q = Transpose <perm = [0, 2, 1, 3]> (q0)
    k0 = MatMul(states, w)
    k1 = Reshape(k0, target)
    k = Transpose <perm = [0, 2, 3, 1]> (k1)
    s = MatMul(q, k)
    y = Softmax <axis = -1> (s)
}
"""
#: Ways to read the batch size of the tokens.
SIZES = {
    "of the input": "sh = Shape(ids) n = Gather(sh, first)",
    "of what is computed": "sh = Shape(x) n = Slice(sh, first, second)",
    "of a scalar": "sh = Shape(x) b = Gather(sh, zero) n = Unsqueeze(b, first)",
    "by attributes": "n = Shape <start = 0, end = 1> (ids)",
}


def told(size: str, body: str = ATTENTION, opset: int = 17) -> onnx.ModelProto:
    made = model(body.replace("SIZE", size), opset=opset)
    random = np.random.default_rng(1)
    for name, shape in (("table", (11, 8)), ("w", (8, 8))):
        weight = random.standard_normal(shape).astype(np.float32)
        made.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    return made


def rewritten(made: onnx.ModelProto, *parts: frozenset[str]) -> GraphView:
    """The rewritten model; no new tensor is unread, of which onnxruntime would warn; doing it again changes nothing."""
    found = with_own_sizes(GraphView(made), parts or (STATES,))
    assert found is not None
    view = GraphView(found)
    assert view.initializers - GraphView(made).initializers <= view.consumers.keys()
    assert with_own_sizes(view, parts or (STATES,)) is None
    return view


def feed(tokens: int, states: int, length: int = 3, encoded: int = 5) -> dict[str, Array]:
    return {
        "ids": RANDOM.integers(0, 11, (tokens, length)),
        "states": RANDOM.standard_normal((states, encoded, 8), np.float32),
    }


def run(made: onnx.ModelProto, given: dict[str, Array]) -> Array | None:
    """What onnxruntime gives; None: it fails."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    try:
        return np.asarray(session.run(None, given)[0])
    except (Fail, InvalidArgument, RuntimeException):
        return None


def assert_same(one: onnx.ModelProto, two: onnx.ModelProto, given: dict[str, Array]) -> Array | None:
    left, right = run(one, given), run(two, given)
    assert (left is None) == (right is None)
    if left is not None and right is not None:
        assert left.shape == right.shape and (left == right).all()
    return left


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_keys_of_states_do_not_depend_on_tokens(size: str) -> None:
    made = told(size)
    view = rewritten(made)
    assert content_cones(GraphView(made))["k"] == {"ids", "states"}
    assert content_cones(view)["k"] == STATES and content_cones(view)["y"] == {"ids", "states"}
    assert cones(view)["k"] == {"ids", "states"}, "sizes of the tokens, which equations are about, are still read"
    (slice_of,) = slices_without_elements(view)
    sizes = prove_rows(view, {}).shape(slice_of)
    assert sizes is not None and sizes[1] == ZERO
    assert assert_same(made, view.model, feed(3, 3)) is not None
    assert assert_same(made, view.model, feed(1, 1, 1, 1)) is not None
    assert_same(made, view.model, feed(0, 0))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_batches_of_different_sizes_give_the_same_or_fail_as_before(size: str) -> None:
    """States of one row, or of other rows than the tokens: a Reshape may share their elements out anew."""
    made = told(size)
    view = rewritten(made)
    results = [assert_same(made, view.model, feed(*rows)) for rows in ((2, 1), (1, 2), (2, 4), (3, 2), (5, 1), (0, 2))]
    assert sum(result is not None for result in results) >= 2


def test_what_others_read_too_is_computed_for_the_part_alone() -> None:
    """Sizes of the states themselves, as the older exporter reads them, once for keys, queries and a mask."""
    made = told("sh = Shape(states) n = Gather(sh, first)")
    assert content_cones(GraphView(made))["k"] == STATES
    view = rewritten(made)
    readers = [view.model.graph.node[i].output[0] for i in view.consumers["target"]]
    assert readers == ["q0"] and not slices_without_elements(view)
    assert assert_same(made, view.model, feed(2, 2)) is not None


def test_sizes_of_keys_that_others_read_are_read_of_the_states() -> None:
    """The number of keys, for a bias of scores: the part would have to hand these keys on, too."""
    biased = """s0 = MatMul(q, k) ks = Shape(k1) e = Slice(ks, first, two) f = Cast <to = 1> (ids)
        m = ReduceMax <keepdims = 1> (f) b = Expand(m, e) t = Transpose(b) c = ReduceMax <axes = [0], keepdims = 0> (t)
        s = Add(s0, c)"""
    body = ATTENTION.replace("s = MatMul(q, k)", biased).replace("int64 zero", "int64[1] two = {2}, int64 zero")
    made = told("sh = Shape(states) n = Gather(sh, first)", body)
    view = rewritten(made)
    assert [view.model.graph.node[i].op_type for i in view.consumers["k1"]] == ["Transpose"]
    assert "ks" not in view.producer
    assert assert_same(made, view.model, feed(2, 2, 3, 2)) is not None


@pytest.mark.parametrize(
    ("size", "rest"),
    [
        ("sh = Shape(ids) b = Gather(sh, first) n = Mul(b, heads)", "int64[3] rest = {-1, 2, 2}"),
        ("sh = Shape(ids) b = Gather(sh, first) c = Mul(b, b) n = Add(c, b)", "int64[3] rest = {-1, 2, 1}"),
        ("sh = Shape(ids) b = Gather(sh, first) c = Mul(b, heads) n = Sub(c, b)", "int64[3] rest = {-1, 2, 4}"),
    ],
)
def test_sizes_may_be_computed(size: str, rest: str) -> None:
    made = told(size, ATTENTION.replace("int64[3] rest = {-1, 2, 4}", rest))
    view = rewritten(made)
    assert content_cones(view)["k"] == STATES
    assert assert_same(made, view.model, feed(2, 2, 3, 3)) is not None


def test_later_layers_read_sizes_behind_attention() -> None:
    """What scores are broadcast to is not known, but that the tokens' batch is told to what comes of them is."""
    layer = """
        o0 = MatMul(y, v) o1 = Transpose <perm = [0, 2, 1, 3]> (o0) all = Concat <axis = 0> (n, together)
        o = Reshape(o1, all) x2 = Add(x, o) sh2 = Shape(x2) n2 = Gather(sh2, first)
        t2 = Concat <axis = 0> (n2, rest) a0 = MatMul(states, w) a1 = Reshape(a0, t2)
        a = Transpose <perm = [0, 2, 3, 1]> (a1) z = MatMul(q, a)"""
    body = ATTENTION.replace("y = Softmax <axis = -1> (s)", "y = Softmax <axis = -1> (s) "
        "v = Transpose <perm = [0, 2, 1, 3]> (k1)" + layer).replace("(float[] y)", "(float[] z)")  # fmt: skip
    made = told(SIZES["of what is computed"], body)
    view = rewritten(made)
    assert content_cones(view)["a"] == STATES
    for rows in ((2, 2), (3, 1), (1, 3), (0, 0), (0, 1)):
        assert_same(made, view.model, feed(*rows))


def test_a_scale_that_is_computed_from_a_size_is_a_constant() -> None:
    body = ATTENTION.replace(
        "s = MatMul(q, k)",
        "qs = Shape(q) d = Slice(qs, last, far) f = Cast <to = 1> (d) r = Sqrt(f) ks = Div(k, r) s = MatMul(q, ks)",
    ).replace("int64 zero", "int64[1] last = {-1}, int64[1] far = {9223372036854775807}, int64 zero")
    made = told(SIZES["of the input"], body)
    view = rewritten(made)
    assert content_cones(view)["ks"] == STATES and "r" in view.constants
    assert assert_same(made, view.model, feed(2, 2)) is not None


def unchanged(body: str, *parts: frozenset[str], opset: int = 17) -> bool:
    return with_own_sizes(GraphView(model(body, opset=opset)), parts) is None


def test_what_needs_no_rewriting_is_left_alone() -> None:
    made = told(SIZES["of the input"])
    assert with_own_sizes(GraphView(made), ()) is None
    assert with_own_sizes(GraphView(made), [frozenset({"other"})]) is None
    own = told("sh = Shape(states) n = Gather(sh, first)", ATTENTION.replace("q0 = Reshape(x, target)", """
        si = Shape(ids) ni = Gather(si, first) ti = Concat <axis = 0> (ni, rest) q0 = Reshape(x, ti)"""))  # fmt: skip
    assert with_own_sizes(GraphView(own), [STATES]) is None, "its sizes are of its own input, and only it reads them"


def test_a_size_that_takes_all_axes_of_an_input_depends_on_it() -> None:
    """Of an input of one axis no slice has that axis and nothing else; of two, none has both."""
    one = """g (float[K] ids, float[N, 8] states) => (float[] y) <int64[1] rest = {-1}> {
        e = Exp(states) n = Shape(ids) t = Concat <axis = 0> (n, rest) k = Reshape(e, t) z = Concat <axis = 0> (n, n)
        y = Expand(k, t)
    }"""
    assert unchanged(one, STATES)
    assert unchanged(one.replace("float[K] ids", "float[K, L] ids"), STATES)


def test_a_scalar_input_may_have_any_rank() -> None:
    """onnxruntime does not check it, so what its sizes are is not known."""
    scalar = """g (float ids, float[N, 8] states) => (float[] y) <int64[1] rest = {-1}> {
        e = Exp(states) n = Shape(ids) t = Concat <axis = 0> (n, rest) k = Reshape(e, t) y = Add(k, ids)
    }"""
    assert unchanged(scalar, STATES)


def test_old_opsets_are_left_alone() -> None:
    body = """g (float[N, L] ids, float[N, 8] states) => (float[] y) <int64[1] rest = {-1}, int64[1] first = {0}> {
        e = Exp(states) s = Shape(ids) n = Gather(s, first) t = Concat <axis = 0> (n, rest) k = Reshape(e, t)
        m = ReduceMax <keepdims = 1> (ids) y = Add(k, m)
    }"""
    assert unchanged(body, STATES, opset=9) and not unchanged(body, STATES, opset=10)


def test_sizes_read_in_a_body_stay() -> None:
    """A body may be run by a node that knows nothing of the part: what it captures is not replaced."""
    body = """g (float[N, L] ids, float[N, 8] states, bool c) => (float[] y)
    <int64[1] rest = {-1}, int64[1] first = {0}> {
        e = Exp(states) s = Shape(ids) n = Gather(s, first) t = Concat <axis = 0> (n, rest)
        k = If (c) <then_branch = a () => (float[] p) { p = Reshape(e, t) }, else_branch = b () => (float[] r) {
            r = Identity(e) }>
        m = ReduceMax <keepdims = 1> (ids) y = Add(k, m)
    }"""
    assert unchanged(body, STATES, frozenset({"states", "c"}))


def test_what_is_read_anyway_is_read_directly() -> None:
    """A part of states and mask reads their sizes as they are, and those of the tokens without these."""
    body = ATTENTION.replace("states) =>", "states, float[batch, encoded] mask) =>").replace(
        "k0 = MatMul(states, w)",
        "m = Unsqueeze(mask, last) ms = Mul(states, m) ml = Shape(mask) l = Gather(ml, second) k0 = MatMul(ms, w)",
    ).replace("int64 zero", "int64[1] last = {-1}, int64 zero").replace(
        "k1 = Reshape(k0, target)", "t = Concat <axis = 0> (n, l, hd) k1 = Reshape(k0, t)"
    ).replace("int64[1] heads", "int64[2] hd = {2, 4}, int64[1] heads")  # fmt: skip
    made = told(SIZES["of the input"], body)
    both = frozenset({"states", "mask"})
    view = rewritten(made, both)
    assert content_cones(view)["k"] == both
    assert [view.model.graph.node[i].input[0] for i in slices_without_elements(view).values()] == ["ids"]
    given = {**feed(2, 2), "mask": np.ones((2, 5), np.float32)}
    assert assert_same(made, view.model, given) is not None
