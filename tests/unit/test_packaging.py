"""The package: a source distribution builds, its wheel holds everything, what is missing is one clear line."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTICES = "THIRD_PARTY_NOTICES.txt"
INSIDE = [
    "actcache", "passes", "custom_ops", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", NOTICES,
    ".gitignore",
]  # fmt: skip
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
    assert (unpacked / NOTICES).is_file()
    assert not (unpacked / "actcache" / "passes").is_symlink()
    ours = {path.relative_to(ROOT / "passes") for path in (ROOT / "passes").rglob("*.py")}
    packed = unpacked / "actcache" / "passes"
    assert {path.relative_to(packed) for path in packed.rglob("*.py")} == ours
    assert not list(unpacked.rglob("*.so"))


def tree(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def read_only(unpacked: Path) -> Iterator[Path]:
    """The source distribution where nobody can write: root, whom permissions do not stop, gets a read-only mount."""
    if os.geteuid() != 0:
        folders = [path for path in [unpacked, *unpacked.rglob("*")] if path.is_dir()]
        for folder in folders:
            folder.chmod(0o555)
        yield unpacked
        for folder in folders:
            folder.chmod(0o755)
        return
    mounted = call("mount", "--bind", "-o", "ro", unpacked, unpacked, cwd=unpacked.parent)
    if mounted.returncode != 0:
        yield unpacked  # no mounts in this container: that nothing is left in the tree is tested all the same
        return
    yield unpacked
    assert call("umount", unpacked, cwd=unpacked.parent).returncode == 0


def unoptimised(folder: Path) -> dict[str, str]:
    """Compilers that leave out what takes most of their time, as ``CC`` and ``CXX``: any code fills a wheel."""
    found = {"CC": shutil.which("cc"), "CXX": shutil.which("c++")}
    assert all(found.values()), found
    for name, compiler in found.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {compiler} "$@" -O0\n')
        (folder / name).chmod(0o755)
    return {name: str(folder / name) for name in found}


@pytest.mark.slow
def test_the_wheel_from_a_read_only_source_distribution_runs(read_only: Path, tmp_path: Path) -> None:
    before = tree(read_only)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    wheel_of = (*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", tmp_path, ".")
    done = call(*wheel_of, cwd=read_only, TMPDIR=str(scratch), **unoptimised(tmp_path))
    assert done.returncode == 0, done.stderr
    assert tree(read_only) == before
    assert not list(scratch.iterdir())
    (wheel,) = tmp_path.glob("actcache-*-py3-none-*.whl")
    assert not wheel.name.endswith("-any.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert len(names) == len(set(names))
    for name in (
        "py.typed", "_native/libactcache.so", "passes/__init__.py", "passes/rows/__init__.py", "commands/main.py",
        "report/templates/page.html", "report/templates/page.css",
    ):  # fmt: skip
        assert f"actcache/{name}" in names
    top = {name.split("/")[0] for name in names}
    dist_info = next(name for name in top if name.endswith(".dist-info"))
    assert top == {"actcache", dist_info, "actcache-auto.pth"}
    with zipfile.ZipFile(wheel) as opened:
        document = json.loads(opened.read(f"{dist_info}/sboms/actcache.cdx.json"))
        (digest,) = document["components"][0]["hashes"]
        assert digest["content"] == hashlib.sha256(opened.read("actcache/_native/libactcache.so")).hexdigest()
    linked = {part["name"]: part.get("version", "") for part in document["components"]}
    assert set(linked) >= {"BLAKE3", "xxHash", "SQLite", "libvalkey", "libstdc++"}
    assert linked["SQLite"] == "3.53.2" and linked["libvalkey"] == "0.5.0" and linked["BLAKE3"] and linked["xxHash"]
    assert f"{dist_info}/licenses/{NOTICES}" in names

    installed = tmp_path / "installed"
    done = call(*pip, "install", "--no-deps", "--target", installed, wheel, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    code = "import actcache, actcache.passes.graph; print(actcache.library_path()); actcache.stats()"
    done = call(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.stdout.strip() == str(installed / "actcache" / "_native" / "libactcache.so"), done.stderr


def test_the_notices_name_everything_that_the_library_has_inside() -> None:
    said = (ROOT / NOTICES).read_text()
    spec = importlib.util.spec_from_file_location("actcache_sources", ROOT / "custom_ops" / "sources.py")
    assert spec is not None and spec.loader is not None
    sources: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = sources  # dataclasses look their module up
    spec.loader.exec_module(sources)
    linked = {source.name for source in sources.LINKED}
    assert linked >= {"SQLite", "libvalkey"}
    headings = {line.split()[1] for line in said.splitlines() if line.startswith("== ")}
    assert headings == {*linked, "BLAKE3", "xxHash", "OpenSSL"}


def test_a_missing_compiler_is_one_line(checkout: Path) -> None:
    done = call(sys.executable, "custom_ops/build.py", cwd=checkout, PATH=str(checkout), CXX="")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no C++ compiler" in done.stderr
    assert "apt-get install g++" in done.stderr


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("ACTCACHE_XXHASH_INCLUDE", "no xxhash.h in it"),
        ("ACTCACHE_BLAKE3_SOURCE", "no blake3.c in it"),
        ("ACTCACHE_SQLITE_SOURCE", "no sqlite3.c in it"),
        ("ACTCACHE_LIBVALKEY_SOURCE", "no COPYING in it"),
    ],
)
def test_a_missing_dependency_is_one_line(checkout: Path, variable: str, says: str) -> None:
    done = call(sys.executable, "custom_ops/build.py", cwd=checkout, **{variable: "/nowhere"})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_headers_that_are_not_there_are_one_line(checkout: Path) -> None:
    done = call(sys.executable, "custom_ops/build.py", "--tests", cwd=checkout, ACTCACHE_ORT_INCLUDE="/nowhere")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no onnxruntime_c_api.h in it" in done.stderr


def test_other_systems_are_told_at_install_and_at_import(checkout: Path) -> None:
    code = "import platform; platform.system = lambda: 'Darwin'; import hatchling.build as b; b.build_wheel('dist')"
    done = call(sys.executable, "-c", code, cwd=checkout)
    assert done.returncode == 1 and done.stderr.startswith("actcache: there is no actcache for Darwin yet")
    assert done.stderr.count("\n") == 1 and "container" in done.stderr
    for system in ("darwin", "win32"):
        done = call(sys.executable, "-c", f"import sys; sys.platform = '{system}'; import actcache", cwd=checkout)
        last = done.stderr.splitlines()[-1]
        assert last.startswith("ImportError: actcache runs on Linux") and system in last and "WSL" in last


def test_the_bill_of_materials_tells_versions_and_licences(tmp_path: Path) -> None:
    headers = {
        "blake3.h": '#define BLAKE3_VERSION_STRING "1.3.1"',
        "xxhash.h": "#define XXH_VERSION_MAJOR 0\n#define XXH_VERSION_MINOR 8\n#define XXH_VERSION_RELEASE 1",
        "sqlite3.h": '#define SQLITE_VERSION        "3.53.2"',
        "include/valkey/valkey.h": "",
    }
    for name, text in headers.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    library = tmp_path / "libactcache.so"
    library.write_bytes(b"code")
    names = ("BLAKE3_SOURCE", "XXHASH_INCLUDE", "SQLITE_SOURCE", "LIBVALKEY_SOURCE")
    settings = {f"ACTCACHE_{name}": str(tmp_path) for name in names}
    written = recipe("sbom").write(tmp_path, "1.2.3", library, settings, "c++")
    document = json.loads(written.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["version"] == "1.2.3"
    parts = {part["name"]: part for part in document["components"]}
    found = [parts[name].get("version") for name in ("BLAKE3", "xxHash", "SQLite", "libvalkey")]
    assert found == ["1.3.1", "0.8.1", "3.53.2", None]  # nothing is made up where a header says nothing
    assert "OpenSSL" not in parts and all(part["licenses"] for part in parts.values() if part["type"] == "library")
    references = {part["bom-ref"] for part in document["components"]} | {"actcache"}
    for dependency in document["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= references


def recipe(name: str = "build") -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"actcache_{name}", ROOT / "custom_ops" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("maker", "kept"), [("/bin/sh", True), ("/nowhere/ninja", False)])
def test_a_build_folder_forgets_a_tool_that_is_gone(tmp_path: Path, maker: str, kept: bool) -> None:
    """pip's isolated builds bring a ninja that is gone afterwards; what it compiled is not thrown away."""
    build = recipe()
    cache, compiled = tmp_path / "CMakeCache.txt", tmp_path / "compiled.o"
    cache.write_text(f"CMAKE_MAKE_PROGRAM:FILEPATH={maker}\nCMAKE_HOME_DIRECTORY:INTERNAL={build.HERE}\n")
    compiled.touch()
    build.configure("true", tmp_path, {})
    assert (cache.exists(), compiled.exists()) == (kept, True)


def test_portable_wheels_are_linked_from_what_the_tests_run_over() -> None:
    build = recipe()
    settings = {name: {**build.VARIANTS[name], "ACTCACHE_OLD_GLIBC": ""} for name in ("portable", "release")}
    assert settings["portable"] == settings["release"]
    assert build.COMPILED_BY == {"portable": "release"}


def groups(root: Path, lines: str, files: dict[str, str]) -> str:
    """What /proc and /sys say of control groups, below `root`."""
    for name, text in {"proc/self/cgroup": lines, **{f"sys/fs/cgroup/{n}": t for n, t in files.items()}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "150000 100000\n"}, 2),
        ("0::/gone\n", {"cpu.max": "50000 100000\n"}, 1),  # a container sees its own group as the root
        ("4:cpu,cpuacct:/c\n0::/\n", {"cpu/c/cpu.cfs_quota_us": "300000", "cpu/c/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu,cpuacct:/c\n", {"cpu/c/cpu.cfs_quota_us": "-1", "cpu/c/cpu.cfs_period_us": "100000"}, 8),
        ("nonsense\n", {}, 8),
    ],
)
def test_builds_use_the_processors_that_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert recipe().processors(groups(tmp_path, lines, files)) == expected


def test_builds_keep_to_the_affinity_of_the_process() -> None:
    code = "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); sys.path.insert(0, 'custom_ops')"
    done = call(sys.executable, "-c", f"{code}; import build; print(build.processors())", cwd=ROOT)
    assert done.stdout.strip() == "1", done.stderr
