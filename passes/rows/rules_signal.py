"""Row rules of transforms along one or two given axes: Fourier transforms, determinants, cropping."""

from __future__ import annotations

from actcache.passes.rows.broadcasting import carry
from actcache.passes.rows.registry import MICROSOFT, Op, barrier, normal_axis, rule
from actcache.passes.rows.rules_spatial import stay_on_axis_0
from actcache.passes.rows.sizes import const
from actcache.passes.rows.state import Mixes, Value


@rule("DFT")
def dft(op: Op) -> Value:
    """Transforms along one axis (opset 17: attribute; 20: input 2); the last axis holds real and imaginary part."""
    op.row_free(1)
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    rank, given = len(x.shape), [op.attribute("axis", 1)]
    if op.opset >= 20:
        given = [-2] if op.get(2) is None else op.integers(2) or []
    if not given:
        raise Mixes("axes-unknown", "the axis of DFT is not a constant")
    axes = [normal_axis(int(given[0]), rank), rank - 1]
    if x.row is not None and x.row.axis in axes:
        raise Mixes("transform-over-rows", "DFT transforms over the rows of the batch")
    return carry(x, tuple(op.symbols.fresh("bins") if a in axes else size for a, size in enumerate(x.shape)))


@rule("STFT")
def stft(op: Op) -> Value:
    """Transforms windows of each signal: [N, length, 1 or 2] to [N, frames, bins, 2]."""
    op.row_free(1, 2, 3)
    return stay_on_axis_0(op, op.need(0), (op.symbols.fresh("frames"), op.symbols.fresh("bins"), const(2)))


@rule("Det")
@rule("Inverse", domain=MICROSOFT)
def matrix_function(op: Op) -> Value:
    """One number, or one matrix, for each matrix of the last two axes."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    if x.row is not None and x.row.axis >= len(x.shape) - 2:
        raise Mixes("rows-contracted", f"{op.node.op_type} takes the rows of the batch for a matrix")
    return carry(x, x.shape if op.node.op_type == "Inverse" else x.shape[:-2])


@rule("CenterCropPad")
def center_crop_pad(op: Op) -> Value:
    """Crops or pads given axes to given sizes; not that of the rows."""
    op.row_free(1)
    x, sizes = op.need(0), op.content(1)
    if x.shape is None:
        return carry(x, None)
    axes = [normal_axis(int(a), len(x.shape)) for a in op.attribute("axes", range(len(x.shape)))]
    if x.row is not None and x.row.axis in axes:
        raise Mixes("pad-rows", "CenterCropPad may add rows to the batch, or remove some")
    given = {a: op.symbols.fresh("?") if sizes is None else sizes[i] for i, a in enumerate(axes)}
    return carry(x, tuple(given.get(a, size) for a, size in enumerate(x.shape)))


@rule("UnfoldTensor", domain=MICROSOFT)
def unfold(op: Op) -> Value:
    """Windows along one axis, the entries of each on a new last axis."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    axis = op.axis(-1, len(x.shape), "dim")
    if x.row is not None and x.row.axis == axis:
        raise Mixes("slice-rows", "UnfoldTensor takes windows of several rows")
    windows = op.symbols.fresh("windows")
    return carry(x, (*x.shape[:axis], windows, *x.shape[axis + 1 :], const(op.attribute("size"))))


@rule("TfIdfVectorizer")
def tfidf(op: Op) -> Value:
    """Counts n-grams within one row of [N, C]; a vector is one row."""
    x = op.need(0)
    if x.row is not None and (x.shape is None or len(x.shape) != 2):
        raise Mixes("not-batch-axis", "TfIdfVectorizer takes a vector for one row")
    if x.row is None:
        return carry(x, None)
    return stay_on_axis_0(op, x, (op.symbols.fresh("terms"),))


for _window in ("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix"):
    barrier(_window, "size-from-batch", f"the number of rows sets a size of {_window}, and with it all its values")
barrier("ImageDecoder", "not-batch-axis", "ImageDecoder reads one image from one stream of bytes")
