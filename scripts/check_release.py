"""Looks into wheels before they are given away: do they load where their names say, is their bill of materials valid?

    python scripts/check_release.py WHEEL ...

auditwheel tells which systems have all that the library in a wheel asks for. The bill of materials (PEP 770) has to
hold to CycloneDX's own schema, and has to have been made for this very library.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

_LIBRARY = "actcache/_native/libactcache.so"


def promised(wheel: Path) -> tuple[str, tuple[int, int]]:
    """Return the processor and the glibc that a wheel's name promises to load with."""
    found = re.search(r"-py3-none-manylinux_(\d+)_(\d+)_(\w+)\.whl$", wheel.name)
    if not found:
        raise SystemExit(f"{wheel.name} has no tag py3-none-manylinux: it is not meant to be given away")
    return found[3], (int(found[1]), int(found[2]))


def check_systems(wheel: Path) -> str:
    """Refuse a wheel that needs a newer glibc than its name says; return the oldest tag that it could have."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r'the following platform tag:\s+"(manylinux_(\d+)_(\d+)_(\w+))"', done.stdout)
    processor, glibc = promised(wheel)
    if not found or found[4] != processor or (int(found[2]), int(found[3])) > glibc:
        raise SystemExit(
            f"auditwheel does not say that {wheel.name} loads where its name says:\n{done.stdout}{done.stderr}"
        )
    return found[1]


def check_bill(wheel: Path) -> str:
    """Refuse a wheel without a valid bill of materials of its library; return what the library holds."""
    with zipfile.ZipFile(wheel) as opened:
        bills = [n for n in opened.namelist() if re.search(r"\.dist-info/sboms/[^/]+\.cdx\.json$", n)]
        if len(bills) != 1 or _LIBRARY not in opened.namelist():
            raise SystemExit(
                f"{wheel.name} holds {len(bills)} bills of materials, of which it needs one, and {_LIBRARY}"
            )
        name = bills[0]
        text, library = opened.read(name).decode(), opened.read(_LIBRARY)
    document = json.loads(text)
    fault = JsonStrictValidator(SchemaVersion.from_version(document["specVersion"])).validate_str(text)
    if fault:
        raise SystemExit(f"{wheel.name}: {name} does not hold to CycloneDX's schema: {fault}")
    file, *linked = document["components"]
    if file["hashes"] != [{"alg": "SHA-256", "content": hashlib.sha256(library).hexdigest()}]:
        raise SystemExit(f"{wheel.name}: {name} was made for another library")
    unknown = [part["name"] for part in linked if not part.get("version")]
    if unknown:
        raise SystemExit(f"{wheel.name}: {name} has no version of {', '.join(unknown)}")
    return ", ".join(f"{part['name']} {part['version']}" for part in linked)


def main(wheels: list[str]) -> int:
    """Check each; 0, or a message and 1."""
    if not wheels:
        raise SystemExit("no wheel is named")
    for wheel in map(Path, wheels):
        print(f"{wheel.name}: loads as {check_systems(wheel)}, has inside: {check_bill(wheel)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
