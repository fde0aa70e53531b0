"""Packaging hook: puts the native library into the wheel, built by ``custom_ops/build.py``."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeLibrary(BuildHookInterface[Any]):
    """Builds the library for wheels and editable installs. A source distribution takes its sources instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and tag the wheel: any Python 3, this platform."""
        if self.target_name != "wheel":
            return
        sources = Path(self.root) / "custom_ops"
        recipe = _load(sources / "build.py")
        try:
            recipe.build("release")
        except recipe.BuildError as error:
            raise SystemExit(f"actcache: {error}") from None
        finally:
            # pip's isolated builds come with a ninja and a cmake that are gone afterwards; CMake must not
            # remember them. What has been compiled stays.
            (sources / "build" / "release" / "CMakeCache.txt").unlink(missing_ok=True)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("actcache_build", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"actcache: {path} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
