"""A store on disk behind memory: what one process computed is there for the next, and is never wrong."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from disk_programs import compiled, finish, play, start

#: Runs rows 0 to 15 in calls of 4, and tells what came of it.
SIXTEEN = """
model = session()
results = [run(model, range(first, first + 4)) for first in range(0, 16, 4)]
np.save(os.environ["RESULTS"], np.concatenate(results))
assert actcache.flush(60)
print(json.dumps(counts("hits", "disk_hits", "misses", "verified", "mismatches") + [tier("errors"), tier("damaged")]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("model"))


def sixteen(model: Path, store: Path, results: Path, **environment: str) -> list[int]:
    found: list[int] = play(model, SIXTEEN, ACTCACHE_DISK_PATH=str(store), RESULTS=str(results), **environment)
    return found


def test_the_next_process_hits_at_once_with_equal_results(model: Path, tmp_path: Path) -> None:
    store, results = tmp_path / "store", [tmp_path / f"{i}.npy" for i in range(2)]
    assert sixteen(model, store, results[0]) == [0, 0, 16, 0, 0, 0, 0]
    assert sixteen(model, store, results[1]) == [16, 16, 0, 0, 0, 0, 0]
    assert results[0].read_bytes() == results[1].read_bytes()
    assert {path.name for path in store.iterdir()} >= {"index.sqlite", "secret"}
    assert (store / "secret").stat().st_mode & 0o777 == 0o600


def test_two_processes_share_while_both_run(model: Path, tmp_path: Path) -> None:
    environment = {"ACTCACHE_DISK_PATH": str(tmp_path / "store"), "READY": str(tmp_path / "ready")}
    first = start(
        model,
        """
        model = session()
        run(model, range(8))
        assert actcache.flush(60)
        print(flush=True)
        while not os.path.exists(os.environ["READY"]):
            time.sleep(0.01)
        run(model, range(100, 104))
        print(json.dumps(counts("disk_hits", "misses", "mismatches") + [tier("errors")]))
        """,
        **environment,
    )
    assert first.stdout is not None
    first.stdout.readline()
    second = play(
        model,
        """
        model = session()
        run(model, range(8))
        run(model, range(100, 104))
        assert actcache.flush(60)
        print(json.dumps(counts("disk_hits", "misses", "mismatches") + [tier("entries")]))
        """,
        **environment,
    )
    assert second == [8, 4, 0, 12]
    (tmp_path / "ready").touch()
    assert finish(first) == [4, 8, 0, 0]


def test_another_namespace_finds_nothing(model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sixteen(model, store, tmp_path / "a.npy")
    assert sixteen(model, store, tmp_path / "b.npy", ACTCACHE_NAMESPACE="tenant")[:3] == [0, 0, 16]
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_values_that_memory_has_no_room_for_come_from_disk(model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sixteen(model, store, tmp_path / "a.npy")
    assert sixteen(model, store, tmp_path / "b.npy", ACTCACHE_BUDGET_BYTES="1000")[:3] == [16, 16, 0]
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_a_time_to_live_counts_across_processes(model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sixteen(model, store, tmp_path / "a.npy", ACTCACHE_TTL_SECONDS="0.001")
    assert sixteen(model, store, tmp_path / "b.npy")[:3] == [0, 0, 16]
    assert sixteen(model, store, tmp_path / "c.npy", ACTCACHE_MAX_ENTRY_AGE="0.001")[:3] == [0, 0, 16]
    assert sixteen(model, store, tmp_path / "d.npy")[:3] == [16, 16, 0]


def test_damage_anywhere_is_a_miss(model: Path, tmp_path: Path) -> None:
    """Every page of the database is damaged in turn: nothing is wrong, and nothing crashes."""
    store = tmp_path / "store"
    sixteen(model, store, tmp_path / "a.npy")
    play(model, "actcache.configure(disk_path=os.environ['STORE']); print(0)", STORE=str(store))
    files = [path for path in store.iterdir() if path.name.startswith("index.sqlite") and path.stat().st_size]
    assert files
    for path in files:
        content = bytearray(path.read_bytes())
        for at in range(3000, len(content), 4096):
            content[at] ^= 0x10
        path.write_bytes(content)
    done = start(model, SIXTEEN.replace("+ [tier(\"errors\"), tier(\"damaged\")]", ""), RESULTS=str(tmp_path / "b.npy"),
                 ACTCACHE_DISK_PATH=str(store))  # fmt: skip
    _, errors = done.communicate(timeout=120)
    assert done.returncode in (0, 1), errors
    if done.returncode == 0:
        assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    else:
        assert "index.sqlite" in errors


def test_forked_workers_share_what_they_compute(model: Path, tmp_path: Path) -> None:
    code = """
        actcache.configure(disk_path=os.environ["STORE"])
        children = []
        for worker in range(2):
            child = os.fork()
            if child == 0:
                try:
                    model = session()
                    run(model, range(4 * worker, 4 * worker + 4))
                    ok = actcache.flush(60) and tier("errors") == 0
                    os._exit(0 if ok else 1)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                os._exit(1)
            children.append(child)
        states = [os.waitpid(child, 0)[1] for child in children]
        model = session()
        run(model, range(8))
        print(json.dumps(states + counts("disk_hits", "misses") + [tier("errors")]))
    """
    assert play(model, code, STORE=str(tmp_path / "store")) == [0, 0, 8, 0, 0]


def test_killed_processes_leave_a_sound_store(model: Path, tmp_path: Path) -> None:
    store = {"ACTCACHE_DISK_PATH": str(tmp_path / "store"), "ACTCACHE_DISK_BUDGET_BYTES": "16MiB"}
    code = """
        model = session()
        for first in range(0, 100000, 4):
            run(model, range(first % 64, first % 64 + 4))
            actcache.invalidate()
            print(flush=True)
    """
    for round in range(4):
        process = start(model, code, **store)
        assert process.stdout is not None
        for _ in range(2 + 3 * round):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    found = sixteen(model, tmp_path / "store", tmp_path / "a.npy")
    assert found[4:] == [0, 0, 0]
    assert sixteen(model, tmp_path / "none", tmp_path / "b.npy")[2] == 16
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_a_folder_that_will_not_do_is_one_line(model: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    process = start(model, "session()", ACTCACHE_DISK_PATH=str(tmp_path / "open"))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "other users may write to" in errors
    assert "chmod go-w" in errors


def test_the_audit_log_tells_what_came_from_disk(model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sixteen(model, store, tmp_path / "a.npy")
    sixteen(model, store, tmp_path / "b.npy", ACTCACHE_AUDIT_PATH=str(tmp_path / "audit.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    outcomes = "".join(line["outcomes"] for line in lines if line.get("event") == "lookup" or "outcomes" in line)
    assert outcomes == "k" * 16


def test_the_store_is_no_larger_than_its_budget(model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sixteen(model, store, tmp_path / "a.npy", ACTCACHE_DISK_BUDGET_BYTES="16MiB")
    used = subprocess.run(["du", "-sB1", store], capture_output=True, text=True, check=True).stdout.split()[0]
    assert 0 < int(used) <= 16 << 20


def test_metrics_tell_of_the_tier(model: Path, tmp_path: Path) -> None:
    store, metrics = tmp_path / "store", tmp_path / "m.prom"
    sixteen(model, store, tmp_path / "a.npy")
    assert sixteen(model, store, tmp_path / "b.npy", ACTCACHE_METRICS_PATH=str(metrics))[:3] == [16, 16, 0]
    lines = [line.split() for line in metrics.read_text().splitlines() if not line.startswith("#")]
    tier = {name: int(value) for name, value in lines if name.startswith("actcache_tier_")}
    counts = {"hits_total": 16, "misses_total": 0, "stored_total": 0, "entries": 16, "available": 1}
    assert {name: tier[f'actcache_tier_{name}{{tier="disk"}}'] for name in counts} == counts
    assert 16 * 768 * 4 < tier['actcache_tier_bytes{tier="disk"}'] <= tier['actcache_tier_budget_bytes{tier="disk"}']


def test_a_process_in_which_nothing_repeats_feeds_the_next(model: Path, tmp_path: Path) -> None:
    """It is bypassed, and goes on storing all the same, now and then: another process may ask for the same."""
    code = """
        model = session()
        for number in range(400):
            run(model, [number])
        assert actcache.flush(60)
        (region,) = actcache.stats()["regions"].values()
        print(json.dumps([region["state"], region["fed"], region["stored"], region["disk_hits"], tier("stored")]))
    """
    environment = {"ACTCACHE_DISK_PATH": str(tmp_path / "store"), "ACTCACHE_BYPASS": "auto"}
    state, fed, stored, found, written = play(model, code, **environment)
    assert (state, found) == ("bypassed", 0)
    assert fed > 0
    assert 20 < stored == written
    assert play(model, code, **environment)[3] > 20
