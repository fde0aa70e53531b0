"""How Python code is broken on purpose: every place of a module where one small change makes another program.

Messages, docstrings and annotations are left alone: no test should hold their words.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import CodeType

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_FUNCTIONS = {"any": "all", "all": "any", "min": "max", "max": "min"}
#: Calls whose arguments are words for people, or only keep others from writing.
_WORDED = {"Mixes", "Refusal", "ValueError", "dataclass"}


Route = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Mutant:
    """One change to one module.

    Attributes:
        path: The file, from the repository's root.
        scope: The function or class around it, dotted; empty at the top of the module.
        change: The code before and after, in words that stay the same while lines move.
        line: Where it is today.
        at_import: Whether the changed code runs when the module is imported: calls of functions do not see it.
        route: The way through the syntax tree to what is changed.
        after: What stands there then.
    """

    path: str
    scope: str
    change: str
    line: int
    at_import: bool
    route: Route
    after: ast.AST

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.scope or 'module'}: {self.change}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What the list of survivors knows it by."""
        return self.path, self.scope, self.change

    def compiled(self, source: str, filename: str) -> CodeType:
        """Return the changed module's code."""
        tree = ast.parse(source)
        function = _function_around(tree, self.route)
        before = _names_read(function) if function else set()
        _replace(tree, self.route, copy.deepcopy(self.after))
        if function is not None and (lost := before - _names_read(function)):
            # A living inner function takes only code that has the same variables of its outer one: read where
            # nothing runs.
            read = ast.Tuple([ast.Name(name, ast.Load()) for name in sorted(lost)], ast.Load())
            function.body.append(ast.If(ast.Constant(0), [ast.Expr(read)], []))
        return compile(ast.fix_missing_locations(tree), filename, "exec", dont_inherit=True)


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Return every mutant of a module."""
    found = []
    seen: Counter[tuple[str, str]] = Counter()
    for site in _walk(ast.parse(source)):
        for after in _changes(site):
            change = f"{_shown(site.node)} → {_shown(after)}"
            seen[site.scope, change] += 1
            if seen[site.scope, change] > 1:
                change += f" #{seen[site.scope, change]}"
            line = getattr(site.node, "lineno", 0)
            found.append(Mutant(path, site.scope, change, line, site.at_import, site.route, after))
    return found


@dataclass(frozen=True)
class _Site:
    """A node that may be changed.

    Attributes:
        node, route, scope, at_import: As of :class:`Mutant`.
        decides: It is all of a branch's condition, which is replaced by false and by true anyway.
        may_be_none: The function around it may return None.
    """

    node: ast.AST
    route: Route = ()
    scope: str = ""
    at_import: bool = True
    decides: bool = False
    may_be_none: bool = False


def _walk(tree: ast.Module) -> Iterator[_Site]:
    def visit(site: _Site) -> Iterator[_Site]:
        yield site
        node = site.node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "bases"):
                continue
            for index, child in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(child, ast.AST) or _left_alone(node, child):
                    continue
                step = (name, index if isinstance(value, list) else None)
                decides = isinstance(node, ast.If | ast.IfExp) and name == "test"
                inner = replace(site, node=child, route=(*site.route, step), decides=decides)
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and name == "body":
                    inner = replace(inner, scope=f"{site.scope}.{node.name}".lstrip("."))
                if isinstance(node, ast.FunctionDef) and name == "body":
                    returns = ast.unparse(node.returns) if node.returns else "None"
                    inner = replace(inner, at_import=False, may_be_none="None" in returns)
                yield from visit(inner)

    yield from visit(_Site(tree))


def _left_alone(parent: ast.AST, child: ast.AST) -> bool:
    """Imports, docstrings, texts of messages, assertions of what cannot be."""
    if isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Assert):
        return True
    if isinstance(parent, ast.Expr) and isinstance(child, ast.Constant):
        return True
    if _strict(parent):
        return True
    return isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in _WORDED


def _strict(node: ast.AST) -> bool:
    """Whether it is ``strict=True`` of zip: an assertion."""
    return isinstance(node, ast.keyword) and node.arg == "strict"


def _replace(tree: ast.AST, route: Route, after: ast.AST) -> None:
    *way, (name, index) = route
    node: ast.AST = tree
    for field_name, at in way:
        value = getattr(node, field_name)
        node = value if at is None else value[at]
    if index is None:
        setattr(node, name, after)
    else:
        getattr(node, name)[index] = after


def _function_around(tree: ast.AST, route: Route) -> ast.FunctionDef | None:
    """The innermost function on the way to what is changed."""
    node, found = tree, None
    for name, index in route[:-1]:
        value = getattr(node, name)
        node = value if index is None else value[index]
        found = node if isinstance(node, ast.FunctionDef) else found
    return found


def _names_read(function: ast.FunctionDef) -> set[str]:
    nodes = (node for statement in function.body for node in ast.walk(statement))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _shown(node: ast.AST) -> str:
    """The code on one line, at most 70 characters of it; of a branch only its head."""
    text = f"if {ast.unparse(node.test)}" if isinstance(node, ast.If) else ast.unparse(node)
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:67]}..."


def _changes(site: _Site) -> Iterator[ast.AST]:
    if site.decides and not isinstance(site.node, ast.BoolOp) and not _ordered(site.node):
        return
    if isinstance(site.node, ast.Return) and not site.may_be_none:
        return
    for kind, change in _OPERATORS:
        if isinstance(site.node, kind):
            yield from change(site.node)


def _ordered(node: ast.AST) -> bool:
    """Whether it compares by size, so that its boundary can be moved."""
    return isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _comparison(node: ast.Compare) -> Iterator[ast.AST]:
    for i, op in enumerate(node.ops):
        if type(op) in _COMPARISONS:
            yield _with(node, ops=[*node.ops[:i], _COMPARISONS[type(op)](), *node.ops[i + 1 :]])


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


def _negation(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, ast.Not):
        yield node.operand


def _branch(node: ast.If | ast.IfExp) -> Iterator[ast.AST]:
    """A guard that is left out, and one that is always there."""
    for value in (False, True):
        yield _with(node, test=ast.Constant(value))


def _arithmetic(node: ast.BinOp) -> Iterator[ast.AST]:
    if type(node.op) in _ARITHMETIC:
        yield _with(node, op=_ARITHMETIC[type(node.op)]())


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int):
        yield ast.Constant(0 if node.value == 1 else node.value + 1)


def _call(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        yield _with(node, func=ast.Name(_FUNCTIONS[node.func.id], ast.Load()))
    # A table that is written as one string loses its last word.
    text = node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr == "split" else None
    if isinstance(text, ast.Constant) and isinstance(text.value, str) and " " in text.value:
        shorter = ast.Constant(text.value.rsplit(maxsplit=1)[0])
        yield _with(node, func=_with(node.func, value=shorter))
    for i, keyword in enumerate(node.keywords):
        if _strict(keyword):
            continue
        if keyword.arg is not None and isinstance(node.func, ast.Name) and node.func.id not in ("field", "dataclass"):
            yield _with(node, keywords=[*node.keywords[:i], *node.keywords[i + 1 :]])


def _table(node: ast.Set | ast.Dict) -> Iterator[ast.AST]:
    """Entries of a table are left out, one at a time."""
    if isinstance(node, ast.Dict):
        for i in range(len(node.keys)):
            yield _with(
                node, keys=[*node.keys[:i], *node.keys[i + 1 :]], values=[*node.values[:i], *node.values[i + 1 :]]
            )
    elif len(node.elts) > 1:
        for i in range(len(node.elts)):
            yield _with(node, elts=[*node.elts[:i], *node.elts[i + 1 :]])


def _statement(node: ast.Expr) -> Iterator[ast.AST]:
    """A check, or a contribution to a hash, that is left out."""
    if isinstance(node.value, ast.Call):
        yield ast.Pass()


def _refusal(node: ast.Return) -> Iterator[ast.AST]:
    """What is found, and then not said."""
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield ast.Return(ast.Constant(None))


_OPERATORS: list[tuple[type[ast.AST] | tuple[type[ast.AST], ...], Callable[..., Iterator[ast.AST]]]] = [
    (ast.Compare, _comparison),
    (ast.BoolOp, _boolean),
    (ast.UnaryOp, _negation),
    ((ast.If, ast.IfExp), _branch),
    (ast.BinOp, _arithmetic),
    (ast.Constant, _constant),
    (ast.Call, _call),
    ((ast.Set, ast.Dict), _table),
    (ast.Expr, _statement),
    (ast.Return, _refusal),
]
