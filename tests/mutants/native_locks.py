"""Whether clang's thread safety analysis notices a lock that is left out; it is the one that ``make check`` runs.

It looks at the same copy as the tests: a function's body without its lock stands there behind a switch, and a warning
in its lines is about it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.native_break import Break
from tests.mutants.native_copy import Copy, tool, unit_of

#: clang-tidy compiles nothing where only diagnostics are asked for, hence one cheap check beside them.
_CHECKS = "-checks=-*,clang-diagnostic-thread-safety*,modernize-deprecated-headers"
_WARNING = re.compile(r"^(.+?):(\d+):\d+: (?:error|warning): .*\[clang-diagnostic-thread-safety", re.MULTILINE)


def noticed(copy: Copy, breaks: Mapping[int, Break], jobs: int) -> set[int]:
    """Return which locks are missed, of mutants by their numbers."""
    with ThreadPoolExecutor(jobs) as pool:
        units = sorted({unit_of(one.path) for one in breaks.values()})
        warnings = pool.map(lambda unit: list(_warnings(copy, unit)), units)
        places = {place for some in warnings for place in some}
    found = {copy.files[path].mutant_at(line) for path, line in places if path in copy.files}
    return {number for number in breaks if number in found}


def _warnings(copy: Copy, unit: str) -> Iterable[tuple[str, int]]:
    options = [_CHECKS, "--warnings-as-errors=*", "--quiet", "--header-filter=.*"]
    extra = ["--extra-arg=-Wthread-safety", "--extra-arg=-Wthread-safety-beta"]
    command = [tool("clang-tidy"), "-p", str(copy.build), *options, *extra, str(copy.root / unit)]
    done = subprocess.run(command, cwd=copy.root, text=True, capture_output=True, check=False)
    if "[clang-diagnostic-error]" in done.stdout:
        raise SystemExit(f"clang-tidy cannot read {copy.root / unit}:\n{done.stdout[-2000:]}")
    yield from _places(done.stdout, copy.root)


def _places(output: str, root: Path) -> Iterator[tuple[str, int]]:
    for name, line in _WARNING.findall(output):
        path = Path(root, name).resolve()
        if path.is_relative_to(root):
            yield str(path.relative_to(root)), int(line)
