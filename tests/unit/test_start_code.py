"""What another Python process imports does not depend on the folder where it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actcache.base.start_code import start_code


@pytest.mark.parametrize("safe_path", ["", "1"])
def test_packages_come_between_the_standard_library_and_those_installed(tmp_path: Path, safe_path: str) -> None:
    own = tmp_path / "own"
    for folder, name in ((tmp_path, "json"), (tmp_path, "mine"), (own, "json"), (own, "mine"), (own, "numpy")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text("")
    code = start_code([str(own)]) + "import json, mine, numpy\nprint(json.__file__, mine.__file__, numpy.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "PYTHONSAFEPATH": safe_path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    standard, mine, numpy = map(Path, done.stdout.split())
    assert standard.parent.name == "json" and tmp_path not in standard.parents
    assert [mine, numpy] == [own / "mine.py", own / "numpy.py"]
