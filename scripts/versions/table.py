"""What came of all pairs of versions, as a table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(pairs: Sequence[dict[str, Any]]) -> str:
    """Return a line for each onnxruntime, a column for each Python, and below it what failed or could not be had."""
    pythons = list(dict.fromkeys(pair["asked_python"] for pair in pairs))
    versions = list(dict.fromkeys(pair["asked_onnxruntime"] for pair in pairs))
    by_place = {(pair["asked_onnxruntime"], pair["asked_python"]): pair for pair in pairs}
    lines = [_row(["onnxruntime", *(f"Python {python}" for python in pythons)]), _row(["---"] * (len(pythons) + 1))]
    for version in versions:
        lines.append(_row([version, *(_cell(by_place[version, python]) for python in pythons)]))
    notes = [f"- {note}" for pair in pairs for note in _notes(pair)]
    return "\n".join(lines) + ("\n\n" + "\n".join(notes) if notes else "")


def passed(pairs: Sequence[dict[str, Any]]) -> bool:
    """Whether something could be tried, and passed."""
    tried = [pair for pair in pairs if "cases" in pair]
    return bool(tried) and all(case["passed"] for pair in tried for case in pair["cases"].values())


def verdict(pairs: Sequence[dict[str, Any]]) -> str:
    """Return a sentence: the versions that were tried, or that some failed."""
    tried = [pair for pair in pairs if "cases" in pair]
    if not passed(pairs):
        return "Not all pairs passed."
    ends = []
    for field in ("onnxruntime", "python"):
        versions = sorted({pair[field] for pair in tried}, key=lambda text: [int(part) for part in text.split(".")])
        ends.append(f"{versions[0]} to {versions[-1]}")
    return f"All {len(tried)} pairs passed: onnxruntime {ends[0]}, Python {ends[1]}."


def _cell(pair: dict[str, Any]) -> str:
    if "cases" not in pair:
        return "none"
    passed = [case["passed"] for case in pair["cases"].values()]
    verdict = "passed" if all(passed) else f"**{passed.count(False)} of {len(passed)} failed**"
    return f"{pair['onnxruntime']}: {verdict}" if "onnxruntime" in pair else verdict


def _notes(pair: dict[str, Any]) -> list[str]:
    where = f"onnxruntime {pair['asked_onnxruntime']}, Python {pair['asked_python']}"
    if "cases" not in pair:
        return [f"{where}: {pair['unavailable']}"]
    failed = {name: case for name, case in pair["cases"].items() if not case["passed"]}
    return [f"{where}, {name}: {case.get('error') or _what(case)}" for name, case in failed.items()]


def _what(case: dict[str, Any]) -> str:
    repeated = "the same bits again" if case["repeated"] else "other bits when repeated"
    return f"differs by {case['difference']:.2g} of the scale, {repeated}, hits after each call: {case['hits']}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
