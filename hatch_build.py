"""Packaging hook: puts the native library into the wheel, built by ``custom_ops/build.py``."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeLibrary(BuildHookInterface[Any]):
    """Builds the library for wheels and editable installs. A source distribution takes its sources instead.

    A wheel's library is built in a temporary folder: the source tree may be read-only, and nothing is left in it. An
    editable install runs from the source tree, so its library is built there.
    """

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and tag the wheel: any Python 3, this platform."""
        if self.target_name != "wheel":
            return
        sources = Path(self.root) / "custom_ops"
        recipe = _load(sources / "build.py")
        try:
            if version == "editable":
                _build_in_place(recipe, sources)
            else:
                self._folder = tempfile.TemporaryDirectory(prefix="actcache-build-")
                folder = Path(self._folder.name)
                library = recipe.build(_variant(), folder / "library", build_dir=folder / "build")
                build_data["force_include"][str(library)] = f"actcache/_native/{library.name}"
        except recipe.BuildError as error:
            raise SystemExit(f"actcache: {error}") from None
        except OSError as error:
            where = error.filename or sources
            raise SystemExit(
                f"actcache: {where} cannot be written ({error.strerror or error}); name a folder with room in TMPDIR"
            ) from None
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform(recipe)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the build left: the library is in the wheel."""
        if self._folder is not None:
            self._folder.cleanup()


def _build_in_place(recipe: ModuleType, sources: Path) -> None:
    try:
        recipe.build("release")
    finally:
        # pip's isolated builds come with a ninja and a cmake that are gone afterwards; CMake must not
        # remember them. What has been compiled stays.
        (sources / "build" / "release" / "CMakeCache.txt").unlink(missing_ok=True)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("actcache_build", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"actcache: {path} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    keep_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nor does that go into the source tree
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = keep_bytecode
    return module


def _variant() -> str:
    """Return which library is built: ``portable``, for wheels that are given away, if ACTCACHE_WHEEL says so."""
    return "portable" if os.environ.get("ACTCACHE_WHEEL") == "portable" else "release"


def _platform(recipe: ModuleType) -> str:
    name = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if _variant() == "portable":
        return name.replace("linux", "manylinux_{}_{}".format(*recipe.OLDEST_GLIBC))
    return name
