"""What the reference pages say, taken from where it is said already: help texts, docstrings, headers.

A page asks for it with a comment in a line of its own::

    <!-- commands -->                    the help of every command
    <!-- python: compile_model stats -->  signatures and docstrings of names of ``actcache``
    <!-- docstring: actcache.model.manifest -->            that of a module
    <!-- docstring: actcache.model.manifest Policy -->     that of a class in it, or of a method: Policy.of
    <!-- comment: custom_ops/src/ops/cache_lookup.h -->   the comment at its beginning
    <!-- file: examples/01_five_lines.py -->
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import actcache
from actcache.commands.main import umbrella

ROOT = Path(__file__).resolve().parents[2]
_MARKER = re.compile(r"^<!-- (commands|python|docstring|comment|file)(?:: (.+?))? -->$", re.MULTILINE)
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):$")
_LANGUAGES = {".py": "python", ".h": "c", ".cc": "cpp", ".sh": "bash", ".json": "json"}


def fill(page: str) -> str:
    """Return the page with its markers replaced."""
    kinds = {"commands": _commands, "python": _python, "docstring": _docstring, "comment": _comment, "file": _file}
    return _MARKER.sub(lambda match: kinds[match[1]](match[2] or ""), page)


def marked_files(page: str) -> list[str]:
    """Return the files that the page's markers name."""
    return [match[2] for match in _MARKER.finditer(page) if match[1] in ("comment", "file")]


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command with its full name, then those below it."""
    yield name, command
    if isinstance(command, click.Group):
        for below, sub in sorted(command.commands.items()):
            yield from walk(sub, f"{name} {below}")


def _commands(_: str) -> str:
    return "\n".join(
        f"## {name}\n\n```text\n{command.get_help(_context(command, name))}\n```\n"
        for name, command in walk(umbrella, "actcache")
    )


def _context(command: click.Command, name: str) -> click.Context:
    return click.Context(command, info_name=name, terminal_width=100, max_content_width=100)


def _python(names: str) -> str:
    return "\n\n".join(_described(name, getattr(actcache, name)) for name in names.split())


def _described(name: str, thing: Any) -> str:
    return f"### {name}\n\n```python\n{_signature(name, thing)}\n```\n\n{as_markdown(inspect.getdoc(thing) or '')}"


def _signature(name: str, thing: Any) -> str:
    """Return what a caller may write, a parameter a line where there are many."""
    if isinstance(thing, type) and issubclass(thing, Exception):
        return f"class {name}({thing.__bases__[0].__name__})"
    signature = inspect.signature(thing)
    parts = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        parts.append(re.sub(r": '([^']*)'", r": \1", str(parameter)))
    result = "" if isinstance(thing, type) else re.sub(r"'([^']*)'", r"\1", f" -> {signature.return_annotation}")
    inside = ", ".join(parts) if len(", ".join(parts)) < 80 else "\n    " + ",\n    ".join(parts) + ",\n"
    return f"{'class ' if isinstance(thing, type) else ''}{name}({inside}){result}"


def as_markdown(docstring: str) -> str:
    """Return a docstring of Google's style as Markdown: its sections become lists."""
    found: list[str] = []
    in_section, of_items = False, False
    for line in docstring.splitlines():
        section = _SECTION.match(line)
        if section:
            in_section, of_items = True, section[1] != "Returns"
            found.append(f"**{section[1]}**\n")
        elif of_items and (item := re.match(r"    ([\w*][\w*, ]*): (.*)", line)):
            names = ", ".join(f"`{name.strip()}`" for name in item[1].split(","))
            found.append(f"- {names}: {item[2]}")
        elif in_section and line.startswith("    "):
            found.append(line[4:])
        else:
            found.append(line)
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", "\n".join(found))
    return re.sub(r"``docs/([\w-]+)\.md``", r"[\1](../\1.md)", text)


def _docstring(named: str) -> str:
    module, _, inside = named.partition(" ")
    source = ROOT / Path(*module.split(".")).with_suffix(".py")
    found: Any = ast.parse(source.read_text("utf-8"))
    for name in filter(None, inside.split(".")):
        found = next(node for node in found.body if getattr(node, "name", None) == name)
    return as_markdown(ast.get_docstring(found) or "")


def _comment(path: str) -> str:
    beginning = re.match(r"(?://.*\n)+", (ROOT / path).read_text("utf-8"))
    if beginning is None:
        raise ValueError(f"{path} does not begin with a comment")
    return "```text\n" + re.sub(r"^// ?", "", beginning[0], flags=re.MULTILINE) + "```"


def _file(path: str) -> str:
    source = ROOT / path
    return f"```{_LANGUAGES.get(source.suffix, 'text')}\n{source.read_text('utf-8').rstrip()}\n```"
