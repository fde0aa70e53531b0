"""Random graphs: some hundreds are compiled and hold, and a wrong rule does not get past them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from actcache.passes.graph.view import GraphView
from actcache.passes.rows import RULES, row_hypotheses, rules_shape
from actcache.passes.rows.broadcasting import carry
from actcache.passes.rows.registry import Op, Rule
from actcache.passes.rows.state import Row, Shape, Value
from tests.conformance.calls import agree_on_rows
from tests.conformance.check import check
from tests.conformance.claims import check_claims
from tests.conformance.pool import outcomes
from tests.conformance.random_graphs import make, names, shrunk
from tests.conformance.random_graphs.__main__ import operators
from tests.conformance.random_graphs.borrowed import samples
from tests.conformance.random_graphs.families import FAMILIES
from tests.conformance.subject import Subject

#: A wrong rule must show in this many graphs that have its operator.
ENOUGH = 60


@pytest.mark.slow
def test_graphs_compile_and_hold() -> None:
    found = [outcome for outcome in outcomes("random", names(200, seed=2027)) if outcome is not None]
    assert [(o.name, o.problems) for o in found if o.verdict == "wrong"] == []
    verdicts = Counter(o.verdict for o in found)
    assert verdicts["not run"] < 0.1 * len(found)
    assert verdicts["row"] + verdicts["mixed"] > 0.3 * len(found)
    assert len(found) == 200


def test_a_name_makes_one_graph() -> None:
    name = names(3, seed=5)[2]
    one, two = make(name), make(name)
    assert one.model == two.model and len(one.feeds) == len(two.feeds)


def test_every_rule_can_appear() -> None:
    built = {(family.domain, operator) for family in FAMILIES for operator in family.operators}
    built |= {operator for sample in samples() for operator in sample.operators}
    missing = {key for key, rule in RULES.items() if key not in built and not rule.barrier}
    assert missing <= NO_KERNEL


#: onnxruntime has no kernel of these in ai.onnx: their rules are tested with onnx's reference implementation.
NO_KERNEL = {("", "CausalConvWithState"), ("", "LinearAttention"), ("", "SwiGLU")}


# -- wrong rules are found -------------------------------------------------------------------------------


def elementwise(op: Op) -> list[Value]:
    """A wrong rule: the rows of the first input stay where they are, whatever the operator does along them."""
    first = op.present[0]
    return [carry(first, first.shape) for _ in op.node.output]


def first_wrong(focus: str, folder: Path) -> str | None:
    """Name the first graph with this operator of which anything is wrong."""
    wrong = (name for name in names(ENOUGH, 0, focus) if check(make(name), folder).verdict == "wrong")
    return next(wrong, None)


@pytest.mark.parametrize(
    "operator",
    "Softmax CumSum Slice ScatterND LSTM DynamicQuantizeLinear LpNormalization".split(),
)
def test_a_wrong_rule_is_found(operator: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = RULES["", operator]
    monkeypatch.setitem(RULES, ("", operator), Rule(elementwise, found.sizes, found.indexes))
    assert first_wrong(operator, tmp_path)


def test_a_reshape_that_mixes_rows_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def reshaped(x: Value, sizes: Shape) -> Value:
        """Wrong: the rows are taken to be wherever the batch is in the result, whatever stands before it."""
        blocks = [(axis, size.block()) for axis, size in enumerate(sizes)]
        found = [Row(axis, block) for axis, block in blocks if block is not None]
        return Value(found[0], sizes) if x.row and found else Value(x.state, sizes)

    monkeypatch.setattr(rules_shape, "reshaped", reshaped)
    assert first_wrong("Reshape", tmp_path)


def test_what_fails_is_shrunk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(RULES, ("", "Softmax"), Rule(elementwise))

    def wrong(subject: Subject) -> bool:
        return any(broken_claims(subject, tmp_path))

    large = (subject for subject in map(make, names(ENOUGH, 0, "Softmax")) if len(subject.model.graph.node) > 8)
    failing = next(subject for subject in large if wrong(subject))
    smallest = shrunk(failing.name, wrong, tries=150).model
    assert operators(smallest.graph)["", "Softmax"] >= 1
    assert len(smallest.graph.node) <= 3


def broken_claims(subject: Subject, folder: Path) -> Iterator[str]:
    view = GraphView(subject.model)
    for hypothesis in row_hypotheses(view, view.inputs):
        for feed in subject.feeds:
            if agree_on_rows(feed, hypothesis):
                yield from check_claims(view, hypothesis, feed, folder)[0]
