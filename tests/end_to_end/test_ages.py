"""ttl_seconds and max_entry_age: nothing older is used, by anyone or by the session that says so."""

from __future__ import annotations

import time

from hand_written import Control, batch, squares

#: Seconds: calls that are to find something come sooner after each other, on a busy machine as well.
AGE = 1.0


def test_an_expired_entry_is_computed_again(control: Control) -> None:
    region = squares()
    model = region.session(ttl_seconds=str(AGE))
    for _ in range(2):
        model.run(None, {"x": batch(1, 2)})
    assert control.counts(region, "hits", "misses", "expired") == (2, 2, 0)
    time.sleep(1.1 * AGE)
    for _ in range(2):
        model.run(None, {"x": batch(1, 2)})
    assert control.counts(region, "hits", "misses", "expired", "stored") == (4, 4, 2, 4)


def test_a_reader_that_wants_young_entries_renews_them_for_all(control: Control) -> None:
    region = squares()
    patient, impatient = region.session(), region.session(max_entry_age=str(AGE))
    for model in (patient, impatient):  # two rows of another session are compared before others are used
        model.run(None, {"x": batch(8, 9)})
    patient.run(None, {"x": batch(1)})
    impatient.run(None, {"x": batch(1)})
    assert control.counts(region, "hits", "misses", "expired") == (1, 5, 0)
    time.sleep(1.1 * AGE)
    patient.run(None, {"x": batch(1)})
    assert control.counts(region, "hits", "misses", "expired") == (2, 5, 0)
    impatient.run(None, {"x": batch(1)})
    assert control.counts(region, "hits", "misses", "expired", "stored") == (2, 6, 1, 4)
    for model in (impatient, patient):
        model.run(None, {"x": batch(1)})
    assert control.counts(region, "hits", "misses") == (4, 6)
