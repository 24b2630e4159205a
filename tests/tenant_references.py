"""Which tables of organizations a statement refers to without naming the organization.

A reference in FROM, JOIN, USING, UPDATE or DELETE, at any depth, is bound if its organization is equal to a parameter,
or to that of another reference that is bound. What ON says of an outer join binds only the table that is joined, and
what a subquery says of the statement around it binds only the subquery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp

from storage.models import Base

# Of tables about Slack: a workspace belongs to one organization.
_OF_WORKSPACES = frozenset(
    {"destination", "handled_request", "method_pace", "slack_person", "usergroup", "usergroup_user"}
)
_COLUMNS = {table.name: tuple(table.columns.keys()) for table in Base.metadata.tables.values()}
_OF_ORGANIZATIONS = frozenset(
    table.name
    for table in Base.metadata.tables.values()
    if "organization_id" in table.c and not table.c.organization_id.nullable
)


def _find_keys(table: str) -> tuple[str, ...]:
    """The columns of a table of which one must be bound; none for a table that belongs to the installation."""
    match table:
        case "organization":
            return ("id", "slug")
        case "workspace":
            return ("organization_id", "id")
        case _ if table in _OF_ORGANIZATIONS:
            return ("organization_id",)
        case _ if table in _OF_WORKSPACES:
            return ("workspace_id",)
    return ()


def _list_owners(table: str) -> list[str]:
    """The columns of a table that say whose a row is: with the row, these are bound."""
    own = {"organization": ["id"], "workspace": ["id"]}.get(table, [])
    return own + [name for name in ("organization_id", "workspace_id") if name in _COLUMNS[table]]


@dataclass(eq=False)
class _Source:
    """What FROM and its like name: a table, a subquery, a function."""

    name: str
    table: str = ""
    columns: Sequence[str] = ()
    bound: set[str] = field(default_factory=set)


@dataclass(eq=False)
class _Scope:
    """The sources that the expressions of a query can name: its own, and those of the queries around it."""

    around: _Scope | None
    queries: Mapping[str, _Source]  # those of WITH
    sources: dict[str, _Source] = field(default_factory=dict)

    def find(self, column: exp.Column) -> _Source | None:
        """The source of a column."""
        scope: _Scope | None = self
        while scope is not None:
            if column.table:
                if column.table in scope.sources:
                    return scope.sources[column.table]
            else:
                for source in scope.sources.values():
                    if column.name in source.columns:
                        return source
            scope = scope.around
        return None


@dataclass(frozen=True, eq=False)
class _Output:
    """The values of a column of a query, by its place."""

    query: exp.Expr
    place: int


_Value = exp.Expr | _Output


@dataclass(frozen=True, eq=False)
class _Rule:
    """A column is bound if all of the values are."""

    source: _Source
    column: str
    values: Sequence[_Value]
    scope: _Scope


class _Statement:
    """Collects the references of a statement, and what they are equal to."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        self.references: list[_Source] = []
        self._rules: list[_Rule] = []
        self._subqueries: dict[int, list[list[exp.Expr]]] = {}
        self._scopes: dict[int, list[_Scope]] = {}
        self._seen: set[int] = set()

    # What is bound

    def find_unbound(self) -> list[_Source]:
        """The references that are not bound. Call it when the statement has been read."""
        while self._bind():
            pass
        return [one for one in self.references if not self._is_bound(one)]

    def _is_bound(self, source: _Source) -> bool:
        keys = _find_keys(source.table)
        return source.table in self._allowed or any(key in source.bound for key in keys)

    def _bind(self) -> bool:
        """Applies all rules once; whether one of them has bound something."""
        changed = False
        for rule in self._rules:
            if rule.column not in rule.source.bound and all(self._is_given(one, rule.scope) for one in rule.values):
                rule.source.bound.add(rule.column)
                changed = True
        for source in self.references:
            if self._is_bound(source) and not source.bound.issuperset(_list_owners(source.table)):
                source.bound.update(_list_owners(source.table))
                changed = True
        return changed

    def _is_given(self, value: _Value, scope: _Scope) -> bool:
        """Whether an expression has no other value than those that the caller gave, or that are bound."""
        if isinstance(value, _Output):
            return self._are_all_given(value.query, value.place)
        if isinstance(value, exp.Query):
            return self._are_all_given(value, 0)
        if isinstance(value, exp.Column):
            source = scope.find(value)
            return source is not None and value.name in source.bound
        inner = [one for one in value.iter_expressions() if not isinstance(one, exp.DataType)]
        return all(self._is_given(one, scope) for one in inner)

    def _are_all_given(self, query: exp.Expr, place: int) -> bool:
        key = id(query.unnest() if isinstance(query, exp.Subquery) else query)
        outputs, scopes = self._subqueries.get(key, []), self._scopes.get(key, [])
        return bool(outputs) and all(
            place < len(values) and self._is_given(values[place], scope)
            for values, scope in zip(outputs, scopes, strict=True)
        )

    # Reading

    def read(self, query: exp.Expr, around: _Scope | None, queries: Mapping[str, _Source]) -> list[str]:
        """Reads a statement or subquery. Returns the names of its columns."""
        if isinstance(query, exp.Subquery):
            return self.read(query.this, around, self._read_with(query, around, queries))
        self._seen.add(id(query))
        queries = self._read_with(query, around, queries)
        if isinstance(query, exp.SetOperation):
            names = self.read(query.left, around, queries)
            self.read(query.right, around, queries)
            left, right = query.left.unnest(), query.right.unnest()
            self._subqueries[id(query)] = self._subqueries[id(left)] + self._subqueries[id(right)]
            self._scopes[id(query)] = self._scopes[id(left)] + self._scopes[id(right)]
            return names
        scope = _Scope(around, queries)
        match query:
            case exp.Select():
                self._read_from(query, scope)
                outputs = query.expressions
            case exp.Update() | exp.Delete():
                self._add(query.this, scope)
                self._read_from(query, scope)
                outputs = self._list_returned(query)
            case exp.Insert():
                self._read_insert(query, scope)
                outputs = self._list_returned(query)
            case exp.Values():
                outputs = query.expressions[0].expressions
            case _:
                raise ValueError(f"not understood: {query.sql('postgres')}")
        self._read_conditions(query, scope)
        self._read_subqueries(query, scope)
        return self._set_outputs(query, outputs, scope)

    def _list_returned(self, query: exp.Expr) -> list[exp.Expr]:
        returning = query.args.get("returning")
        return returning.expressions if returning else []

    def _read_with(
        self, query: exp.Expr, around: _Scope | None, queries: Mapping[str, _Source]
    ) -> Mapping[str, _Source]:
        within = query.args.get("with_")
        if within is None:
            return queries
        queries = dict(queries)
        for one in within.expressions:
            source = _Source(one.alias)
            if within.args.get("recursive"):  # its columns are those of the branch that begins
                first = one.this.left if isinstance(one.this, exp.SetOperation) else one.this
                source.columns = [name.name for name in one.args["alias"].columns] or [
                    output.alias_or_name for output in first.expressions
                ]
                queries[one.alias] = source
            names = self.read(one.this, around, queries)
            given = [name.name for name in one.args["alias"].columns]
            self._derive(source, one.this, given or names, around)
            queries[one.alias] = source
        return queries

    def _derive(self, source: _Source, query: exp.Expr, names: Sequence[str], around: _Scope | None) -> None:
        """Has the columns of a source be those of a query."""
        source.columns = names
        for place, name in enumerate(names):
            self._rules.append(_Rule(source, name, [_Output(query, place)], around or _Scope(None, {})))

    def _read_from(self, query: exp.Expr, scope: _Scope) -> None:
        start = query.args.get("from_")
        if start is not None:
            self._add(start.this, scope)
        for one in query.args.get("using") or ():
            self._add(one, scope)
        for join in query.args.get("joins") or ():
            self._join(join, scope)

    def _join(self, join: exp.Join, scope: _Scope) -> None:
        before = set(scope.sources.values())
        self._add(join.this, scope)
        added = set(scope.sources.values()) - before
        outer = join.side in ("LEFT", "RIGHT", "FULL")
        on = join.args.get("on")
        if on is not None:
            allowed = added if outer else None
            if join.side in ("RIGHT", "FULL"):
                allowed = set()
            self._equate(on, scope, allowed)
        for name in join.args.get("using") or ():
            for one in added:
                for other in before:
                    if name.name in other.columns:
                        column = exp.column(name.name, table=other.name)
                        self._rules.append(_Rule(one, name.name, [column], scope))
                        if not outer:
                            back = exp.column(name.name, table=one.name)
                            self._rules.append(_Rule(other, name.name, [back], scope))

    def _add(self, item: exp.Expr, scope: _Scope) -> None:
        """Adds what FROM names to the sources of a query."""
        if isinstance(item, exp.Lateral):
            alias = item.args.get("alias")
            inner = item.this
        else:
            alias = item.args.get("alias")
            inner = item
        names = [one.name for one in alias.columns] if alias is not None else []
        if isinstance(inner, exp.Table) and isinstance(inner.this, exp.Identifier):
            self._add_table(inner, names, scope)
        elif isinstance(inner, exp.Subquery) and isinstance(inner.this, exp.Table | exp.Subquery) and alias is None:
            self._add(inner.this, scope)  # a join in parentheses
            for join in inner.args.get("joins") or ():
                self._join(join, scope)
        elif isinstance(inner, exp.Subquery | exp.Query) and not isinstance(inner, exp.Values):
            source = _Source(item.alias_or_name)
            found = self.read(inner, scope, scope.queries)
            self._derive(source, inner, names or found, scope)
            scope.sources[source.name] = source
        else:
            self._add_function(item, inner, names, scope)
        for join in inner.args.get("joins") or () if isinstance(inner, exp.Table) else ():
            self._join(join, scope)

    def _add_table(self, item: exp.Table, names: Sequence[str], scope: _Scope) -> None:
        name = item.name
        if name in scope.queries and not item.db:
            query = scope.queries[name]
            source = _Source(item.alias_or_name, columns=query.columns)
            holder = _Scope(None, {}, {query.name: query})
            for column in query.columns:
                self._rules.append(_Rule(source, column, [exp.column(column, table=query.name)], holder))
        else:
            source = _Source(item.alias_or_name, name, names or _COLUMNS.get(name, ()))
            if _find_keys(name):
                self.references.append(source)
        scope.sources[source.name] = source

    def _add_function(self, item: exp.Expr, inner: exp.Expr, names: Sequence[str], scope: _Scope) -> None:
        """A function or VALUES: a column is bound if all arguments, or its own in unnest, are."""
        source = _Source(item.alias_or_name, columns=names)
        if isinstance(inner, exp.Values):
            for place, name in enumerate(names):
                values = [row.expressions[place] for row in inner.expressions]
                self._rules.append(_Rule(source, name, values, scope))
        elif isinstance(inner, exp.Unnest):
            for place, name in enumerate(names):
                if place < len(inner.expressions):
                    self._rules.append(_Rule(source, name, [inner.expressions[place]], scope))
        else:
            arguments = inner.this if isinstance(inner, exp.Table) else inner
            for name in names or (item.alias_or_name,):
                self._rules.append(_Rule(source, name, [arguments], scope))
            source.columns = names or (item.alias_or_name,)
        scope.sources[source.name] = source

    def _read_insert(self, query: exp.Insert, scope: _Scope) -> None:
        """Another test has each INSERT name the organization: the row is not a reference."""
        into = query.this
        table = into.this if isinstance(into, exp.Schema) else into
        columns = [one.name for one in into.expressions] if isinstance(into, exp.Schema) else []
        target = _Source(table.alias_or_name, table.name, _COLUMNS.get(table.name, ()))
        given = query.expression
        if isinstance(given, exp.Values):
            for row in given.expressions:
                self._read_subqueries(row, scope)
            for place, name in enumerate(columns):
                values = [row.expressions[place] for row in given.expressions]
                self._rules.append(_Rule(target, name, values, scope))
        elif given is not None:
            self.read(given, scope.around, scope.queries)
            self._derive(target, given, columns, scope)
        target.columns = _COLUMNS.get(table.name, ())
        scope.sources[target.name] = target
        scope.sources["excluded"] = target

    def _read_conditions(self, query: exp.Expr, scope: _Scope) -> None:
        where = query.args.get("where")
        if where is not None:
            self._equate(where.this, scope, None)

    def _equate(self, condition: exp.Expr, scope: _Scope, allowed: set[_Source] | None) -> None:
        """Takes what the equations of a condition say of the sources of this query, or of those that are allowed."""
        own = set(scope.sources.values()) if allowed is None else allowed
        for one in _list_conjuncts(condition):
            for column, values in _list_equations(one):
                source = scope.find(column)
                if source is not None and source in own:
                    self._rules.append(_Rule(source, column.name, values, scope))

    def _read_subqueries(self, query: exp.Expr, scope: _Scope) -> None:
        """Reads the subqueries in all expressions of a query that have not been read yet."""
        for node in query.walk(prune=lambda one: one is not query and isinstance(one, exp.Query)):
            if node is not query and isinstance(node, exp.Query) and not isinstance(node, exp.Values):
                inner = node.unnest() if isinstance(node, exp.Subquery) else node
                if id(inner) not in self._seen and isinstance(inner, exp.Query):
                    self.read(node, scope, scope.queries)

    def _set_outputs(self, query: exp.Expr, outputs: Sequence[exp.Expr], scope: _Scope) -> list[str]:
        names: list[str] = []
        values: list[exp.Expr] = []
        for one in outputs:
            star = one.this if isinstance(one, exp.Column) else one
            if isinstance(star, exp.Star):
                table = one.table if isinstance(one, exp.Column) else ""
                for name, source in scope.sources.items():
                    if table in ("", name):
                        names += source.columns
                        values += [exp.column(column, table=name) for column in source.columns]
            else:
                names.append(one.alias_or_name or one.sql())
                values.append(one.unalias())
        self._subqueries[id(query)] = [values]
        self._scopes[id(query)] = [scope]
        return names


def _list_conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _list_conjuncts(condition.left)
        yield from _list_conjuncts(condition.right)
    else:
        yield condition


def _list_equations(condition: exp.Expr) -> Iterator[tuple[exp.Column, Sequence[_Value]]]:
    """Each column that a condition equates with something."""
    if isinstance(condition, exp.EQ | exp.NullSafeEQ):
        left, right = condition.left.unnest(), condition.right.unnest()
        if isinstance(right, exp.Any):
            right = right.this.unnest()
        if isinstance(left, exp.Tuple):
            for place, column in enumerate(left.expressions):
                other = right.expressions[place] if isinstance(right, exp.Tuple) else _Output(right, place)
                yield from _list_pair(column, other)
        else:
            yield from _list_pair(left, right)
    elif isinstance(condition, exp.In):
        left, query = condition.this.unnest(), condition.args.get("query")
        columns = left.expressions if isinstance(left, exp.Tuple) else [left]
        for place, column in enumerate(columns):
            if isinstance(column, exp.Column):
                if query is not None:
                    yield column, [_Output(query, place)]
                elif isinstance(left, exp.Tuple):
                    yield column, [row.expressions[place] for row in condition.expressions]
                else:
                    yield column, condition.expressions


def _list_pair(left: exp.Expr, right: _Value) -> Iterator[tuple[exp.Column, Sequence[_Value]]]:
    if isinstance(left, exp.Column):
        yield left, [right]
    if isinstance(right, exp.Column):
        yield right, [left]


def find_unbound(sql: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """The references of a statement that are not bound, as "table" or "table alias"; `allowed` are tables that are."""
    found = []
    for tree in sqlglot.parse(sql, read="postgres"):
        if isinstance(tree, exp.Query | exp.Insert | exp.Update | exp.Delete):
            statement = _Statement(allowed)
            statement.read(tree, None, {})
            found += statement.find_unbound()
    return sorted({one.table if one.name == one.table else f"{one.table} {one.name}" for one in found})
