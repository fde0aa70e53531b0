"""The store that a replay asks for what the recorded calls had from tiers.

It holds what these calls compute, with the keys of the store that is given, if one is; what that one still has takes
the place of what was computed. The store that is given is only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actcache.audit.logged_decisions import ControlCall, Decision
from actcache.errors import InvalidOption
from actcache.runs.client import ask
from actcache.runs.requests import FillStore
from actcache.store import disk

#: Nothing may leave these stores. They are never so large.
_BUDGET = 1 << 42
#: More entries than any store has.
_ALL = (1 << 63) - 1
_SECRET = "secret"


@dataclass(frozen=True)
class TierValues:
    """What the calls of a replay had from tiers.

    Attributes:
        rows: How many values that were.
        in_store: How many of them the store has that was given; None: none was.
        store: Where the replay finds them; None: there are none.
    """

    rows: int
    in_store: int | None
    store: Path | None


def had_from_tiers(run: list[Decision] | ControlCall) -> bool:
    """Whether a call of the log had anything from a tier."""
    return not isinstance(run, ControlCall) and any(decision.fetched for decision in run)


def tier_values(
    runs: Sequence[list[Decision] | ControlCall], request: FillStore, directory: Path, given: Path | None
) -> TierValues:
    """Make a store that holds what the calls had from tiers.

    Args:
        runs: The calls that are replayed.
        request: How to compute what those of them compute that had something from a tier, into a store of its own.
        directory: A folder for the stores.
        given: A disk store, which need not have all of it.

    Raises:
        InvalidOption: There is no store in the folder `given`, or it cannot be read.
    """
    keys = [key for run in runs if had_from_tiers(run) for step in _decisions(run) for _, key in step.fetched]
    if given is not None:
        disk.stat(given)  # a folder without a store is refused, whatever the log says
    if not keys:
        return TierValues(0, None, None)
    if given is not None:
        _share_secret(given, request.store)
    ask(request, directory)
    if given is None:
        return TierValues(len(keys), None, request.store)
    known = {_logged(entry["key"]) for entry in disk.entries(given, limit=_ALL)}
    asked = directory / "asked"
    disk.copy(given, asked, _BUDGET)
    disk.copy(request.store, asked, _BUDGET)
    return TierValues(len(keys), sum(key in known for key in keys), asked)


def _decisions(run: list[Decision] | ControlCall) -> list[Decision]:
    return [] if isinstance(run, ControlCall) else run


def _share_secret(given: Path, store: Path) -> None:
    """Let the new store make its keys with the secret of the one that is given."""
    try:
        secret = (given / _SECRET).read_bytes()
    except OSError as error:
        raise InvalidOption(f"the secret of the store {given} cannot be read: {error.strerror}") from error
    store.mkdir(mode=0o700)
    path = store / _SECRET
    path.touch(mode=0o600)
    path.write_bytes(secret)


def _logged(key: str) -> str:
    """A store's key as the audit log has it: its first 64 bits, the lowest byte last."""
    return bytes.fromhex(key[:16])[::-1].hex()
