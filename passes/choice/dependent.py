"""What is seen of operators whose results depend on the batch: no more than travels between processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dependent:
    """A node of the optimised model whose results depend on the batch.

    Attributes:
        output: What it writes.
        label: Its operator, and its name if it has one.
        rows: The largest number of rows that came out different from the same rows in a larger batch.
        error: The largest difference.
    """

    output: str
    label: str
    rows: int
    error: float

    def __str__(self) -> str:
        beside = f"'{self.output}' of {self.rows} rows is {self.error:.2g} away from the same rows in a larger batch"
        return f"onnxruntime's own results of {self.label} depend on the batch: {beside} (--exact bits)"
