"""JSON files of typed values: dataclasses and msgspec's structs, with paths and numpy's numbers in them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    return msgspec.to_builtins(value, enc_hook=_plain)


def typed(value: Any, kind: Any) -> Any:
    """Read what :func:`plain` returned.

    Raises:
        msgspec.ValidationError: It is not a `kind`.
    """
    return msgspec.convert(value, kind, dec_hook=_typed)


def write_json(path: Path, value: Any) -> None:
    """Write a value: all of it or nothing.

    Python's own JSON knows infinite numbers, which a difference may be.
    """
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(plain(value)))
    temporary.replace(path)


def read_json(path: Path, kind: Any) -> Any:
    """Read what :func:`write_json` wrote.

    Raises:
        msgspec.ValidationError: It is not a `kind`.
    """
    return typed(json.loads(path.read_text()), kind)


# What msgspec asks of values and types that it does not know; the exception is the one that it expects.


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot be written as JSON")


def _typed(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"{kind.__name__} cannot be read from JSON")
