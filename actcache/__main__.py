"""``actcache`` and ``python -m actcache``: the umbrella command. ``actcache run`` does without what the others need."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main(prog_name: str = "actcache") -> NoReturn:
    """Run the program ``actcache``."""
    from actcache.learn.become import quickly

    quickly(sys.argv[1:])
    from actcache.commands.main import main as command_line

    command_line(prog_name=prog_name)


if __name__ == "__main__":
    main("python -m actcache")
