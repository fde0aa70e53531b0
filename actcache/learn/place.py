"""A model as this program names it, in the cache folder: what the program asks for there, and what it is answered."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from actcache.learn import cache, identity, launch, process, program, set_aside, settings
from actcache.learn.cache import AnyPath
from actcache.learn.chunks import Waiting, waiting
from actcache.learn.opening import Opening
from actcache.learn.sampling import Sampling

#: After each attempt, so many times the calls have to be there for the next.
_GROWTH = 4
#: An attempt is made with a part of the calls if they have taken long, or if the program ends; the part, and seconds.
_EARLY, _SECONDS = 8, 5.0
#: A model was refused for good, until the traffic changes, if another attempt needs so many new calls.
_MANY = 1024
#: From then on, or while a compiled model runs, calls are looked at again after so many.
_AGAIN, _MOST_DOUBLED = 256, 3
#: The end of a program is an occasion, too, if the calls that wait took so long, over all its starts; or after so many.
_WORTH_SECONDS, _WORTH_STARTS = 0.5, 64


class ModelChanged(Exception):
    """The model's file is no longer the one that the program has loaded."""


class Ready(NamedTuple):
    """A compiled model that may be used.

    Attributes:
        key: The model it was made of.
        folder: Which of its compiled models it is.
        file: Its file.
        tolerance: The relative difference to the original that it was verified with; None: by type.
        fingerprints: Of its regions.
        signature: Of its file, as it was when it was checked.
    """

    key: str
    folder: str
    file: AnyPath
    tolerance: float | None
    fingerprints: tuple[str, ...]
    signature: tuple[int, ...]


class Place:
    """One place of the cache folder, as a program sees it.

    Attributes:
        name: Its name.
        calls: The folder of recorded calls.
        refused: Whether the model was looked at with many calls before, and not compiled.
    """

    def __init__(self, root: str, name: str | None, opening: Opening, around: dict[str, Any]) -> None:
        self.root, self._opening, self._around = root, opening, around
        self._signature = identity.signature(opening.path) if opening.path is not None else None
        self._files = {opening.path: self._signature} if opening.path is not None and self._signature else {}
        self._opened = time.time_ns()
        self._seen: object = None
        self._refusal: str | None = None
        self._next, self._launched_at, self._before = settings.first_calls(), 0, 0.0
        self._early, self.refused, self._asked = True, False, False
        self._earlier: Waiting | None = None
        if name is not None:
            self._settle(name)
        else:
            self.name = ""

    @classmethod
    def find(cls, opening: Opening, runtime_version: str) -> Place:
        """Return the place of a model. Of bytes it is found later, unless some of the same length are known.

        Raises:
            OSError, cache.Untrusted: The cache folder, or the model, cannot be used.
        """
        root = cache.open_cache(settings.cache_folder())
        around = identity.circumstances(runtime_version, opening.taken.described())
        name = None
        if not isinstance(opening.model, bytes):
            name = identity.place_of(opening.model, around)
        elif os.path.exists(_length_mark(root, opening.model)):
            name = identity.place_of(identity.bytes_source(opening.model), around)
        return cls(root, name, opening, around)

    def _settle(self, name: str) -> None:
        self.name = name
        self.folder = cache.place_folder(self.root, name)
        self.calls = cache.below(self.folder, "calls")
        self._answer = cache.below(self.folder, "answer.json")

    # -- what is answered -----------------------------------------------------------------------

    def ready(self) -> Ready | None:
        """Return the compiled model, if there is one, and it is of this model, and nobody has touched it."""
        if not self.name:
            return None
        self._seen = self._state()
        answer = cache.read_json(self._answer)
        if answer is None or not isinstance(answer.get("key"), str):
            return None
        if self._opening.path is not None:
            files = answer.get("files", {})
            if not self._loaded_these(files):
                return None
            self._files = files
        self.refused = answer.get("state") == "refused" and answer.get("wanted", 0) >= _MANY
        ready = find_ready(self.root, answer["key"])
        if ready is not None and set_aside.is_out_of_use(cache.model_folder(self.root, ready.key), ready.folder):
            return None
        return ready

    def _loaded_these(self, files: Mapping[str, identity.Signature]) -> bool:
        """Whether the program has loaded its model from these files, of which weights may be others by now."""
        if files.get(str(self._opening.path)) != self._signature or not identity.unchanged(files):
            return False
        return all(identity.changed_at(signature) <= self._opened for signature in files.values())

    def check_unchanged(self) -> None:
        """Make sure that what would be loaded now is what the program has loaded.

        Raises:
            ModelChanged: It is not.
        """
        if self._files and not identity.unchanged(self._files):
            raise ModelChanged(f"{self._opening.path} is not what the program has loaded")

    def has_news(self) -> bool:
        """Whether something was answered since :meth:`ready` was asked."""
        return bool(self.name) and self._state() != self._seen

    def look_again(self) -> None:
        """What was answered could not be tried: it is news again."""
        self._seen = None

    def _state(self) -> object:
        try:
            answer = os.stat(self._answer)
        except OSError:
            return None
        return answer.st_mtime_ns, answer.st_ino

    def reject(self, ready: Ready, problem: str) -> None:
        """Let no program use this compiled model any more."""
        with suppress(OSError):
            folder = cache.model_folder(self.root, ready.key)
            cache.write_json(cache.below(folder, "rejected.json"), {"folder": ready.folder, "reason": problem})

    # -- what is asked for ----------------------------------------------------------------------

    def note_refusal(self, reason: str) -> None:
        """Remember why the session stays with the original; :meth:`write_refusal` writes it down."""
        self._refusal = reason

    def write_refusal(self) -> None:
        """Put the reason on record, once."""
        if self._refusal is None:
            return
        with suppress(OSError):
            self._ask(self._refusal)
        self._refusal = None

    def compile_when_due(self, sampling: Sampling) -> bool:
        """Ask for an attempt to compile once there are enough calls, or no room for more, and return whether it was.

        Calls of earlier starts that nobody has looked at count. If a process is at this place, the next one is started
        after it.

        Raises:
            OSError: It cannot be started.
        """
        if not sampling.recorded or not self.name:
            return False
        if self._earlier is None:  # asked for before this program has written any
            self._earlier = waiting(self.calls)
        calls = sampling.recorded + self._earlier.calls
        seconds = sampling.seconds - self._before + self._earlier.seconds
        enough = calls >= self._next
        slow = self._early and calls >= max(4, self._next // _EARLY) and seconds >= _SECONDS
        full = sampling.full and sampling.recorded > self._launched_at
        if enough or slow or full:
            self._launch(sampling)
        elif self._asked:
            self._start()
        return enough or slow or full

    def count_anew(self, times: int = 0) -> None:
        """The session records little now: look again after so many calls more.

        Args:
            times: How often it went back to the original; each time, twice the calls are asked for.
        """
        self._next, self._launched_at, self._early = _AGAIN << min(times, _MOST_DOUBLED), 0, False

    def compile_at_end(self, sampling: Sampling) -> bool:
        """Start the compiling process if the program ends and there are calls that nobody has looked at.

        What counts is what all starts of the program have left there, so short programs are learnt, too.

        Returns:
            Whether it was started.

        Raises:
            OSError: It cannot be started.
        """
        if sampling.recorded == self._launched_at:
            return False
        answer = cache.read_json(self._answer)
        wanted = answer.get("wanted", 0) if answer else settings.first_calls() // _EARLY
        left = waiting(self.calls)
        if left.calls >= wanted and (left.seconds >= _WORTH_SECONDS or left.chunks >= _WORTH_STARTS):
            self._launch(sampling)
            return True
        self._ask(None, sampling.seconds)
        return False

    def _launch(self, sampling: Sampling) -> None:
        sampling.write_all()
        self._launched_at, self._before = sampling.recorded, sampling.seconds
        self._next = max(self._next, sampling.recorded) * _GROWTH
        self._earlier = Waiting()
        self._ask(None, sampling.seconds)
        self._asked = True
        self._start()

    def _start(self) -> None:
        """Start the compiling process, unless one is here: it takes these calls, too, or another one will after it."""
        with cache.locked(cache.below(self.folder, "lock"), wait=False) as free:
            pass
        if free:
            self._asked = False
            if waiting(self.calls).calls:
                launch.start(self.root, self.name)

    def _ask(self, refused: str | None, calls_took: float = 0.0) -> None:
        """Write down which model this is, for the compiling process and for ``actcache auto ls``.

        Args:
            refused: Why the session stays with the original.
            calls_took: What the session's calls took so far, in seconds.
        """
        self.find_out_name()
        cache.make_folder(self.folder)
        model = self._opening.model
        if isinstance(model, bytes):
            if identity.has_external_data(model) and refused is None:
                raise ValueError("the model was given as bytes, and its weights lie in other files")
            file = cache.below(self.folder, "model.onnx")
            if refused is None and not os.path.exists(file):
                with cache.replacing(file) as opened:
                    opened.write(model)
        else:
            file = model
        content = {
            "source": "bytes" if isinstance(model, bytes) else model,
            "model": file,
            "signature": self._signature,
            "around": self._around,
            "libraries": self._opening.taken.libraries(),
            "refused": refused,
            "program": {**program.this(), "calls_took": calls_took},
            "time": time.time(),
        }
        cache.write_json(cache.below(self.folder, "request.json"), content)

    def find_out_name(self) -> None:
        """Find the place of a model that was given as bytes, which takes a look at all of them."""
        model = self._opening.model
        if self.name or not isinstance(model, bytes):
            return
        self._settle(identity.place_of(identity.bytes_source(model), self._around))
        mark = _length_mark(self.root, model)
        cache.make_folder(os.path.dirname(mark))
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT, 0o600))


def find_ready(root: AnyPath, key: str) -> Ready | None:
    """Return the compiled model of a key, if it is as it was written."""
    folder = cache.model_folder(root, key)
    record = cache.read_json(cache.below(folder, "record.json"))
    if record is None or record.get("state") != "compiled":
        return None
    rejected = cache.read_json(cache.below(folder, "rejected.json"))
    if rejected is not None and rejected.get("folder") == record["folder"]:
        return None
    try:
        for name, told in record["files"].items():
            part = cache.below(folder, record["folder"], name)
            found = cache.check_owner(part)
            if identity.signature(part) == told["signature"]:
                continue
            if found.st_size != told["signature"][0] or identity.file_digest(part) != told["sha256"]:
                process.note(f"{part} is not what was written there, so it is not used")
                return None
        file = cache.below(folder, record["folder"], record["model"])
        with suppress(OSError):
            os.utime(folder)  # used now: the oldest go first
        return Ready(
            key,
            record["folder"],
            file,
            record["tolerance"],
            tuple(record["fingerprints"]),
            tuple(identity.signature(file)),
        )
    except (KeyError, TypeError, OSError, cache.Untrusted) as error:
        process.note(f"the compiled model of {key} is not used ({error})")
        return None


def _length_mark(root: str, model: bytes) -> str:
    return cache.below(root, "lengths", str(len(model)))
