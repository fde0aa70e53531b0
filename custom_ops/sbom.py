"""What is inside of a wheel, as a CycloneDX document (PEP 770): the package, and what its library was linked with.

Uses the standard library only, as ``build.py`` does.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "actcache.cdx.json"


def write(folder: Path, version: str, library: Path, settings: Mapping[str, str], compiler: str) -> Path:
    """Write the document into a folder, and return its path.

    Args:
        folder: It gets the name :data:`NAME` there.
        version: Of the package.
        library: The library that the wheel holds.
        settings: CMake's, which name the folders of what was linked (``build.find_dependencies``).
        compiler: The C++ compiler, whose runtime is linked, too.
    """
    linked = _linked(settings, compiler)
    package = {
        "type": "library",
        "bom-ref": "actcache",
        "name": "actcache",
        "version": version,
        "purl": f"pkg:pypi/actcache@{version}",
        "licenses": [{"expression": "Apache-2.0"}],
    }
    file = {
        "type": "file",
        "bom-ref": library.name,
        "name": f"actcache/_native/{library.name}",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(library.read_bytes()).hexdigest()}],
    }
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": package},
        "components": [file, *linked],
        "dependencies": [
            {"ref": "actcache", "dependsOn": [library.name]},
            {"ref": library.name, "dependsOn": [part["bom-ref"] for part in linked]},
        ],
    }
    target = folder / NAME
    target.write_text(json.dumps(document, indent=1) + "\n")
    return target


def _linked(settings: Mapping[str, str], compiler: str) -> list[dict[str, Any]]:
    blake3 = settings.get("ACTCACHE_BLAKE3_SOURCE") or settings.get("ACTCACHE_BLAKE3_INCLUDE", "")
    found = [
        _part("BLAKE3", _quoted(Path(blake3, "blake3.h"), "BLAKE3_VERSION_STRING"), "CC0-1.0 OR Apache-2.0"),
        _part("xxHash", _numbers(Path(settings["ACTCACHE_XXHASH_INCLUDE"], "xxhash.h"), "XXH_VERSION"), "BSD-2-Clause"),
        _part("SQLite", _quoted(Path(settings["ACTCACHE_SQLITE_SOURCE"], "sqlite3.h"), "SQLITE_VERSION"), "blessing"),
        _part(
            "libvalkey",
            _numbers(Path(settings["ACTCACHE_LIBVALKEY_SOURCE"], "include/valkey/valkey.h"), "LIBVALKEY_VERSION"),
            "BSD-3-Clause",
        ),
    ]
    if settings.get("ACTCACHE_OPENSSL_LIBRARIES"):
        version = _quoted(Path("/usr/include/openssl/opensslv.h"), "OPENSSL_VERSION_STR")
        found.append(_part("OpenSSL", version, "Apache-2.0"))
    told = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    return [*found, _part("libstdc++", told, "GPL-3.0-or-later WITH GCC-exception-3.1")]


def _part(name: str, version: str, licence: str) -> dict[str, Any]:
    part = {"type": "library", "bom-ref": name, "name": name, "licenses": [{"expression": licence}]}
    if version:
        part |= {"version": version, "purl": f"pkg:generic/{name.lower().replace('+', '%2B')}@{version}"}
    return part


def _quoted(header: Path, macro: str) -> str:
    """Return the text that a header defines a macro as; none if it does not."""
    found = re.search(rf'#\s*define\s+{macro}\s+"([^"]+)"', _text(header))
    return found[1] if found else ""


def _numbers(header: Path, prefix: str) -> str:
    """Return a version of which a header defines the parts; none if it does not."""
    text, parts = _text(header), []
    for names in (("MAJOR",), ("MINOR",), ("RELEASE", "PATCH")):
        found = re.search(rf"#\s*define\s+{prefix}_(?:{'|'.join(names)})\s+(\d+)", text)
        if not found:
            return ""
        parts.append(found[1])
    return ".".join(parts)


def _text(header: Path) -> str:
    return header.read_text(errors="replace") if header.is_file() else ""
