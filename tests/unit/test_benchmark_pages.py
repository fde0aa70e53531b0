"""Results of benchmarks become pages: the committed pages are what the command makes from the committed results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import results
from benchmarks.curve_tables import curve_summary, curve_tables
from benchmarks.render import NoResultsError, documents, filled, pages
from benchmarks.suite import FULL, QUICK, Part, main, run
from scripts.docs_site.__main__ import in_site, pictures
from scripts.docs_site.__main__ import pages as site_pages
from scripts.docs_site.reference import ROOT


def test_committed_pages_are_made_from_committed_results() -> None:
    assert ROOT / "docs" / "benchmarks.md" in pages()
    for page in pages():
        text = page.read_text("utf-8")
        assert filled(text, documents()) == text, (
            f"{page} is older than benchmarks/results: python -m benchmarks.render"
        )


def test_all_results_have_versions_and_a_machine() -> None:
    found = documents()
    assert set(found) == {path.stem for path in results.FOLDER.glob("*.json")} and "reuse_curve" in found
    for document in found.values():
        assert {"onnxruntime", "python", "processor", "cores", "commit", "date"} <= set(document["environment"])
        assert document["command"].startswith(
            ("python -m benchmarks", "python -m scripts.versions", "python -m tests.apps")
        )


def test_a_page_is_filled_between_its_marks() -> None:
    point = a_point({"limit": 0.6, "actcache": 0.62, "row LRU": 0.63, "request cache": 1.0})
    found = {"reuse_curve": {"command": "x", "environment": results.environment(), "points": [point]}}
    page = "a\n<!-- results: reuse-curve -->\nold\n<!-- end of results -->\nb\n"
    text = filled(page, found)
    assert text.startswith("a\n<!-- results: reuse-curve -->\n\n") and text.endswith("\n\n<!-- end of results -->\nb\n")
    assert "old" not in text and "| **0.62** |" in text
    assert filled(text, found) == text
    with pytest.raises(NoResultsError, match="make bench"):
        filled(page, {})
    with pytest.raises(NoResultsError, match="have no 'points'"):
        filled(page, {"reuse_curve": {"command": "x", "environment": results.environment()}})
    with pytest.raises(NoResultsError, match="'no-such'"):
        filled(page.replace("reuse-curve", "no-such"), found)


def a_point(medians: dict[str, float]) -> dict[str, Any]:
    ratios = {name: {"median": value, "low": value - 0.003, "high": value + 0.003} for name, value in medians.items()}
    spread = {"median": 12.3, "low": 12.0, "high": 13.0}
    return {"model": "m", "size": 64, "batch": 8, "share": 40, "original_ms": spread, "ratios": ratios}


def test_losses_are_shown_like_wins() -> None:
    point = a_point({"limit": 0.5, "actcache": 0.62, "row LRU": 0.6, "request cache": 0.604})
    lines = curve_tables([point]).splitlines()
    assert lines[0] == "| batch 8 | original |  | 40 % |"
    assert lines[2:] == [
        "| m × 64 | 12.3 ms | limit | 0.50 |",
        "|  |  | actcache | 0.62 |",
        "|  |  | row LRU | **0.60** |",
        "|  |  | request cache | **0.60** |",
    ]
    assert curve_summary([point]).splitlines()[-1] == "| m × 64 | 0.50 | 0.62 | **0.60** | **0.60** |"


def test_what_a_program_prints_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    part = Part("listed", "benchmarks.suite --list")
    assert run(part, tmp_path, resume=False) == 0
    document = results.read(tmp_path / "listed.json")
    assert document is not None
    assert document["printed"] == [each.shown for each in QUICK] and document["exit"] == 0
    assert document["command"] == "python -m benchmarks.suite --list"
    capfd.readouterr()
    assert run(part, tmp_path, resume=True) == 0
    assert "kept" in capfd.readouterr().out
    assert run(Part("listed", "benchmarks.suite --list --full"), tmp_path, resume=True) == 0
    assert capfd.readouterr().out.splitlines() == [each.shown for each in FULL]


def test_a_program_that_cannot_measure_leaves_no_result(tmp_path: Path) -> None:
    assert run(Part("x", "benchmarks.suite --no-such-option"), tmp_path, resume=False) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_the_suite_would_run_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert "python -m benchmarks.reuse_curve" in shown and "python -m benchmarks --pairs" in shown
    assert {part.name for part in QUICK} <= {part.name for part in FULL}


def test_pictures_are_in_the_site() -> None:
    assert pictures()
    places = {**site_pages(), **pictures()}
    page = in_site("![a curve](plots/reuse-curve-8.svg)", ROOT / "docs" / "benchmarks.md", places)
    assert page == "![a curve](plots/reuse-curve-8.svg)"
