"""The package: a source distribution builds, its wheel holds everything, what is missing is one clear line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSIDE = ["actcache", "passes", "custom_ops", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"]
UNWANTED = shutil.ignore_patterns("__pycache__", "_native", "build")


def call(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what packaging needs, with nothing built in it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in INSIDE:
        source = ROOT / name
        if not source.exists():
            pytest.skip(f"not a checkout: {name} is missing")
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=UNWANTED)
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="module")
def unpacked(checkout: Path) -> Path:
    """The source distribution, unpacked."""
    pytest.importorskip("hatchling")
    done = call(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", "dist", cwd=checkout)
    assert done.returncode == 0, done.stderr
    (archive,) = (checkout / "dist").glob("actcache-*.tar.gz")
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "data_filter"):
            opened.extraction_filter = tarfile.data_filter  # Python 3.12 warns without one
        opened.extractall(checkout / "unpacked")
    (folder,) = (checkout / "unpacked").iterdir()
    return folder


def test_the_source_distribution_holds_the_sources_and_nothing_built(unpacked: Path) -> None:
    for name in ("custom_ops/build.py", "custom_ops/CMakeLists.txt", "custom_ops/include/actcache.h", "hatch_build.py"):
        assert (unpacked / name).is_file()
    assert not (unpacked / "actcache" / "passes").is_symlink()
    ours = {path.relative_to(ROOT / "passes") for path in (ROOT / "passes").rglob("*.py")}
    packed = unpacked / "actcache" / "passes"
    assert {path.relative_to(packed) for path in packed.rglob("*.py")} == ours
    assert not list(unpacked.rglob("*.so"))


@pytest.mark.slow
def test_the_wheel_from_the_source_distribution_runs(unpacked: Path, tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    done = call(*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", tmp_path, ".", cwd=unpacked)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("actcache-*-py3-none-*.whl")
    assert not wheel.name.endswith("-any.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    for name in (
        "py.typed", "_native/libactcache.so", "passes/__init__.py", "passes/rows/__init__.py", "cli.py",
        "report_page/templates/page.html", "report_page/templates/page.css",
    ):  # fmt: skip
        assert f"actcache/{name}" in names
    top = {name.split("/")[0] for name in names}
    assert top == {"actcache", next(name for name in top if name.endswith(".dist-info"))}

    installed = tmp_path / "installed"
    done = call(*pip, "install", "--no-deps", "--target", installed, wheel, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    code = "import actcache, actcache.passes.graph; print(actcache.library_path()); actcache.stats()"
    done = call(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.stdout.strip() == str(installed / "actcache" / "_native" / "libactcache.so"), done.stderr


def test_a_missing_compiler_is_one_line(checkout: Path) -> None:
    done = call(sys.executable, "custom_ops/build.py", cwd=checkout, PATH=str(checkout), CXX="")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no C++ compiler" in done.stderr
    assert "apt-get install g++" in done.stderr


@pytest.mark.parametrize(
    ("variable", "says"),
    [("ACTCACHE_XXHASH_INCLUDE", "no xxhash.h in it"), ("ACTCACHE_BLAKE3_SOURCE", "no blake3.c in it")],
)
def test_a_missing_dependency_is_one_line(checkout: Path, variable: str, says: str) -> None:
    done = call(sys.executable, "custom_ops/build.py", cwd=checkout, **{variable: "/nowhere"})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
