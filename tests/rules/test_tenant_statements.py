"""Every statement names the organization of each row that it reads or changes, or stands in a list with a reason.

Ids are unique without it, so a statement that finds a row by an id alone gives right results as long as the id is
right. With the organization, a wrong id finds nothing. Cells and engines that spread tables need it too.
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from typing import Any

import pytest

from storage.queries.list_filter import ListFilter
from storage.queries.list_statements import ListStatements
from storage.rows import Cursor
from storage.values import Status
from tests.tenant_exceptions import EXCEPTIONS
from tests.tenant_references import find_unbound
from tests.tenant_statements import list_prepared

_NOW = datetime(2026, 11, 1, tzinfo=UTC)


def test_prepared_statements_name_the_organization() -> None:
    found = {name: find_unbound(one.sql, EXCEPTIONS.get(name, frozenset())) for name, one in list_prepared()}
    assert {name: references for name, references in found.items() if references} == {}
    assert len(found) > 60


def test_each_exception_is_needed() -> None:
    prepared = dict(list_prepared())
    for name, tables in EXCEPTIONS.items():
        if name in prepared:
            unbound = {reference.split()[0] for reference in find_unbound(prepared[name].sql)}
            assert tables <= unbound, f"{name} names the organization of {tables - unbound}"


def test_each_exception_is_of_a_statement() -> None:
    for name in EXCEPTIONS:
        module, attribute = name.split(".", 1)
        assert hasattr(importlib.import_module(f"storage.queries.{module}"), attribute), name


@pytest.mark.parametrize("of_all_projects", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        {},
        {"open": True, "words": ("disk",)},
        {"status": Status.CLOSED, "team_ids": (1,), "silenced": True},
        {"environment": "prod", "since": _NOW, "until": _NOW, "unowned": True},
        {"unseen_by": 1, "owned_by": 1, "storm": 1},
        {"open": True, "followed_by": 1},
    ],
)
def test_every_way_to_list_incidents_names_the_organization(words: dict[str, Any], of_all_projects: bool) -> None:
    for project_ids in ([1], range(100)):
        list_filter = ListFilter(1, project_ids=project_ids, of_all_projects=of_all_projects, **words)
        page = ListStatements(list_filter, Cursor(_NOW, 1))
        others = [page.among_newest(), page.as_planner_chooses()] if page.of_incident else []
        for sql in (page.of_newest(10), *others):
            assert find_unbound(sql, EXCEPTIONS["listing._run"]) == [], sql


@pytest.mark.parametrize(
    ("sql", "unbound"),
    [
        ("SELECT FROM incident WHERE id = %(id)s", ["incident"]),
        ("SELECT FROM incident WHERE organization_id = %(organization_id)s AND id = %(id)s", []),
        ("SELECT FROM incident WHERE organization_id = %(organization_id)s OR id = %(id)s", ["incident"]),
        ("SELECT FROM incident i WHERE NOT i.organization_id = %(organization_id)s", ["incident i"]),
        ("UPDATE incident SET organization_id = %(organization_id)s WHERE id = %(id)s", ["incident"]),
        ("DELETE FROM post p USING incident i WHERE i.organization_id = %(o)s AND p.incident_id = i.id", ["post p"]),
        # Joins are followed, in any order.
        (
            (
                "SELECT FROM incident i JOIN team t ON t.organization_id = i.organization_id AND t.id = i.team_id"
                " JOIN organization o ON o.id = t.organization_id WHERE o.id = %(o)s"
            ),
            [],
        ),
        ("SELECT FROM incident i JOIN team t ON t.id = i.team_id WHERE i.organization_id = %(o)s", ["team t"]),
        ("SELECT FROM incident i JOIN incident_seen s USING (organization_id) WHERE i.organization_id = %(o)s", []),
        # ON of an outer join says nothing of the rows on its other side.
        ("SELECT FROM incident i LEFT JOIN team t ON i.organization_id = %(o)s AND t.id = 1", ["incident i", "team t"]),
        ("SELECT FROM incident i LEFT JOIN team t ON t.organization_id = i.organization_id", ["incident i", "team t"]),
        # Subqueries follow the statement around them, and not the other way round.
        (
            (
                "SELECT EXISTS (SELECT FROM post p WHERE p.organization_id = i.organization_id OFFSET 0)"
                " FROM incident i WHERE i.organization_id = %(o)s"
            ),
            [],
        ),
        (
            (
                "SELECT FROM incident i WHERE i.id = ANY(SELECT p.incident_id FROM post p"
                " WHERE p.organization_id = i.organization_id AND i.organization_id = %(o)s)"
            ),
            ["incident i", "post p"],
        ),
        ("SELECT FROM (SELECT id FROM incident) x WHERE x.id = %(id)s", ["incident"]),
        # What WITH and functions name.
        (
            (
                "WITH w AS (SELECT organization_id, id FROM incident WHERE organization_id = ANY(%(all)s))"
                " SELECT FROM w JOIN post p ON p.organization_id = w.organization_id AND p.incident_id = w.id"
            ),
            [],
        ),
        (
            (
                "WITH w AS (UPDATE incident SET title = '' WHERE organization_id = %(o)s RETURNING id)"
                " SELECT FROM post WHERE incident_id IN (SELECT id FROM w)"
            ),
            ["post"],
        ),
        (
            (
                "SELECT FROM unnest(%(organizations)s::bigint[], %(ids)s::bigint[]) AS v(organization_id, id)"
                " JOIN incident i ON i.organization_id = v.organization_id AND i.id = v.id"
            ),
            [],
        ),
        ("SELECT FROM incident WHERE (organization_id, id) IN ((%(o)s, 1), (%(o)s, 2))", []),
        (
            "SELECT FROM post WHERE (organization_id, id) IN (SELECT organization_id, post_id FROM storm)",
            ["post", "storm"],
        ),
        # A workspace belongs to one organization.
        (
            (
                "SELECT FROM workspace w JOIN member m ON m.organization_id = w.organization_id"
                " JOIN destination d ON d.workspace_id = w.id WHERE w.id = %(workspace_id)s"
            ),
            [],
        ),
        ("SELECT FROM destination WHERE id = %(id)s", ["destination"]),
        ("SELECT FROM installation", []),
    ],
)
def test_what_is_not_bound_is_found(sql: str, unbound: list[str]) -> None:
    assert find_unbound(sql) == unbound
