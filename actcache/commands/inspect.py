"""``actcache inspect``: what a compiled model caches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from actcache.commands import compile_report as report
from actcache.commands import options
from actcache.commands.tables import Cell, Column, print_table, say
from actcache.commands.terminal import respond
from actcache.serve.byte_size import format_bytes

_EPILOG = f"""\b
Examples:
  actcache inspect encoder.cached.onnx
      its regions: inputs, results, time saved, bytes kept, operators, fingerprints
  actcache inspect encoder.cached.onnx --json | jq '.regions[].fingerprint'
      models with an equal fingerprint share the entries of that region

{options.EXIT_CODES}"""


@click.command(name="inspect", epilog=_EPILOG, context_settings=options.HELP_NAMES)
@click.argument("model", type=options.READ)
@options.as_json
@options.debug
def inspect_command(model: Path, as_json: bool, debug: bool) -> None:
    """Show what the compiled MODEL caches. Nothing is run, and its weight file need not be there."""

    def find() -> Mapping[str, Any]:
        from actcache.inspection.regions import inspect_model

        return inspect_model(model)

    respond(find, _show, as_json=as_json, debug=debug)


def _show(console: Console, answer: Mapping[str, Any]) -> None:
    for line in _head(answer):
        say(console, line)
    _print_regions(console, answer["regions"])
    _print_tensors(console, answer["regions"])
    _print_insides(console, answer["regions"])
    for note in answer["notes"]:
        say(console, f"note: {note}")


def _head(answer: Mapping[str, Any]) -> Iterator[str]:
    yield answer["model"]
    if answer["schema"] is not None:
        measured = f", onnxruntime {answer['onnxruntime']}" if answer["onnxruntime"] else ""
        yield f"compiled by actcache {answer['actcache']}{measured}; manifest schema {answer['schema']}"
    if answer["original"]:
        weights = answer["original"]["weights_sha256"]
        beside = f", its weights {weights[:16]}…" if weights else ""
        yield f"from {answer['original']['file']}, sha256 {answer['original']['sha256'][:16]}…{beside}"
    if answer["policy"]:
        yield _policy_line(answer["policy"])
    if answer["milliseconds"] is not None:
        how = "measured" if answer["measured"] else "estimated"
        yield f"one call of the original on the sample: {_milliseconds(answer['milliseconds'])} ({how})"
    if answer["schema"] is not None and answer["schema"] > 1:
        yield report.verify_line(answer["verify"])
    if answer["trace"]:
        yield report.trace_line(answer["trace"])
    for what, name in answer["per_call"].items():
        if name:
            yield f"{what.replace('_', ' ')}: {name}"
    for entry in answer["weights"]:
        yield f"weights: {entry['file']}, {format_bytes(entry['bytes'])}{'' if entry['present'] else ' (missing)'}"


def _policy_line(policy: Mapping[str, Any]) -> str:
    chosen = {"costs": "what a hit saves", "trace": "recorded calls", "names": "name (--region)"}
    parts = [f"granularity {policy['granularity']}"]
    if policy["min_saving_ms"] is not None:
        parts.append(f"{policy['min_saving_ms']:g} ms saved by a hit or more")
    if policy["budget_bytes"] is not None:
        parts.append(f"a store of {format_bytes(policy['budget_bytes'])}")
    if policy.get("exact"):
        parts.append("equal bit for bit")
    else:
        parts.append("tolerance by type" if policy["tolerance"] is None else f"tolerance {policy['tolerance']:g}")
    if policy["dynamic_batch"]:
        parts.append("batch made variable")
    if policy.get("reads"):
        parts.append(f"only the last position read of {', '.join(policy['reads'])}")
    if policy["pure_ops"]:
        parts.append(f"declared pure: {', '.join(policy['pure_ops'])}")
    return f"regions chosen by {chosen.get(policy['chosen_by'], policy['chosen_by'])}: {', '.join(parts)}"


def _print_regions(console: Console, regions: Sequence[Mapping[str, Any]]) -> None:
    columns = [Column("region"), Column("inside"), Column("entry", True), Column("depends on")]
    columns += [
        Column(name, True)
        for name in ("share of time", "a call takes", "a hit saves", "an entry keeps", "expected reuse", "measured")
    ]
    rows: list[list[Cell]] = [
        [
            [region["id"]],
            [region["inside"] or "–"],
            report.per(region["granularity"]),
            region["cone"],
            _number(region["time_share"], "{:.1%}"),
            _milliseconds(region["milliseconds"]),
            _milliseconds(region["saving_ms"]),
            "–" if region["entry_bytes"] is None else format_bytes(region["entry_bytes"]),
            _number(region["predicted_reuse"], "{:.1%}"),
            _number(region["measured_reuse"], "{:.1%}"),
        ]
        for region in regions
    ]
    shown = [index for index, column in enumerate(columns) if column.name != "inside" or _any_inside(regions)]
    print_table(console, "Cached regions", [columns[i] for i in shown], [[row[i] for i in shown] for row in rows])


def _any_inside(regions: Sequence[Mapping[str, Any]]) -> bool:
    return any(region["inside"] for region in regions)


def _print_tensors(console: Console, regions: Sequence[Mapping[str, Any]]) -> None:
    columns = [Column(name) for name in ("tensor", "region", "role", "type and shape", "rows", "positions")]
    shown = any(tensor["position_axis"] is not None for region in regions for tensor in region["frontier"])
    columns = columns if shown else columns[:-1]
    rows: list[list[Cell]] = []
    for region in regions:
        parts = {
            "read": "frontier",
            "given": "live_outs",
            "given at the end": "finals",
            "state": "states",
            "end": "ends",
        }
        roles = ((what, region[part]) for what, part in parts.items())
        for what, tensor in ((what, tensor) for what, tensors in roles for tensor in tensors):
            axes = [[_axis(tensor.get(axis))] for axis in ("row_axis", "position_axis")][: len(columns) - 4]
            rows.append([[tensor["name"]], [region["id"]], what, [type_and_shape(tensor)], *axes])
    print_table(console, "What they read and give", columns, rows)
    for region in regions:
        if branch := region["branch"]:
            wanted = str(branch["taken_if"]).lower()
            say(console, f"{region['id']}: only calls in which {branch['condition']} is {wanted} ask it")
        for text in region["size_equations"]:
            say(console, f"{region['id']}: {_proven(region)} {text}")
        for name, rank in region["ranks"].items():
            say(console, f"{region['id']}: {_proven(region)} {name} has {rank} axes")


def _axis(number: int | None) -> str:
    return "–" if number is None else f"axis {number}"


def _proven(region: Mapping[str, Any]) -> str:
    """Say what a call needs its sizes for."""
    if region["granularity"] == "prefix":
        return "looks calls up only if"
    return f"entries are per {report.UNITS[region['granularity']]} if"


def _print_insides(console: Console, regions: Sequence[Mapping[str, Any]]) -> None:
    columns = [Column("region"), Column("nodes", True), Column("operators"), Column("regions"), Column("fingerprint")]
    rows: list[list[Cell]] = [
        [
            [region["id"]],
            str(region["nodes"]),
            [f"{count} {name}" for name, count in region["operators"].items()],
            region["contains"] or "–",
            [region["fingerprint"]],
        ]
        for region in regions
    ]
    print_table(console, "What is inside", columns, rows)


def type_and_shape(tensor: Mapping[str, Any]) -> str:
    """Write ``int64[N, 32]``."""
    shape = tensor["shape"]
    if shape is None:
        return f"{tensor['type'] or '?'} of any rank"
    return f"{tensor['type'] or '?'}[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _milliseconds(value: float | None) -> str:
    """Write three digits, and none behind a thousand: ``2.4 ms``, ``1,204 ms``."""
    return _number(value, "{:.3g} ms" if value is None or abs(value) < 999.5 else "{:,.0f} ms")
