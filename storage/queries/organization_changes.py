"""Writes the changes of an organization file. Runs a statement for each kind of row, whatever the number of rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from storage.engine import write_everywhere
from storage.models import (
    Incident,
    IncidentProject,
    Installation,
    InstallationWorkspace,
    Member,
    MemberTeam,
    Organization,
    Project,
    SlackPerson,
    Team,
    Workspace,
)
from storage.queries.outbox import wake_after_commit
from storage.queries.slack_ids import keep_known_ids
from storage.rows import IncidentHead
from storage.values import NO_TEAM, Status, Work

# The number is arbitrary, but every version of the program must use the same one.
_APPLY_LOCK = 0x70C52
# A command in a terminal may wait longer than a responder in Slack.
_APPLY_TIMEOUT_S = 60
# Arrays pass a list of any length in one statement, and the join with the stored rows can use their indexes.
_PAIRS = "WITH pair AS (SELECT * FROM unnest(%(ones)s, %(others)s) AS given (one, other)) "


def lock_apply(tx: Connection) -> None:
    """Makes this transaction the only one that applies an organization file. Waits until any other one ends."""
    tx.execute(text(f"SET LOCAL lock_timeout = '{_APPLY_TIMEOUT_S}s'"))
    tx.execute(text(f"SET LOCAL statement_timeout = '{_APPLY_TIMEOUT_S}s'"))
    lock_members(tx)


def lock_members(tx: Connection) -> None:
    """Makes this transaction the only one that changes members: no other one and no file is applied meanwhile."""
    tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPLY_LOCK})


def insert_organization(tx: Connection, values: Mapping[str, Any]) -> int:
    """Adds an organization and returns its id."""
    return tx.scalars(insert(Organization).values(**values).returning(Organization.id)).one()


def update_organization(tx: Connection, organization_id: int, values: Mapping[str, Any]) -> None:
    """Sets columns of an organization."""
    tx.execute(update(Organization).where(Organization.id == organization_id).values(**values))


def insert_workspaces(tx: Connection, organization_id: int, workspaces: Collection[str], now: datetime) -> None:
    """Adds workspaces to an organization. None of them may be connected to an organization already."""
    for workspace_id in workspaces:
        insert_workspace(tx, organization_id, workspace_id, now)


def insert_workspace(
    tx: Connection, organization_id: int, workspace_id: str, now: datetime, *, in_slack: bool = False
) -> bool:
    """Connects a workspace to an organization. Returns False if it is connected to one already.

    One that was disconnected has again what it had, unless another organization had it: then that is deleted.
    """
    with write_everywhere(tx):
        tx.execute(
            delete(Workspace).where(
                Workspace.id == workspace_id,
                Workspace.organization_id != organization_id,
                Workspace.date_disconnected.is_not(None),
            )
        )
    statement = upsert(Workspace).values(
        id=workspace_id, organization_id=organization_id, date_added=now, connected_in_slack=in_slack
    )
    connect_again = statement.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "connected_in_slack": in_slack,
            "date_disconnected": None,
            "paused_reason": None,
            "paused_until": None,
        },
        where=(Workspace.organization_id == organization_id) & Workspace.date_disconnected.is_not(None),
    )
    connected = bool(tx.execute(connect_again).rowcount)
    count_change(tx, workspace_id)
    return connected


def count_change(tx: Connection, workspace_id: str) -> None:
    """Has every process read the installations of a workspace again."""
    ids = select(InstallationWorkspace.installation_id).where(InstallationWorkspace.workspace_id == workspace_id)
    tx.execute(update(Installation).where(Installation.id.in_(ids)).values(version=Installation.version + 1))


def claim_workspaces(tx: Connection, organization_id: int, workspaces: Collection[str]) -> None:
    """Records that an organization file names workspaces that were connected in Slack."""
    if workspaces:
        tx.execute(
            update(Workspace)
            .where(Workspace.organization_id == organization_id, Workspace.id.in_(workspaces))
            .values(connected_in_slack=False)
        )


def delete_workspaces(tx: Connection, organization_id: int, workspaces: Collection[str]) -> None:
    """Removes workspaces from an organization, with the stored data about their Slack users."""
    tx.execute(delete(Workspace).where(Workspace.organization_id == organization_id, Workspace.id.in_(workspaces)))


def _insert_entries(
    tx: Connection,
    table: type[Team | Project | Member],
    organization_id: int,
    entries: Sequence[Mapping[str, Any]],
) -> None:
    if entries:
        tx.execute(insert(table), [{"organization_id": organization_id, **entry} for entry in entries])


def insert_teams(tx: Connection, organization_id: int, entries: Sequence[Mapping[str, Any]]) -> None:
    """Adds teams, each a mapping of columns."""
    _insert_entries(tx, Team, organization_id, entries)


def insert_projects(tx: Connection, organization_id: int, entries: Sequence[Mapping[str, Any]]) -> None:
    """Adds projects, each a mapping of columns."""
    _insert_entries(tx, Project, organization_id, entries)


def insert_members(tx: Connection, organization_id: int, entries: Sequence[Mapping[str, Any]]) -> None:
    """Adds members, each a mapping of columns."""
    _insert_entries(tx, Member, organization_id, entries)


def update_teams(tx: Connection, organization_id: int, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Sets columns of teams, by team id."""
    _update(tx, Team, organization_id, changes)


def update_projects(tx: Connection, organization_id: int, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Sets columns of projects, by project id."""
    _update(tx, Project, organization_id, changes)


def update_members(tx: Connection, organization_id: int, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Sets columns of members, by member id. Members may swap e-mails or Slack ids with each other."""
    # Both columns are unique. Changing values are cleared first, so that the updates cannot collide in any order.
    vacant: dict[int, dict[str, Any]] = {}
    for id_, values in changes.items():
        if "email" in values:
            vacant.setdefault(id_, {})["email"] = f"changing-{id_}"
        if "slack_user_id" in values:
            vacant.setdefault(id_, {})["slack_user_id"] = None
    _update(tx, Member, organization_id, vacant)
    _update(tx, Member, organization_id, changes)


def _update(
    tx: Connection,
    table: type[Team | Project | Member],
    organization_id: int,
    changes: Mapping[int, Mapping[str, Any]],
) -> None:
    """Sets columns of rows, by id. Runs one statement for each set of columns, whatever the number of rows."""
    name = table.__tablename__
    rows_of: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for id_, values in changes.items():
        rows_of.setdefault(tuple(sorted(values)), []).append({"id": id_, **values})
    for columns, rows in rows_of.items():
        assigned = ", ".join(f"{column} = changed.{column}" for column in columns)
        tx.exec_driver_sql(
            f"UPDATE {name} SET {assigned}"  # noqa: S608  # names of tables and columns of the models
            f" FROM jsonb_populate_recordset(NULL::{name}, %(rows)s::jsonb) changed"
            f" WHERE {name}.organization_id = %(organization_id)s AND {name}.id = changed.id",
            {"organization_id": organization_id, "rows": json.dumps(rows)},
        )


def mark_members_removed(tx: Connection, organization_id: int, member_ids: Collection[int], now: datetime) -> None:
    """Marks members as removed at `now`. Their log entries stay; their teams and Slack users are unlinked.

    Their Slack ids are kept, by which they are known if they come again, and erased if they are to be.
    """
    workspaces = select(Workspace.id).where(Workspace.organization_id == organization_id)
    known = (
        select(func.min(SlackPerson.user_id))
        .where(SlackPerson.workspace_id.in_(workspaces), SlackPerson.member_id == Member.id)
        .scalar_subquery()
    )
    tx.execute(
        update(Member)
        .where(Member.organization_id == organization_id, Member.id.in_(member_ids))
        .values(date_removed=now, slack_user_id=func.coalesce(Member.slack_user_id, known))
    )
    tx.execute(
        delete(MemberTeam).where(MemberTeam.organization_id == organization_id, MemberTeam.member_id.in_(member_ids))
    )
    keep_known_ids(tx, organization_id, member_ids)
    due_at = case((SlackPerson.home_opened, now), else_=SlackPerson.home_due_at)
    tx.execute(
        update(SlackPerson)
        .where(SlackPerson.workspace_id.in_(workspaces), SlackPerson.member_id.in_(member_ids))
        .values(member_id=None, home_due_at=due_at)
    )
    wake_after_commit(tx, Work.HOMES)


def delete_teams(tx: Connection, organization_id: int, team_ids: Collection[int]) -> None:
    """Deletes teams. The incidents that they owned then have no team."""
    tx.execute(
        update(IncidentProject)
        .where(IncidentProject.organization_id == organization_id, IncidentProject.team_id.in_(team_ids))
        .values(team_id=NO_TEAM)
    )
    tx.execute(delete(Team).where(Team.organization_id == organization_id, Team.id.in_(team_ids)))


def delete_projects(tx: Connection, organization_id: int, project_ids: Collection[int]) -> None:
    """Deletes projects with their intake tokens, and unlinks their incidents from them."""
    tx.execute(delete(Project).where(Project.organization_id == organization_id, Project.id.in_(project_ids)))


def link_project_teams(tx: Connection, organization_id: int, pairs: Collection[tuple[str, str]]) -> None:
    """Adds teams to projects. A pair is the project's slug and the team's slug."""
    _run_on_pairs(
        tx,
        "INSERT INTO project_team (organization_id, project_id, team_id) SELECT p.organization_id, p.id, t.id FROM pair"
        " JOIN project p ON p.organization_id = %(organization_id)s AND p.slug = pair.one"
        " JOIN team t ON t.organization_id = %(organization_id)s AND t.slug = pair.other",
        pairs,
        organization_id,
    )


def unlink_project_teams(tx: Connection, organization_id: int, pairs: Collection[tuple[int, int]]) -> None:
    """Removes teams from projects. A pair is the project's id and the team's id."""
    _run_on_pairs(
        tx,
        "DELETE FROM project_team p USING pair WHERE p.organization_id = %(organization_id)s"
        " AND p.project_id = pair.one AND p.team_id = pair.other",
        pairs,
        organization_id,
    )


def link_channels(tx: Connection, organization_id: int, pairs: Collection[tuple[str, str]]) -> None:
    """Adds channels to projects. A pair is the project's slug and Slack's channel id."""
    _run_on_pairs(
        tx,
        "INSERT INTO project_channel (organization_id, project_id, channel_id)"
        " SELECT p.organization_id, p.id, pair.other FROM pair"
        " JOIN project p ON p.organization_id = %(organization_id)s AND p.slug = pair.one",
        pairs,
        organization_id,
    )


def unlink_channels(tx: Connection, organization_id: int, pairs: Collection[tuple[int, str]]) -> None:
    """Removes channels from projects. A pair is the project's id and Slack's channel id."""
    _run_on_pairs(
        tx,
        "DELETE FROM project_channel p USING pair WHERE p.organization_id = %(organization_id)s"
        " AND p.project_id = pair.one AND p.channel_id = pair.other",
        pairs,
        organization_id,
    )


def link_member_teams(tx: Connection, organization_id: int, pairs: Collection[tuple[str, str]]) -> None:
    """Adds members to teams. A pair is the member's e-mail and the team's slug."""
    _run_on_pairs(
        tx,
        "INSERT INTO member_team (organization_id, member_id, team_id) SELECT m.organization_id, m.id, t.id FROM pair"
        " JOIN member m ON m.organization_id = %(organization_id)s AND m.email = pair.one"
        " JOIN team t ON t.organization_id = %(organization_id)s AND t.slug = pair.other",
        pairs,
        organization_id,
    )


def unlink_member_teams(tx: Connection, organization_id: int, pairs: Collection[tuple[int, int]]) -> None:
    """Removes members from teams. A pair is the member's id and the team's id."""
    _run_on_pairs(
        tx,
        "DELETE FROM member_team m USING pair WHERE m.organization_id = %(organization_id)s"
        " AND m.member_id = pair.one AND m.team_id = pair.other",
        pairs,
        organization_id,
    )


def _run_on_pairs(
    tx: Connection, statement: str, pairs: Collection[tuple[int | str, int | str]], organization_id: int
) -> None:
    """Runs one statement on all pairs. It reads them from `pair`, with the columns `one` and `other`."""
    if not pairs:
        return
    ones, others = (list(side) for side in zip(*pairs, strict=True))
    tx.exec_driver_sql(
        _PAIRS + statement,
        {"ones": ones, "others": others, "organization_id": organization_id},
    )


def expire_identities(tx: Connection, organization_id: int) -> None:
    """Makes the bot look up every Slack user of the organization again at their next request."""
    tx.execute(
        update(SlackPerson)
        .where(SlackPerson.workspace_id.in_(select(Workspace.id).where(Workspace.organization_id == organization_id)))
        .values(date_checked=None)
    )


def lock_open_incidents_only_of(
    connection: Connection, organization_id: int, project_ids: Collection[int]
) -> list[IncidentHead]:
    """Locks and returns the open incidents that belong to these projects and to no other project."""
    of_these = select(IncidentProject.incident_id).where(
        IncidentProject.organization_id == organization_id,
        IncidentProject.project_id.in_(project_ids),
        IncidentProject.status != Status.CLOSED,
    )
    of_others = select(IncidentProject.incident_id).where(
        IncidentProject.organization_id == Incident.organization_id,
        IncidentProject.incident_id == Incident.id,
        IncidentProject.project_id.not_in(project_ids),
    )
    rows = connection.execute(
        select(
            Incident.id,
            Incident.identifier,
            Incident.title,
            Incident.status,
            Incident.status_before_closing,
            Incident.date_started,
            Incident.date_closed,
        )
        .where(Incident.organization_id == organization_id, Incident.id.in_(of_these), ~of_others.exists())
        .order_by(Incident.id)
        .with_for_update(key_share=True)
    )
    return [
        IncidentHead(
            i, number, title, Status(status), None if before is None else Status(before), start, end, organization_id
        )
        for i, number, title, status, before, start, end in rows
    ]
