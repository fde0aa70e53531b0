"""What the store's eviction policy is worth: ``python -m benchmarks.policy [--json]``.

Replays traces through the native store and through the reference policies of libcachesim (development only:
``pip install 'actcache[bench]'``), with room for 5 % and for 20 % of all that is asked for. The bars:

- where costs differ, the store misses at most 0.8 of the cost that LRU misses;
- where they are equal, its share of missed requests is at most one point above that of libcachesim's GDSF.

Beside each verdict stands the best that any reference reaches against LRU without knowing the future: where costs go
with sizes, or most requests are the first of their kind, no policy has much to choose from.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.native_programs import ProgramMissingError
from benchmarks.policy_replay import OFFLINE, REFERENCES, MissRatios, miss_ratios, play_ours, play_reference, silence
from benchmarks.policy_traces import SYNTHETIC, Trace, real_streams
from models.fetch import FetchError

CAPACITIES = (0.05, 0.20)
OURS = "actcache"
_LRU_BAR, _GDSF_BAR = 0.8, 0.01
_NUMBERS = ("capacity", OURS, *REFERENCES, "value", "at most")


@dataclass(frozen=True)
class Outcome:
    """One trace at one capacity.

    Attributes:
        trace: Its name.
        capacity: As a share of the trace's footprint.
        misses: By policy.
        measure: What is judged.
        value: Its value.
        bar: The most that it may be.
    """

    trace: str
    capacity: float
    misses: dict[str, MissRatios]
    measure: str
    value: float
    bar: float

    @property
    def best_reference(self) -> str:
        """The reference that misses least cost, those that know the future left out, and what it misses of LRU's."""
        name = min((name for name in REFERENCES if name not in OFFLINE), key=lambda name: self.misses[name].cost)
        return f"{name} {self.misses[name].cost / self.misses['LRU'].cost:.3f}"

    @property
    def passed(self) -> bool:
        """Whether the bar is met."""
        return self.value <= self.bar


def judge(trace: Trace, capacity: float, references: Executor) -> Outcome:
    """Replay a trace through every policy, those of libcachesim in `references`."""
    size = int(trace.footprint * capacity)
    playing = {name: references.submit(play_reference, name, trace, size) for name in REFERENCES}
    misses = {OURS: miss_ratios(trace, play_ours(trace, size))}
    misses |= {name: miss_ratios(trace, hits.result()) for name, hits in playing.items()}
    ours = misses[OURS]
    if trace.equal_costs:
        value = ours.requests - misses["GDSF"].requests
        return Outcome(trace.name, capacity, misses, "requests − GDSF's", value, _GDSF_BAR)
    return Outcome(trace.name, capacity, misses, "cost / LRU's", ours.cost / misses["LRU"].cost, _LRU_BAR)


def _judge_all(with_data: bool, console: Console) -> list[Outcome]:
    with console.status("making traces"):
        traces = [make() for make in SYNTHETIC] + (real_streams() if with_data else [])
    outcomes = []
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"), initializer=silence) as references:
        for trace in traces:
            for capacity in CAPACITIES:
                with console.status(f"{trace.name}, {capacity:.0%}"):
                    outcomes.append(judge(trace, capacity, references))
    return outcomes


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="missed share of cost, by policy")
    for column in ("trace", "capacity", OURS, *REFERENCES, "judged", "value", "at most", "", "best / LRU's"):
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    for outcome in outcomes:
        shares = [f"{outcome.misses[name].cost:.3f}" for name in (OURS, *REFERENCES)]
        verdict = "[green]met[/]" if outcome.passed else "[red]missed[/]"
        judged = (outcome.measure, f"{outcome.value:.3f}", f"{outcome.bar}", verdict)
        table.add_row(outcome.trace, f"{outcome.capacity:.0%}", *shares, *judged, outcome.best_reference)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay everything and print it: 0, or 1 if a bar is missed, or 2 and one line if something is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--no-data", action="store_true", help="leave out the traces of real data, which is fetched")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        outcomes = _judge_all(not options.no_data, console)
    except (FetchError, ModuleNotFoundError, ProgramMissingError) as error:
        console.print(f"error: {error}", style="red", soft_wrap=True, markup=False, highlight=False)
        return 2
    if options.json:
        print(json.dumps([asdict(outcome) | {"passed": outcome.passed} for outcome in outcomes]))
    else:
        Console(width=220).print(_table(outcomes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
