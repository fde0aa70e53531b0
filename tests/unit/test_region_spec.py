"""Regions as they are named on the command line: what is read, and what is refused with the form to write."""

import pytest

from actcache import InvalidRegion, RegionSpec


@pytest.mark.parametrize(
    ("text", "frontier", "live_outs"),
    [
        ("r=a:b", ("a",), ("b",)),
        ("r=a,b:c,d", ("a", "b"), ("c", "d")),
        ("r= a , b : c ", ("a", "b"), ("c",)),
        ("r=x:463", ("x",), ("463",)),
        ("r=input:0:features", ("input:0",), ("features",)),
        ("r=a:0,b:1:c:0", ("a:0", "b:1"), ("c:0",)),
        ("r=x:onnx::Shape_422", ("x",), ("onnx::Shape_422",)),
        ("r=onnx::Gather_1:y:0", ("onnx::Gather_1",), ("y:0",)),
        (r"r=a\:b:c", ("a:b",), ("c",)),
        (r"r=a\,b,c:d", ("a,b", "c"), ("d",)),
        ("r=/encoder/Add_output_0=:y", ("/encoder/Add_output_0=",), ("y",)),
    ],
)
def test_parses_frontier_and_live_outs(text: str, frontier: tuple[str, ...], live_outs: tuple[str, ...]) -> None:
    assert RegionSpec.parse(text) == RegionSpec("r", frontier, live_outs)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it has no '='"),
        ("a:b", "it has no '='"),
        ("=a:b", "needs a name"),
        ("r=a", "no ':'"),
        ("r=a:", "tensor names for its live-outs"),
        ("r=:b", "tensor names for its frontier"),
        ("r=a,,b:c", "none of them empty"),
        ("r=a,a:c", "twice in its frontier"),
        ("r=a:b:c", "cannot tell which"),
        ("r=a:0:463", "cannot tell which"),
    ],
)
def test_refuses_with_the_form_to_use(text: str, says: str) -> None:
    with pytest.raises(InvalidRegion, match=says) as raised:
        RegionSpec.parse(text)
    assert "--region takes" in str(raised.value) or "\\:" in str(raised.value)
    assert "\n" not in str(raised.value)
