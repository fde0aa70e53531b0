"""How the programs answer: one JSON object on stdout, with what they found and the seconds of each step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")


def answer(items: Iterable[Item], step: Callable[[Item], Any]) -> None:
    """Take every step in turn, and print what came of them."""
    found, seconds = [], []
    for item in items:
        start = time.perf_counter()
        found.append(step(item))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"found": found, "seconds": seconds}))
