"""Programs on some of the cores, as on a machine that has no others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

#: A list of cores is not enough: onnxruntime counts the machine's cores, and ties a thread to each, wherever its
#: process may run. So these files tell of the program's cores alone, in a mount namespace of its own.
_SCRIPT = """
shown=$0 cores=$1
shift
for file in possible present online; do mount --bind "$shown" /sys/devices/system/cpu/$file; done
exec taskset -c "$cores" "$@"
"""


def only_on(cores: str, folder: Path) -> list[str]:
    """Return the words before a command that let it see, and run on, no other cores.

    Args:
        cores: As ``taskset`` lists them.
        folder: Where a small file is left.

    Raises:
        SystemExit: This is not possible here.
    """
    shown = folder / "cores"
    shown.write_text(f"{cores}\n")
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    words = ["unshare", "--mount", *as_root, "sh", "-ec", _SCRIPT, str(shown), cores]
    try:
        done = subprocess.run([*words, "nproc"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise SystemExit(f"--cores: {error}") from None
    if done.returncode != 0:
        raise SystemExit(f"--cores {cores}: the program cannot be kept to them: {done.stderr.strip()}")
    return words
