"""``python -m scripts.docs_site FOLDER`` writes the pages that the site is built from.

They are those of docs/ with their pictures, and pages of the repository's root. Links between them lead to pages.
Links to other files become the names of these, as the site does not have them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from scripts.docs_site.markdown import Link, replace_links
from scripts.docs_site.reference import ROOT, fill

#: Pages of the repository's root, and what they are called in the site.
FROM_ROOT = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}


def pages() -> dict[Path, str]:
    """Return the page of the site that each Markdown file of the repository becomes."""
    docs = ROOT / "docs"
    found = {path: path.relative_to(docs).as_posix() for path in sorted(docs.rglob("*.md"))}
    return {**found, **{ROOT / name: page for name, page in FROM_ROOT.items()}}


def pictures() -> dict[Path, str]:
    """Return the file of the site that each picture of docs/ becomes."""
    docs = ROOT / "docs"
    return {path: path.relative_to(docs).as_posix() for path in sorted(docs.rglob("*.svg"))}


def in_site(page: str, source: Path, places: dict[Path, str]) -> str:
    """Return the text of a page with links that hold in the site.

    Raises:
        ValueError: A link leads to nothing.
    """
    here = Path(places[source]).parent

    def link(found: Link) -> str | None:
        if found.is_external or not found.target:
            return None
        target = (source.parent / found.target).resolve()
        if target in places:
            place = os.path.relpath(places[target], here)
            return f"[{found.text}]({place}{'#' + found.anchor if found.anchor else ''})"
        if not target.exists():
            raise ValueError(f"{source.relative_to(ROOT)}: the link to {found.target} leads to nothing")
        path = target.relative_to(ROOT).as_posix()
        return found.text if target.name in found.text else f"{found.text} (`{path}`)"

    return replace_links(page, link)


def main(folder: Path) -> None:
    """Write all pages to an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    texts, copied = pages(), pictures()
    places = {**texts, **copied}
    for source, place in copied.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / place)
    for source, place in texts.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        page = in_site(source.read_text("utf-8"), source, places)
        (folder / place).write_text(re.sub(r"\n{3,}", "\n\n", fill(page)), "utf-8")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
