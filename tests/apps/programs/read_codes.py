"""ddddocr over drawn codes, some of them again."""

import io

import ddddocr
import numpy as np
from answering import answer
from drawing import code

reader = ddddocr.DdddOcr(show_ad=False)


def read(number: int) -> str:
    """Return what a code says."""
    file = io.BytesIO()
    code(int(number)).save(file, "PNG")
    return str(reader.classification(file.getvalue()))


answer(np.random.default_rng(2).integers(0, 450, 1200), read)
