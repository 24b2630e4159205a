"""Find the member and the permissions of a Slack person. One statement reads everything that a request needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from storage.models import Member, MemberSlackUser, SlackPerson, Workspace
from storage.prefetch import Prefetch
from storage.prepared import PreparedStatement
from storage.queries.visibility import SEES_ALL_PROJECTS, VISIBLE_PROJECTS, sees_incident
from storage.values import Unmatched

# Plain SQL instead of SQLAlchemy columns, because this statement runs before every response of the bot.
_CALLER_TEMPLATE = """
SELECT o.id AS organization_id, o.slug, o.name AS organization, o.incidents, o.open_membership, o.shared_channels,
       w.date_added AS workspace_added,
       p.user_id IS NOT NULL AS known, p.date_checked, p.home_team, p.timezone, p.unmatched,
       m.id AS member_id, m.email, m.name, m.role, m.superuser,
       m.id IS NOT NULL AND {sees_all} AS sees_all,
       ARRAY(SELECT mt.team_id FROM member_team mt WHERE mt.organization_id = m.organization_id
         AND mt.member_id = m.id) AS team_ids,
       {projects} AS project_ids
FROM workspace w
JOIN organization o ON o.id = w.organization_id
LEFT JOIN slack_person p ON p.workspace_id = w.id AND p.user_id = %(user_id)s
LEFT JOIN member m ON m.id = p.member_id AND m.organization_id = o.id AND m.date_removed IS NULL
WHERE w.id = %(workspace_id)s AND w.date_disconnected IS NULL
"""
_CALLER = _CALLER_TEMPLATE.format(sees_all=SEES_ALL_PROJECTS, projects=VISIBLE_PROJECTS)
# For callers who see all projects: the list of projects is not needed, and it may have thousands of entries.
_CALLER_OF_ALL = _CALLER_TEMPLATE.format(sees_all=SEES_ALL_PROJECTS, projects="NULL::bigint[]")
_CALLER_TYPES = {"workspace_id": "text", "user_id": "text"}
_CALLER_STATEMENT = PreparedStatement(_CALLER, _CALLER_TYPES)

# Applies the same rule to members who made no request (mentions, notifications).
_VISIBLE_TO = PreparedStatement(
    f"""
SELECT m.id
FROM member m JOIN organization o ON o.id = m.organization_id
WHERE m.id = ANY(%(member_ids)s) AND m.organization_id = %(organization_id)s
  AND {sees_incident("%(incident_id)s")}
""",  # noqa: S608 - composed of constants
    {"member_ids": "bigint[]", "organization_id": "bigint", "incident_id": "bigint"},
)


@dataclass(frozen=True, slots=True)
class CallerRow:
    """The stored data that decides what a Slack person may see and do."""

    organization_id: int
    organization_slug: str
    organization_name: str
    incidents_on: bool
    open_membership: bool
    shared_channels: bool
    workspace_added: datetime | None  # when the workspace joined the organization; None: long ago
    known_person: bool  # their Slack profile has been read
    date_checked: datetime | None  # when their profile was last read; None: read it again
    home_team: str | None
    timezone: str | None
    unmatched: str | None  # why their e-mail does not identify a member: a value of `Unmatched`
    member_id: int | None  # None: not a member
    email: str | None
    name: str | None
    role: str | None
    superuser: bool | None
    sees_all: bool  # whether they see every project of the organization
    team_ids: list[int]
    project_ids: list[int] | None  # the projects they see; None: all of them (the list was not read)


_TIMESTAMP_POSITIONS = [
    place for place, field in enumerate(fields(CallerRow)) if field.name in ("date_checked", "workspace_added")
]


# Parameters that describe the caller, and the column of `_CALLER` that replaces each.
_CALLER_COLUMNS = {
    "%(organization_id)s": "caller.organization_id",
    "%(project_ids)s": "caller.project_ids",
    "%(member_id)s": "caller.member_id",
}


def build_with_caller(sql: str, types: Mapping[str, str], *, of_all: bool = False) -> PreparedStatement:
    """Builds a statement for `Prefetch` that finds the caller and runs `sql` for them.

    `sql` and `types` are as for PreparedStatement. The caller's values replace the parameters `organization_id`,
    `project_ids` and `member_id`; the other parameters remain. With `of_all`, the statement is only for callers who
    see all projects, and `project_ids` is NULL.
    """
    for parameter, column in _CALLER_COLUMNS.items():
        sql = sql.replace(parameter, column)
    # The rows of `sql` are returned unchanged. The caller is a JSON value in the first row only.
    return PreparedStatement(
        f"""
WITH caller AS MATERIALIZED ({_CALLER_OF_ALL if of_all else _CALLER})
SELECT CASE WHEN row_number() OVER () = 1 THEN row_to_json(caller) END, answer.*
FROM caller LEFT JOIN LATERAL (SELECT true AS found, asked.* FROM ({sql}) asked) answer ON true
""",  # noqa: S608 - composed of constants
        {**_CALLER_TYPES, **types},
    )


def find_caller_and_prefetch(
    connection: Connection, prefetch: Prefetch, workspace_id: str, user_id: str, *, saw_all: bool
) -> CallerRow | None:
    """Like `find_caller`, but the same statement also reads the rows of `prefetch`.

    `saw_all` says whether the caller saw all projects at their last request. If this has changed and `prefetch` has an
    `of_all` statement, a second round trip is needed.
    """
    parameters = {**prefetch.parameters, "workspace_id": workspace_id, "user_id": user_id}
    statement = prefetch.of_all if saw_all and prefetch.of_all is not None else prefetch.statement
    found = statement.rows(connection, parameters)
    if not found:
        return None
    caller = _parse_caller(found[0][0])
    if prefetch.of_all is not None and caller.sees_all is not saw_all:
        return find_caller_and_prefetch(connection, prefetch, workspace_id, user_id, saw_all=caller.sees_all)
    prefetch.rows = [row[2:] for row in found if row[1]]
    return caller


def _parse_caller(caller: dict[str, Any]) -> CallerRow:
    values = list(caller.values())
    for place in _TIMESTAMP_POSITIONS:
        values[place] = values[place] and datetime.fromisoformat(values[place])
    return CallerRow(*values)


def find_caller(connection: Connection, workspace_id: str, user_id: str) -> CallerRow | None:
    """Returns the stored data of a Slack person, or None if the workspace belongs to no organization."""
    row = _CALLER_STATEMENT.row(connection, {"workspace_id": workspace_id, "user_id": user_id})
    return None if row is None else CallerRow(*row)


def filter_members_who_see(
    connection: Connection, organization_id: int, incident_id: int, member_ids: Iterable[int]
) -> set[int]:
    """Returns those of `member_ids` who may see the incident now."""
    given = {"organization_id": organization_id, "incident_id": incident_id, "member_ids": list(member_ids)}
    found = _VISIBLE_TO.rows(connection, given)
    return {row[0] for row in found}


def find_member_by_email(connection: Connection, organization_id: int, workspace_id: str, email: str) -> int | None:
    """Returns the id of the member with this e-mail, unless the organization file gives them a Slack id there."""
    has_id = select(MemberSlackUser.member_id).where(
        MemberSlackUser.organization_id == organization_id,
        MemberSlackUser.member_id == Member.id,
        MemberSlackUser.workspace_id == workspace_id,
    )
    return connection.scalar(
        select(Member.id).where(
            Member.organization_id == organization_id,
            Member.email == email.strip().lower(),
            Member.slack_user_id.is_(None),
            Member.date_removed.is_(None),
            ~has_id.exists(),
        )
    )


def get_notify(connection: Connection, organization_id: int, member_id: int) -> str:
    """Returns which notifications a member wants: "all", "mentions" or "none"."""
    query = select(Member.notify).where(Member.organization_id == organization_id, Member.id == member_id)
    return connection.scalar(query) or "all"


def set_notify(tx: Connection, organization_id: int, member_id: int, notify: str) -> None:
    """Saves which notifications a member wants."""
    tx.execute(
        update(Member).where(Member.organization_id == organization_id, Member.id == member_id).values(notify=notify)
    )


def find_email(connection: Connection, workspace_id: str, member_id: int) -> str | None:
    """Returns the e-mail of a member who has not been removed, of the organization of a workspace."""
    return connection.scalar(
        select(Member.email)
        .join(Workspace, Workspace.organization_id == Member.organization_id)
        .where(Workspace.id == workspace_id, Member.id == member_id, Member.date_removed.is_(None))
    )


def list_managers(
    connection: Connection, organization_id: int, most: int = 5, *, among: int | None = None
) -> list[int]:
    """Returns the ids of at most `most` owners and managers of an organization, owners first.

    With `among`, only that member, if they are one.
    """
    return list(
        connection.scalars(
            select(Member.id)
            .where(
                Member.organization_id == organization_id,
                Member.role.in_(["owner", "manager"]),
                Member.date_removed.is_(None),
                *(() if among is None else (Member.id == among,)),
            )
            .order_by(Member.role.desc(), Member.id)
            .limit(most)
        )
    )


def save_person(
    connection: Connection,
    workspace_id: str,
    user_id: str,
    *,
    member_id: int | None,
    home_team: str | None,
    name: str,
    timezone: str,
    unmatched: Unmatched | None,
    now: datetime,
) -> None:
    """Saves the Slack profile of a person and the member whom it matches, if any."""
    values = {
        "member_id": member_id,
        "home_team": home_team,
        "name": name,
        "timezone": timezone,
        "unmatched": unmatched,
        "date_checked": now,
    }
    connection.execute(
        insert(SlackPerson)
        .values(workspace_id=workspace_id, user_id=user_id, **values)
        .on_conflict_do_update(index_elements=[SlackPerson.workspace_id, SlackPerson.user_id], set_=values)
    )


def expire_profile(connection: Connection, workspace_id: str, user_id: str) -> None:
    """Marks a stored profile as outdated, because Slack reported a change. The next use reads it again."""
    connection.execute(
        update(SlackPerson)
        .where(SlackPerson.workspace_id == workspace_id, SlackPerson.user_id == user_id)
        .values(date_checked=None)
    )


def find_person(connection: Connection, workspace_id: str, user_id: str) -> tuple[int | None, str]:
    """Returns the member id and the Slack name of a person, or `(None, "")` if the person is not known."""
    row = connection.execute(
        select(SlackPerson.member_id, SlackPerson.name)
        .join(Workspace, Workspace.id == SlackPerson.workspace_id)
        .outerjoin(Member, (Member.organization_id == Workspace.organization_id) & (Member.id == SlackPerson.member_id))
        .where(
            SlackPerson.workspace_id == workspace_id,
            SlackPerson.user_id == user_id,
            Member.date_removed.is_(None),
        )
    ).first()
    return (None, "") if row is None else (row[0], row[1])
