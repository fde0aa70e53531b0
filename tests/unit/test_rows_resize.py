"""Resize with the rows on any axis, in every mode: claimed where the operator keeps rows apart in every bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from rows_support import ROWS, Array, Sample, Tensor, described, keeps_apart, literal, rows, sample, session

TRANSFORMATIONS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
NEAREST = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
#: Sizes beside the rows, and their axis.
LAYOUTS: dict[str, tuple[tuple[int, ...], int]] = {
    "matrix": ((4,), 0),
    "signal": ((3, 4), 0),
    "signal, rows last": ((3, 4), 2),
    "image": ((2, 3, 4), 0),
    "image, rows as channels": ((2, 3, 4), 1),
    "image, rows as height": ((2, 3, 4), 2),
    "volume": ((2, 2, 3, 4), 0),
}
#: Where interpolation leaves an axis out: batch and channels of images and volumes.
OUTER = ("image", "image, rows as channels", "volume")


def forms(attributes: str, layout: str, claim: object, opset: int = 19) -> Iterator[Sample]:
    """The operator with the last axis that is not the rows' resized: by scales, by sizes, by axes."""
    shape, axis = LAYOUTS[layout]
    rank = len(shape) + 1
    last = rank - 1 if axis != rank - 1 else rank - 2
    scales = [1.0] * rank
    scales[last] = 1.6 if opset > 10 else 2.0
    crop = "tf_crop_and_resize" in attributes

    def made(nodes: str, wanted: object, **given: Tensor) -> Sample:
        return sample(nodes, wanted, opset=opset, tolerance=0, x=rows(*shape, axis=axis), **given)  # type: ignore[arg-type]

    region = literal([0.0] * rank + [1.0] * rank, "float32")
    yield made(f"y = Resize<{attributes}>(x, r, s)", "mixed" if crop else claim, s=literal(scales, "float32"), r=region)
    if opset < 15:
        return
    sizes = f"n = Shape<start = {axis}, end = {axis + 1}>(x) t = Concat<axis = 0>({'before, ' if axis else ''}n"
    sizes += f"{', behind' if axis < rank - 1 else ''}) y = Resize<{attributes}>(x, r, , t)"
    other = [*shape]
    other[last if last < axis else last - 1] = 7
    parts = {"before": literal(other[:axis]), "behind": literal(other[axis:])}
    parts = {name: part for name, part in parts.items() if len(part.values)}
    yield made(sizes, "mixed" if crop else claim, r=region, **parts)
    small = literal([0.0, 1.0], "float32")
    along = f"{attributes}, axes = [{last}]"
    yield made(f"y = Resize<{along}>(x, r, s)", claim, s=literal([1.6], "float32"), r=small)
    for policy in ("not_larger", "not_smaller"):
        kept = f'{along}, keep_aspect_ratio_policy = "{policy}"'
        yield made(f"y = Resize<{kept}>(x, r, , t)", claim, t=literal([7]), r=small)


def check(tried: Sample) -> bool:
    """Hold a sample to its claim; whether onnxruntime runs it."""
    claim = tried.claims["y"]
    assert described(tried.proof.state("y")) == claim, (str(tried), tried.proof.refusal("y"))
    if not isinstance(claim, int):
        return True
    try:
        runner = session(tried)
        whole = runner.run(["y"], tried.feed())[0]
    except (pytest.skip.Exception, Exception):  # onnxruntime has no kernel for it: the callers count
        return False
    for chosen in ([4, 1, 0, 3, 2], [1, 3], [2], [0], [0, 0, 3], list(range(ROWS))):
        part: Array = runner.run(["y"], tried.feed(chosen))[0]
        assert part.tobytes() == np.take(whole, chosen, claim).tobytes(), (str(tried), chosen)
    assert not [value for _, value, same in keeps_apart(tried, runner) if not same], str(tried)
    return True


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_the_nearest_row_is_the_row(transformation: str, layout: str) -> None:
    attributes = f'mode = "nearest", coordinate_transformation_mode = "{transformation}", nearest_mode = '
    tried = [one for how in NEAREST for one in forms(f'{attributes}"{how}"', layout, LAYOUTS[layout][1])]
    assert sum(map(check, tried)) >= len(tried) // 2


@pytest.mark.parametrize("how", NEAREST)
def test_the_nearest_row_of_tensorflow_is_the_row(how: str) -> None:
    attributes = f'mode = "nearest", coordinate_transformation_mode = "tf_half_pixel_for_nn", nearest_mode = "{how}"'
    tried = [one for layout in LAYOUTS for one in forms(attributes, layout, LAYOUTS[layout][1], opset=11)]
    assert sum(map(check, tried)) >= len(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_interpolation_keeps_the_rows_of_the_outer_axes(mode: str, transformation: str, layout: str) -> None:
    claim = LAYOUTS[layout][1] if layout in OUTER else "mixed"
    options = ("exclude_outside = 0", "exclude_outside = 1", "antialias = 1", "cubic_coeff_a = -0.5")
    attributes = f'mode = "{mode}", coordinate_transformation_mode = "{transformation}"'
    tried = [one for option in options for one in forms(f"{attributes}, {option}", layout, claim)]
    ran = sum(map(check, tried))
    assert ran or (mode, layout) in {("cubic", "volume"), ("cubic", "signal")}


def test_interpolation_at_scale_1_lets_a_row_reach_its_neighbour() -> None:
    """The reason for what is refused above."""
    scales = literal([1.0, 2.0], "float32")
    tried = sample('y = Resize<mode = "linear">(x, , s)', 0, tolerance=0, x=rows(4), s=scales)
    assert not all(same for _, _, same in keeps_apart(tried, session(tried)))


@pytest.mark.parametrize(
    "tried",
    [
        sample("y = Resize(x, , s)", "mixed", x=rows(4), s=literal([1.0000001, 1.0], "float32")),
        sample("y = Resize(x, , , t)", "mixed", x=rows(4), t=literal([ROWS, 4])),
        sample("y = Resize<axes = [0]>(x, , , t)", "mixed", opset=19, x=rows(4), t=literal([ROWS])),
        sample("y = Resize<axes = [-2]>(x, , s)", "mixed", opset=19, x=rows(4), s=literal([2.0], "float32")),
        sample(
            'n = Shape(x) y = Resize<keep_aspect_ratio_policy = "not_larger">(x, , , n)', "mixed", opset=19, x=rows(4)
        ),
        sample('y = Upsample<mode = "linear">(x, s)', "mixed", opset=9, x=rows(4), s=literal([1.0, 2.0], "float32")),
        sample("y = Upsample(x, s)", 0, opset=9, x=rows(4), s=literal([1.0, 2.0], "float32")),
    ],
    ids=str,
)
def test_other_ways_to_touch_the_rows(tried: Sample) -> None:
    assert check(tried)
