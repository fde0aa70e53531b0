"""Reading an audit log: what the library recorded of lookups, stores and evictions, line by line.

The log is one JSON object per line, in PATH and in what it was rotated to: PATH.1 is newer than PATH.2. Every file
begins with a ``start`` line, and so does whatever a later process appended. Each line is decoded into one of the
classes below, whose fields are the members of the object; members that they lack are passed over, so that a later
actcache may add some without a new schema.

A crash may leave a line that breaks off. Such lines are counted and skipped; a schema that is not known is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import msgspec

from actcache.errors import UnsupportedAudit

#: What is read here.
SCHEMA: Final = 1

_CHUNK = 1 << 22
#: A line that is longer is broken: the longest that the library writes has a row for every 30 bytes.
_LONGEST_LINE = 1 << 26


class _Event(msgspec.Struct, tag_field="event", gc=False):
    """A line.

    Attributes:
        t: When it happened, in seconds since 1970. Lines of different threads may be out of order by a few.
    """

    t: float


class StartLine(_Event, tag="start"):
    """The first line of a file, and of what a process appended to one.

    Attributes:
        schema: :data:`SCHEMA`.
        pid: The process.
        part: Number of the file since this process began to record; from 1.
        version: Version of the library.
        hash: By which keys are made.
        config: What :func:`actcache.configuration` returned.
    """

    schema: int
    pid: int
    part: int = 1
    version: str = ""
    hash: str = ""
    config: dict[str, Any] = {}


class RegionLine(_Event, tag="region"):
    """Says what the number of a region stands for, in this file and process."""

    region: int
    id: str
    fingerprint: str
    granularity: str


class FetchedRow(msgspec.Struct, frozen=True):
    """A row whose entry a tier had, whatever became of the row.

    Attributes:
        row: Its number.
        tier: ``disk`` or ``remote``.
        cost_ns: What computing it took; 0: not known.
        age: Seconds since it was computed.
        ttl: Seconds until it expires; -1: never.
        trusted: False: another session made it, and it had to be compared first.
    """

    row: int
    tier: str
    cost_ns: int = 0
    age: float = 0.0
    ttl: float = -1.0
    trusted: bool = True


class LookupLine(_Event, tag="lookup"):
    """One lookup of one region; all rows of the call together.

    Attributes:
        call: A number that the ``store`` line of its misses repeats.
        region: Number of the region.
        outcomes: A letter per row: ``h`` hit, ``d`` duplicate of a missing row of the call, ``j`` joined (waited for
            another call that computed it), ``k`` found on disk, ``w`` found on a server, ``m`` miss, ``e`` expired or
            too old (a miss), ``v`` verified (computed to be compared with its entry), ``b`` bypassed, ``r`` refreshed.
        rows: How many there are.
        length: Of prefixes, how many of them each row of the batch has; 0: the log does not say (earlier versions did
            not), or it is no region of prefixes.
        ends: Of prefixes, whether a call goes on only where an earlier one ended.
        now_ns: When the store was asked, by a clock of the process that never goes back.
        keys: The first 64 bits of every row's key as JSON, undecoded, for there are many:
            :func:`actcache.report.rows.decode_keys`. ``null`` for a row, or for all, that had none.
        ages: Seconds since each row's entry was stored; -1 for a row without one.
        fetched: What tiers had; logs of earlier versions do not have it.
        namespace: None if the call was not looked up.
        bytes: Copied out of the store, by the lookup or after it (:class:`CopyLine`).
        hash_ns: Spent on making keys.
        lookup_ns: Spent in the store.
        wait_ns: Spent waiting for other calls that computed the same rows.
        copy_ns: Spent copying out, but for what a ``copy`` line has.
        saved_ns: What computing the rows found would have taken.
    """

    call: int
    region: int
    outcomes: str
    rows: int
    length: int = 0
    ends: bool = False
    now_ns: int = 0
    keys: msgspec.Raw = msgspec.Raw(b"null")
    ages: list[float] | None = None
    fetched: list[FetchedRow] = []
    namespace: str | None = None
    bytes: int = 0
    hash_ns: int = 0
    lookup_ns: int = 0
    wait_ns: int = 0
    copy_ns: int = 0
    saved_ns: int = 0

    def __post_init__(self) -> None:
        if len(self.outcomes) != self.rows or not (self.ages is None or len(self.ages) == self.rows):
            raise ValueError("outcomes or ages are not one per row")
        if self.length < 0 or (self.length and self.rows % self.length):
            raise ValueError("rows are not of the length that it says")


class StoreLine(_Event, tag="store"):
    """The rows of a call that were computed, once they are stored.

    Attributes:
        call: As in the ``lookup`` line.
        region: Number of the region.
        outcomes: A letter per computed row: ``s`` stored, ``r`` refused (not worth it), ``f`` seen for the first
            time while nothing repeated, ``p`` there already, ``=`` verified and equal, ``x`` verified and different,
            ``n`` not cacheable.
        now_ns: When the store was asked for room, by a clock of the process that never goes back.
        stored: Rows stored.
        refused: Rows refused.
        bytes: Of what was stored.
        compute_ns: Spent computing them.
        copy_ns: Spent copying them into the store.
        saved_ns: What computing duplicates of these rows would have taken.
        cost_ns: What computing one row takes.
        fetch_ns: What fetching one row from the store takes.
    """

    call: int
    region: int
    outcomes: str = ""
    now_ns: int = 0
    stored: int = 0
    refused: int = 0
    bytes: int = 0
    compute_ns: int = 0
    copy_ns: int = 0
    saved_ns: int = 0
    cost_ns: int = 0
    fetch_ns: int = 0


class CopyLine(_Event, tag="copy"):
    """What a lookup found was copied after it, by the branch of the call.

    Attributes:
        call: As in the ``lookup`` line.
        region: Number of the region.
        copy_ns: Spent copying.
    """

    call: int
    region: int
    copy_ns: int = 0


class EvictLine(_Event, tag="evict"):
    """Entries that are gone; without `keys`, `count` of them.

    Attributes:
        region: Number of the region; None: of several.
        reason: ``room``, ``quota``, ``budget``, ``expired``, ``mismatch`` or ``invalidated``.
        keys: As in ``lookup`` lines.
        count: How many.
    """

    reason: str
    region: int | None = None
    keys: list[str] | None = None
    count: int | None = None

    @property
    def entries(self) -> int:
        """How many entries are gone."""
        return len(self.keys or ()) if self.count is None else self.count


class ControlLine(_Event, tag="control"):
    """Something that the host program asked for: ``configure``, ``invalidate``, ``pin`` or ``unpin``."""

    what: str
    arguments: dict[str, Any] = {}
    count: int | None = None


class PolicyLine(_Event, tag="policy"):
    """A region has changed its state: ``active``, ``bypassed`` or ``disabled``."""

    region: int
    state: str
    reason: str | None = None


class DroppedLine(_Event, tag="dropped"):
    """Events before this one that did not fit the buffer."""

    events: int


Event: TypeAlias = (
    StartLine | RegionLine | LookupLine | StoreLine | CopyLine | EvictLine | ControlLine | PolicyLine | DroppedLine
)


class _Head(msgspec.Struct):
    """What tells lines apart that do not decode."""

    event: str
    schema: int | None = None


_DECODE_EVENT = msgspec.json.Decoder(Event).decode
_DECODE_HEAD = msgspec.json.Decoder(_Head).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_KNOWN = {"start", "region", "lookup", "store", "copy", "evict", "control", "policy", "dropped"}


class AuditLog:
    """An audit log with its rotated parts, opened at once: what is rotated meanwhile is neither missed nor repeated.

    Args:
        path: The file that the knob ``audit_path`` named.

    Attributes:
        path: The same.
        files: The files that are read, oldest first.
        broken: Lines skipped so far because they cannot be read.
        unknown: Lines skipped so far because they tell of events that this actcache does not know.

    Raises:
        UnsupportedAudit: There is no such file, it is empty, it is no audit log, or its schema is not known.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.broken = 0
        self.unknown = 0
        with ExitStack() as opened:
            parts = [(file, opened.enter_context(_open(file))) for file in _part_files(self.path)]
            self._parts = [(file, stream) for file, stream in parts if _begins(file, stream)]
            self._opened = opened.pop_all()
        self.files: Sequence[Path] = [file for file, _ in self._parts]
        if not self.files:
            self.close()
            raise UnsupportedAudit("the file is empty: nothing was recorded", file=self.path)

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def events(self) -> Iterator[Event]:
        """Yield what was recorded, oldest first, from the beginning; counts afresh what is skipped.

        Memory does not grow with the log.

        Raises:
            UnsupportedAudit: A process with a schema that is not known has appended to it.
        """
        self.broken = self.unknown = 0
        for file, stream in self._parts:
            stream.seek(0)
            for line in _lines(stream):
                try:
                    event = _DECODE_EVENT(line)
                except _UNREADABLE:
                    self._skip(file, line)
                    continue
                if type(event) is StartLine:
                    _check_schema(file, event.schema)
                yield event

    def _skip(self, file: Path, line: bytes) -> None:
        try:
            head = _DECODE_HEAD(line)
        except _UNREADABLE:
            self.broken += 1
            return
        if head.event == "start":
            _check_schema(file, head.schema)
        if head.event in _KNOWN:
            self.broken += 1
        else:
            self.unknown += 1


def _part_files(path: Path) -> list[Path]:
    """Return PATH and what it was rotated to, oldest first."""
    number = re.compile(re.escape(path.name) + r"\.([0-9]+)")
    rotated = []
    if path.parent.is_dir():
        matches = ((number.fullmatch(file.name), file) for file in path.parent.iterdir())
        rotated = sorted(((int(match[1]), file) for match, file in matches if match), reverse=True)
    return [*(file for _, file in rotated), path]


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb", buffering=0)
    except OSError as error:
        raise UnsupportedAudit(f"cannot be read: {error.strerror}", file=file) from error


def _begins(file: Path, stream: BinaryIO) -> bool:
    """Whether there is anything in a part; raises if that is not the beginning of an audit log."""
    line = stream.read(_CHUNK).lstrip(b"\n").split(b"\n", 1)[0]
    if not line:
        return False
    try:
        head = _DECODE_HEAD(line)
    except _UNREADABLE as error:
        if line.startswith(b'{"event":"start"'):
            raise UnsupportedAudit("ends within its first line: nothing was recorded", file=file) from error
        head = _Head(event="")
    if head.event != "start":
        hint = "give the file that the knob audit_path names"
        raise UnsupportedAudit(
            "is not an audit log of actcache: its first line is not a start line", file=file, hint=hint
        )
    _check_schema(file, head.schema)
    return True


def _check_schema(file: Path, schema: int | None) -> None:
    if schema != SCHEMA:
        problem = f"the audit log has schema {schema}, and this actcache reads schema {SCHEMA}"
        raise UnsupportedAudit(problem, file=file, hint="use the actcache that recorded it, or a later one")


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, the last one too if it has no end; of one that is too long, its end."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        yield from filter(None, lines)
        if len(rest) > _LONGEST_LINE:
            rest = b"!"  # with what follows it: no JSON
    if rest:
        yield rest
