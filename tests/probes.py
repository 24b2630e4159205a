"""Code that notes by itself which of its lines and branches run, so that the interpreter need not be watched.

Until Python 3.14, coverage measures with a trace function, which Python calls for each line of everything that a thread
runs: twice the CPU. Here a statement before each statement stores True in a list. What the list says is what coverage
calls arcs: pairs of lines, (line, line) for one that ran and (line, next) for the exit of a branch that was taken.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

Arc = tuple[int, int]
Arcs = tuple[tuple[Arc, ...], ...]  # of each probe

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def add_probes(source: bytes | str, name: str) -> tuple[ast.Module, Arcs]:
    """A module's syntax tree with probes, which store True in the list `name`; and what each of them stands for."""
    module = ast.parse(source)
    probes = _Probes(name)
    module.body = probes.add_to_block(module.body, -1)
    return ast.fix_missing_locations(module), tuple(probes.arcs)


class _Probes:
    """The probes of one module.

    `following` is where a block goes on when its last statement has run: a line, or the negative first line of the
    function, class or module that ends there.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._in_function = False
        self.arcs: list[tuple[Arc, ...]] = []

    def add_to_block(self, block: Sequence[ast.stmt], following: int, *arcs: Arc) -> list[ast.stmt]:
        """A block with a probe before each statement; the first stands for the given arcs too."""
        if not block:
            return []
        first, *_ = block
        reached = list(arcs)
        added: list[ast.stmt] = []
        for number, statement in enumerate(block):
            reached += [(line, line) for line in _lines_of(statement)]
            if (statement is first and _is_docstring(statement)) or _is_future(statement):
                added.append(statement)  # nothing may stand before these
                continue
            added.append(self._statement(statement, reached))
            reached = []
            after = next((other for other in block[number + 1 :] if self._runs(other)), None)
            self._add_within(statement, _first_line(after) if after else following)
            added.append(statement)
        if reached:
            added.append(self._statement(block[-1], reached))
        return added

    def _add_within(self, statement: ast.stmt, following: int) -> None:
        line = statement.lineno
        if isinstance(statement, _DEFINITIONS):
            outside, self._in_function = self._in_function, not isinstance(statement, ast.ClassDef)
            statement.body = self.add_to_block(statement.body, -_first_line(statement))
            self._in_function = outside
        elif isinstance(statement, ast.If):
            self._add_to_branch(statement, following, following)
        elif isinstance(statement, _LOOPS):
            self._add_to_branch(statement, line, following)
        elif isinstance(statement, ast.With | ast.AsyncWith):
            statement.body = self.add_to_block(statement.body, following)
        elif isinstance(statement, ast.Try | ast.TryStar):
            self._add_to_try(statement, following)
        elif isinstance(statement, ast.Match):
            self._add_to_cases(statement, following)

    def _add_to_branch(
        self, statement: ast.If | ast.For | ast.AsyncFor | ast.While, after_body: int, following: int
    ) -> None:
        line = statement.lineno
        statement.body = self.add_to_block(statement.body, after_body, (line, _first_line(statement.body[0])))
        if statement.orelse:
            other = (line, _first_line(statement.orelse[0]))
            statement.orelse = self.add_to_block(statement.orelse, following, other)
        else:
            statement.orelse = [self._statement(statement, [(line, following)])]

    def _add_to_try(self, statement: ast.Try | ast.TryStar, following: int) -> None:
        end = _first_line(statement.finalbody[0]) if statement.finalbody else following
        statement.body = self.add_to_block(
            statement.body, _first_line(statement.orelse[0]) if statement.orelse else end
        )
        for handler in statement.handlers:
            reached = (handler.lineno, handler.lineno)
            if handler.type is None:
                handler.body = self.add_to_block(handler.body, end, reached)
            else:  # runs also where the exception is another one
                handler.body = self.add_to_block(handler.body, end)
                handler.type = ast.copy_location(
                    ast.BoolOp(ast.Or(), [self._expression(handler.type, [reached]), handler.type]), handler.type
                )
        statement.orelse = self.add_to_block(statement.orelse, end)
        statement.finalbody = self.add_to_block(statement.finalbody, following)

    def _add_to_cases(self, statement: ast.Match, following: int) -> None:
        cases: list[ast.match_case] = []
        for number, case in enumerate(statement.cases):
            line = case.pattern.lineno
            if number:
                before = statement.cases[number - 1].pattern.lineno
                cases.append(self._case(case.pattern, [(before, line), (line, line)]))
            else:
                self.arcs[-1] += ((line, line),)  # of the probe before `match`
            case.body = self.add_to_block(case.body, following, (line, _first_line(case.body[0])))
            cases.append(case)
        last = statement.cases[-1]
        if not _matches_all(last):
            cases.append(self._case(last.pattern, [(last.pattern.lineno, following)]))
        statement.cases = cases

    def _case(self, place: ast.pattern, arcs: Sequence[Arc]) -> ast.match_case:
        """A case that matches nothing, and is reached where no case before it has matched."""
        nothing = ast.copy_location(ast.Pass(), place)
        return ast.match_case(ast.copy_location(ast.MatchAs(), place), self._expression(place, arcs), [nothing])

    def _runs(self, statement: ast.stmt) -> bool:
        """Whether there is any code for a statement: there is none for a mere annotation in a function."""
        return not isinstance(statement, ast.Global | ast.Nonlocal) and not (
            self._in_function and isinstance(statement, ast.AnnAssign) and statement.value is None
        )

    def _statement(self, place: ast.stmt, arcs: Sequence[Arc]) -> ast.stmt:
        """`NAME[number] = True`"""
        of_list = ast.Name(self._name, ast.Load())
        target = ast.Subscript(of_list, ast.Constant(len(self.arcs)), ast.Store())
        self.arcs.append(tuple(arcs))
        return ast.copy_location(ast.Assign([target], ast.Constant(True)), place)

    def _expression(self, place: ast.expr | ast.pattern, arcs: Sequence[Arc]) -> ast.expr:
        """`NAME.__setitem__(number, True)`, which is None"""
        store = ast.Attribute(ast.Name(self._name, ast.Load()), "__setitem__", ast.Load())
        number = ast.Constant(len(self.arcs))
        self.arcs.append(tuple(arcs))
        return ast.copy_location(ast.Call(store, [number, ast.Constant(True)], []), place)


def _first_line(statement: ast.stmt) -> int:
    return _lines_of(statement)[0]


def _lines_of(statement: ast.stmt) -> list[int]:
    """The lines that run when a statement begins: a definition has those of its decorators."""
    decorators = statement.decorator_list if isinstance(statement, _DEFINITIONS) else []
    return [*(decorator.lineno for decorator in decorators), statement.lineno]


def _matches_all(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
