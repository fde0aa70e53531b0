"""What the compiling process makes of a choice of regions."""

from __future__ import annotations

from actcache.learn.attempt import choice


def region(fingerprint: str, frontier: str, live_out: str) -> dict[str, object]:
    return {
        "id": live_out,
        "fingerprint": fingerprint,
        "frontier": [frontier],
        "live_outs": [live_out],
        "saving_ms": 1.0,
    }


def test_the_same_choice_is_known_whatever_was_measured_of_it() -> None:
    one, other = region("f", "a", "p"), region("g", "b", "q")
    assert choice([one, other], {}) == choice([other, {**one, "saving_ms": 2.0}], {})
    assert choice([one], {}) != choice([one, other], {})


def test_equal_layers_at_another_place_are_another_choice() -> None:
    assert choice([region("f", "a", "p")], {}) != choice([region("f", "b", "q")], {})
    assert choice([region("f", "a", "p")], {}) != choice([region("f", "a", "q")], {})


def test_regions_that_reuse_nothing_do_not_count() -> None:
    one, other = region("f", "a", "p"), region("g", "b", "q")
    assert choice([one, other], {"p": 0.8, "q": 0.0}) == choice([one], {"p": 0.5})
    assert choice([one, other], {"p": 0.8, "q": 0.1}) != choice([one], {"p": 0.5})
