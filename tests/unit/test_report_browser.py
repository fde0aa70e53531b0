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
from report_log import compiled_encoder, eventful, many_regions

from actcache.model.compiled_model import read_compiled
from actcache.report.page import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Widths in CSS pixels; paper: A4 with the margins that browsers leave.
DESKTOP, PHONE, PAPER = 1200, 390, 718


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


@pytest.fixture(scope="module", params=["many", "nothing"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a log of 50 regions, and of a log of nothing."""
    request.getfixturevalue("browser")
    lines = many_regions() if request.param == "many" else [logs.start()]
    folder = tmp_path_factory.mktemp(request.param)
    write_report(logs.write(folder / "audit.jsonl", lines), folder / f"{request.param}.html")
    return folder / f"{request.param}.html"


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
        page.screenshot(path=f"{folder}/{report.stem}_{scheme}_{width}.png", full_page=True)
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
    assert "of the rows were not computed again" in page.locator(".why").inner_text()
    for title in (
        "What to change",
        "Where the rows came from",
        "Reuse over time",
        "The model",
        "What another budget would give",
        "Verification",
    ):
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
    table = page.locator("#time details table")
    assert not table.is_visible()
    page.locator("#time summary").click()
    assert table.is_visible() and table.locator("tbody tr").count() > 5
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    page.close()


def test_the_accessibility_tree_has_every_picture_by_name(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, DESKTOP, "light")
    for name in ("Reuse over time", "Rows per second", "Where the rows came from", "Reuse by budget"):
        assert page.get_by_role("img", name=name).count() == 1
    assert page.get_by_role("img", name="The model and its cached regions").count() == 1
    page.close()


#: Contrast of every text with what is behind it (WCAG 2.2, 1.4.3), if it is below 4.5, or 3 for large text.
LOW_CONTRAST = """
() => {
  const paper = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = colour => {
    paper.clearRect(0, 0, 1, 1); paper.fillStyle = colour; paper.fillRect(0, 0, 1, 1);
    return paper.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; }
    return [255, 255, 255];
  };
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || e.closest('svg') || !e.checkVisibility()) continue;
    texts += 1;
    const style = getComputedStyle(e), pair = [light(rgb(style.color)), light(behind(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05), large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) found.push([ratio.toFixed(2), walker.currentNode.data.trim()]);
  }
  return [texts, found];
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(browser: Browser, report: Path, scheme: str) -> None:
    page, _ = opened(browser, report, DESKTOP, scheme)
    texts, low = page.evaluate(LOW_CONTRAST)
    assert texts > 100 and low == []
    page.close()


def test_one_screen_has_the_verdict_the_figures_and_the_first_change(browser: Browser, report: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(report.as_uri())
    assert page.locator(".figures > div").count() == 4
    for shown in (page.locator("h1"), *page.locator(".figures > div").all(), page.locator(".change-list > li").first):
        box = shown.bounding_box()
        assert box is not None and box["y"] + box["height"] <= 800
    assert page.locator(".change-list > li .gain").first.inner_text()
    page.close()


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_fifty_regions_or_none_fit_the_page(browser: Browser, other: Path, width: int) -> None:
    page, wrong = opened(browser, other, width, "light")
    assert wrong == [] and page.evaluate("document.documentElement.scrollWidth") == width
    cards = page.locator(".card")
    if other.stem == "nothing":
        assert "Not known yet." in page.locator("h1").inner_text() and cards.count() == 0
    else:
        assert cards.count() == 50 and sum(card.is_visible() for card in cards.all()) == 8
        page.get_by_text("42 more regions").click()
        assert cards.last.is_visible()
    page.close()


def test_the_keyboard_reaches_links_details_and_what_scrolls(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, DESKTOP, "light")
    wanted = page.locator("a, summary, [tabindex='0']").evaluate_all(
        "all => all.filter(e => e.checkVisibility()).length"
    )
    for _ in range(wanted):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.matches('a, summary, [tabindex]')")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1
    page.close()


def test_paper_has_everything_in_light_colours(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, PAPER, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert brightness(page, "body", "backgroundColor") > 250 and brightness(page, "body", "color") < 10
    assert not page.locator("nav").is_visible()
    assert all(table.is_visible() for table in page.locator("details table").all())
    assert page.evaluate("document.documentElement.scrollWidth") == PAPER
    texts, low = page.evaluate(LOW_CONTRAST)
    assert texts > 300 and low == []
    page.close()
