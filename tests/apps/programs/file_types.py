"""magika over the files of Python's standard library."""

import os
from pathlib import Path

from answering import answer
from magika import Magika

magika = Magika()
files = sorted(Path(os.__file__).parent.glob("*.py"))[:200] + sorted(Path(os.__file__).parent.glob("encodings/*.py"))


def tell(path: Path) -> list[object]:
    """Return what a file is, and how sure that is."""
    result = magika.identify_path(path)
    return [result.output.label, float(result.score)]


answer(files, tell)
