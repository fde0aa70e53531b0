"""The page in a real browser: no error, no request, nothing wider than a phone, dark where the reader likes dark.

With ``ACTCACHE_SCREENSHOTS=FOLDER`` pictures of the page are kept there.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import audit_logs as logs
import pytest
from report_log import compiled_encoder, eventful

from actcache.model.compiled_model import read_compiled
from actcache.report.page import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = 1200, 390


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: make test-page")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: make test-page")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    request.getfixturevalue("browser")  # nothing to do without one
    compiled = compiled_encoder(tmp_path_factory.mktemp("compiled"))
    folder = tmp_path_factory.mktemp("browser")
    (lookup,) = read_compiled(compiled).lookups
    write_report(logs.write(folder / "audit.jsonl", eventful(lookup.fingerprint)), folder / "page.html", model=compiled)
    return folder / "page.html"


def opened(browser: Browser, report: Path, width: int, scheme: str) -> tuple[Page, list[str]]:
    """Open the page; return it and what it should not do: requests but for itself, and anything on the console."""
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url != report.as_uri() else None)
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    if folder := os.environ.get("ACTCACHE_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/report_{scheme}_{width}.png", full_page=True)
    return page, wrong


def brightness(page: Page, selector: str, name: str) -> float:
    """Mean of red, green and blue of an element's colour, 0 to 255."""
    colour = page.evaluate("([s, n]) => getComputedStyle(document.querySelector(s))[n]", [selector, name])
    return sum(float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]) / 3


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable(browser: Browser, report: Path, width: int, scheme: str) -> None:
    page, wrong = opened(browser, report, width, scheme)
    assert wrong == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    background, ink = brightness(page, "body", "backgroundColor"), brightness(page, "body", "color")
    assert (background < 60 and ink > 200) if scheme == "dark" else (background > 200 and ink < 60)
    assert "of the rows were not computed again" in page.locator("h1").inner_text()
    for title in ("Reuse over time", "Regions", "The model", "What another budget would give", "Verification"):
        assert page.get_by_role("heading", name=title, exact=True).is_visible()
    page.close()


def test_plots_are_drawn_and_labels_do_not_overlap(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, PHONE, "light")
    plots = page.locator(".plot").all()
    assert plots
    for plot in plots:
        box = plot.locator("svg").bounding_box()
        assert box is not None and box["width"] > 200 and box["height"] > 60
        boxes = [label.bounding_box() for label in plot.locator(".x span").all()]
        edges = [(box["x"], box["x"] + box["width"]) for box in boxes if box is not None]
        assert all(left[1] <= right[0] for left, right in itertools.pairwise(edges))
    page.close()


def test_tables_behind_the_plots_open_and_scroll_in_themselves(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, PHONE, "light")
    table = page.locator("details table").first
    assert not table.is_visible()
    page.locator("summary").first.click()
    assert table.is_visible() and table.locator("tbody tr").count() > 5
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    page.close()


def test_the_accessibility_tree_has_every_picture_by_name(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, DESKTOP, "light")
    for name in ("Reuse over time", "Rows per second", "Hit ratio against share of time", "Reuse by budget"):
        assert page.get_by_role("img", name=name).count() == 1
    assert page.get_by_role("img", name="The model and its cached regions").count() == 1
    page.close()
