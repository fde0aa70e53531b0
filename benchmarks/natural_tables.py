"""The results of benchmarks.natural as a table in Markdown, and what they say about the claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.against_itself import spread_text

#: The claim: where so much of the work repeats, so much of the time is saved; and what a control may take.
REUSE, CUT, CONTROL = 0.40, 0.38, 1.01
#: What is further above its limit is explained.
_FAR = 0.05

_HEADS = ("workload", "original", "repeats", "limit", "new rows alone", "actcache", "seen again", "largest difference")


def natural_table(found: Sequence[dict[str, Any]]) -> str:
    """Return a line for each workload, controls last."""
    lines = [_row(_HEADS), _row(["---", *["--:"] * (len(_HEADS) - 1)])]
    lines += [_line(each) for each in sorted(found, key=lambda each: bool(each["control"]))]
    return "\n".join(lines)


def controls_table(found: Sequence[dict[str, Any]]) -> str:
    """Return a line for each control by both clocks, with the original against itself beside it; empty: none has them.

    A compiled model whose figure lies within the original's own has lost nothing that this measurement can see. Of the
    calls in the last quarter, those of regions that learnt that nothing repeats no longer pay for learning it.
    """
    measured = [each for each in found if "clocks" in each]
    if not measured:
        return ""
    told = {"compiled": "compiled, {} time", "last_quarter": "in the last quarter", "itself": "original again"}
    clocks = {"wall": "wall", "cpu": "processor"}
    heads = ["control", *(head.format(clock) for clock in clocks.values() for head in told.values())]
    lines = [_row(heads), _row(["---", *["--:"] * (len(heads) - 1)])]
    for each in measured:
        spreads = (each["clocks"][clock][who] for clock in clocks for who in told)
        lines.append(_row([each["title"], *map(spread_text, spreads)]))
    return "\n".join(lines)


def programs_table(programs: Sequence[dict[str, Any]]) -> str:
    """Return the programs of ``make apps`` that had something to look up: one run each, not in turn."""
    heads = ("program under `actcache run`", "plain", "repeats", "limit", "second time", "outputs")
    lines = [_row(heads), _row(["---", *["--:"] * 4, "---"])]
    for found in programs:
        if found["looked_up"]:
            share = found["reused"] / found["looked_up"]
            times = [f"{found['plain']:.1f} s", f"{share:.0%} of rows", f"{1 - share:.3f}", f"{found['second']:.2f}"]
            lines.append(_row([found["program"], *times, found["problem"] or "same"]))
    return "\n".join(lines)


def verdict(found: Sequence[dict[str, Any]]) -> str:
    """Return what the results say about the claim, in sentences."""
    repeating = _repeating(found)
    controls = [each for each in found if each["control"]]
    said = [f"At {REUSE:.0%} natural reuse or more, runtime is cut by {CUT:.0%} or more, and outputs are unchanged:"]
    if repeating:
        kept = [each for each in repeating if 1 - each["ratio"]["median"] >= CUT]
        cuts = sorted(1 - each["ratio"]["median"] for each in repeating)
        said.append(f"so it is in {len(kept)} of {len(repeating)} workloads (cut by {cuts[0]:.0%} to {cuts[-1]:.0%}).")
    else:
        said.append("no workload repeats so much.")
    if controls:
        worst = max(controls, key=lambda each: float(each["ratio"]["median"]))
        kept = [each for each in controls if not _loses(each)]
        told = ", or no more than the original differs from itself" if any("clocks" in each for each in kept) else ""
        said.append(f"Where nothing repeats, {len(kept)} of {len(controls)} take {CONTROL} of the time or less{told};")
        said.append(f"the most is {worst['ratio']['median']:.3f} ({worst['title']}).")
    said.append(f"The largest difference of an output is {max(each['largest_difference'] for each in found):.2g}.")
    return " ".join(said)


def gaps(found: Sequence[dict[str, Any]]) -> str:
    """Return a list of where the time goes in workloads that stay far above their limits; empty, if none does.

    Smaller batches: the original on the new rows alone, above the limit. Hits: what is found takes as long as when all
    is found. Misses: the rest, which is keys, copies into the store, and what is shared by hits and misses of a call.
    """
    return "\n".join(
        _gap(each) for each in found if not each["control"] and each["ratio"]["median"] > 1 - each["reuse"] + _FAR
    )


def _gap(found: dict[str, Any]) -> str:
    limit, ratio = 1 - found["reuse"], found["ratio"]["median"]
    parts = {"smaller batches": found["new_alone"]["median"] - limit} if found["new_alone"] else {}
    parts["hits"] = found["reuse"] * found["again"]
    parts["misses and noise"] = ratio - limit - sum(parts.values())
    told = ", ".join(f"{name} {part:+.3f}" for name, part in parts.items())
    return f"- {found['title']}: {ratio:.3f} instead of {limit:.3f}; {told}."


def missed(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of the workloads that miss their bar."""
    slow = [each["name"] for each in _repeating(found) if 1 - each["ratio"]["median"] < CUT]
    return slow + [each["name"] for each in found if each["control"] and _loses(each)]


def _loses(control: dict[str, Any]) -> bool:
    """Whether a control takes more than it may, and more than what the original differs from itself, by any clock."""
    if "clocks" not in control:  # as results were before
        return bool(control["ratio"]["median"] > CONTROL)
    return any(
        clock["compiled"]["median"] > max(CONTROL, *(1 + abs(clock["itself"][end] - 1) for end in ("low", "high")))
        for clock in control["clocks"].values()
    )


def _repeating(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in found if not each["control"] and each["reuse"] >= REUSE]


def _line(found: dict[str, Any]) -> str:
    ratio = found["ratio"]
    own = f"**{ratio['median']:.3f}** ({ratio['low']:.3f}–{ratio['high']:.3f})"
    repeats = ", ".join(f"{share:.0%} of {name}" for name, share in found["repeats"].items())
    alone = f"{found['new_alone']['median']:.3f}" if found["new_alone"] else ""
    difference = f"{found['largest_difference']:.1g}" if found["largest_difference"] else "0"
    median = found["original_ms"]["median"]
    original = f"{median:.0f} ms" if median >= 100 else f"{median:.3g} ms"
    limit = f"{1 - found['reuse']:.3f}"
    return _row([found["title"], original, repeats, limit, alone, own, f"{found['again']:.3f}", difference])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
