"""Small faults in Python source: where they can be made, and making one. Pure: text in, text out."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SWAPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault in one place. `kind`, `source` (the line, stripped) and `nth` among equal ones name it, so that the
    name outlives changes elsewhere in the file."""

    kind: str
    line: int
    source: str
    nth: int
    text: str
    """The whole file with the fault."""

    @property
    def name(self) -> str:
        """What it is known by within its file."""
        return f"{self.kind} | {self.source} | {self.nth}"


@dataclass(frozen=True, slots=True)
class _Site:
    kind: str
    line: int
    make: Callable[[], None]
    """Changes the tree that the site is of."""


def mutants(text: str) -> Iterator[Mutant]:
    """Every mutant of a module, in order of lines; those that come out as the same program are left out."""
    lines, seen = text.splitlines(), {ast.unparse(ast.parse(text))}
    count: dict[tuple[str, str], int] = {}
    sites = _sites(ast.parse(text))
    for at in sorted(range(len(sites)), key=lambda at: (sites[at].line, at)):
        tree = ast.parse(text)
        site = _sites(tree)[at]
        site.make()
        source = lines[site.line - 1].strip()
        nth = count.get((site.kind, source), 0)
        count[site.kind, source] = nth + 1
        changed = ast.unparse(ast.fix_missing_locations(tree))
        if changed not in seen:
            seen.add(changed)
            yield Mutant(site.kind, site.line, source, nth, changed + "\n")


def _sites(tree: ast.Module) -> list[_Site]:
    return list(_in(tree))


def _in(node: ast.AST) -> Iterator[_Site]:
    yield from _at(node)
    for name, value in ast.iter_fields(node):
        if name in ("decorator_list", "annotation", "returns"):
            continue
        children = value if isinstance(value, list) else [value]
        for child in children:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Assert):
                yield from _in(child)


def _at(node: ast.AST) -> Iterator[_Site]:
    if isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.BoolOp):
        yield from _boolean(node)
    elif isinstance(node, ast.Constant):
        yield from _constant(node)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        swapped = _ARITHMETIC[type(node.op)]()
        yield _Site(f"+ and - swapped at {node.col_offset}", node.lineno, lambda: setattr(node, "op", swapped))
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        negated = ast.UnaryOp(ast.Not(), node.test)
        yield _Site("condition negated", node.test.lineno, lambda: setattr(node, "test", negated))
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if isinstance(body, list):
            yield from _deletions(body)


def _comparisons(node: ast.Compare) -> Iterator[_Site]:
    for at, operator in enumerate(node.ops):
        swap = _SWAPS[type(operator)]

        def make(at: int = at, swap: type[ast.cmpop] = swap) -> None:
            node.ops[at] = swap()

        yield _Site(f"{type(operator).__name__} to {swap.__name__}", node.lineno, make)


def _boolean(node: ast.BoolOp) -> Iterator[_Site]:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield _Site("and, or swapped", node.lineno, lambda: setattr(node, "op", other))
    for at in range(len(node.values)):
        yield _Site(f"operand {at} dropped", node.lineno, lambda at=at: _drop(node, at))  # type: ignore[misc]


def _drop(node: ast.BoolOp, at: int) -> None:
    del node.values[at]


def _constant(node: ast.Constant) -> Iterator[_Site]:
    if isinstance(node.value, bool):
        flipped = not node.value
        yield _Site(f"{node.value} flipped", node.lineno, lambda: setattr(node, "value", flipped))
    elif isinstance(node.value, int):
        more = node.value + 1
        yield _Site(f"{node.value} to {more}", node.lineno, lambda: setattr(node, "value", more))


def _deletions(body: list[ast.stmt]) -> Iterator[_Site]:
    for at, statement in enumerate(body):
        if _acts(statement):
            yield _Site("statement deleted", statement.lineno, lambda at=at: _delete(body, at))  # type: ignore[misc]


def _delete(body: list[ast.stmt], at: int) -> None:
    body[at] = ast.Pass()


def _acts(statement: ast.stmt) -> bool:
    """Whether a statement changes something beyond local names: those that bind one fail at once without it."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Expr() | ast.Delete() | ast.Raise() | ast.Continue() | ast.Break():
            return True
        case ast.Return():
            return statement.value is None
        case ast.Assign(targets=targets):
            return any(isinstance(target, (ast.Attribute, ast.Subscript, ast.Tuple)) for target in targets)
        case ast.AugAssign():
            return True
        case _:
            return False
