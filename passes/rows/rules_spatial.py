"""Row rules of convolutions, pooling and resizing: axis 0 is the batch, axis 1 the channels, the rest is space."""

from __future__ import annotations

from collections.abc import Sequence

from actcache.passes.refusal import Refusal
from actcache.passes.rows.broadcasting import carry, same_rows
from actcache.passes.rows.registry import MICROSOFT, NCHWC, Op, known, rule
from actcache.passes.rows.sizes import ONE, Size, const, product
from actcache.passes.rows.state import BATCH_SIZE, Mixed, Mixes, Row, Shape, Value


def batch_first(op: Op, x: Value) -> Row | None:
    """Return the rows of `x`, which must lie on axis 0; None when it is row-free."""
    if x.row is not None and x.row.axis != 0:
        raise Mixes("not-batch-axis", f"{op.node.op_type} takes axis 0 as the batch, the rows lie on axis {x.row.axis}")
    return x.row


def stay_on_axis_0(op: Op, x: Value, rest: Sequence[Size] | None) -> Value:
    """Return a result [d0, rest…] in which entry i of axis 0 depends on entry i of `x` only."""
    row = batch_first(op, x)
    if rest is None or x.shape is None:
        if row is not None:
            raise Mixes("rank-unknown", f"the shape of the result of {op.node.op_type} is unknown")
        return Value(x.state)
    return Value(x.state, (x.shape[0], *rest))


@rule("Conv")
@rule("Conv", domain=NCHWC)
@rule("FusedConv", domain=MICROSOFT)
def conv(op: Op) -> Value:
    """Y[n, m] = Σ W[m, c] * X[n, c] + B[m]: weights are shared by the batch. Fused ones may add Z[n] of Y's shape."""
    op.row_free(1, 2)
    result = stay_on_axis_0(op, op.need(0), _conv_sizes(op, op.need(0), op.need(1)))
    other = op.get(3)
    if other is not None:
        same_rows([result, other], [0, 0])
    return result


@rule("ConvInteger")
def conv_integer(op: Op) -> Value:
    """Conv of integers less their zero points, which are shared by the batch."""
    op.row_free(1, 2, 3)
    return stay_on_axis_0(op, op.need(0), _conv_sizes(op, op.need(0), op.need(1)))


@rule("QLinearConv")
@rule("QLinearConv", domain=MICROSOFT)
def qlinear_conv(op: Op) -> Value:
    """Conv with static scales and zero points, per tensor or per output channel."""
    op.row_free(1, 2, 3, 4, 5, 6, 7, 8)
    rest = _conv_sizes(op, op.need(0), op.need(3))
    if op.attribute("channels_last", 0):
        rest = _fresh_like(op, op.need(0))
    return stay_on_axis_0(op, op.need(0), rest)


@rule("ConvTranspose")
def conv_transpose(op: Op) -> Value:
    """The adjoint of Conv in the image: weights are shared by the batch."""
    op.row_free(1, 2)
    x, w = op.need(0), op.need(1)
    if x.shape is None or w.shape is None:
        return stay_on_axis_0(op, x, _fresh_like(op, x))
    channels = w.shape[1] * const(op.attribute("group", 1))
    space = _transposed_space(op, x.shape[2:], w.shape[2:])
    return stay_on_axis_0(op, x, (channels, *space))


@rule("ConvTransposeWithDynamicPads", domain=MICROSOFT)
def conv_transpose_padded(op: Op) -> Value:
    """ConvTranspose with its pads as input 2."""
    op.row_free(1, 2, 3)
    return stay_on_axis_0(op, op.need(0), _fresh_like(op, op.need(0)))


@rule("DeformConv")
def deform_conv(op: Op) -> Value:
    """Conv that reads X[n] at offset[n], weighted by mask[n]."""
    op.row_free(1, 3)
    tensors = [v for v in (op.need(0), op.need(2), op.get(4)) if v is not None]
    same_rows(tensors, [0] * len(tensors))
    return stay_on_axis_0(op, op.need(0), _conv_sizes(op, op.need(0), op.need(1)))


@rule("AveragePool", "LpPool", "MaxPool")
@rule("NhwcMaxPool", domain=MICROSOFT)
@rule("AveragePool", "MaxPool", domain=NCHWC)
def pool(op: Op) -> list[Value]:
    """Combines windows in space. MaxPool's second output counts positions through the whole batch."""
    x = op.need(0)
    kernel = [const(k) for k in op.attribute("kernel_shape", ())]
    rest: Sequence[Size] | None = None
    if x.shape is not None and len(kernel) == len(x.shape) - 2:
        rest = (x.shape[1], *_space(op, x.shape[2:], kernel)) if op.node.op_type != "NhwcMaxPool" else None
    result = stay_on_axis_0(op, x, rest or _fresh_like(op, x))
    if result.row is None:
        return [result for _ in op.node.output]
    lost = Mixed(Refusal("row-position-in-data", "MaxPool's indices count through the whole batch"))
    return [result, Value(lost)][: len(op.node.output)]


@rule("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")
@rule("GlobalAveragePool", "GlobalMaxPool", domain=NCHWC)
def global_pool(op: Op) -> Value:
    """One number per image and channel."""
    x = op.need(0)
    return stay_on_axis_0(op, x, None if x.shape is None else (x.shape[1], *[ONE] * (len(x.shape) - 2)))


@rule("QLinearAveragePool", "QLinearGlobalAveragePool", domain=MICROSOFT)
def qlinear_pool(op: Op) -> Value:
    """Pooling with static scales, channels on axis 1 or last."""
    op.row_free(1, 2, 3, 4)
    return stay_on_axis_0(op, op.need(0), _fresh_like(op, op.need(0)))


@rule("Upsample", "ReorderInput", "ReorderOutput", domain=NCHWC)
def blocked(op: Op) -> Value:
    """To and from blocked channels, and back to all of them: onnxruntime's layout optimiser. Channels are axis 1 while
    they are blocked, filled up to whole blocks.
    """
    x, kind = op.need(0), op.node.op_type
    if x.shape is None:
        return stay_on_axis_0(op, x, None)
    last = bool(op.attribute("channels_last", 0))
    space = list(x.shape[1:-1] if last and kind == "ReorderInput" else x.shape[2:])
    if kind == "Upsample":
        scales = op.attribute("scales", [1] * len(x.shape))
        return stay_on_axis_0(op, x, (x.shape[1], *(s * const(n) for s, n in zip(space, scales[2:], strict=True))))
    channels = const(op.attribute("channels")) if kind == "ReorderOutput" else op.symbols.fresh("channels")
    return stay_on_axis_0(op, x, (*space, channels) if last and kind == "ReorderOutput" else (channels, *space))


@rule("DepthToSpace", "SpaceToDepth")
def depth_space(op: Op) -> Value:
    """Moves blocks of space into channels of the same image, or back."""
    x = op.need(0)
    if x.shape is None or len(x.shape) != 4:
        return stay_on_axis_0(op, x, _fresh_like(op, x))
    block = const(op.attribute("blocksize"))
    _, channels, height, width = x.shape
    if op.node.op_type == "SpaceToDepth":
        parts = [channels * block * block, height.divided_by(block), width.divided_by(block)]
    else:
        parts = [channels.divided_by(block * block), height * block, width * block]
    return stay_on_axis_0(op, x, [part if part is not None else op.symbols.fresh("?") for part in parts])


@rule("GridSample")
@rule("GridSample", domain=MICROSOFT)
def grid_sample(op: Op) -> Value:
    """Y[n] samples X[n] at grid[n]."""
    x, grid = op.need(0), op.need(1)
    if x.shape is None or grid.shape is None:
        raise Mixes("rank-unknown", "GridSample of unknown rank")
    same_rows([x, grid], [0, 0])
    return stay_on_axis_0(op, x, (x.shape[1], *grid.shape[1:-1]))


@rule("AffineGrid", sizes=(1,))
def affine_grid(op: Op) -> Value:
    """One grid for each matrix theta[n]; `size` is [N, C, (D,) H, W]."""
    theta, size = op.need(0), op.content(1)
    if size is None or theta.shape is None or size[0] != theta.shape[0]:
        raise Mixes("shape-unknown", "the size of AffineGrid is not known to begin with the number of rows")
    return stay_on_axis_0(op, theta, (*size[2:], const(len(size) - 2)))


@rule("Col2Im")
def col2im(op: Op) -> Value:
    """Adds up the columns of one image, [N, C·k, L] to [N, C, image…]."""
    x, image, block = op.need(0), op.content(1), op.content(2)
    if x.shape is None or image is None or block is None:
        return stay_on_axis_0(op, x, None)
    channels = x.shape[1].divided_by(product(block)) or op.symbols.fresh("channels")
    return stay_on_axis_0(op, x, (channels, *image))


@rule("Resize", "Upsample", sizes=(3,))
def resize(op: Op) -> Value:
    """Interpolates along each axis on its own: the axis of the rows must keep its size exactly.

    At scale 1 the nearest entry is the row itself, whatever the transformation. Interpolation is not along an axis of
    scale 1 alone: it adds the neighbour times 0, which is no number where the neighbour is infinite. Only batch and
    channels are left out of it, the axes 0 and 1 of images and volumes.
    """
    op.row_free(1, 2, 3)
    x, given = op.need(0), op.get(3)
    if x.shape is None:
        return carry(x, None)
    rank = len(x.shape)
    axes = [a % rank for a in op.attribute("axes", range(rank))]
    if given is not None and given.state == BATCH_SIZE and _sizes(op) is None:
        raise Mixes("size-from-batch", "the number of rows decides a size of Resize")
    if any(size.batch and (x.row is None or a != x.row.axis) for a, size in zip(axes, _sizes(op) or [], strict=False)):
        raise Mixes("size-from-batch", "the number of rows decides a size of Resize")
    if x.row is not None and op.attribute("mode", "nearest") != "nearest" and (rank < 4 or x.row.axis > 1):
        raise Mixes("resize-rows", "Resize interpolates between the rows, if only with the weights 1 and 0")
    if x.row is not None and x.row.axis in axes:
        _resize_keeps(op, x, x.row, axes.index(x.row.axis))
    return carry(x, tuple(_resized(op, s, axes.index(a)) if a in axes else s for a, s in enumerate(x.shape)))


def _resize_keeps(op: Op, x: Value, row: Row, place: int) -> None:
    if op.attribute("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise Mixes("resize-rows", "Resize with regions of interest may crop the batch")
    if op.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Mixes("resize-rows", "Resize keeps an aspect ratio in which the batch takes part")
    scales, sizes = _scales(op), _sizes(op)
    kept = scales is not None and len(scales) > place and scales[place] == 1.0
    if not kept and (sizes is None or sizes[place] != known(x)[row.axis]):
        raise Mixes("resize-rows", "Resize may change the number of rows")


def _resized(op: Op, size: Size, place: int) -> Size:
    scales, sizes = _scales(op), _sizes(op)
    if scales is not None and place < len(scales):
        if float(scales[place]).is_integer():
            return size * const(int(scales[place]))
        return op.symbols.opaque(f"resize {scales[place]}", size, dimension=True)
    if sizes is not None and op.attribute("keep_aspect_ratio_policy", "stretch") == "stretch":
        return sizes[place]
    return op.symbols.fresh("resized")


def _scales(op: Op) -> list[float] | None:
    """The constant scales, from the attribute (opset 7), input 1 (opsets 9, 10) or input 2."""
    if op.attribute("scales") is not None:
        return list(op.attribute("scales"))
    value = op.get(2 if op.opset >= 11 and op.node.op_type == "Resize" else 1)
    if value is None or value.constant is None or not value.constant.size:
        return None
    return [float(s) for s in value.constant.reshape(-1)]


def _sizes(op: Op) -> list[Size] | None:
    content = op.content(3)
    return None if content is None or not content.size else list(content.reshape(-1))


def _conv_sizes(op: Op, x: Value, w: Value) -> Sequence[Size] | None:
    if x.shape is None:
        return None
    if w.shape is None or len(w.shape) != len(x.shape):
        return _fresh_like(op, x)
    return (w.shape[0], *_space(op, x.shape[2:], w.shape[2:]))


def _fresh_like(op: Op, x: Value) -> Sequence[Size] | None:
    """Unknown sizes that depend on neither N nor the rows: a window over an image sees one image."""
    return None if x.shape is None else [op.symbols.fresh("?") for _ in x.shape[1:]]


def _space(op: Op, sizes: Shape, kernel: Sequence[Size]) -> list[Size]:
    """Sizes after a window has moved over space: ⌊(d + pads - dilation·(k - 1) - 1) / stride⌋ + 1."""
    count = len(sizes)
    strides, dilations = op.attribute("strides", [1] * count), op.attribute("dilations", [1] * count)
    pads, auto = op.attribute("pads", [0] * 2 * count), op.attribute("auto_pad", "NOTSET")
    found = []
    for axis, (size, window) in enumerate(zip(sizes, kernel, strict=True)):
        facts = (strides[axis], dilations[axis], pads[axis], pads[axis + count], auto, op.attribute("ceil_mode", 0))
        if size.value is None or window.value is None or facts[-1]:
            found.append(op.symbols.opaque("window", size, window, *facts, dimension=True))
            continue
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            found.append(const(-(-size.value // strides[axis])))
            continue
        padded = size.value + (pads[axis] + pads[axis + count] if auto == "NOTSET" else 0)
        steps = padded - dilations[axis] * (window.value - 1) - 1
        if steps < 0:  # the window does not fit: what an operator makes of that is its own
            found.append(op.symbols.opaque("window", size, window, *facts, dimension=True))
            continue
        found.append(const(steps // strides[axis] + 1))
    return found


def _transposed_space(op: Op, sizes: Shape, kernel: Shape) -> list[Size]:
    """stride·(d - 1) + output_padding + dilation·(k - 1) + 1 - pads, unless given as output_shape."""
    count = len(sizes)
    given = op.attribute("output_shape")
    if given is not None:
        return [const(n) for n in given[-count:]]
    if op.attribute("auto_pad", "NOTSET") != "NOTSET":
        return [op.symbols.fresh("?") for _ in sizes]
    strides, dilations = op.attribute("strides", [1] * count), op.attribute("dilations", [1] * count)
    pads, extra = op.attribute("pads", [0] * 2 * count), op.attribute("output_padding", [0] * count)
    return [
        (size - ONE) * const(strides[a])
        + (kernel[a] - ONE) * const(dilations[a])
        + const(extra[a] + 1 - pads[a] - pads[a + count])
        for a, size in enumerate(sizes)
    ]
