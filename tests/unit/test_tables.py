"""What commands print is readable at every width: no value is cut, in a table or beside it."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import encoder
from rich.console import Console

import actcache
from actcache.commands import compile_report as report
from actcache.commands import inspect, top
from actcache.commands.tables import Column, fits, print_table, say
from actcache.inspection.regions import inspect_model
from actcache.metrics.metrics_file import Snapshot

WIDTHS = (60, 80, 120)
LONG = "vision_model.encoder.layers.11.self_attn.out_proj"
PATIENCE = 120


def shown(width: int | None, show: Callable[[Console], object]) -> str:
    """What is printed to a terminal of a width, or to a file."""
    text = io.StringIO()
    terminal = width is not None
    console = Console(
        file=text,
        width=width or 160,
        force_terminal=terminal,
        no_color=True,
        markup=False,
        highlight=False,
        emoji=False,
    )
    show(console)
    return re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())


def whole(text: str, *values: str) -> None:
    """Asserts that every value stands in one line."""
    assert values
    for value in values:
        assert any(value in line for line in text.splitlines()), (value, text)


def narrow(text: str, width: int, *copied: str) -> None:
    """Asserts that no line is wider than the terminal, but for one value with its label, and for what is `copied`."""
    assert text
    for line in text.splitlines():
        longest = max(map(len, line.split()), default=0)
        assert len(line.rstrip()) <= width or longest + 20 > width or line in copied, line
    assert not re.search("(?<![0-9a-f]{16})…", text)  # which ends the first digits of a hash


COLUMNS = [Column("region"), Column("entry", True), Column("reads"), Column("gives"), Column("verdict")]
VERDICT = "kept out: what is read from it costs more to keep than it saves at the reuse that was measured"
ROWS: list[list[Any]] = [
    [["encoder"], "per row", ["input ids", LONG], ["y"], VERDICT],
    [["a" * 30], "per tensor", ["x"], [LONG, LONG + ".bias"], "cached"],
]


@pytest.mark.parametrize("width", [*WIDTHS, 40, None])
def test_values_are_whole_at_every_width(width: int | None) -> None:
    text = shown(width, lambda console: print_table(console, "Candidates", COLUMNS, ROWS))
    whole(text, "encoder", "a" * 30, "input ids", LONG, LONG + ".bias", "per tensor", *VERDICT.split(), "verdict")
    if width is not None:
        narrow(text, width)


def test_a_table_while_it_fits_and_else_a_line_per_field() -> None:
    assert "┃" in shown(200, lambda console: print_table(console, "t", COLUMNS, ROWS))
    lines = shown(60, lambda console: print_table(console, "t", COLUMNS, ROWS)).splitlines()
    assert lines[2:6] == [
        "encoder",
        "  entry    per row",
        "  reads    input ids,",
        f"           {LONG}",
    ]
    assert fits(COLUMNS, ROWS, 200) and not fits(COLUMNS, ROWS, 60)


def test_texts_are_wrapped_before_columns_are_given_up() -> None:
    rows = [[["r"], VERDICT]]
    text = shown(60, lambda console: print_table(console, "t", [Column("region"), Column("verdict")], rows))
    assert "┃" in text
    narrow(text, 60)
    assert " ".join(re.findall(r"│ r? +│ (.*?) *│", text)) == VERDICT


def test_files_get_whole_lines() -> None:
    rows = [[["n" * 150], "per row", [LONG] * 9, ["y"], VERDICT]]
    text = shown(None, lambda console: print_table(console, "t", COLUMNS, rows))
    whole(text, f"  reads    {', '.join([LONG] * 9)}", f"  verdict  {VERDICT}")


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_are_wrapped_between_words_and_indented(width: int) -> None:
    text = shown(width, lambda console: say(console, f"  - {LONG}: {VERDICT}"))
    narrow(text, width)
    lines = text.splitlines()
    assert lines[0].startswith("  - ") and all(line.startswith("    ") for line in lines[1:])
    assert " ".join(text.split()) == f"- {LONG}: {VERDICT}"
    assert shown(None, lambda console: say(console, f"  - {VERDICT}  twice")) == f"  - {VERDICT}  twice\n"


def test_names_cannot_write_to_the_terminal() -> None:
    text = shown(80, lambda console: print_table(console, "t", [Column("a"), Column("b")], [[["x\x1b[2J\n"], ["y\r"]]]))
    whole(text, "x?[2J?", "y?")


# -- the commands ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> actcache.CompileResult:
    model = encoder(width=256)
    names = {"a": f"{LONG}.a", "b": f"{LONG}.b"}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        node.name = f"{LONG}.{node.op_type}.{node.output[0]}"
    folder = tmp_path_factory.mktemp("tables")
    onnx.save_model(model, folder / "encoder.onnx")
    sample = {"x": np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)}
    region = actcache.RegionSpec("vision.encoder", (f"{LONG}.b",), ("y",))
    return actcache.compile_model(folder / "encoder.onnx", samples=[sample], regions=[region])


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_compile_and_explain(result: actcache.CompileResult, width: int | None) -> None:
    text = shown(width, lambda console: report.print_result(console, result, explain=True))
    whole(text, "vision.encoder", "per row", f"{LONG}.b", f"'{LONG}.MatMul.y'")
    if width is not None:
        load = [line for line in text.splitlines() if "InferenceSession(" in line]  # to be copied as it is
        narrow(text, width, *load)


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_candidates(width: int | None) -> None:
    found = {
        "region": f"{LONG}.a", "granularity": "tensor", "cone": ["pixel_values", "input_ids"], "frontier": [LONG] * 3,
        "live_outs": ["y"], "time_share": 0.5, "reuse": 0.25, "reuse_within_calls": 0.125, "entry_bytes": 1 << 20,
        "predicted": 0.75, "verdict": VERDICT,
    }  # fmt: skip
    text = shown(width, lambda console: report._print_candidates(console, [found]))
    whole(text, f"{LONG}.a", "per tensor", "pixel_values", LONG, "2 more", "25.0% (12.5% within calls)", "1.0 MiB")
    whole(text, "0.750", "predicted ratio")
    if width is not None:
        narrow(text, width)
    assert shown(width, lambda console: report._print_candidates(console, [])) == ""


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_inspect(result: actcache.CompileResult, width: int | None) -> None:
    answer = inspect_model(result.output)
    text = shown(width, lambda console: inspect._show(console, answer))
    (region,) = answer["regions"]
    whole(text, "vision.encoder", f"{LONG}.b", region["fingerprint"], "float[N, 256]", "2 MatMul,", "axis 0", "1.0 KiB")
    if width is not None:
        narrow(text, width)


@pytest.mark.parametrize(
    ("width", "name"), [(40, "encoder"), *((width, name) for width in WIDTHS for name in ("encoder", LONG))]
)
def test_top(width: int, name: str) -> None:
    region: dict[str, Any] = dict.fromkeys(
        "calls hits misses bypassed duplicates joined expired verified mismatches stored not_admitted evicted bytes"
        " saved_seconds overhead_seconds hash_seconds copy_seconds compute_seconds".split(), 123_456_789
    )  # fmt: skip
    region |= {"state": "bypassed", "fingerprint": "f"}
    store = {"bytes": 1, "budget_bytes": 2, "entries": 3, "evictions": 4}
    now = Snapshot(time=0.0, pid=1, version="0", regions={name: region}, store=store)
    text = shown(width, lambda console: console.print(top._screen(None, now, None, None, console)))
    whole(text, name, "bypassed", "rows", "hits", "mismatch", "123.5M")
    narrow("\n".join(line for line in text.splitlines() if name in line or "rows" in line), width)


def on_terminal(width: int, *arguments: object) -> str:
    """What a command prints on a terminal of its own."""
    own, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "actcache", *map(str, arguments)],
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(width)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(own, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    os.close(own)
    assert process.wait(PATIENCE) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode().replace("\r\n", "\n"))


def test_a_real_terminal_and_a_pipe(result: actcache.CompileResult) -> None:
    text = on_terminal(80, "inspect", result.output)
    narrow(text, 80)
    whole(text, f"{LONG}.b", "float[N, 256]")
    done = subprocess.run(
        [sys.executable, "-m", "actcache", "inspect", result.output], capture_output=True, text=True, check=True
    )
    whole(done.stdout, f"{LONG}.b", "float[N, 256]", str(Path(result.output)))
