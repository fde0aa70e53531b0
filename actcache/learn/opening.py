"""How a session was made, so that the same can be done again: with the original model, or with the compiled one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from actcache.errors import LibraryError
from actcache.learn.options import Taken

if TYPE_CHECKING:
    from actcache.learn.cache import AnyPath

#: What a compiled model says of itself, which the original does not.
MANIFEST = "actcache.manifest"
#: Attributes of onnxruntime's session that come from the session in C++ below it, and what they are called there.
_FROM_BELOW = {
    "_inputs_meta": "inputs_meta",
    "_outputs_meta": "outputs_meta",
    "_overridable_initializers": "overridable_initializers",
    "_input_meminfos": "input_meminfos",
    "_output_meminfos": "output_meminfos",
    "_input_epdevices": "input_epdevices",
    "_model_meta": "model_meta",
    "_profiling_start_time_ns": "get_profiling_start_time_ns",
}


#: Nothing is logged by the compiled session: what it cannot do, the original does, and says.
_SILENT = 4
#: What onnxruntime says, and the system in its place, where there is no room.
_NO_ROOM = ("bad_alloc", "llocate memory", "oo many open files", "No space left")


class Opening(NamedTuple):
    """What ``InferenceSession`` was given.

    Attributes:
        real: onnxruntime's own class.
        model: A resolved path, or the model itself.
        taken: The session's options.
        providers: As they were given.
        provider_options: As they were given.
        keywords: The other arguments.
    """

    real: Any
    model: str | bytes
    taken: Taken
    providers: Sequence[Any] | None
    provider_options: Sequence[Any] | None
    keywords: Mapping[str, Any]

    @property
    def path(self) -> str | None:
        """The model's file; None: it was given as bytes."""
        return None if isinstance(self.model, bytes) else self.model

    def original(self, prepare: Callable[[Any], Any] = lambda options: options) -> Any:
        """Return a plain session of the original model; it logs what the program's would.

        Args:
            prepare: Is given its options first.
        """
        names, settings = self._providers_here()
        options = prepare(self.taken.copy())
        return self.real(self.model, options, names, provider_options=settings, **self.keywords)

    def compiled(self, file: AnyPath, prepare: Callable[[Any], Any] = lambda options: options) -> Any:
        """Return a session, as C++ has it, of a compiled model.

        Args:
            file: Its file.
            prepare: Is given its options first.
        """
        from onnxruntime.capi import _pybind_state as native

        from actcache.serve.runtime import register

        options = prepare(self.taken.copy())
        options.log_severity_level = _SILENT
        register(options)
        session = native.InferenceSession(options, os.fspath(file), True, False)
        session.initialize_session(*self._providers_here(), set(self.taken.disabled))
        return session

    def say_what_onnxruntime_would(self, session: Any) -> None:
        """Warn of execution providers as onnxruntime does when it makes a session, and raise what it raises."""
        from onnxruntime.capi import onnxruntime_inference_collection as collection

        session._fallback_providers = ["CPUExecutionProvider"]  # what onnxruntime tries if this raises
        available = collection.C.get_available_providers()
        collection.check_and_normalize_provider_args(self.providers, self.provider_options, available)

    def _providers_here(self) -> tuple[list[str], list[dict[str, str]]]:
        """Return the execution providers that were given and that there are, and nothing to say of them."""
        from onnxruntime.capi import _pybind_state as native

        found: dict[str, dict[str, str]] = {}
        options = self.provider_options or [{} for _ in self.providers or ()]
        for provider, its in zip(self.providers or (), options, strict=True):
            name, its = provider if isinstance(provider, tuple) else (provider, its)
            found.setdefault(name, {str(key): str(value) for key, value in its.items()})
        available = native.get_available_providers()
        return [n for n in found if n in available], [its for n, its in found.items() if n in available]


def copied(given: Any) -> Any:
    """Return a copy of execution providers, or of their options: a program may change its lists later."""
    if not isinstance(given, (list, tuple)):
        return given
    return [
        dict(one) if isinstance(one, dict) else (one[0], dict(one[1])) if isinstance(one, tuple) else one
        for one in given
    ]


def is_of_this_program(error: Exception) -> bool:
    """Whether an error says nothing of the compiled model, this program lacks memory, files or the library."""
    return isinstance(error, (MemoryError, OSError, LibraryError)) or any(text in str(error) for text in _NO_ROOM)


def differing(one: Any, other: Any) -> str | None:
    """Return how inputs or outputs of two sessions, as C++ has them, differ; None if they do not."""
    for what in ("inputs_meta", "outputs_meta", "overridable_initializers"):
        mine, its = ([(v.name, v.type, v.shape) for v in getattr(session, what)] for session in (one, other))
        if mine != its:
            return f"its {what.removesuffix('_meta')} are {its}, not {mine}"
    return None


def rebind(session: Any, below: Any) -> None:
    """Have a session run what C++ has as `below`. Its options stay what they are to its user."""
    for name, below_name in _FROM_BELOW.items():
        if hasattr(below, below_name):
            setattr(session, name, getattr(below, below_name))
    told = session._model_meta.custom_metadata_map
    session._model_meta.custom_metadata_map = {name: text for name, text in told.items() if name != MANIFEST}
    session._sess = below


def declare(session: Any, options: Any) -> None:
    """Give a session that never ran the original what onnxruntime's own way of making it would have set besides.

    Args:
        session: The session.
        options: What it shows as its options.
    """
    session._providers = session._sess.get_providers()
    session._provider_options = session._sess.get_provider_options()
    session._sess_options = options
