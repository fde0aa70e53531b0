"""Which model a session runs, and where: its place (quick to find), and its key (by content).

A *place* is a file's path, or the digest of a model in bytes, with the options of the session that change what is
computed, the versions and the machine. A *key* has the model's content, external data included, instead of the path.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from actcache._version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from actcache.learn.cache import AnyPath

try:  # Python's own: hashlib loads OpenSSL, which takes longer than to hash the name of a place
    from _sha2 import sha256 as _short_sha256  # type: ignore[import-not-found]
except ImportError:
    try:
        from _sha256 import sha256 as _short_sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256 as _short_sha256

#: An entry of a tensor's external data in an ONNX file: the key "location", and the tag of its value.
_LOCATION = b"\x0a\x08location\x12"
_CHUNK = 1 << 20
_LONGEST_PATH = 4096

#: What tells that a file is the same: size, times, inode and device.
Signature = list[int]


def signature(path: str | os.PathLike[str]) -> Signature:
    """Return what changes whenever a file is written or replaced.

    Raises:
        OSError: There is no such file.
    """
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


def changed_at(taken: Signature) -> int:
    """Return when a file was last written or replaced, in nanoseconds since 1970."""
    return max(taken[1:3])


def circumstances(runtime_version: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides results and times besides the model."""
    return {"actcache": __version__, "onnxruntime": runtime_version, "machine": _machine(), "options": dict(options)}


def place_of(source: str, around: Mapping[str, Any]) -> str:
    """Return the name of a place.

    Args:
        source: The model's resolved path, or :func:`bytes_source`.
        around: :func:`circumstances`.
    """
    return _digest(json.dumps([source, around], sort_keys=True).encode())


def bytes_source(model: bytes) -> str:
    """Return what stands for the path of a model that is given as bytes."""
    return f"bytes:{_sha256(model).hexdigest()}"


def content_key(model: Path, around: Mapping[str, Any]) -> tuple[str, dict[str, Signature]]:
    """Read a model and all its external data.

    Returns:
        Its key, and the signatures of the files that were read, by their resolved paths.

    Raises:
        OSError: A file cannot be read.
    """
    state, locations = _read_model(model)
    read = {str(model): signature(model)}
    for location in sorted(locations):
        weights = model.parent / location
        if weights.is_file():  # a weight may hold these bytes by chance
            read[str(weights)] = signature(weights)
            state.update(location.encode())
            state.update(_file_digest(weights))
    state.update(json.dumps(around, sort_keys=True).encode())
    return state.hexdigest()[:32], read


def file_digest(path: AnyPath) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: It cannot be read.
    """
    return _file_digest(path).hex()


def has_external_data(model: bytes) -> bool:
    """Whether a model in bytes keeps weights in files of their own."""
    return _LOCATION in model


def unchanged(files: Mapping[str, Sequence[int]]) -> bool:
    """Whether every file still has the signature that was taken of it."""
    try:
        return bool(files) and all(signature(path) == list(known) for path, known in files.items())
    except OSError:
        return False


def _read_model(model: Path) -> tuple[Any, set[str]]:
    state = _sha256()
    locations: set[str] = set()
    before = b""
    for chunk in _chunks(model):
        state.update(chunk)
        locations.update(_locations(before + chunk))
        before = chunk[-_LONGEST_PATH:]
    return state, locations


def _locations(data: bytes) -> Iterator[str]:
    at = data.find(_LOCATION)
    while at >= 0:
        start = at + len(_LOCATION)
        length, start = _varint(data, start)
        name = data[start : start + length]
        if 0 < length == len(name) <= _LONGEST_PATH:
            yield name.decode(errors="replace")
        at = data.find(_LOCATION, at + 1)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 32:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at


def _file_digest(path: AnyPath) -> bytes:
    state = _sha256()
    for chunk in _chunks(path):
        state.update(chunk)
    return bytes(state.digest())


def _chunks(path: AnyPath) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _sha256(data: bytes = b"") -> Any:
    """Return the state of a hash of much."""
    import hashlib

    return hashlib.sha256(data)


def _digest(data: bytes) -> str:
    return str(_short_sha256(data).hexdigest())[:32]


@cache
def _machine() -> str:
    """Return what tells processors apart that may compute other bits, or in other times."""
    lines: set[str] = set()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            first = file.read(1 << 14).split("\n\n", 1)[0]
        lines = {
            line for line in first.splitlines() if line.startswith(("model name", "flags", "Features", "CPU part"))
        }
    except OSError:
        pass
    return f"{platform.machine()}-{_digest(repr(sorted(lines)).encode())[:12]}"
