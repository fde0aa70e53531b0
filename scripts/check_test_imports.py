#!/usr/bin/env python3
"""Proves that no test module imports another one: what tests share is in modules of its own, beside them.

Usage: scripts/check_test_imports.py [FOLDER]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the module of every import, also of those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
            yield from ((node.lineno, alias.name) for alias in node.names)


def problems(folder: Path) -> list[str]:
    """Return the imports of test modules, a line each."""
    tests = {path.stem for path in folder.rglob("test_*.py")}
    return [
        f"{path}:{line}: imports {module}; move what they share into a module whose name does not begin with test_"
        for path in sorted(folder.rglob("*.py"))
        for line, module in imported(path.read_text("utf-8"))
        if module.split(".")[-1] in tests
    ]


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "tests"
    if not any(folder.rglob("test_*.py")):
        print(f"{folder} holds no tests", file=sys.stderr)
        return 1
    found = problems(folder)
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
