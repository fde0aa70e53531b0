"""What a person found about refusals that look too strict: results that follow the rows wherever they were tried."""

from __future__ import annotations

from dataclasses import dataclass

#: Any operator.
ANY = ""


@dataclass(frozen=True)
class Review:
    """A verdict on a kind of refusal.

    Attributes:
        rule: The refusal's.
        operator: Of the node that stopped the rows; :data:`ANY` for all that are not listed by themselves.
        needless: Whether the rows can be shown to be apart.
        why: One sentence.
    """

    rule: str
    operator: str
    needless: bool
    why: str


_CHANNELS = "rows were put on the axis of channels, which it keeps apart; no batch is laid out like that"
_GIVEN = "an input of the call decides which axes or places these are: other values of it mix the rows"

REVIEWS: tuple[Review, ...] = (
    Review("axes-unknown", ANY, False, _GIVEN),
    Review("pad-rows", "Pad", False, "the widths are an input of the call: others add rows"),
    Review("resize-rows", ANY, False, "the sizes are an input of the call: others change the number of rows"),
    Review("reshape-mixes-rows", "Reshape", False, "the sizes are an input of the call: others cut the rows elsewhere"),
    Review("broadcast-against-rows", "Expand", False, "the sizes are an input of the call: others repeat the rows"),
    Review("row-dependent-parameter", "Squeeze", False, _GIVEN),
    Review("row-position-in-data", "Trilu", False, "the triangle lies outside this batch, and inside a larger one"),
    Review("data-dependent-shape", "StringSplit", False, "every row has as many parts here; it pads them to the most"),
    Review("data-dependent-shape", "Unique", False, "no two rows are equal here"),
    Review("data-dependent-shape", "Compress", False, "the condition keeps all rows here"),
    Review("rows-misaligned", "Attention", True, "rows were put on the queries of one sequence, whose keys are shared"),
    Review("rows-misaligned", "RotaryEmbedding", True, "rows were put on heads or tokens, which it turns one by one"),
    Review("rows-misaligned", "GridSample", True, _CHANNELS),
    Review("rows-misaligned", "TensorScatter", True, "rows were put on the heads, each written at the same places"),
    Review("not-batch-axis", ANY, True, _CHANNELS),
    Review("reshape-mixes-rows", "Flatten", True, "rows behind another axis are flattened with it and taken out again"),
    Review("not-followed", "Scan", True, "opset 8 scans every sequence of a batch by itself"),
    Review("row-dependent-parameter", "CausalConvWithState", False, "one channel: its kernel is taken for rows"),
    Review("non-tensor", "SplitToSequence", False, "sequences are not kept, so nothing behind them is followed"),
    Review("training-mode", "Dropout", True, "it is in training mode, and drops nothing as its ratio is 0"),
)


def review(rule: str, operator: str) -> Review | None:
    """Return the verdict on a kind of refusal, None when nobody has looked at it."""
    found = {(r.rule, r.operator): r for r in REVIEWS}
    return found.get((rule, operator)) or found.get((rule, ANY))
