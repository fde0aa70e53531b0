"""Purity fails closed."""

from __future__ import annotations

import onnx
import pytest
from graphs import model, view
from onnxruntime.capi import onnxruntime_pybind11_state as native

from actcache.passes.graph.node_purity import Scope, impurity
from actcache.passes.graph.op_facts import NON_TENSOR, RANDOM, READ_SETS, RUNTIME_OPERATORS, STATEFUL, canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.purity import impure_nodes
from actcache.passes.rows import RULES

DOMAINS = ", ".join(
    f'"{domain}" : 1'
    for domain in "custom com.microsoft com.microsoft.nchwc ai.onnx.ml ai.onnx.preview.training".split()
)
SCOPE = Scope({"": 17}, lambda name: None)


def node_of(domain: str, operator: str) -> onnx.NodeProto:
    return onnx.helper.make_node(operator, ["x"], ["y"], domain=domain)


IMPURE = {
    "random": ("y = RandomNormalLike(x)", "impure-random"),
    "bernoulli": ("y = Bernoulli(x)", "impure-random"),
    "unknown domain": ("y = custom.Thing(x)", "impure-unknown-domain"),
    "unknown operator": ("y = NoSuchOperator(x)", "impure-unknown-op"),
    "unknown operator of onnxruntime": ("y = com.microsoft.NoSuchOperator(x)", "impure-unknown-op"),
    "unknown operator of onnxruntime's optimiser": ("y = com.microsoft.nchwc.NoSuchOperator(x)", "impure-unknown-op"),
    "unknown operator for trees and the like": ("y = ai.onnx.ml.NoSuchOperator(x)", "impure-unknown-op"),
    "operator of one domain in another": ("y = ai.onnx.ml.FastGelu(x)", "impure-unknown-op"),
    "training": ("y = ai.onnx.preview.training.Momentum(x)", "impure-unknown-domain"),
    "sequence": ("s = SequenceConstruct(x) i = Constant<value_int = 0>() y = SequenceAt(s, i)", "non-tensor"),
    "training dropout": (
        "t = Constant<value = bool {1}>() r = Constant<value_float = 0.5>() y = Dropout(x, r, t)",
        "impure-training",
    ),
    "training dropout of a constant": (
        "t = Constant<value = bool {1}>() r = Constant<value_float = 0.5>() d = Dropout(r, r, t) y = Mul(x, d)",
        "impure-training",
    ),
    "dropout that may train": (
        "c = Less(x, x) r = Constant<value_float = 0.5>() y = Dropout(x, r, c)",
        "impure-training",
    ),
    "random draws for a constant": (
        "r = Constant<value_float = 0.5>() d = RandomNormalLike(r) y = Mul(x, d)",
        "impure-random",
    ),
    "cache of the host": ("y = com.microsoft.PagedAttention(x)", "impure-state"),
    "random in a body": (
        """c = Constant<value = bool {1}>()
        y = If(c) <then_branch = t () => (float[N] a) { a = RandomNormalLike(x) },
                   else_branch = e () => (float[N] b) { b = Abs(x) }>""",
        "impure-random",
    ),
}


@pytest.mark.parametrize("name", IMPURE)
def test_what_is_not_a_function_of_its_inputs_is_refused(name: str) -> None:
    nodes, rule = IMPURE[name]
    found = impure_nodes(view(f"g (float[N] x) => (float[N] y) {{ {nodes} }}", domains=DOMAINS))
    assert rule in {refusal.rule for refusal in found.values()}


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Abs(x)",
        "y = Dropout(x)",
        "f = Constant<value = bool {0}>() r = Constant<value_float = 0.5>() y = Dropout(x, r, f)",
        "y = com.microsoft.FastGelu(x)",
        "y = com.microsoft.nchwc.ReorderInput(x)",
        "y = ai.onnx.ml.Scaler<offset = [0.0], scale = [1.0]>(x)",
        "y = SimplifiedLayerNormalization(x, x)",
        "c = Constant<value = bool {1}>() y = If(c) <then_branch = t () => (float[N] a) { a = Neg(x) },"
        " else_branch = e () => (float[N] b) { b = Abs(x) }>",
    ],
)
def test_pure_nodes_pass(nodes: str) -> None:
    assert impure_nodes(view(f"g (float[N] x) => (float[N] y) {{ {nodes} }}", domains=DOMAINS)) == {}


def test_what_is_said_of_each_operator_that_onnxruntime_adds() -> None:
    """Each that has a row rule was read for its purity, too; one that neither knows ends a region."""
    said = {(canonical_domain(schema.domain), schema.name) for schema in native.get_all_operator_schema()}
    assert len(said) > 300 and said >= RUNTIME_OPERATORS
    pure = {key for key in said if impurity(node_of(*key), SCOPE) is None}
    assert pure & RUNTIME_OPERATORS == RUNTIME_OPERATORS
    assert not RUNTIME_OPERATORS & (RANDOM | STATEFUL | NON_TENSOR)
    added = {key for key in RULES if key[0].startswith("com.")} | RUNTIME_OPERATORS
    assert len(added) > 140 and added - RUNTIME_OPERATORS <= STATEFUL
    assert {key for key in pure if key[0].startswith("com.")} <= RUNTIME_OPERATORS


def test_what_a_later_operator_set_adds_is_not_known() -> None:
    kind = onnx.defs.OpSchema
    parameter = kind.FormalParameter("x", "T")
    schema = kind("Later", "", READ_SETS[""] + 1, inputs=[parameter], outputs=[kind.FormalParameter("y", "T")],
                  type_constraints=[("T", ["tensor(float)"], "")])  # fmt: skip
    onnx.defs.register_schema(schema)
    try:
        assert onnx.defs.has("Later")
        problem = impurity(node_of("", "Later"), SCOPE)
        assert problem is not None and problem[0] == "impure-unknown-op" and "--pure-op :Later" in problem[1]
    finally:
        onnx.defs.deregister_schema("Later", READ_SETS[""] + 1, "")


def test_batch_normalisation_that_trains() -> None:
    text = """g (float[N, 2] x) => (float[N, 2] y)
    <float[2] s = {1, 1}, float[2] b = {0, 0}, float[2] m = {0, 0}, float[2] v = {1, 1}>
    { y, rm, rv = BatchNormalization<training_mode = 1>(x, s, b, m, v) }"""
    assert [r.rule for r in impure_nodes(view(text)).values()] == ["impure-training"]
    assert impure_nodes(view(text.replace("y, rm, rv", "y").replace("<training_mode = 1>", ""))) == {}


def test_the_user_can_vouch_for_an_operator() -> None:
    proto = model("g (float[N] x) => (float[N] y) { y = custom.Thing(x) }", domains='"custom" : 1')
    found = impure_nodes(GraphView(proto))
    assert "--pure-op custom:Thing" in found[0].reason
    assert impure_nodes(GraphView(proto), ["custom:Thing"]) == {}


@pytest.mark.parametrize(
    ("opset", "nodes", "trains"),
    [
        (6, "y = BatchNormalization(x, s, b, m, v)", True),
        (6, "y = BatchNormalization<is_test = 1>(x, s, b, m, v)", False),
        (6, "y = Dropout(x)", True),
        (6, "y = Dropout<is_test = 1>(x)", False),
        (7, "y = BatchNormalization(x, s, b, m, v)", False),
        (7, "y, rm, rv = BatchNormalization(x, s, b, m, v)", True),
        (7, "y, rm = BatchNormalization(x, s, b, m, v)", True),
        (7, "y = Dropout(x)", False),
        (9, "y, rm, rv, sm, sv = BatchNormalization(x, s, b, m, v)", True),
    ],
)
def test_old_versions_of_operators_that_train(opset: int, nodes: str, trains: bool) -> None:
    text = f"""g (float[N, 2] x) => (float[N, 2] y)
    <float[2] s = {{1, 1}}, float[2] b = {{0, 0}}, float[2] m = {{0, 0}}, float[2] v = {{1, 1}}> {{ {nodes} }}"""
    found = impure_nodes(view(text, opset=opset))
    assert [refusal.rule for refusal in found.values()] == ["impure-training"] * trains


def test_a_batch_normalisation_of_a_model_that_imports_no_operator_set_trains() -> None:
    proto = model("g (float[N, 2] x, float[2] s) => (float[N, 2] y) { y = BatchNormalization(x, s, s, s, s) }")
    del proto.opset_import[:]
    assert [refusal.rule for refusal in impure_nodes(GraphView(proto)).values()] == ["impure-training"]


@pytest.mark.parametrize(("value", "pure"), [("{0}", True), ("{1}", False)])
@pytest.mark.parametrize("where", ["initializer", "node"])
def test_a_flag_is_looked_for_in_the_body_first(value: str, pure: bool, where: str) -> None:
    inner = f"<bool t = {value}>" if where == "initializer" else ""
    node = "" if inner else f"t = Constant<value = bool {value}>()"
    text = f"""g (float[N] x, bool c, float r) => (float[N] y)
    {{ y = If(c) <
        then_branch = a () => (float[N] p) {inner} {{ {node} p = Dropout(x, r, t) }},
        else_branch = b () => (float[N] q) {{ q = Abs(x) }}> }}"""
    assert (impure_nodes(view(text)) == {}) is pure


def test_what_hands_a_sequence_on_is_refused_though_its_operator_takes_tensors_too() -> None:
    found = impure_nodes(view("g (seq(float[N]) s) => (seq(float[N]) y) { y = Identity(s) }"))
    assert [refusal.rule for refusal in found.values()] == ["non-tensor"]


@pytest.mark.parametrize("vouched", ["ai.onnx:NoSuchOperator", ":NoSuchOperator"])
def test_the_default_domain_can_be_vouched_for_by_either_name(vouched: str) -> None:
    found = view("g (float[N] x) => (float[N] y) { y = NoSuchOperator(x) }")
    found.model.graph.node[0].domain = vouched.split(":")[0]
    assert impure_nodes(found, [":NoSuchOperator"]) == {} and impure_nodes(found, [vouched]) == {}
