#!/usr/bin/env python3
"""Proves from the includes that the layers of the native library depend downwards only, and that no file includes
itself by way of others.

Usage: scripts/check_layers.py [FOLDER]
"""

from __future__ import annotations

import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

#: Folders of custom_ops/src, the lowest first; those of one line may use each other.
LAYERS = (
    ("abi",),
    ("base",),
    ("hash",),
    ("store",),
    ("policy", "flight"),
    ("tier",),
    ("units",),
    ("region",),
    ("audit",),
    ("metrics",),
    ("config",),
    ("ops",),
    ("host",),
)
_INCLUDE = re.compile(r'^#include "([a-z0-9_]+(?:/[a-z0-9_]+)*\.h)"', re.MULTILINE)


def includes(source: Path) -> dict[str, list[str]]:
    """Return what each file below `source` includes of the library's own headers."""
    files = [path for path in sorted(source.rglob("*")) if path.suffix in (".h", ".cc", ".c")]
    return {str(path.relative_to(source)): _INCLUDE.findall(path.read_text("utf-8")) for path in files}


def problems(included: dict[str, list[str]]) -> list[str]:
    """Return what breaks the layers, a line each."""
    level = {folder: number for number, layer in enumerate(LAYERS) for folder in layer}
    found = []
    for file, headers in included.items():
        folder = file.split("/")[0]
        if folder not in level:
            found.append(f"{file}: the folder {folder} is in no layer; add it to LAYERS in scripts/check_layers.py")
            continue
        found += [
            f"{file}: includes {header}, which is in a higher layer"
            for header in headers
            if level.get(header.split("/")[0], -1) > level[folder]
        ]
    try:
        TopologicalSorter(included).prepare()
    except CycleError as error:
        found.append(f"headers include each other: {' -> '.join(error.args[1])}")
    return found


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "custom_ops" / "src"
    included = includes(folder)
    if not included:
        print(f"{folder} holds no sources", file=sys.stderr)
        return 1
    found = problems(included)
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
