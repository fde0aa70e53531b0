"""What the command line prints about a compilation: for people and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from actcache.commands.tables import Cell, Column, print_table, say
from actcache.errors import ActcacheError, NothingToCache
from actcache.passes.choice.store_simulation import ENTRY_OVERHEAD
from actcache.serve.byte_size import format_bytes

if TYPE_CHECKING:
    from actcache.compile.result import CompileResult
    from actcache.passes.refusal import Refusal

#: What an entry is of, by granularity.
UNITS = {"row": "row", "prefix": "position", "tensor": "call"}
#: Refusals printed for each reason unless everything is asked for.
_SHOWN = 2


def to_json(content: dict[str, Any]) -> str:
    """Write a result as the one JSON object of ``--json``. What JSON has no number for becomes null."""
    return json.dumps(_finite(content), ensure_ascii=False, allow_nan=False)


def failure_json(error: ActcacheError, model: Path | None) -> str:
    """Write a failure as the one JSON object of ``--json``: the keys of a result, and ``error``."""
    refusals = [refusal.to_json() for refusal in error.refusals] if isinstance(error, NothingToCache) else []
    empty = {"output": None, "regions": [], "refusals": refusals, "verify": None}
    return to_json({"model": str(model) if model else None, **empty, "error": problem(error)})


def problem(error: ActcacheError) -> dict[str, Any]:
    """Return an error as ``--json`` tells it."""
    return {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}


def print_result(console: Console, result: CompileResult, explain: bool) -> None:
    """Print what was cached, how it was checked, and how to load it."""
    answer = result.to_json()
    _print_regions(console, answer["regions"])
    for region in answer["regions"]:
        say(console, entry_line(region, result.budget))
    say(console, verify_line(answer["verify"]))
    if answer["trace"]:
        say(console, trace_line(answer["trace"]))
    for note in result.notes:
        say(console, f"note: {note}")
    if explain:
        _print_candidates(console, answer["candidates"])
        console.print("\nShare of time, node, verdict:")
        for line in result.explain:
            say(console, f"  {line}")
    elif result.refusals:
        say(console, f"{len(result.refusals)} parts are not cached; --explain says why")
    beside = [path.name for path in result.files[1:]]
    console.print()
    say(console, f"written: {result.output}")
    if beside:
        say(console, f"weights: {', '.join(beside)}, in the same folder; keep them together")
    console.print("load it with\n")
    console.print("    import actcache")
    console.print(f"    session = actcache.InferenceSession({str(result.output)!r})", soft_wrap=True)


def per(granularity: str) -> str:
    """Say in a table what an entry is of."""
    return f"per {'position' if granularity == 'prefix' else granularity}"


def entry_line(region: Mapping[str, Any], budget: int) -> str:
    """Say in one line what an entry of a region holds, and when it pays."""
    unit = UNITS[region["granularity"]]
    sizes = ", ".join(f"{name} {format_bytes(size)}" for name, size in region["kept_bytes"].items())
    parts = f" ({sizes})" if len(region["kept_bytes"]) > 1 else ""
    held = budget // (region["entry_bytes"] + ENTRY_OVERHEAD)
    share = f"{region['break_even']:.1%}" if region["break_even"] < 0.1 else f"{region['break_even']:.0%}"
    return (
        f"{region['id']}: {format_bytes(region['entry_bytes'])} per {unit}{parts}; pays from about {share} repeats; "
        f"{format_bytes(budget)} holds about {held:,} {unit}s"
    )


def print_refusals(console: Console, refusals: Sequence[Refusal], everything: bool) -> None:
    """Print refusals, the first of each kind only unless `everything` is asked for."""
    shown: Counter[str] = Counter()
    for refusal in refusals:
        shown[refusal.rule] += 1
        if everything or shown[refusal.rule] <= _SHOWN:
            say(console, f"  - {refusal}")
    hidden = 0 if everything else sum(max(0, count - _SHOWN) for count in shown.values())
    if hidden:
        say(console, f"  ... and {hidden} more of these kinds; --explain prints all of them")


def _print_regions(console: Console, regions: Sequence[dict[str, Any]]) -> None:
    columns = (Column("region"), Column("entry", True), Column("reads"), Column("gives"))
    numbers = (Column("nodes", True), Column("share of time", True))
    rows: list[list[Cell]] = [
        [
            [str(region["id"])],
            per(region["granularity"]),
            region["frontier"],
            region["live_outs"],
            str(region["nodes"]),
            f"{region['time_share']:.1%}",
        ]
        for region in regions
    ]
    print_table(console, "Cached regions", (*columns, *numbers), rows)


def _print_candidates(console: Console, candidates: Sequence[dict[str, Any]]) -> None:
    """Print every candidate, with what the trace says of it."""
    columns = [Column("candidate"), Column("entry", True), Column("inputs"), Column("reads"), Column("gives")]
    columns += [Column(name, True) for name in ("share of time", "reuse", "bytes per entry", "predicted ratio")]
    rows: list[list[Cell]] = [
        [
            [found["region"]],
            per(found["granularity"]),
            found["cone"],
            _few(found["frontier"]),
            _few(found["live_outs"]),
            f"{found['time_share']:.1%}",
            _reuse(found),
            format_bytes(found["entry_bytes"]),
            "–" if found["predicted"] is None else f"{found['predicted']:.3f}",
            found["verdict"],
        ]
        for found in candidates
    ]
    print_table(console, "Candidates", [*columns, Column("verdict")], rows)


def _reuse(found: dict[str, Any]) -> str:
    if found["reuse"] is None:
        return "–"
    within = found["reuse_within_calls"]
    return f"{found['reuse']:.1%}" + (f" ({within:.1%} within calls)" if within else "")


def _few(names: Sequence[str]) -> Sequence[str]:
    return names if len(names) <= 2 else [names[0], f"{len(names) - 1} more"]


def trace_line(trace: Mapping[str, Any]) -> str:
    """Say in one line what a trace predicted and measured (:class:`actcache.model.trace.TraceOutcome` as JSON)."""
    reuse = ", ".join(f"'{name}' {share:.1%}" for name, share in sorted(trace["reuse"].items()))
    expected = "" if trace["predicted"] is None else f"{trace['predicted']:.3f} of the original's time expected, "
    return (
        f"trace: {expected}{trace['measured']:.3f} measured on {trace['played']} other calls, from an empty store; "
        f"reused: {reuse or 'nothing'}"
    )


def verify_line(verify: Mapping[str, Any] | None) -> str:
    """Say in one line what verification found (:class:`actcache.verification.verify.Verification` as JSON; None: not
    done).
    """
    if not verify:
        return "not verified (--no-verify)"
    checked = f"verified against the original: {verify['cases']} cases"
    if verify["bit_exact"]:
        return f"{checked}, outputs equal bit for bit"
    judged = [found for found in verify.get("outputs", ()) if found["judged_by"] == "spread"]
    by_spread = "".join(
        f"; output {found['output']} by the original's own spread, which accepts {found['spread']:.3g}"
        for found in judged
    )
    equal = [name for name, bits in verify.get("region_bits", {}).items() if bits]
    alone = f"; alone, {', '.join(map(repr, equal))} would be equal bit for bit" if equal else ""
    hint = "; --exact bits accepts none"
    return f"{checked}, largest difference {verify['max_abs_error']:.3g}{by_spread}{alone}{hint}"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float) and content - content != 0:  # infinite or not a number
        return None
    return content
