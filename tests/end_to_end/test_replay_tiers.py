"""``actcache replay`` of calls whose values came out of a store on disk."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from disk_programs import compiled, play

from actcache.audit.logged_decisions import Decision, read_history
from actcache.errors import InvalidOption
from actcache.replay.replay import replay_audit
from actcache.report.page import write_report
from actcache.store import disk

#: Fills the store with rows 0 to 39.
FILL = """
model = session()
run(model, range(40))
assert actcache.flush(60)
print(json.dumps(tier("stored")))
"""
#: Calls of which half of the rows are in the store; memory has room for a quarter of them.
RECORD = """
actcache.configure(budget_bytes="96KiB", audit_path=os.environ["AUDIT"])
model = actcache.record(session(), os.environ["CALLS"])
random = np.random.default_rng(0)
for call in range(40):
    run(model, random.permutation(80)[:3])
    if call == 20:
        actcache.invalidate()
actcache.configure(audit_path="")
assert actcache.flush(60)
print(json.dumps(counts("disk_hits")))
"""


@dataclass
class Recorded:
    model: Path
    audit: Path
    trace: Path
    store: Path
    hits: int

    def replay(self, **options: Any) -> dict[str, Any]:
        return replay_audit(self.audit, self.model, [self.trace], **options)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    model, audit, trace, store = compiled(folder), folder / "audit.jsonl", folder / "calls", folder / "store"
    environment = {"ACTCACHE_DISK_PATH": str(store), "ACTCACHE_BYPASS": "off", "AUDIT": str(audit), "CALLS": str(trace)}
    assert play(model, FILL, **environment) == 40
    (hits,) = play(model, RECORD, **environment)
    return Recorded(model, audit, trace, store, hits)


def decisions(audit: Path) -> list[Decision]:
    return [step for step in read_history(audit).steps if isinstance(step, Decision)]


def test_what_a_tier_had_comes_out_of_one_again(recorded: Recorded) -> None:
    made = decisions(recorded.audit)
    letters = Counter("".join(step.outcomes for step in made))
    assert letters["k"] == recorded.hits > 10 and letters["m"] > 10, letters
    assert sum(len(step.evicted) for step in made) > 5
    fetched = [row for step in made for row, _ in step.fetched]
    assert len(fetched) >= recorded.hits and all(row.cost_ns > 0 and row.age > 0 for row in fetched)
    answer = recorded.replay()
    assert answer["difference"] is None and answer["same"], answer
    assert answer["tiers"] == {"rows": len(fetched), "in_store": None}
    assert answer["outputs"]["failure"] is None
    (note,) = answer["notes"]
    came = f"{len(fetched)} values came out of tiers in the log"
    assert note == f"{came}; the replay computed them, and took them out of a tier again"


def test_the_store_of_the_calls_is_asked_and_left_as_it_is(recorded: Recorded, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(recorded.store, store)
    fetched = {key for step in decisions(recorded.audit) for _, key in step.fetched}
    with sqlite3.connect(store / "index.sqlite") as index:  # a third of the values have left it
        index.execute("DELETE FROM entries WHERE id % 3 = 0")
    before = disk.entries(store, limit=1000)
    there = {bytes.fromhex(entry["key"][:16])[::-1].hex() for entry in before}
    answer = recorded.replay(disk_path=store)
    assert answer["same"], answer
    assert 0 < len(fetched & there) < len(fetched)
    assert answer["tiers"]["in_store"] < answer["tiers"]["rows"]
    assert f"{store} has {answer['tiers']['in_store']} of them" in answer["notes"][0]
    assert disk.entries(store, limit=1000) == before


def test_a_folder_without_a_store_is_refused(recorded: Recorded, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="holds no store"):
        recorded.replay(disk_path=tmp_path)


def test_statistics_metrics_and_report_name_the_tier(recorded: Recorded, tmp_path: Path) -> None:
    metrics, page = tmp_path / "metrics.prom", tmp_path / "report.html"
    code = """
    actcache.configure(metrics_path=os.environ["METRICS"])
    model = session()
    run(model, range(8))
    actcache.configure(metrics_path="")
    print(json.dumps(counts("disk_hits") + [tier("hits")]))
    """
    found = play(recorded.model, code, ACTCACHE_DISK_PATH=str(recorded.store), METRICS=str(metrics))
    assert found == [8, 8]
    assert 'actcache_tier_hits_total{tier="disk"} 8' in metrics.read_text("utf-8")
    write_report(recorded.audit, page)
    assert "found on disk" in page.read_text("utf-8")
