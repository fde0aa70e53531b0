"""The knobs of the store of this process: set them, and see what is in effect.

What each takes is checked by the library (``custom_ops/src/config/knobs.h``), for every host language alike.
"""

from __future__ import annotations

import operator
import os
from typing import Any

from actcache.base.library import call, number_argument, read_json, text_argument
from actcache.errors import InvalidOption


def configure(
    *,
    budget_bytes: int | str | None = None,
    hash: str | None = None,
    namespace: str | None = None,
    ttl_seconds: float | None = None,
    max_entry_age: float | None = None,
    verify_fraction: float | None = None,
    verify_tolerance: float | None = None,
    on_mismatch: str | None = None,
    namespace_quota_bytes: int | str | None = None,
    bypass: str | None = None,
    single_flight: str | None = None,
    disk_path: str | os.PathLike[str] | None = None,
    disk_budget_bytes: int | str | None = None,
    remote_url: str | None = None,
    remote_secret: str | None = None,
    remote_secret_file: str | os.PathLike[str] | None = None,
    remote_password_file: str | os.PathLike[str] | None = None,
    remote_ttl_seconds: float | None = None,
    remote_max_value_bytes: int | str | None = None,
    remote_ca_file: str | os.PathLike[str] | None = None,
    remote_cert_file: str | os.PathLike[str] | None = None,
    remote_key_file: str | os.PathLike[str] | None = None,
    portable: str | None = None,
    metrics_path: str | os.PathLike[str] | None = None,
    audit_path: str | os.PathLike[str] | None = None,
    audit_max_bytes: int | str | None = None,
    audit_files: int | None = None,
    audit_buffer_bytes: int | str | None = None,
    **unknown: object,
) -> None:
    """Set knobs of this process; those that are None stay as they are.

    These win over session config entries ``actcache.<knob>`` and environment variables ``ACTCACHE_<KNOB>``. But
    `namespace`, `ttl_seconds` and `max_entry_age` are per session: here they are set for sessions that are created
    from now on and have no entry of their own. The other knobs take effect at once.

    Args:
        budget_bytes: What the store may hold: a number of bytes, ``"512MiB"``, or ``"10%"`` of the memory that this
            process may use (the least of the machine's, its control groups' and its resource limits). 0 turns
            caching off. Default: 256 MiB, or an eighth of that memory if it is less.
        hash: ``"blake3"`` (safe against crafted inputs) or ``"xxh3"`` (faster, for trusted inputs).
        namespace: Entries of one namespace are never seen from another. At most 256 bytes of UTF-8.
        ttl_seconds: Seconds after which entries that are stored from now on are gone; ``math.inf`` for never.
        max_entry_age: Seconds beyond which an entry is not used, whatever its ttl; ``math.inf`` for any age.
        verify_fraction: Share of the hits, 0 to 1, that are computed again and compared with their entry.
        verify_tolerance: Largest difference treated as equal, relative to the largest value. Default: 1e-4.
        on_mismatch: After a difference: ``"evict"`` the entry, or also ``"disable"`` the cache of its region.
        namespace_quota_bytes: What each namespace may hold, as `budget_bytes`; a percentage is of the budget. 0 for
            no quota.
        bypass: ``"auto"`` lets a region that costs more than it saves stop looking up; ``"off"`` does not.
        single_flight: ``"on"`` lets one of several concurrent calls that miss the same key compute it; ``"off"``
            lets each.
        disk_path: Folder of a store on a disk of this machine, which processes share and which outlives them
            (``docs/tiers.md``); it is made if it is not there. ``""`` for none. Set it before sessions are created.
        disk_budget_bytes: What that folder may take of the disk, for all processes together, at least 16 MiB.
            Default: what the store was given before, else 1 GiB.
        remote_url: A Valkey or Redis server that machines share (``docs/remote-store.md``): ``redis://host:6379/0``,
            ``valkey://user:password@host``, ``rediss://host`` with TLS, or ``unix:///path/to/socket``. ``""`` for none.
        remote_secret: What all machines that share the server have in common, of 16 bytes or more. Needed with
            `remote_url`, as here or in the next.
        remote_secret_file: File whose first line is that secret.
        remote_password_file: File whose first line is the server's password, in the place of the one in `remote_url`.
        remote_ttl_seconds: How long a value stays on the server. Default: 7 days.
        remote_max_value_bytes: Larger values are not sent. Default: 16 MiB.
        remote_ca_file: Certificates of who may vouch for a server with TLS. Default: the system's.
        remote_cert_file: Certificate of this client, for a server that wants one.
        remote_key_file: Its key.
        portable: ``"on"`` lets machines whose processors differ share values through tiers: their results differ by
            rounding. Holds for sessions that have not run yet.
        metrics_path: File that is rewritten every second, for ``actcache top``; in Prometheus' text format if its
            name ends in ``.prom``. ``%p`` in it stands for the process id. ``""`` for none. A child of ``os.fork()``
            writes a file only if ``%p`` gives it another name, from its first session or knob on.
        audit_path: File that records what becomes of every row (``docs/audit.md``); ``%p`` in it stands for the process
            id. ``""`` for none. When this returns, what happened before is in the file that was named before.
        audit_max_bytes: Size at which that file is renamed to ``<audit_path>.1`` and a new one begun; at least 64 KiB.
            Default: 256 MiB.
        audit_files: How many renamed files are kept. Default: 4.
        audit_buffer_bytes: Memory for what is not written yet, at least 64 KiB; what does not fit is not recorded, and
            counted. Default: 8 MiB.
        **unknown: Refused.

    Raises:
        InvalidOption: A knob is unknown (the message lists all), its value makes no sense, or what `audit_path` or
            `disk_path` names cannot be opened. Knobs that were set before it stay set.
        LibraryError: As :func:`actcache.library_path`.
    """
    for name in unknown:
        _set(name, "")  # the library knows all names, and refuses others
    given = {
        "budget_bytes": _bytes("budget_bytes", budget_bytes),
        "hash": _text("hash", hash),
        "namespace": _text("namespace", namespace),
        "ttl_seconds": _number("ttl_seconds", ttl_seconds),
        "max_entry_age": _number("max_entry_age", max_entry_age),
        "verify_fraction": _number("verify_fraction", verify_fraction),
        "verify_tolerance": _number("verify_tolerance", verify_tolerance),
        "on_mismatch": _text("on_mismatch", on_mismatch),
        "namespace_quota_bytes": _bytes("namespace_quota_bytes", namespace_quota_bytes),
        "bypass": _text("bypass", bypass),
        "single_flight": _text("single_flight", single_flight),
        "disk_budget_bytes": _bytes("disk_budget_bytes", disk_budget_bytes),
        "disk_path": _path("disk_path", disk_path),
        "remote_secret": _text("remote_secret", remote_secret),
        "remote_secret_file": _path("remote_secret_file", remote_secret_file),
        "remote_password_file": _path("remote_password_file", remote_password_file),
        "remote_ttl_seconds": _number("remote_ttl_seconds", remote_ttl_seconds),
        "remote_max_value_bytes": _bytes("remote_max_value_bytes", remote_max_value_bytes),
        "remote_ca_file": _path("remote_ca_file", remote_ca_file),
        "remote_cert_file": _path("remote_cert_file", remote_cert_file),
        "remote_key_file": _path("remote_key_file", remote_key_file),
        "remote_url": _text("remote_url", remote_url),  # after what it needs
        "portable": _text("portable", portable),
        "metrics_path": _path("metrics_path", metrics_path),
        "audit_max_bytes": _bytes("audit_max_bytes", audit_max_bytes),
        "audit_files": _count("audit_files", audit_files),
        "audit_buffer_bytes": _bytes("audit_buffer_bytes", audit_buffer_bytes),
        "audit_path": _path("audit_path", audit_path),
    }
    for name, value in given.items():
        if value is not None:
            _set(name, value)


def configuration() -> dict[str, Any]:
    """Return the knobs of this process as they are in effect for sessions without entries of their own.

    Bytes are numbers, and times that are not limited None. ``memory_bytes`` is the memory that this process may use.

    Raises:
        InvalidOption: An environment variable ``ACTCACHE_...`` means nothing.
        LibraryError: As :func:`actcache.library_path`.
    """
    return read_json("actcache_config_json")


def _set(name: str, value: str) -> None:
    call("actcache_configure", name.encode(), value.encode())


def _text(name: str, value: object) -> str | None:
    return None if value is None else text_argument(f"knob '{name}'", value)


def _path(name: str, value: object) -> str | None:
    return _text(name, os.fspath(value) if isinstance(value, os.PathLike) else value)


def _bytes(name: str, value: object) -> str | None:
    if isinstance(value, str):
        return _text(name, value)
    return _count(name, value, "give a whole number of bytes, or a text as 512MiB or 10%")


def _count(name: str, value: object, hint: str = "give a whole number") -> str | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        return str(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        raise InvalidOption(f"knob '{name}' is {value!r}", hint=hint) from None


def _number(name: str, value: object) -> str | None:
    return None if value is None else repr(number_argument(f"knob '{name}'", value))
