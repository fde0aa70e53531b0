"""The page in docs: every outcome is counted once, and every refusal that looks too strict is listed."""

from __future__ import annotations

from tests.conformance.report import document
from tests.conformance.subject import VERDICTS, Outcome, StrictRefusal


def outcomes() -> list[Outcome]:
    found = [Outcome(f"model {v}", v, rule=f"rule of {v}", checks=10, unstable=1) for v in VERDICTS]
    found[-1].problems = ["output 0 differs"]
    found[0].candidates = [
        StrictRefusal("not-batch-axis", "", "MaxPool 'a'", "y", 0),
        StrictRefusal("axes-unknown", "", "Slice → y", "y", 0),
        StrictRefusal("a-new-rule", "nobody knows", "Thing → y", "y", 0),
    ]
    return found


def test_everything_is_counted() -> None:
    text = document({"some models": outcomes(), "others": outcomes()[:2]})
    assert "|  | some models | others |\n|---|---:|---:|\n| rows | 1 | 1 |\n| rows and whole calls | 1 | 1 |\n" in text
    assert "| all | 7 | 2 |\n| comparisons | 70 | 20 |\n| put down to rounding | 7 | 2 |\n" in text
    assert "- `model wrong`: output 0 differs" in text
    for verdict in ("mixed", "tensor", "refused", "not run"):
        assert f"| rule of {verdict} |" in text


def test_refusals_stand_with_what_a_person_said_of_them() -> None:
    text = document({"some models": outcomes()})
    needless, rest = text.split("### Needless")[1].split("### Rightly refused")
    right, unseen = rest.split("### Not looked at yet")
    assert "MaxPool" in needless and "Slice" in right
    assert "- Thing 1 (`a-new-rule`; `model row`): nobody knows\n" in unseen


def test_the_same_outcomes_make_the_same_page() -> None:
    assert document({"some models": outcomes()}) == document({"some models": outcomes()})
