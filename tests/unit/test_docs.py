"""The documentation holds: its links, the commands, options and settings that it names, and its runnable programs."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import docs_pages
import onnx
import pytest
from docs_pages import ROOT
from docs_programs import RUNNABLE, deep_encoder

import actcache
from actcache.commands.main import compile_command, umbrella
from scripts.docs_site.__main__ import pages as site_pages
from scripts.docs_site.markdown import anchors, inline_code, links, parts, replace_links
from scripts.docs_site.reference import as_markdown, fill, marked_files, walk

PAGES = docs_pages.pages()
COMMANDS = {**dict(walk(umbrella, "actcache")), "actcache-compile": compile_command}
KNOBS = {name for name in inspect.signature(actcache.configure).parameters if name != "unknown"}
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]


def read(path: Path) -> str:
    return path.read_text("utf-8")


def options_of(command: click.Command) -> set[str]:
    return {"-h", "--help"}.union(*(parameter.opts for parameter in command.params))


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for link in links(read(path)):
        if link.is_external:
            continue
        target = (path.parent / link.target).resolve() if link.target else path
        assert target.exists(), link
        if link.anchor:
            assert link.anchor in anchors(read(target)), link


def test_there_are_links_and_code_is_none() -> None:
    page = "# A `b`, c\n[x](y.md#z) `[not](a.md)`\n```\n[not](b.md)\n# not\n```\n[`code`](c.md)\n## A `b`, c\n"
    assert [(link.target, link.anchor) for link in links(page)] == [("y.md", "z"), ("c.md", "")]
    assert anchors(page) == {"a-b-c", "a-b-c-1"}
    assert replace_links(page, lambda link: link.text).splitlines()[1] == "x `[not](a.md)`"
    assert sum(len(links(read(path))) for path in PAGES) > 100


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_lists_and_tables_begin_behind_an_empty_line(path: Path) -> None:
    """Else the site shows them as text, though other readers of Markdown do not."""
    item = re.compile(r"([-*]|\d+\.) |\|")
    for text, is_block in parts(read(path)):
        before = "```"  # the end of a block
        for line in text.splitlines() if not is_block else ():
            begins = item.match(line) and before and not re.match(r" |#|<!--|" + item.pattern, before)
            assert not begins, (before, line)
            before = line


def test_every_page_is_in_the_navigation_once() -> None:
    navigation = re.findall(r'= "([\w/.-]+\.md)"', read(ROOT / "zensical.toml"))
    assert sorted(navigation) == sorted(site_pages().values()), "add the page to `nav` in zensical.toml"


def test_every_page_is_found_from_the_first_one() -> None:
    """Whoever reads the files themselves has no navigation."""
    first = ROOT / "docs" / "index.md"
    linked = {(first.parent / link.target).resolve() for link in links(read(first)) if not link.is_external}
    assert set(site_pages()) - linked == {first}


def test_the_commands_that_pages_show_exist() -> None:
    checked = 0
    for path in PAGES:
        for words in docs_pages.shell_commands(read(path)):
            name = words[0]
            for word in words[1:]:
                if f"{name} {word}" not in COMMANDS:
                    break
                name = f"{name} {word}"
            if name not in COMMANDS:
                assert not name.startswith("actcache"), (path, words)
                continue
            own = words[: words.index("--")] if "--" in words else words
            given = {word.partition("=")[0] for word in own if word.startswith("-")}
            assert given <= options_of(COMMANDS[name]), (path, words)
            checked += 1
    assert checked > 30


def test_the_programs_of_this_repository_that_pages_show_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    checked = 0
    for path in PAGES:
        shown = [" ".join(words) for words in docs_pages.shell_commands(read(path))]
        for text in [*shown, *inline_code(read(path))]:
            if make := re.match(r"make ([\w-]+)$", text):
                assert make[1] in targets, (path, text)
            elif module := re.match(r"(?:\.venv/bin/)?python -m ((?:benchmarks|tests|models|scripts)[\w.]*)", text):
                place = ROOT / Path(*module[1].split("."))
                assert (place / "__main__.py").exists() or place.with_suffix(".py").exists(), (path, text)
            elif program := re.match(r"python (examples/\S+)", text):
                assert (ROOT / program[1]).exists(), (path, text)
            else:
                continue
            checked += 1
    assert checked > 20


def test_the_options_that_pages_name_exist() -> None:
    known = {"--save"}.union(*map(options_of, COMMANDS.values()))
    for folder in ("benchmarks", "tests", "models", "scripts", "custom_ops"):
        for source in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.sh")]:
            known |= set(re.findall(r'"(--[a-z][\w-]*)"', read(source)))
    named = {
        (path.name, option)
        for path in PAGES
        for code in inline_code(read(path))
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
        if not code.startswith("gunicorn")
    }
    assert len(named) > 20
    assert not {(name, option) for name, option in named if option not in known}


def test_the_environment_variables_that_pages_name_exist() -> None:
    checked = 0
    known = {f"ACTCACHE_{knob.upper()}" for knob in KNOBS}
    folders = [ROOT / name for name in ("actcache", "models", "scripts")]
    for source in [
        *ROOT.glob("*.py"),
        *(path for folder in folders for path in folder.rglob("*.*") if path.suffix in _CODE),
    ]:
        known |= set(re.findall(r"ACTCACHE_[A-Z_]+", read(source)))
    for path in PAGES:
        if path.name == "CHANGELOG.md":  # it names one that is misspelt
            continue
        for name in re.findall(r"ACTCACHE_[A-Z_]+[A-Z]\b(?!_)", read(path)):
            assert name in known, (path, name)
            checked += 1
    assert checked > 20


def test_the_functions_that_pages_call_exist() -> None:
    called = {(path, name) for path in PAGES for name in re.findall(r"\bactcache\.(\w+)\(", read(path))}
    assert len(called) > 20
    assert not {(path, name) for path, name in called if name not in actcache.__all__}


def test_every_knob_is_in_the_configuration_page() -> None:
    page = read(ROOT / "docs" / "reference" / "configuration.md")
    assert not [knob for knob in KNOBS if f"`{knob}`" not in page and not knob.startswith("remote_")]
    remote = read(ROOT / "docs" / "remote-store.md")
    assert not [knob for knob in KNOBS if knob.startswith("remote_") and f"`{knob}`" not in remote]


def test_the_attributes_of_the_operators_exist() -> None:
    page = read(ROOT / "docs" / "reference" / "operators.md")
    kept = ROOT / "passes/rewrite/kept_region.py"
    sources = [ROOT / "custom_ops/src/ops/region_attributes.cc", *(ROOT / "passes/cuts").glob("*.py"), kept]
    known = set(re.findall(r'"(\w+)"', " ".join(map(read, sources))))
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 20
    assert named <= known, named - known


def test_reference_pages_are_filled() -> None:
    filled = fill(read(ROOT / "docs" / "reference" / "cli.md"))
    assert "<!--" not in filled
    assert "## actcache store verify\n" in filled and "--repair" in filled
    manifest = fill(read(ROOT / "docs" / "reference" / "manifest.md"))
    assert "- `min_saving_ms`: " in manifest and "``break_even``" in manifest
    python = fill(read(ROOT / "docs" / "reference" / "python.md"))
    missing = [name for name in actcache.__all__ if f"### {name}\n" not in python and name != "__version__"]
    assert not missing
    named = [file for path in PAGES for file in marked_files(read(path))]
    assert len(named) > 8
    assert [file for file in named if not (ROOT / file).is_file()] == []


def test_docstrings_become_markdown() -> None:
    text = as_markdown(
        "Do it.\n\nArgs:\n    a: First,\n        continued.\n    b, c: See :func:`d` in ``docs/run.md``."
    )
    assert text == "Do it.\n\n**Args**\n\n- `a`: First,\n    continued.\n- `b`, `c`: See `d` in [run](../run.md)."


def test_words_before_a_colon_are_no_item_of_their_own() -> None:
    arguments = as_markdown("Args:\n    a: First.\n        Default: none.")
    assert arguments == "**Args**\n\n- `a`: First.\n    Default: none."
    assert as_markdown("Returns:\n    Two.\n    The rest: less.") == "**Returns**\n\nTwo.\nThe rest: less."


_CODE = (".py", ".pth", ".sh")


@pytest.mark.parametrize("page", RUNNABLE)
def test_runnable_programs_run(page: str, tmp_path: Path) -> None:
    program = docs_pages.runnable(read(ROOT / page))
    assert program
    first, inputs, before, printed = RUNNABLE[page]
    onnx.save(deep_encoder(first, inputs), tmp_path / "encoder.onnx")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ACTCACHE_BYPASS": "off"}
    command = [sys.executable, "-W", "error", "-c", f"{before}\n{program}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_every_page_with_runnable_programs_is_run_above() -> None:
    assert sorted(RUNNABLE) == [
        name for path, name in zip(PAGES, NAMES, strict=True) if docs_pages.runnable(read(path))
    ]
