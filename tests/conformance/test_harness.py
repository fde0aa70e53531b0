"""The harness finds what it is there to find: wrong models, wrong claims, crashes."""

# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from actcache.passes.graph.nodes import node_attribute
from actcache.passes.rows import RULES
from actcache.passes.rows.registry import Op, Rule
from actcache.passes.rows.state import Value
from tests.conformance import check as check_module
from tests.conformance.agreement import accepted_excess, excess, identical, with_moved_numbers
from tests.conformance.check import check
from tests.conformance.pool import Worker
from tests.conformance.running import runner, session
from tests.conformance.subject import Outcome, Subject

ROWS = """<ir_version: 8, opset_import: ["" : 17]>
rows (float[N, 3] x, float[3] w) => (float[N, 3] y) {
    a = Mul(x, w)
    b = Tanh(a)
    y = Add(b, x)
}"""
SUMS = """<ir_version: 8, opset_import: ["" : 17]>
sums (float[N, 3] x) => (float[N, 3] y) <int64 zero = {0}> {
    a = Tanh(x)
    y = CumSum(a, zero)
}"""


def subject(text: str, rows: int = 4) -> Subject:
    model = onnx.parser.parse_model(text)
    random = np.random.default_rng(5)
    feeds = []
    for count in (rows, rows + 2):
        shapes = {v.name: [d.dim_value or count for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
        feeds.append({name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})
    return Subject(model.graph.name, model, feeds)


def checked(text: str, folder: Path) -> Outcome:
    return check(subject(text), folder)


# -- what is right ---------------------------------------------------------------------------------------


def test_rows_are_compiled_and_hold(tmp_path: Path) -> None:
    outcome = checked(ROWS, tmp_path)
    assert (outcome.verdict, outcome.problems, outcome.unstable) == ("row", [], 0)
    assert outcome.checks > 50
    assert outcome.operators == ["Add", "Mul", "Tanh"]


def test_a_model_that_does_not_run_says_why(tmp_path: Path) -> None:
    outcome = checked(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N] x) => (float[N] y) { y = Nothing(x) }', tmp_path
    )
    assert (outcome.verdict, outcome.problems) == ("not run", [])
    assert outcome.rule and "Nothing" in outcome.reason


# -- wrong models ----------------------------------------------------------------------------------------

Damage = Callable[[onnx.ModelProto], None]


def lookup_of(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == "CacheLookup")


def branch_of(model: onnx.ModelProto, name: str) -> onnx.GraphProto:
    found = next(node_attribute(node, name) for node in model.graph.node if node.op_type == "If")
    assert found is not None
    return found.g


def key_without_an_input(model: onnx.ModelProto) -> None:
    lookup = lookup_of(model)
    axes = node_attribute(lookup, "input_row_axes")
    assert axes is not None
    shared = list(axes.ints).index(-1)
    del lookup.input[shared]
    del axes.ints[shared]


def other_answer_on_a_hit(model: onnx.ModelProto) -> None:
    branch_of(model, "else_branch").node[0].op_type = "Neg"


def other_answer_on_a_miss(model: onnx.ModelProto) -> None:
    branch_of(model, "then_branch").node[0].op_type = "Add"


def value_of_no_node(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "z"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (key_without_an_input, "differs by"),
        (other_answer_on_a_hit, "the warm answer is not the cold one"),
        (other_answer_on_a_miss, "differs by"),
        (other_answer_on_a_miss, "does not give back the same graph.node"),
        (value_of_no_node, "onnx.checker"),
        (value_of_no_node, "onnxruntime refuses the model compiled"),
    ],
)
def test_a_wrong_model_is_seen(damage: Damage, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Any = check_module.outlined  # type: ignore[attr-defined]

    def outlined(*arguments: object) -> onnx.ModelProto:
        result: onnx.ModelProto = right(*arguments)
        damage(result)
        return result

    monkeypatch.setattr(check_module, "outlined", outlined)
    outcome = checked(ROWS, tmp_path)
    assert outcome.verdict == "wrong"
    assert any(words in problem for problem in outcome.problems), outcome.problems
    assert "rows (float" in outcome.text


# -- wrong claims ----------------------------------------------------------------------------------------


def test_a_wrong_rule_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(op: Op) -> Value:
        op.row_free(1)
        return op.need(0)

    monkeypatch.setitem(RULES, ("", "CumSum"), Rule(wrong))
    outcome = checked(SUMS, tmp_path)
    assert outcome.verdict == "wrong"
    begins = {" ".join(problem.split()[:2]) for problem in outcome.problems}
    assert begins == {"claims under", "compiled by"}, outcome.problems
    assert any("'y' is claimed to be rows" in problem for problem in outcome.problems), outcome.problems


def test_a_needless_refusal_is_a_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, ("", "Tanh"))
    outcome = checked(ROWS, tmp_path)
    assert outcome.problems == []
    assert [(c.rule, c.operator, c.tensor, c.axis) for c in outcome.candidates] == [("no-row-rule", "Tanh", "y", 0)]


# -- crashes ---------------------------------------------------------------------------------------------

_WORKER = """
import os, sys, time
for name in sys.stdin:
    stage, end = name.split()
    print('{"stage": "%s"}' % stage, flush=True)
    if end == "aborts":
        os.abort()
    if end == "hangs":
        time.sleep(600)
    print('{"outcome": null}', flush=True)
"""


@pytest.mark.parametrize(
    ("name", "verdict"), [("original aborts", "not run"), ("compiled aborts", "wrong"), ("compiled hangs", "wrong")]
)
def test_a_crash_costs_one_subject(name: str, verdict: str) -> None:
    worker = Worker("node", command=("-c", _WORKER), seconds=5.0)
    outcome = worker.check(name)
    assert outcome is not None and outcome.verdict == verdict and outcome.name == name
    assert worker.check("original runs") is None
    worker.stop()


# -- agreement -------------------------------------------------------------------------------------------


def test_a_huge_row_hides_nothing_in_a_small_one() -> None:
    wanted = np.array([[1e9, 2e9], [1.0, 2.0]], np.float32)
    got = wanted + np.array([[0, 0], [0, 1e-3]], np.float32)
    assert excess(got, wanted, axis=0) > 10
    assert excess(got, wanted) < 1
    assert not identical(got, wanted) and identical(got, got.copy())


def test_infinities_and_types_must_agree() -> None:
    wanted = np.array([1.0, np.inf, np.nan], np.float32)
    assert excess(wanted.copy(), wanted) == 0
    assert excess(np.array([1.0, np.inf, 0.0], np.float32), wanted) == float("inf")
    assert excess(wanted.astype(np.float64), wanted) == float("inf")


def test_only_ill_conditioned_models_move() -> None:
    steady = onnx.parser.parse_model(ROWS)
    cancelling = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N, 3] x, float[N, 3] z) => (float[N, 3] y) { y = Sub(x, z) }""")
    feed = subject(ROWS).feeds[0]
    assert max(accepted_excess(runner(session(steady)), feed)) < 20
    close = {"x": feed["x"], "z": feed["x"] * np.float32(1 + 1e-5)}
    assert max(accepted_excess(runner(session(cancelling)), close)) > 1000


def test_weights_are_moved_where_inputs_cannot_be() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (int64[N] x) => (float[N] y) <float[3] w = {10.1, 20.2, 30.3}, float[3] v = {10.1001, 20.2001, 30.3001}>
    { a = Gather(w, x) b = Gather(v, x) y = Sub(a, b) }""")
    feed = {"x": np.array([0, 1, 2])}
    assert accepted_excess(runner(session(model)), feed) == [0.0]
    assert accepted_excess(runner(session(model)), feed, runner(session(with_moved_numbers(model))))[0] > 1000


def test_sums_are_moved_where_neither_inputs_nor_weights_can_be() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]>
    g (int64[N, 8] x) => (float[N, 8] y) <int64[1] last = {1}>
    { a = Cast<to = 1>(x) b = Tanh(a) c = ReduceMean(b, last) y = Sub(b, c) }""")
    feed = {"x": np.full((3, 8), 9)}
    assert accepted_excess(runner(session(model)), feed) == [0.0]
    assert accepted_excess(runner(session(model)), feed, runner(session(with_moved_numbers(model))))[0] > 1000


def test_each_row_moves_as_far_as_it_does_by_itself() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]>
    g (float[N, 8] x) => (float[N, 8] y) <int64[1] last = {1}> { c = ReduceMean(x, last) y = Sub(x, c) }""")
    feed = {"x": np.stack([np.full(8, 0.3), np.arange(-3.5, 4)]).astype(np.float32)}
    cancels, holds = accepted_excess(runner(session(model)), feed, axes=[0])[0]
    assert cancels > 1000 * holds
