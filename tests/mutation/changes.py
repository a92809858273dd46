"""Makes the mutants of a module: its source with one small change.

The changes are those of mutmut, and three more. mutmut changes no function that has a decorator,
so the decorators are left out before it reads the source. A mutant is run by exchanging the code of
one function, which its decorators do not notice.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.pragma_handling import IgnoredCode


class Change(NamedTuple):
    """One mutant."""

    module: str
    function: str  # qualified name
    function_line: int  # of its `def`
    lines: range  # of the changed expression or statement
    source: str  # of the whole module, changed, without decorators
    diff: str


def _one_text(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """Return the first change of a text; mutmut makes two more, which differ in capitals."""
    return list(mutators.operator_string(node))[:1]


def _no_statement(node: cst.Expr) -> Iterator[cst.Expr]:
    if isinstance(node.value, cst.Call):
        yield node.with_changes(value=cst.Name("None"))


def _opposite(node: cst.If) -> Iterator[cst.If]:
    if isinstance(node.test, cst.Name | cst.Attribute | cst.Call):
        test = node.test.with_changes(lpar=[], rpar=[])
        operation = cst.UnaryOperation(cst.Not(), test)
        yield node.with_changes(test=operation, whitespace_before_test=cst.SimpleWhitespace(" "))


def _return_none(node: cst.Return) -> Iterator[cst.Return]:
    if node.value is not None and not isinstance(node.value, cst.Name):
        yield node.with_changes(value=cst.Name("None"))


OPERATORS: list[Any] = [
    *(
        (kind, change)
        for kind, change in mutators.mutation_operators
        if change is not mutators.operator_string
    ),
    (cst.BaseString, _one_text),
    (cst.Expr, _no_statement),
    (cst.If, _opposite),
    (cst.Return, _return_none),
]


class _Replace(cst.CSTTransformer):
    def __init__(self, old: cst.CSTNode, new: cst.CSTNode) -> None:
        self.old, self.new = old, new

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        return self.new if original_node is self.old else updated_node


def without_decorators(source: str) -> str:
    """Return a source with blank lines for its decorators."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        for decorator in getattr(node, "decorator_list", ()):
            for line in range(decorator.lineno - 1, decorator.end_lineno):
                lines[line] = ""
    return "\n".join(lines) + "\n"


def changes(module: str, path: Path) -> Iterator[Change]:
    """Yield the mutants of a module: of its functions, not of its constants and annotations."""
    source = without_decorators(path.read_text())
    functions = _functions(source)
    wrapper = MetadataWrapper(cst.parse_module(source))
    positions = wrapper.resolve(PositionProvider)
    visitor = MutationVisitor(OPERATORS, IgnoredCode(set(), set(), set()), None)
    tree = wrapper.visit(visitor)
    for mutation in visitor.mutations:
        if mutation.contained_by_top_level_function is None:
            continue
        where = positions[mutation.original_node]
        inside = [each for each in functions if where.start.line in each[2]]
        if not inside:
            continue  # a default of a parameter, or of a dataclass
        changed = tree.visit(_Replace(mutation.original_node, mutation.mutated_node)).code
        diff = [
            line
            for line in difflib.unified_diff(source.splitlines(), changed.splitlines(), n=0)
            if not line.startswith(("---", "+++", "@@"))
        ]
        if not diff:
            continue
        name, def_line, _ = inside[0]
        lines = range(where.start.line, where.end.line + 1)
        yield Change(module, name, def_line, lines, changed, "\n".join(diff))


def _functions(source: str) -> list[tuple[str, int, range]]:
    """Return name, line of `def` and lines of the body of every function, of classes too."""
    result: list[tuple[str, int, range]] = []

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                lines = range(node.body[0].lineno, node.end_lineno + 1)
                result.append((prefix + node.name, node.lineno, lines))
            elif isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")

    visit(ast.parse(source).body, "")
    return result
