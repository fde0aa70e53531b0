"""Invalidation, pins and accounts of what is held, through the Python package."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hand_written import Region, batch, costly, session, squares

import actcache


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    actcache.invalidate()
    yield
    actcache.unpin()
    actcache.invalidate()


def fill(region: Region, *rows: float, **entries: Any) -> None:
    region.session(**entries).run(None, {"x": batch(*rows)})


def test_invalidation_by_namespace_region_and_fingerprint() -> None:
    # Two models call different regions alike; a third has one of another name.
    first, second, third = squares(), squares(), squares()
    second.id = first.id
    fill(first, 1, 2, namespace="a")
    fill(first, 1, namespace="b")
    fill(second, 1, 2, 3, namespace="a")
    fill(third, 1, 2, 3, 4, namespace="a")
    assert {n: u["entries"] for n, u in actcache.stats()["namespaces"].items()} == {"a": 9, "b": 1}
    assert actcache.invalidate("b", region=third.id) == 0
    assert actcache.invalidate("a", fingerprint=second.fingerprint) == 3
    assert actcache.invalidate(region=first.id, fingerprint=third.fingerprint) == 0
    assert actcache.invalidate("a", region=first.id) == 2
    assert actcache.invalidate(region=first.id) == 1
    assert "b" not in actcache.stats()["namespaces"]
    before = actcache.stats()["store"]["invalidated"]
    assert actcache.invalidate() == 4
    assert actcache.stats()["store"]["invalidated"] == before + 4


def test_a_region_name_selects_all_fingerprints() -> None:
    first, second = squares(), squares()
    second.id = first.id
    fill(first, 1, 2)
    fill(second, 1)
    assert actcache.invalidate(region=first.id) == 3


def test_invalidation_by_age() -> None:
    region = squares()
    fill(region, 1, 2)
    time.sleep(1.1)
    fill(region, 3)
    assert actcache.invalidate(region=region.id, older_than=3600) == 0
    assert actcache.invalidate(region=region.id, older_than=1) == 2
    assert actcache.invalidate(region=region.id) == 1


def test_what_is_pinned_outlives_a_flood_and_unpinned_does_not() -> None:
    kept, flood = squares(), costly()
    actcache.configure(budget_bytes="64KiB")
    try:
        fill(kept, 1, 2, 3)
        assert actcache.pin(region=kept.id) == 3
        assert actcache.pin(region=kept.id) == 0
        stats = actcache.stats()
        assert stats["store"]["pinned_entries"] == 3
        assert stats["regions"][kept.id]["pinned_bytes"] == stats["store"]["pinned_bytes"] > 0
        model = flood.session()
        for start in range(20):
            for _ in range(3):  # a key seen more than once is worth storing
                model.run(None, {"x": batch(*range(100 * start, 100 * start + 100))})
        assert actcache.stats()["store"]["evictions"] > 500
        assert actcache.unpin(region=kept.id) == 3
        assert actcache.stats()["store"]["pinned_bytes"] == 0
        assert actcache.invalidate(region=kept.id) == 3
    finally:
        actcache.configure(budget_bytes="256MiB")


def test_sessions_of_different_settings_do_not_share_them() -> None:
    region = squares()
    model = region.proto()
    sessions = [session(model, ttl_seconds=ttl, namespace=name) for ttl in ("5", "inf") for name in ("a", "b")]
    for one in sessions * 2:  # the first rows of another session are compared
        one.run(None, {"x": batch(1, 2)})
    region_stats = actcache.stats()["regions"][region.id]
    assert (region_stats["misses"], region_stats["verified"], region_stats["hits"]) == (8, 4, 8)


def test_a_namespace_keeps_to_its_quota_and_leaves_the_others_theirs() -> None:
    region = squares()
    actcache.configure(budget_bytes="1MiB", namespace_quota_bytes="16KiB")
    try:
        fill(region, 1, 2, 3, namespace="small")
        fill(region, *range(1000), namespace="greedy")
        held = actcache.stats()["namespaces"]
        assert held["small"]["entries"] == 3
        assert 8 << 10 < held["greedy"]["bytes"] <= 16 << 10
    finally:
        actcache.configure(budget_bytes="256MiB", namespace_quota_bytes=0)


@pytest.mark.parametrize("change", [actcache.invalidate, actcache.pin, actcache.unpin])
def test_a_region_that_no_session_had_is_an_error_that_lists_those_there_are(change: Callable[..., int]) -> None:
    region = squares()
    fill(region, 1, 2)
    for wrong in ({"region": region.id + "typo"}, {"fingerprint": "0" * 64}):
        with pytest.raises(ValueError, match="no session of this process has had a region") as caught:
            change(**wrong)
        assert isinstance(caught.value, actcache.InvalidOption)
        assert next(iter(wrong.values())) in str(caught.value)
    # There is nothing of a namespace that nobody has used, and that is no mistake.
    assert change("a tenant who never called", region=region.id) == 0
    with pytest.raises(ValueError, match="a namespace has at most 256 bytes"):
        change("n" * 257)
    assert actcache.invalidate(region=region.id) == 2
