"""Puts the learning session class in place as soon as onnxruntime is imported; nothing heavy is imported before."""

from __future__ import annotations

import sys

from actcache.learn import settings
from actcache.learn import threads as threads  # before the program replaces what it takes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COLLECTION = "onnxruntime.capi.onnxruntime_inference_collection"


class _AfterImport:
    """A finder that lets the others find the module, and has it changed once it is loaded.

    It stays where it is: another thread that goes through the finders just then would miss the last one if this was
    taken away. And a program may load the module again.
    """

    def __init__(self) -> None:
        self._asking = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find the spec of the one module that is waited for."""
        if name != _COLLECTION or self._asking:  # others may ask all finders, too
            return None
        self._asking = True
        try:
            return self._of_others(name, path, target)
        finally:
            self._asking = False

    def _of_others(self, name: str, path: Any, target: Any) -> Any:
        for finder in list(sys.meta_path):
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
                spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """The module's own loader, and the change after it."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_module(self, spec: Any) -> Any:
        """As the module's own loader."""
        return self._real.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Load the module, then change it."""
        spec = module.__spec__
        spec.loader = module.__loader__ = self._real
        self._real.exec_module(module)
        _put_in_place(module)


def install() -> None:
    """Have sessions learn that are made from now on, unless the user has switched that off. Again is harmless."""
    if settings.switched_off():
        return
    if not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())
    loaded = sys.modules.get(_COLLECTION)
    if loaded is not None and hasattr(loaded, "InferenceSession"):
        _put_in_place(loaded)


def _put_in_place(collection: Any) -> None:
    """Replace the session class; if that fails, onnxruntime stays as it is."""
    if getattr(collection.InferenceSession, "_actcache_learns", False):
        return
    try:
        from actcache.learn import bindings, options
        from actcache.learn.session import learning_class

        real = collection.InferenceSession
        learning = learning_class(real)
        options.observe(collection.C.SessionOptions)
        bindings.observe(collection.IOBinding)
    except Exception as error:
        from actcache.learn import process

        process.note(f"sessions of this onnxruntime cannot learn ({type(error).__name__}: {error})")
        return
    collection.InferenceSession = learning
    package = sys.modules.get("onnxruntime")
    if package is not None and getattr(package, "InferenceSession", None) is real:
        setattr(package, "InferenceSession", learning)  # noqa: B010
