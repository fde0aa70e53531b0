"""Packaging hook: puts the native library into the wheel, built by ``custom_ops/build.py``."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
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
    editable install runs from the source tree, so its library is built there; so is that of a wheel that is given away
    (ACTCACHE_WHEEL), which takes what has been compiled there.
    """

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and tag the wheel: any Python 3, this platform."""
        if self.target_name != "wheel":
            return
        if platform.system() != "Linux":
            raise SystemExit(
                f"actcache: there is no actcache for {platform.system()} yet: it runs on Linux (x86-64, aarch64) only;"
                " on macOS and Windows it can be used in a Linux container or in WSL"
            )
        sources = Path(self.root) / "custom_ops"
        recipe = _load(sources / "build.py")
        try:
            if version == "editable":
                recipe.build("release")
            else:
                self._put_in(recipe, sources, build_data)
        except recipe.BuildError as error:
            raise SystemExit(f"actcache: {error}") from None
        except OSError as error:
            where = error.filename or sources
            raise SystemExit(
                f"actcache: {where} cannot be written ({error.strerror or error}); name a folder with room in TMPDIR"
            ) from None
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform(recipe)}"

    def _put_in(self, recipe: ModuleType, sources: Path, build_data: dict[str, Any]) -> None:
        """Build the library of a wheel, and have it put in with its bill of materials."""
        self._folder = tempfile.TemporaryDirectory(prefix="actcache-build-")
        folder = Path(self._folder.name)
        work = None if _variant() in recipe.PORTABLE else folder / "build"
        library = recipe.build(_variant(), folder / "library", build_dir=work)
        build_data["force_include"][str(library)] = f"actcache/_native/{library.name}"
        fetched = (sources / "build" if work is None else folder) / "sources"
        build_data["sbom_files"].append(str(self._bill_of_materials(recipe, folder, fetched, library)))

    def _bill_of_materials(self, recipe: ModuleType, folder: Path, fetched: Path, library: Path) -> Path:
        sbom = _load(Path(self.root) / "custom_ops" / "sbom.py")
        settings = {**recipe.VARIANTS[_variant()], **recipe.find_dependencies(fetched)}
        if _variant() == "aarch64":
            settings |= recipe.foreign_dependencies(settings, folder)
        compilers = (settings.get("CMAKE_CXX_COMPILER"), os.environ.get("CXX"), "c++", "g++", "clang++")
        compiler = next(name for name in compilers if name and shutil.which(name.split()[0]))
        found: Path = sbom.write(folder, self.metadata.version, library, settings, compiler)
        return found

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the build left: the library is in the wheel."""
        if self._folder is not None:
            self._folder.cleanup()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"actcache_{path.stem}", path)
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
    """Return which library is built: for wheels that are given away, ``portable`` or ``aarch64`` in ACTCACHE_WHEEL."""
    wanted = os.environ.get("ACTCACHE_WHEEL", "")
    return wanted if wanted in ("portable", "aarch64") else "release"


def _platform(recipe: ModuleType) -> str:
    name = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if _variant() in recipe.PORTABLE:
        machine = "aarch64" if _variant() == "aarch64" else name.removeprefix("linux_")
        return "manylinux_{}_{}_{}".format(*recipe.OLDEST_GLIBC, machine)
    return name
