"""``actcache report``: what the page says, what the command prints, and what it says of files that do not fit."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import audit_logs as logs
import pytest
from command_line import refused, run
from report_log import compiled_encoder, eventful

from actcache.model.compiled_model import read_compiled
from actcache.report.changes import changes
from actcache.report.page import write_report

#: What programs may rely on.
KEYS = set(
    "report verdict changes audit unit rows reused hit_ratio saved_seconds saved_share estimated_joules budget_bytes"
    " working_set_bytes hit_ratio_twice_budget regions dropped broken notes".split()
)
VOID = {"meta", "link"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled_encoder(tmp_path_factory.mktemp("report"))


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects text, ids and what would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(text)
        self.words = re.sub(r"\s+", " ", self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.ids += [name] if (name := given.get("id")) else []
        self.references += [str(given[name]) for name in ("src", "href", "srcset", "xlink:href") if name in given]
        self.references += re.findall(r"url\(([^)]*)\)", " ".join(filter(None, given.values())))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_says_what_the_log_says(compiled: Path, tmp_path: Path) -> None:
    (lookup,) = read_compiled(compiled).lookups
    audit = logs.write(tmp_path / "audit.jsonl", eventful(lookup.fingerprint))
    done = run("report", audit, "--model", compiled)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"wrote {tmp_path / 'audit.html'}" in done.stdout and "4,012 rows" in done.stdout
    text = (tmp_path / "audit.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    for said in (
        "audit.jsonl", "encoder.cached.onnx", "1,234 events missing", "Skipped 1 line that",
        "costs <more> than it saves & so on", "invalidate namespace </script><script>",
        "1 equal, 1 different", "1 room",
        "equal to an earlier row of the call", "expired or too old", "% of time", "The working set is about",
        "What another budget would give", "an estimate, 10 W",
    ):  # fmt: skip
        assert said in page.words, said
    assert not page.tags & {"script", "img", "iframe", "object"}
    assert {f"#{name}" for name in page.ids} | {"data:,"} >= set(page.references)
    assert len(text) < 150_000


def test_every_plot_has_a_title_and_a_description(tmp_path: Path) -> None:
    audit = logs.write(tmp_path / "audit.jsonl", eventful("ab"))
    assert run("report", audit, "-o", tmp_path / "page.html").returncode == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    plots = re.findall(r'<svg[^>]*role="img"[^>]*aria-labelledby="(\S+) (\S+)">(.*?)</svg>', text, re.DOTALL)
    assert len(plots) == text.count('role="img"') > 6
    for title, description, content in plots:
        assert re.search(rf'<title id="{title}">[^<]+</title><desc id="{description}">[^<]+</desc>', content)


def test_json_has_the_promised_keys(tmp_path: Path) -> None:
    audit = logs.write(tmp_path / "audit.jsonl", eventful("ab"))
    done = run("report", audit, "--json", "--budget", "2MiB", "--watts", "12.5")
    answer = json.loads(done.stdout)
    assert answer.keys() == KEYS
    assert (answer["rows"], answer["dropped"], answer["broken"], answer["budget_bytes"]) == (4012, 1234, 1, 2 << 20)
    assert answer["estimated_joules"] == pytest.approx(answer["saved_seconds"] * 12.5, abs=0.01)
    assert answer["hit_ratio"] < answer["hit_ratio_twice_budget"] < 1
    (region,) = answer["regions"]
    assert (region["id"], region["rows"]) == ("encoder", 4012)


def test_inputs_of_a_region_in_which_nothing_repeats_are_named(compiled: Path, tmp_path: Path) -> None:
    model = read_compiled(compiled)
    (lookup,) = model.lookups
    calls = [logs.lookup(n, "mmmm", range(4 * n, 4 * n + 4), call=n) for n in range(50)]
    audit = logs.write(tmp_path / "a.jsonl", [logs.start(), logs.region(fingerprint=lookup.fingerprint), *calls])
    facts = write_report(audit, tmp_path / "a.html", model=compiled)
    (change,) = [change for change in changes(facts) if "changes in each call" in change.title]
    assert "a part of the input changes" in change.why and change.seconds is None
    reads = replace(lookup, frontier=("image", "number_of_call"))
    of_two = replace(facts, model=replace(model, lookups=(reads,)))
    assert any("of encoder (image, number_of_call) changes in each" in change.why for change in changes(of_two))


@pytest.mark.parametrize(
    "lines",
    [
        [logs.start()],
        [logs.start(config={}), logs.region()],
        [logs.start(), logs.lookup(0, "", [])],
        [logs.start(), logs.region(), logs.lookup(0, "bb", None)],
        [logs.start(config={"budget_bytes": 0}), logs.region(), logs.lookup(0, "m", [1])],
        [logs.start(), logs.region(), logs.lookup(0, "h", [1], bytes=10, saved_ns=5)],
        [logs.start(), logs.line("lookup", 1e300, call=1, region=2, outcomes="m", rows=1)],
    ],
    ids=["start", "region", "no rows", "bypassed", "no budget", "one hit", "a time far away"],
)
def test_a_log_of_next_to_nothing_has_a_page(lines: list[str], tmp_path: Path) -> None:
    done = run("report", logs.write(tmp_path / "a.jsonl", lines))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Not known yet." in Page((tmp_path / "a.html").read_text(encoding="utf-8")).words


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    lines = [logs.start(part=3), logs.region(), logs.lookup(1, "m", [1]), logs.start(pid=2), logs.line("merge", 2)]
    notes = json.loads(run("report", logs.write(tmp_path / "a.jsonl", lines), "--json").stdout)["notes"]
    assert [note.split(":")[0].split(".")[0] for note in notes] == [
        "Skipped 1 line about what this actcache does not know",
        "2 processes wrote this",
        "The log was rotated and its first files are gone",
    ]


def test_what_does_not_fit_is_one_line(compiled: Path, tmp_path: Path) -> None:
    audit = logs.write(tmp_path / "audit.jsonl", eventful("ab" * 32))
    refused(
        run("report", audit, "--model", compiled),
        "audit.jsonl",
        "was not recorded with encoder.cached.onnx",
        "(encoder)",
    )
    refused(run("report", compiled), "encoder.cached.onnx: is not an audit log of actcache")
    refused(run("report", tmp_path / "none.jsonl"), "none.jsonl: cannot be read: No such file or directory")
    refused(run("report", audit, "--model", audit), "audit.jsonl")
    refused(run("report", audit, "-o", tmp_path / "none" / "page.html"), "cannot be written (No such file")
    refused(run("report", audit, "-o", audit), "is the audit log itself")
    refused(run("report", audit, "--budget", "many"), "is not a number of bytes")
    assert "is not an audit log" in json.loads(run("report", compiled, "--json").stdout)["error"]["message"]
    assert not (tmp_path / "audit.html").exists()
