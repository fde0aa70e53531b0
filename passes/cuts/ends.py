"""How what is known behind the last position of a call alone is kept: with an axis of one position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actcache.passes.causal import CausalProof
    from actcache.passes.rows import RowProof


@dataclass(frozen=True)
class End:
    """What a kept end is like, such as the cell state of an LSTM.

    Attributes:
        like: The tensor of the model whose type, axes and sizes it has.
        stacked: That tensor has no axis of positions. The end has one, in front of the others.
    """

    like: str
    stacked: bool = False


@dataclass(frozen=True)
class Layout:
    """How something kept lies.

    Attributes:
        row_axis: The axis of the rows of the batch; None: it has none.
        position_axis: The axis of the positions.
        sizes: Of its axes, as far as they are fixed.
    """

    row_axis: int | None
    position_axis: int | None
    sizes: tuple[int | None, ...]

    @classmethod
    def proven(cls, proof: CausalProof, rows: RowProof | None, kept: End) -> Layout:
        """Return how something lies that is like a tensor of the model. `rows`: None: the batch is one row."""
        row = rows.row_axis(kept.like) if rows is not None else None
        sizes = tuple(size.value for size in proof.shape(kept.like) or ())
        if not kept.stacked:
            return cls(row, proof.position_axis(kept.like), sizes)
        return cls(None if row is None else row + 1, 0, (None, *sizes))
