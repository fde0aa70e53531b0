"""Makes the tables and figures of README.md and docs/ from benchmarks/results: ``python -m benchmarks.render``.

A table stands between two comments, and is made anew between them::

    <!-- results: reuse-curve -->
    <!-- end of results -->

Figures are in docs/plots. Without matplotlib (the extra ``bench``), or with --tables, they are left as they are.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from actcache.base.files import write_whole
from actcache.errors import OutputError
from benchmarks import results
from benchmarks.apps_table import apps_table
from benchmarks.curve_tables import curve_summary, curve_tables
from benchmarks.natural_tables import controls_table, gaps, natural_table, programs_table
from benchmarks.natural_tables import verdict as natural_verdict
from benchmarks.triton import triton_table
from scripts.versions.table import table as version_table
from scripts.versions.table import verdict

ROOT = Path(__file__).resolve().parents[1]
PLOTS = ROOT / "docs" / "plots"

Documents = Mapping[str, dict[str, Any]]
_BLOCK = re.compile(r"(?<=^<!-- results: )([\w-]+)( -->\n)(.*?)(?=^<!-- end of results -->$)", re.MULTILINE | re.DOTALL)


class NoResultsError(Exception):
    """A page asks for results that are not there."""


def documents(folder: Path = results.FOLDER) -> dict[str, dict[str, Any]]:
    """Return all results, by the name of their file."""
    found = {path.stem: results.read(path) for path in sorted(folder.glob("*.json"))}
    return {name: document for name, document in found.items() if document is not None}


def pages() -> list[Path]:
    """Return the pages that have tables of results."""
    all_pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in all_pages if _BLOCK.search(page.read_text("utf-8"))]


def filled(page: str, found: Documents) -> str:
    """Return a page with its tables.

    Raises:
        NoResultsError: A table is not known, or there are no results for it.
    """

    def block(match: re.Match[str]) -> str:
        if match[1] not in _TABLES:
            raise NoResultsError(f"no table is called {match[1]!r}; there are {', '.join(_TABLES)}")
        try:
            made = _TABLES[match[1]](found)
        except KeyError as error:
            raise NoResultsError(f"the results for {match[1]!r} have no {error}: measure them again") from error
        return f"{match[1]}{match[2]}\n{made}\n\n"

    return _BLOCK.sub(block, page)


def _document(found: Documents, name: str) -> dict[str, Any]:
    if name not in found:
        raise NoResultsError(f"{results.FOLDER / name}.json is not there: make bench or make versions writes it")
    return found[name]


def _measured_on(document: dict[str, Any]) -> str:
    where = document["environment"]
    threads = f", {where['threads']} threads" if "threads" in where else ""
    machine = f"{where['processor']}, {where['cores']} cores{threads}"
    versions = f"onnxruntime {where['onnxruntime']}, Python {where['python']}, numpy {where['numpy']}"
    state = f"commit {where['commit']}, {where['date'][:10]}, load {where['load']} at the start"
    return f"{machine}; {versions}; {state}. `{document['command']}`"


def _reuse_curve(found: Documents) -> str:
    document = _document(found, "reuse_curve")
    return f"{_measured_on(document)}\n\n{curve_tables(document['points'])}"


def _reuse_summary(found: Documents) -> str:
    document = _document(found, "reuse_curve")
    return curve_summary(document["points"])


def _natural(found: Documents) -> str:
    if "natural" not in found:
        return "None yet: `make bench-natural` measures them."
    document = found["natural"]
    workloads = document["workloads"]
    figure = "![Time of each workload, relative to the original's, beside the limit](plots/natural.svg)"
    parts = [_measured_on(document), natural_verdict(workloads), figure, natural_table(workloads)]
    if controls := controls_table(workloads):
        parts.append(controls)
    if far := gaps(workloads):
        parts += ["Where a workload takes 0.05 or more above its limit, the time goes here:", far]
    if "apps" in found:
        parts += [_measured_on(found["apps"]), programs_table(found["apps"]["programs"])]
    return "\n\n".join(parts)


def _apps(name: str, make: str) -> Callable[[Documents], str]:
    def made(found: Documents) -> str:
        if name not in found:
            return f"None yet: `{make}` measures them."
        return f"{_measured_on(found[name])}\n\n{apps_table(found[name]['programs'])}"

    return made


def _triton(found: Documents) -> str:
    if "triton" not in found:
        return "None yet: `make bench-triton` measures it."
    return f"{_measured_on(found['triton'])}\n\n{triton_table(found['triton']['found'])}"


def _programs(found: Documents) -> str:
    """What the programs without results of their own printed."""
    printed = {name: document for name, document in found.items() if "printed" in document}
    if not printed:
        return "None yet: `make bench` runs them."
    return "\n\n".join(_printed(document) for document in printed.values())


def _printed(document: dict[str, Any]) -> str:
    verdict = "all bars met" if document["exit"] == 0 else "**a bar is missed**"
    lines = "\n".join(line.rstrip() for line in document["printed"])
    title = document["command"].removeprefix("python -m ").split()[0]
    return f"### {title}\n\n{_measured_on(document)}: {verdict}.\n\n```text\n{lines}\n```"


def _versions(found: Documents) -> str:
    pairs = _document(found, "versions")["pairs"]
    return f"{verdict(pairs)}\n\n{version_table(pairs)}"


def _compilers(found: Documents) -> str:
    pairs = _document(found, "versions")["compilers"]
    return f"{verdict(pairs)}\n\n{version_table(pairs)}"


_TABLES: dict[str, Callable[[Documents], str]] = {
    "reuse-curve": _reuse_curve,
    "reuse-summary": _reuse_summary,
    "natural": _natural,
    "apps": _apps("apps", "make apps"),
    "apps-idle-core": _apps("apps_idle_core", "make apps APPS_CORES=0 APPS_LEARN_ON=1"),
    "triton": _triton,
    "programs": _programs,
    "versions": _versions,
    "compilers": _compilers,
}


def _figures(found: Documents) -> Iterator[Path]:
    from benchmarks.plots import natural_bars, reuse_curves

    points = _document(found, "reuse_curve")["points"]
    for batch in sorted({point["batch"] for point in points}):
        path = PLOTS / f"reuse-curve-{batch}.svg"
        reuse_curves(points, batch, path)
        yield path
    if "natural" in found:
        path = PLOTS / "natural.svg"
        natural_bars(found["natural"]["workloads"], path)
        yield path


def main() -> int:
    """Write pages and figures: 0, or 1 and one line if results are missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.render", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", action="store_true", help="leave the figures as they are")
    options = parser.parse_args()
    found = documents()
    try:
        for page in pages():
            text = page.read_text("utf-8")
            write_whole(page, filled(text, found))
            print(page.relative_to(ROOT))
        if options.tables:
            return 0
        if importlib.util.find_spec("matplotlib") is None:
            print("no figures: matplotlib is not installed (pip install '.[bench]')", file=sys.stderr)
        else:
            for path in _figures(found):
                print(path.relative_to(ROOT))
    except (NoResultsError, OutputError) as error:
        print(f"benchmarks.render: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
