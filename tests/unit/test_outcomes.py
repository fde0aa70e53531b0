"""The letters of an audit log are the same in both languages and in the document."""

from __future__ import annotations

import re
from pathlib import Path

from actcache.audit import outcomes

ROOT = Path(__file__).resolve().parents[2]


def native(enum: str) -> dict[str, str]:
    """Names and letters of an enum in outcomes.h, the names as Python spells them."""
    text = (ROOT / "custom_ops" / "src" / "audit" / "outcomes.h").read_text("utf-8")
    body = re.search(rf"enum class {enum} : char {{(.*?)}};", text, re.DOTALL)
    assert body is not None
    return {
        re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper(): letter
        for name, letter in re.findall(r"k(\w+) = '(.)'", body[1])
    }


def test_both_languages_have_the_same_letters() -> None:
    looked_up, kept = native("LookupOutcome"), native("StoreOutcome")
    assert len(looked_up) == 11 and len(kept) == 7
    assert {name: getattr(outcomes, name, None) for name in looked_up} == looked_up
    assert {name: getattr(outcomes, name, None) for name in kept} == kept
    assert set(outcomes.LOOKED_UP) == set(looked_up.values())
    assert set(outcomes.KEPT) == set(kept.values())


def test_the_document_explains_every_letter() -> None:
    text = (ROOT / "docs" / "audit.md").read_text("utf-8")
    letters = [*outcomes.LOOKED_UP, *outcomes.KEPT]
    assert letters and not [letter for letter in letters if f"`{letter}`" not in text]


def test_groups_are_made_of_letters_there_are() -> None:
    groups = (
        outcomes.REUSED,
        outcomes.FETCHED,
        outcomes.COMPUTED,
        outcomes.HELD,
        outcomes.DECIDED_BY_BUDGET,
    )
    assert all(set(group) <= set(outcomes.LOOKED_UP) for group in groups)
    assert set(outcomes.HELD_AFTERWARDS) <= set(outcomes.KEPT)
    assert set(outcomes.REUSED) | set(outcomes.COMPUTED) | {outcomes.BYPASSED} == set(outcomes.LOOKED_UP)
