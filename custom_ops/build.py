#!/usr/bin/env python3
"""Builds the onnxruntime library: the one way to do it, for people, for `pip install` and for CI.

Drives CMake in ``custom_ops/build/<variant>`` and copies the release library to
``actcache/_native/libactcache.so``; ``pip install .`` names folders outside of the source tree for both.
Needs a C++17 compiler, CMake, xxHash's header and BLAKE3's C sources; what is missing is one :class:`BuildError`
that says what to install. SQLite's and libvalkey's sources, and for the tests onnxruntime's headers, are fetched once,
into ``custom_ops/build/sources`` (``sources.py``). TLS for remote stores is built in where OpenSSL's static libraries
are installed.

Uses the standard library only: it runs inside isolated builds, from any working directory.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
LIBRARY = "libactcache.so"

#: Variants that nobody changes code with compile many files as one, and so read the standard headers once for all of
#: them. So do builds in folders that are thrown away.
_MANY_AS_ONE = {"CMAKE_UNITY_BUILD": "ON", "CMAKE_UNITY_BUILD_BATCH_SIZE": "12"}
_RELEASE = {"CMAKE_BUILD_TYPE": "Release", "CMAKE_CXX_FLAGS_RELEASE": "-O2 -DNDEBUG"}
#: CMake settings of each variant.
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "release": _RELEASE,
    # For wheels: loads beside glibc 2.28.
    "portable": {**_RELEASE, "ACTCACHE_OLD_GLIBC": "ON"},
    # The same for 64-bit Arm, by a cross compiler; the tests run under qemu. No TLS: OpenSSL would have to be crossed.
    "aarch64": {
        **_RELEASE,
        **_MANY_AS_ONE,
        "ACTCACHE_OLD_GLIBC": "ON",
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_C_COMPILER": "aarch64-linux-gnu-gcc",
        "CMAKE_CXX_COMPILER": "aarch64-linux-gnu-g++",
        "CMAKE_CROSSCOMPILING_EMULATOR": "qemu-aarch64;-L;/usr/aarch64-linux-gnu",
    },
    "debug": {"CMAKE_BUILD_TYPE": "Debug"},
    "asan": {
        **_MANY_AS_ONE,
        "CMAKE_BUILD_TYPE": "Debug",
        "CMAKE_CXX_FLAGS_DEBUG": "-O1 -g",
        "ACTCACHE_SANITIZE": "address,undefined",
    },
    "tsan": {
        **_MANY_AS_ONE,
        "CMAKE_BUILD_TYPE": "Debug",
        "CMAKE_CXX_FLAGS_DEBUG": "-O1 -g",
        "ACTCACHE_SANITIZE": "thread",
    },
    # The fuzz targets of fuzz/ instead of the tests. clang has libFuzzer; elsewhere a driver of ours runs them.
    "fuzz": {
        **_MANY_AS_ONE,
        "CMAKE_BUILD_TYPE": "Debug",
        "CMAKE_CXX_FLAGS_DEBUG": "-O1 -g",
        "ACTCACHE_SANITIZE": "address,undefined",
        "ACTCACHE_FUZZ": "ON",
    },
    # clang's checks of the lock annotations (-Wthread-safety), which gcc does not have.
    "clang": {"CMAKE_BUILD_TYPE": "Debug", "CMAKE_CXX_COMPILER": "clang++", "CMAKE_C_COMPILER": "clang"},
}


#: Libraries for wheels that are given away, with the program that tells what they need.
PORTABLE: Mapping[str, str] = {"portable": "objdump", "aarch64": "aarch64-linux-gnu-objdump"}
#: Variants that are linked from what another one compiled, in its build folder.
COMPILED_BY: Mapping[str, str] = {"portable": "release"}
#: What such a library may need: manylinux_2_28.
OLDEST_GLIBC = (2, 28)


class BuildError(RuntimeError):
    """The library cannot be built; the message is one line that says what to do."""


def build(
    variant: str = "release",
    output: str | os.PathLike[str] | None = None,
    *,
    tests: bool = False,
    benchmarks: bool = False,
    jobs: int | None = None,
    build_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Builds the library and returns the path of what was built.

    Args:
        variant: One of :data:`VARIANTS`.
        output: A folder to copy the library to. Default: ``actcache/_native`` for ``release``, and
            none for the others, whose library stays in the build folder.
        tests: Also builds and runs the C++ tests; needs GoogleTest, and fetches onnxruntime's headers.
        benchmarks: Also builds the programs in ``custom_ops/bench``, into the build folder's ``bench``; the timed ones
            only if Google Benchmark is installed.
        jobs: Compile jobs at a time. Default: :func:`processors`.
        build_dir: The build folder. Default: ``custom_ops/build/<variant>``, or that of :data:`COMPILED_BY`.

    Raises:
        BuildError: A tool or a dependency is missing, or the build or a test failed.
    """
    if variant not in VARIANTS:
        raise BuildError(f"no variant {variant!r}; there are {', '.join(VARIANTS)}")
    if platform.system() != "Linux":
        raise BuildError(f"actcache's library is built on Linux; this is {platform.system()}")
    work = Path(build_dir).resolve() if build_dir else HERE / "build" / COMPILED_BY.get(variant, variant)
    cmake = find_cmake()
    cache = HERE / "build" / "sources" if build_dir is None else work.parent / "sources"
    settings = {
        "ACTCACHE_OLD_GLIBC": "OFF",
        **VARIANTS[variant],
        **find_compiler(variant),
        **find_dependencies(cache),
        **(_MANY_AS_ONE if build_dir else {}),
        "ACTCACHE_TESTS": "ON" if tests else "OFF",
        "ACTCACHE_BENCHMARKS": "ON" if benchmarks else "OFF",
        "ACTCACHE_WERROR": "OFF" if variant in ("release", "fuzz", *PORTABLE) else "ON",
    }
    if variant == "aarch64":
        settings |= foreign_dependencies(settings, work)
    if tests and variant != "fuzz":
        settings |= find_ort_headers(cache)

    configure(cmake, work, settings)
    run([cmake, "--build", str(work), "--parallel", str(jobs or processors())], "the build failed")
    library = work / LIBRARY
    if variant in PORTABLE:
        check_glibc(library, PORTABLE[variant])
    if tests:
        run_tests(work)
    if output is None and variant == "release" and build_dir is None:
        output = HERE.parent / "actcache" / "_native"
    if output is None:
        return library
    return install(library, Path(output))


def processors(root: str = "/") -> int:
    """How many processors this process may keep busy: its affinity, and the CPU quotas of its control groups."""
    try:
        allowed = float(len(os.sched_getaffinity(0)))
        for line in Path(root, "proc/self/cgroup").read_text().splitlines():
            # "hierarchy:controllers:path"; version 2's is "0::path". See cgroups(7).
            _, controllers, group = line.split(":", 2)
            mount = Path(root, "sys/fs/cgroup")
            if not controllers:
                allowed = min(allowed, *(_quota(folder / "cpu.max") for folder in _groups(mount, group)))
            elif "cpu" in controllers.split(","):
                folders = _groups(mount / "cpu", group)
                allowed = min(allowed, *(_quota(f / "cpu.cfs_quota_us", f / "cpu.cfs_period_us") for f in folders))
    except (OSError, ValueError):
        return max(1, len(os.sched_getaffinity(0)))  # no control groups, or of a form that is not known
    return max(1, math.ceil(allowed))


def _groups(mount: Path, group: str) -> list[Path]:
    """The folders of a control group and of all that it lies in. In a container only the first may be there."""
    parts = Path(group.lstrip("/")).parts
    return [mount.joinpath(*parts[:length]) for length in range(len(parts) + 1)]


def _quota(*files: Path) -> float:
    """Processors that a control group grants; no such file, "max" and -1 are no limit."""
    words = [word for file in files if file.is_file() for word in file.read_text().split()]
    if len(words) != 2 or words[0] in ("max", "-1"):
        return math.inf
    return int(words[0]) / int(words[1])


def configure(cmake: str, work: Path, settings: Mapping[str, str]) -> None:
    """Runs CMake's configure step; starts the folder over if it belongs to another source tree."""
    work.mkdir(parents=True, exist_ok=True)
    cache = work / "CMakeCache.txt"
    remembered = cache.read_text() if cache.exists() else ""
    if remembered and f"CMAKE_HOME_DIRECTORY:INTERNAL={HERE}\n" not in remembered:
        shutil.rmtree(work)
        work.mkdir(parents=True)
    maker = re.search(r"^CMAKE_MAKE_PROGRAM:\w+=(.+)$", remembered, re.MULTILINE)
    if maker and not shutil.which(maker[1]):
        # pip's isolated builds come with a ninja that is gone afterwards. What has been compiled stays.
        cache.unlink(missing_ok=True)
    command = [cmake, "-S", str(HERE), "-B", str(work)]
    if not cache.exists() and (ninja := find_tool("ninja")):
        command += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    command += [f"-D{name}={value}" for name, value in settings.items()]
    run(command, "CMake could not configure the build", quiet=True)


def check_glibc(library: Path, tool: str = "objdump") -> None:
    """Refuses a library that needs a newer glibc than :data:`OLDEST_GLIBC`."""
    told = subprocess.run([tool, "-T", str(library)], capture_output=True, text=True, check=False)
    if told.returncode != 0 or "GLIBC_" not in told.stdout:
        raise BuildError(f"{tool} cannot tell which glibc {library} needs: {told.stderr.strip()}")
    needed = {line for line in told.stdout.splitlines() if "*UND*" in line and _glibc(line) > OLDEST_GLIBC}
    if needed:
        names = ", ".join(sorted(line.split()[-1] for line in needed))
        raise BuildError(f"{library} needs what is newer than glibc 2.28: {names}; add it to src/host/old_glibc.c")


def _glibc(line: str) -> tuple[int, ...]:
    found = re.search(r"GLIBC_([0-9.]+)", line)
    return tuple(map(int, found[1].split("."))) if found else ()


def install(library: Path, folder: Path) -> Path:
    """Copies the library, replacing the file at once: a process may have the old one open."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / LIBRARY
    temporary = folder / f".{LIBRARY}.{os.getpid()}"
    shutil.copy2(library, temporary)
    temporary.replace(target)
    return target


def run(command: Sequence[str], failure: str, *, quiet: bool = False) -> None:
    """Runs a tool; its output goes to stderr, for a quiet one only if it fails."""
    # Output of build backends' hooks on stdout can break their protocol, hence stderr.
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE if quiet else sys.stderr,
        stderr=subprocess.STDOUT if quiet else sys.stderr,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        return
    if quiet:
        sys.stderr.write(result.stdout)
    raise BuildError(f"{failure} (exit status {result.returncode} of {Path(command[0]).name}; see above)")


def run_tests(work: Path) -> None:
    """Runs the C++ tests of a build folder."""
    # ctest comes with cmake, but is a file of its own.
    ctest = Path(find_cmake()).with_name("ctest")
    command = [str(ctest), "--test-dir", str(work), "--output-on-failure", "--no-tests=error"]
    run([*command, "--parallel", str(processors())], "a C++ test failed")


def find_tool(name: str) -> str | None:
    """A program of PATH, else one that pip installed beside this Python."""
    return shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))


def find_cmake() -> str:
    """The program that runs CMake."""
    if found := find_tool("cmake"):
        return found
    raise BuildError("CMake is not installed: apt-get install cmake, or pip install cmake")


def find_compiler(variant: str) -> dict[str, str]:
    """Checks that there is a compiler; CMake's own message for that is two screens long."""
    if variant == "fuzz" and "CXX" not in os.environ and shutil.which("clang++") and shutil.which("clang"):
        return {"CMAKE_CXX_COMPILER": "clang++", "CMAKE_C_COMPILER": "clang"}
    wanted = VARIANTS[variant].get("CMAKE_CXX_COMPILER")
    candidates = [wanted] if wanted else [os.environ.get("CXX", "c++"), "g++", "clang++"]
    for candidate in candidates:
        if candidate and shutil.which(candidate.split()[0]):
            return {}
    package = {None: "g++", "clang++": "clang"}.get(wanted, "g++-aarch64-linux-gnu")
    raise BuildError(f"no C++ compiler ({' or '.join(filter(None, candidates))}): apt-get install {package}")


def find_dependencies(cache: Path) -> dict[str, str]:
    """CMake's settings for what the library is built from besides its own code; `cache` keeps what was fetched."""
    return {**find_xxhash(), **find_blake3(), **find_sources(cache), **find_openssl()}


def foreign_dependencies(settings: Mapping[str, str], work: Path) -> dict[str, str]:
    """Changes of the settings for another processor: no library of this machine, and no folder of its headers."""
    if not settings["ACTCACHE_BLAKE3_SOURCE"]:
        raise BuildError("BLAKE3's C sources are needed for another processor: set ACTCACHE_BLAKE3_SOURCE")
    headers = work / "headers"
    headers.mkdir(parents=True, exist_ok=True)
    shutil.copy2(Path(settings["ACTCACHE_XXHASH_INCLUDE"]) / "xxhash.h", headers)
    return {"ACTCACHE_XXHASH_INCLUDE": str(headers), "ACTCACHE_OPENSSL_LIBRARIES": ""}


def find_xxhash() -> dict[str, str]:
    """The folder of xxHash's header, which is all that is needed of it."""
    named = os.environ.get("ACTCACHE_XXHASH_INCLUDE")
    for folder in [named] if named else ["/usr/include", "/usr/local/include"]:
        if folder and (Path(folder) / "xxhash.h").is_file():
            return {"ACTCACHE_XXHASH_INCLUDE": folder}
    if named:
        raise BuildError(f"ACTCACHE_XXHASH_INCLUDE is {named}, but there is no xxhash.h in it")
    raise BuildError("xxHash's header is not installed: apt-get install libxxhash-dev, or set ACTCACHE_XXHASH_INCLUDE")


def find_blake3() -> dict[str, str]:
    """BLAKE3's C sources, or the static library of libblake3-dev."""
    named = os.environ.get("ACTCACHE_BLAKE3_SOURCE")
    # The Debian package of the Rust crate carries the official C sources.
    packaged = sorted(Path("/usr/share/cargo/registry").glob("blake3-*/c"), reverse=True)
    for folder in [Path(named)] if named else packaged:
        if (folder / "blake3.c").is_file():
            return {"ACTCACHE_BLAKE3_SOURCE": str(folder), "ACTCACHE_BLAKE3_LIBRARY": ""}
    if named:
        raise BuildError(f"ACTCACHE_BLAKE3_SOURCE is {named}, but there is no blake3.c in it")
    for library in sorted(Path("/usr/lib").glob("*/libblake3.a")):
        if Path("/usr/include/blake3.h").is_file():
            return {
                "ACTCACHE_BLAKE3_LIBRARY": str(library),
                "ACTCACHE_BLAKE3_INCLUDE": "/usr/include",
                "ACTCACHE_BLAKE3_SOURCE": "",
            }
    raise BuildError(
        "BLAKE3's C sources are not installed: apt-get install librust-blake3-dev, or set ACTCACHE_BLAKE3_SOURCE"
    )


def find_sources(cache: Path) -> dict[str, str]:
    """The folders of the C sources that are fetched, into `cache` where the user names none."""
    return {source.variable: _fetched(source, cache) for source in _sources().LINKED}


def find_ort_headers(cache: Path) -> dict[str, str]:
    """The folder of onnxruntime's headers, which the tests are compiled with. The user's may be of any version."""
    wanted = _sources().ORT_HEADERS
    named = os.environ.get(wanted.variable)
    if named and not (Path(named) / "onnxruntime_c_api.h").is_file():
        raise BuildError(f"{wanted.variable} is {named}, but there is no onnxruntime_c_api.h in it")
    return {wanted.variable: named or _fetched(wanted, cache)}


def _fetched(source: Any, cache: Path) -> str:
    """The folder of a source of sources.py."""
    sources = _sources()
    try:
        return str(sources.find(source, cache))
    except sources.SourceError as error:
        raise BuildError(str(error)) from error


@functools.cache
def _sources() -> ModuleType:
    """sources.py beside this file, which is no part of any package."""
    spec = importlib.util.spec_from_file_location("actcache_sources", HERE / "sources.py")
    if spec is None or spec.loader is None:
        raise BuildError(f"{HERE / 'sources.py'} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def find_openssl() -> dict[str, str]:
    """OpenSSL's static libraries. Without them the library has no TLS, and refuses ``rediss://`` addresses."""
    for folder in sorted(Path("/usr/lib").glob("*/libssl.a")):
        crypto = folder.with_name("libcrypto.a")
        if crypto.is_file() and Path("/usr/include/openssl/ssl.h").is_file():
            return {"ACTCACHE_OPENSSL_LIBRARIES": f"{folder};{crypto}"}
    return {"ACTCACHE_OPENSSL_LIBRARIES": ""}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 2 and a line on stderr."""
    parser = argparse.ArgumentParser(
        prog="custom_ops/build.py",
        description="Build actcache's onnxruntime library.",
        epilog="Environment: ACTCACHE_BLAKE3_SOURCE (folder of blake3.c), ACTCACHE_XXHASH_INCLUDE (folder of"
        " xxhash.h), ACTCACHE_SQLITE_SOURCE (folder of sqlite3.c),"
        " ACTCACHE_LIBVALKEY_SOURCE (folder of libvalkey's include and src),"
        " ACTCACHE_ORT_INCLUDE (folder of onnxruntime_c_api.h, of any version, for --tests).",
    )
    parser.add_argument("--variant", choices=list(VARIANTS), default="release", help="default: release")
    parser.add_argument("--tests", action="store_true", help="build and run the C++ tests")
    parser.add_argument("--benchmarks", action="store_true", help="build what the benchmarks run, into BUILD/bench")
    parser.add_argument("--output", metavar="DIR", help="copy the library there (release: actcache/_native)")
    parser.add_argument("--jobs", type=int, metavar="N", help="compile jobs at a time")
    options = parser.parse_args(arguments)  # named as build() names them
    try:
        library = build(**vars(options))
    except BuildError as error:
        print(f"custom_ops/build.py: {error}", file=sys.stderr)
        return 2
    print(library)
    return 0


if __name__ == "__main__":
    sys.exit(main())
