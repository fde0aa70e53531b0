"""A program that damages models and has commands look at them: ``SEED COUNT MODEL... -- COMMAND...``.

Each command is one argument, with ``{model}`` for the damaged file and ``{sound}`` for what it was. It runs in a
process of its own, forked off this one, which has loaded all modules. It has to exit with 0, 2 or 3, and to say in one
line what it does not like; what else it does is printed, and then how often it exited how.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import onnx
from google.protobuf.message import Message

import actcache.compile.driver
import actcache.inspection.explain_miss
import actcache.inspection.logged_miss
import actcache.inspection.model_diff
import actcache.inspection.regions
import actcache.replay.replay
import actcache.report.page  # noqa: F401
from actcache.commands.main import main as actcache_main

_GOOD = (0, 2, 3)
_NAMES = ["", "x", "y", "a", "If", "CacheLookup", "ai.onnx.ml", "LabelEncoder", "EyeLike", "actcache", "tensor", "r0"]
_NUMBERS = [0, -1, 1, 2, 5, 7, 16, 2**31 - 1, 2**62, -(2**63)]


def with_other_bytes(content: bytes, random: Random) -> bytes:
    """Change, take out, put in or copy some bytes."""
    found = bytearray(content)
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        at, size = random.randrange(len(found)), random.choice([1, 1, 1, 4, 40])
        source = random.randrange(len(found))
        match random.choice("flip set cut insert copy".split()):
            case "flip":
                found[at] ^= 1 << random.randrange(8)
            case "set":
                found[at : at + 1] = bytes([random.choice([0, 1, 2, 127, 128, 255])])
            case "cut":
                del found[at : at + size]
            case "insert":
                found[at:at] = random.randbytes(size)
            case "copy":
                found[at : at + size] = found[source : source + size]
    return bytes(found)


def with_other_fields(content: bytes, random: Random) -> bytes:
    """Change what one of the model's messages says: the file stays a model."""
    model = onnx.ModelProto.FromString(content)
    message = random.choice([each for each in _messages(model) if each.ListFields()])
    field, value = random.choice(message.ListFields())
    with suppress(ValueError, TypeError):  # a number that the field cannot hold, say
        if random.random() < 0.3:
            message.ClearField(field.name)
        elif isinstance(value, Message):
            value.Clear()
        elif isinstance(value, str | bytes | int | float):
            setattr(message, field.name, _other(value, random))
        else:
            _change_one(value, random)
    return bytes(model.SerializeToString())


def _change_one(values: Any, random: Random) -> None:
    at = random.randrange(len(values))
    if random.random() < 0.4:
        del values[at]
    elif isinstance(values[at], Message):
        values.append(values[at]) if random.random() < 0.5 else values[at].Clear()
    else:
        values[at] = _other(values[at], random)


def _other(value: Any, random: Random) -> Any:
    if isinstance(value, bytes):
        return random.choice([b"", b"\xff\x00", value[:-1], value + b"x"])
    return random.choice(_NAMES if isinstance(value, str) else _NUMBERS)


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                yield from _messages(inner)


def outcome(arguments: list[str], stderr: Path) -> tuple[int, str]:
    """Run a command in a forked process; return its exit code (of a signal, less than 0) and what it said on stderr."""
    child = os.fork()
    if child == 0:
        _become(arguments, stderr)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, stderr.read_text(errors="replace")


def _become(arguments: list[str], stderr: Path) -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(os.open(stderr, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 2)
    code = 1
    try:
        actcache_main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main(seed: int, count: int, models: list[str], commands: list[str]) -> None:
    """Try all commands on `count` damaged models."""
    random, codes = Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder  # where tracebacks are kept
        damaged, stderr = Path(folder) / "model.onnx", Path(folder) / "stderr"
        for number in range(count):
            sound = random.choice(models)
            change = (with_other_bytes, with_other_fields)[number % 2]
            damaged.write_bytes(change(Path(sound).read_bytes(), random))
            for command in commands:
                arguments = [each.format(model=damaged, sound=sound) for each in shlex.split(command)]
                code, said = outcome(arguments, stderr)
                codes.append(code)
                if code not in _GOOD or "Traceback" in said or (code == 2 and said.count("\n") != 1):
                    print(f"seed {seed}, number {number}, {sound}: {command}: exit {code}: {said[-2000:]}")
    print({code: codes.count(code) for code in sorted(set(codes))})


if __name__ == "__main__":
    between = sys.argv.index("--")
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:between], sys.argv[between + 1 :])
