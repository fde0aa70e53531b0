"""What a session's calls come to while it goes over to a compiled model."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from actcache.learn.learner import Learner


def test_a_call_that_fails_as_the_session_goes_over_is_made_once_more() -> None:
    learner = Learner(Mock(), Mock(), None)
    learner._original = Mock()
    learner._original.run.return_value = ["right"]

    def run(*_: object) -> None:
        learner.ready = Mock()  # by the thread that looks after sessions
        raise RuntimeError("of the compiled model")

    assert learner.call(run, "run", (None, {}, None), {}) == ["right"]
    assert learner.reason is not None


def test_calls_are_told_of_from_the_first_one_of_a_compiled_model_on(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = Learner(Mock(), Mock(), None)
    learner.idle = True  # nothing is recorded any more
    seen: list[bool] = []
    monkeypatch.setattr("actcache.learn.learner.rebind", lambda *_: seen.append(learner.idle))
    monkeypatch.setattr("actcache.learn.totals.watch", Mock())
    monkeypatch.setattr("actcache.learn.worth.of", Mock())

    class Session:
        """What C++ has, which may be referred to weakly."""

    learner._go_over(Mock(), Mock(), Session())
    assert seen == [False]
