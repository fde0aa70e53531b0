"""Code with which another Python process begins: it imports what this one does, whatever lies where it is started.

The folders are put in place when Python is up. In ``PYTHONPATH``, a user's file that is called ``types.py`` would take
the place of the standard module while Python starts.
"""

from __future__ import annotations

from collections.abc import Sequence

#: The packages come behind the standard library, so that nothing of theirs takes the place of a standard module, and
#: before those of the new process.
_CODE = """
import sys
sys.path[:] = filter(None, sys.path)
behind = next((i for i, p in enumerate(sys.path) if p.endswith(('site-packages', 'dist-packages'))), len(sys.path))
sys.path[behind:behind] = {paths!r}
"""


def start_code(paths: Sequence[str]) -> str:
    """Return code for ``python -c``; `paths`: folders of packages."""
    return _CODE.format(paths=list(paths))
