"""``--profile FILE``: what was measured, kept, so that the same model is compiled to the same regions again.

Only measurements are kept. Whatever is checked is checked in every compilation. An entry is found by what was measured:
the model as the passes see it, its weights, the inputs of the calls and what was asked of them. So one file can serve
several models, and a model that has changed is measured anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from actcache.base.typed_json import plain, typed
from actcache.errors import InvalidOption, OutputError

SCHEMA = 1
_HINT = "give the file of an earlier --profile, or a name that does not exist yet"


class CostProfile:
    """Measurements of compilations, in a JSON file.

    Args:
        path: The file; None: nothing is kept. It need not exist.

    Attributes:
        taken: How many measurements were taken from the file.
        added: How many are new.

    Raises:
        InvalidOption: The file is there and is not a profile, or cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.taken, self.added = path, 0, 0
        self._entries: dict[str, Any] = {} if path is None else _read(path)

    def find(self, key: str, kind: Any) -> Any | None:
        """Return what was measured under `key`, a `kind`; None: nothing was.

        Raises:
            InvalidOption: The file holds something else.
        """
        if key not in self._entries:
            return None
        self.taken += 1
        try:
            return typed(self._entries[key], kind)
        except msgspec.ValidationError as error:
            raise InvalidOption(f"the profile {self.path} is damaged ({error})", hint=_HINT) from error

    def add(self, key: str, measured: Any) -> None:
        """Keep a measurement: anything that :func:`~actcache.base.typed_json.plain` takes."""
        if self.path is not None:
            self._entries[key] = plain(measured)
            self.added += 1

    def save(self) -> None:
        """Write the file, if there is something new: all of it or nothing.

        Raises:
            OutputError: It cannot be written.
        """
        if self.path is None or not self.added:
            return
        content = {"schema": SCHEMA, "entries": self._entries}
        temporary = self.path.with_name(self.path.name + ".tmp")
        try:
            temporary.write_text(json.dumps(content, sort_keys=True), "utf-8")
            temporary.replace(self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            problem = f"the profile cannot be written ({error.strerror or error})"
            raise OutputError(problem, file=self.path, hint="choose another file with --profile") from error

    def note(self) -> str | None:
        """Return what the user should know of it; None: it was not used."""
        if self.path is None or not (self.taken or self.added):
            return None
        if not self.added:
            return f"costs were taken from {self.path}"
        also = "some costs were taken from it, others were" if self.taken else "costs were"
        return f"{also} measured and saved to {self.path}"


def measurement_key(task: str, model: str, **asked: Any) -> str:
    """Return the key of a measurement.

    Args:
        task: What was measured.
        model: Digest of the model and its weights.
        asked: What else decides it, as JSON can hold it.
    """
    text = json.dumps([task, model, asked], sort_keys=True)
    return f"{task}:{hashlib.sha256(text.encode()).hexdigest()}"


def model_digest(base: Path, weights: str) -> str:
    """Return the digest of a model file and of its weights."""
    return hashlib.sha256(base.read_bytes() + weights.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
        entries = content["entries"]
        known = content["schema"] == SCHEMA and isinstance(entries, dict)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidOption(f"the profile {path} cannot be read ({error.strerror or error})", hint=_HINT) from error
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidOption(f"{path} is not a profile", hint=_HINT) from error
    if not known:
        raise InvalidOption(f"{path} is a profile of another version of actcache", hint="measure again into a new file")
    return dict(entries)
