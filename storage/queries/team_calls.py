"""The rules of teams that say who is called, and whom they can call."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection

from storage.call_rows import CallRule, TeamCalls
from storage.values import Role

_SELECT = """
SELECT id, slug, name, coalesce(calls, form_calls, '[]'), calls IS NOT NULL, oncall_usergroup IS NOT NULL, sync_members
FROM team WHERE organization_id = %(organization_id)s
"""
_OF_TEAMS = _SELECT + " AND id = ANY(%(team_ids)s)"


def list_team_calls(connection: Connection, organization_id: int, team_ids: Collection[int]) -> list[TeamCalls]:
    """Returns the rules of these teams of the organization, in the order of the teams' names."""
    parameters = {"organization_id": organization_id, "team_ids": list(team_ids)}
    return [_parse(row) for row in connection.exec_driver_sql(_OF_TEAMS + " ORDER BY name, id", parameters)]


def list_all_calls(connection: Connection, organization_id: int, *, skip: int, most: int) -> list[TeamCalls]:
    """Returns the rules of the teams of the organization, in the order of the teams' names."""
    rows = connection.exec_driver_sql(
        _SELECT + " ORDER BY name, id OFFSET %(skip)s LIMIT %(most)s",
        {"organization_id": organization_id, "skip": skip, "most": most},
    )
    return [_parse(row) for row in rows]


def lock_team_calls(tx: Connection, organization_id: int, team_id: int) -> TeamCalls | None:
    """Returns the rules of a team, and locks its row; None if the organization has no such team."""
    parameters = {"organization_id": organization_id, "team_ids": [team_id]}
    row = tx.exec_driver_sql(_OF_TEAMS + " FOR NO KEY UPDATE", parameters).first()
    return None if row is None else _parse(row)


def _parse(row: Sequence[Any]) -> TeamCalls:
    id_, slug, name, rules, *others = row
    return TeamCalls(id_, slug, name, [CallRule.from_json(rule) for rule in rules], *others)


def save_form_calls(tx: Connection, organization_id: int, team_id: int, rules: Sequence[CallRule]) -> None:
    """Saves the rules that a form has. Without any, the team has none."""
    value = json.dumps([rule.to_json() for rule in rules]) if rules else None
    tx.exec_driver_sql(
        "UPDATE team SET form_calls = %(rules)s::jsonb"
        " WHERE organization_id = %(organization_id)s AND id = %(team_id)s",
        {"organization_id": organization_id, "rules": value, "team_id": team_id},
    )


def list_people(connection: Connection, organization_id: int, team_id: int) -> list[tuple[str, Role, bool, bool]]:
    """Returns e-mail and role of each member of the organization, whether a superuser, and whether in the team."""
    rows = connection.exec_driver_sql(
        "SELECT lower(m.email), m.role, m.superuser,"
        " EXISTS (SELECT FROM member_team t WHERE t.organization_id = m.organization_id AND t.member_id = m.id"
        " AND t.team_id = %(team_id)s)"
        " FROM member m WHERE m.organization_id = %(organization_id)s AND m.date_removed IS NULL ORDER BY m.id",
        {"organization_id": organization_id, "team_id": team_id},
    )
    return [(email, Role(role), superuser, is_in) for email, role, superuser, is_in in rows]
