"""magika over files of Python's standard library, in thirty scans of the same files, as a watcher's are."""

import os
from pathlib import Path

from answering import answer
from magika import Magika

magika = Magika()
library = Path(os.__file__).parent
files = 30 * (sorted(library.glob("*.py"))[:60] + sorted(library.glob("encodings/*.py"))[:30])


def tell(path: Path) -> list[object]:
    """Return what a file is, and how sure that is."""
    result = magika.identify_path(path)
    return [result.output.label, float(result.score)]


answer(files, tell)
