"""Insert an organization that was exported. What is there already stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from storage.models import (
    AlertMemory,
    CommentMention,
    Incident,
    IncidentActivity,
    IncidentProject,
    IncidentSeen,
    IncidentSubscription,
    Member,
    MemberTeam,
    Organization,
    ProjectChannel,
    ProjectTeam,
    Team,
    Workspace,
)
from storage.queries.slack_ids import replace_ids

Key = tuple[datetime, datetime, str]  # when an incident started and was added, and its title


def find_organization(connection: Connection, slug: str) -> int | None:
    """Returns the id of an organization, or None."""
    return connection.scalars(select(Organization.id).where(Organization.slug == slug)).first()


def find_owners_of_workspaces(connection: Connection, workspaces: Collection[str]) -> set[str]:
    """Returns those of the workspaces that belong to an organization."""
    return set(
        connection.scalars(
            select(Workspace.id).where(Workspace.id.in_(workspaces), Workspace.date_disconnected.is_(None))
        )
    )


def get_teams(connection: Connection, organization_id: int) -> dict[str, int]:
    """Returns the ids of the organization's teams, by slug."""
    rows = connection.execute(select(Team.slug, Team.id).where(Team.organization_id == organization_id))
    return {row.slug: row.id for row in rows}


def save_slack_ids(tx: Connection, organization_id: int, ids: Mapping[str, Mapping[str, str]]) -> None:
    """Gives members, by e-mail, their Slack ids in those of the workspaces that the organization has here."""
    workspaces = set(tx.scalars(select(Workspace.id).where(Workspace.organization_id == organization_id)))
    here = {email: {key: one for key, one in of_one.items() if key in workspaces} for email, of_one in ids.items()}
    replace_ids(tx, organization_id, here)


def get_members(connection: Connection, organization_id: int) -> dict[str, int]:
    """Returns the ids of all who are or were members of the organization, by e-mail."""
    rows = connection.execute(select(Member.email, Member.id).where(Member.organization_id == organization_id))
    return {row.email: row.id for row in rows}


def link(
    tx: Connection,
    organization_id: int,
    *,
    project_teams: Sequence[tuple[int, int]],
    project_channels: Sequence[tuple[int, str]],
    member_teams: Sequence[tuple[int, int]],
) -> None:
    """Inserts teams and channels of projects (project, team or channel), and teams of members (member, team)."""
    for model, ones, others, pairs in (
        (ProjectTeam, "project_id", "team_id", project_teams),
        (ProjectChannel, "project_id", "channel_id", project_channels),
        (MemberTeam, "member_id", "team_id", member_teams),
    ):
        if pairs:
            tx.execute(
                upsert(model).on_conflict_do_nothing(),
                [{"organization_id": organization_id, ones: one, others: other} for one, other in pairs],
            )


def lock_numbers(tx: Connection, organization_id: int) -> int:
    """Locks the counter of the organization's incidents until the transaction ends. Returns the last number."""
    return tx.scalars(
        select(Organization.last_identifier).where(Organization.id == organization_id).with_for_update(key_share=True)
    ).one()


def find_incidents(
    connection: Connection, organization_id: int, keys: Collection[Key], identifiers: Collection[int]
) -> tuple[set[Key], set[int]]:
    """Returns those of the keys that an incident has, and those of the identifiers that are taken."""
    started = {key[0] for key in keys}
    rows = connection.execute(
        select(Incident.date_started, Incident.date_added, Incident.title).where(
            Incident.organization_id == organization_id, Incident.date_started.in_(started)
        )
    )
    taken = connection.scalars(
        select(Incident.identifier).where(
            Incident.organization_id == organization_id, Incident.identifier.in_(identifiers)
        )
    )
    return {(one, two, title) for one, two, title in rows} & set(keys), set(taken)


def find_open_alerts(connection: Connection, organization_id: int, keys: Collection[str]) -> set[str]:
    """Returns those of the alert keys that an open incident of the organization has."""
    return set(
        connection.scalars(
            select(Incident.alert_key).where(
                Incident.organization_id == organization_id,
                Incident.alert_key.in_(keys),
                Incident.date_closed.is_(None),
            )
        )
    )


def insert_incidents(tx: Connection, organization_id: int, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Inserts incidents; each of `rows` by column. Returns their ids in the same order."""
    return list(
        tx.scalars(
            insert(Incident).returning(Incident.id, sort_by_parameter_order=True),
            [{"organization_id": organization_id, **row} for row in rows],
        )
    )


def insert_entries(tx: Connection, organization_id: int, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Inserts entries of logs; each of `rows` by column. Returns their ids in the same order."""
    if not rows:
        return []
    return list(
        tx.scalars(
            insert(IncidentActivity).returning(IncidentActivity.id, sort_by_parameter_order=True),
            [{"organization_id": organization_id, **row} for row in rows],
        )
    )


def insert_parts(
    tx: Connection,
    organization_id: int,
    *,
    projects: Sequence[Mapping[str, Any]],
    seen: Sequence[Mapping[str, Any]],
    followers: Sequence[Mapping[str, Any]],
    mentions: Sequence[Mapping[str, Any]],
) -> None:
    """Inserts what belongs to incidents and comments; each row by column."""
    for model, rows in (
        (IncidentProject, projects),
        (IncidentSeen, seen),
        (IncidentSubscription, followers),
        (CommentMention, mentions),
    ):
        if rows:
            tx.execute(insert(model), [{"organization_id": organization_id, **row} for row in rows])


def insert_alert_memories(tx: Connection, organization_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts what was heard of alerts, each row by column. What is known of one here counts."""
    if rows:
        tx.execute(
            upsert(AlertMemory).on_conflict_do_nothing(), [{"organization_id": organization_id, **row} for row in rows]
        )


def lock_silences(tx: Connection, organization_id: int, silence_ids: Collection[int]) -> None:
    """Locks silences until the transaction ends, before the organization: workers lock both in this order."""
    if silence_ids:
        tx.exec_driver_sql(
            "SELECT FROM silence WHERE organization_id = %(organization_id)s AND id = ANY(%(ids)s)"
            " ORDER BY id FOR NO KEY UPDATE",
            {"organization_id": organization_id, "ids": sorted(silence_ids)},
        )


_LINK_SILENCES = """
UPDATE silence s SET incident_id = i.id
FROM incident i
JOIN unnest(%(ids)s::bigint[], %(started)s::timestamptz[], %(added)s::timestamptz[], %(titles)s::text[])
     AS c(id, started, added, title)
  ON i.date_started = c.started AND i.date_added = c.added AND i.title = c.title
WHERE i.organization_id = %(organization_id)s AND s.organization_id = %(organization_id)s AND s.id = c.id
  AND s.incident_id IS NULL
"""


def link_silences(tx: Connection, organization_id: int, made_from: Mapping[int, Key]) -> None:
    """Says of silences, by id, from which incidents they were made."""
    if made_from:
        keys = list(made_from.values())
        tx.exec_driver_sql(
            _LINK_SILENCES,
            {
                "organization_id": organization_id,
                "ids": list(made_from),
                "started": [key[0] for key in keys],
                "added": [key[1] for key in keys],
                "titles": [key[2] for key in keys],
            },
        )


def set_last_identifier(tx: Connection, organization_id: int, identifier: int) -> None:
    """Sets the number of the organization's latest incident."""
    tx.execute(
        Organization.__table__.update()  # type: ignore[attr-defined]
        .where(Organization.id == organization_id)
        .values(last_identifier=identifier)
    )
