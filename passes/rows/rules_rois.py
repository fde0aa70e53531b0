"""Row rules of operators that cut regions out of images: who chooses the image decides."""

from __future__ import annotations

from actcache.passes.rows.broadcasting import same_rows
from actcache.passes.rows.registry import MICROSOFT, Op, barrier, known, rule
from actcache.passes.rows.sizes import const
from actcache.passes.rows.state import ROW_FREE, Mixes, Row, RowIndex, Value


@rule("RoiAlign", indexes=(2,))
@rule("CropAndResize", domain=MICROSOFT, indexes=(2,))
def regions(op: Op) -> Value:
    """Y[r] is the region rois[r] of the image X[indices[r]].

    Where the images are the same for all rows, each row brings regions of its own. Where every row brings an
    image, the regions keep rows apart only if each row brings one region and finds its image at its own position.
    """
    op.row_free(3)
    x, rois, index = op.need(0), op.need(1), op.need(2)
    own = isinstance(index.state, RowIndex) and index.state.exact
    if own and x.row == rois.row == Row(0):
        row: Row | None = Row(0)
    elif x.row is not None or isinstance(index.state, RowIndex):
        raise Mixes("gather-rows", f"{op.node.op_type} picks images of the batch by position")
    else:
        row = same_rows([rois, index], [0, 0])
    return _cut(op, x, rois, row)


@rule("MaxRoiPool")
def max_roi_pool(op: Op) -> Value:
    """As above, with the number of the image in rois[r, 0]: that it is the row's own cannot be told."""
    x, rois = op.need(0), op.need(1)
    if x.row is not None:
        raise Mixes("gather-rows", "MaxRoiPool picks images of the batch by position")
    return _cut(op, x, rois, same_rows([rois], [0]))


def _cut(op: Op, x: Value, rois: Value, row: Row | None) -> Value:
    if row is None:
        return Value(ROW_FREE)
    height, width = op.attribute("pooled_shape") or [op.attribute(f"output_{name}") for name in ("height", "width")]
    if op.node.op_type == "CropAndResize":
        space = [op.symbols.fresh("height"), op.symbols.fresh("width")]
    else:
        space = [const(height or 1), const(width or 1)]
    channels = op.symbols.fresh("channels") if x.shape is None else x.shape[1]
    return Value(row, (known(rois)[0], channels, *space))


barrier("MaxUnpool", "row-position-in-data", "MaxUnpool writes to places that are counted through the whole batch")
