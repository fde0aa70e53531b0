"""Which models draw random numbers by a seed."""

from __future__ import annotations

from pathlib import Path

import onnx.parser
import pytest

from actcache.learn.seeded import draws_by_a_seed

HEAD = '<ir_version: 8, opset_import: ["" : 17, "local" : 1]> g (float[N] x) => (float[N] y) {'
SEEDED = "RandomNormalLike <seed: float = 4.0>"


def of(text: str, tmp_path: Path) -> str | None:
    (tmp_path / "model.onnx").write_bytes(onnx.parser.parse_model(text).SerializeToString())
    return draws_by_a_seed(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("text", "seeded"),
    [
        (f"{HEAD} y = {SEEDED} (x) }}", True),
        (f"{HEAD} y = RandomNormalLike (x) }}", False),
        (f"{HEAD} y = ai.onnx.{SEEDED} (x) }}", True),
        (f"{HEAD} y = Tanh (x) }}", False),
        (
            f"{HEAD} b = Constant <value: tensor = bool {{1}}> () y = If (b) "
            f"<then_branch = t () => (float[N] o) {{ o = {SEEDED} (x) }}, "
            "else_branch = e () => (float[N] o) { o = Identity (x) }> }",
            True,
        ),
        (
            f"{HEAD} y = local.noisy (x) }} "
            f'<domain: "local", opset_import: ["" : 17]> noisy (a) => (b) {{ b = {SEEDED} (a) }}',
            True,
        ),
    ],
)
def test_operators_with_a_seed_are_found_anywhere(text: str, seeded: bool, tmp_path: Path) -> None:
    found = of(text, tmp_path)
    assert (found is not None) == seeded
    assert found is None or found.startswith("RandomNormalLike '")


def test_what_is_no_model_is_left_to_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    assert draws_by_a_seed(tmp_path / "model.onnx") is None
