"""The groups of C++ mutants: lists of ours, and every lock left out."""

from __future__ import annotations

import re
from pathlib import Path

from tests.mutants import native_keys, native_lookup, native_store, native_tiers
from tests.mutants.groups import NATIVE
from tests.mutants.native_break import Break, places

_LOCK = re.compile(r"^ *(?:const )?MutexLock (\w+)\(&.*\);\n", re.MULTILINE)


def locks() -> list[Break]:
    """Every lock of the library, left out: whatever it guards is then used without."""
    found = []
    for path in sorted(Path(NATIVE).rglob("*.[ch]*")):
        source = path.read_text()
        for match in _LOCK.finditer(source):
            # The lines before make the place the only one of its kind.
            begin = match.start()
            while len(places(source, source[begin : match.end()])) > 1:
                begin = source.rfind("\n", 0, begin - 1) + 1
            before = source[begin : match.start()]
            name = str(path.relative_to(NATIVE))
            found.append(Break(name, before + match.group(), before, "a lock is left out", lock=True))
    return found


GROUPS: dict[str, list[Break]] = {
    "keys": native_keys.BREAKS,
    "lookup": native_lookup.BREAKS,
    "store": native_store.BREAKS,
    "tiers": native_tiers.BREAKS,
    "locks": locks(),
}
PROMISES = {
    "keys": "what goes into a key",
    "lookup": "matching, verification, merging",
    "store": "budget, quotas, ages, pins, eviction, flights",
    "tiers": "stores on disks and servers: sound records, budgets, trust, deadlines",
    "locks": "whatever threads share is guarded",
}
#: Where to mend what does not fit the code any more.
LISTS = {
    "keys": "tests/mutants/native_keys.py",
    "lookup": "tests/mutants/native_lookup.py",
    "store": "tests/mutants/native_store.py",
    "tiers": "tests/mutants/native_tiers.py",
    "locks": "tests/mutants/native_lists.py",
}
