"""Who a Slack person is to the database: one statement for a request's whole access."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from storage.models import Member, SlackPerson
from storage.prepared import Prepared

# Written out rather than composed: it stands before every answer of the bot.
_STANDING = Prepared(
    """
SELECT o.id, o.slug, o.name, o.incidents, o.open_membership, o.shared_channels,
       p.user_id IS NOT NULL, p.date_checked, p.home_team, p.timezone,
       m.id, m.email, m.name, m.role, m.superuser,
       coalesce(o.open_membership OR m.superuser OR m.role IN ('owner', 'manager'), false),
       ARRAY(SELECT mt.team_id FROM member_team mt WHERE mt.member_id = m.id),
       ARRAY(SELECT pr.id FROM project pr
             WHERE pr.organization_id = o.id AND m.id IS NOT NULL
               AND (o.open_membership OR m.superuser OR m.role IN ('owner', 'manager')
                    OR EXISTS (SELECT FROM project_team pt JOIN member_team mt ON mt.team_id = pt.team_id
                               WHERE pt.project_id = pr.id AND mt.member_id = m.id)))
FROM workspace w
JOIN organization o ON o.id = w.organization_id
LEFT JOIN slack_person p ON p.workspace_id = w.id AND p.user_id = %(user_id)s
LEFT JOIN member m ON m.id = p.member_id AND m.organization_id = o.id AND m.date_removed IS NULL
WHERE w.id = %(workspace_id)s
""",
    {"workspace_id": "text", "user_id": "text"},
)

# The same for members, when something concerns them that they did not ask for (mentions, notifications).
_VISIBLE_TO = """
SELECT m.id
FROM member m JOIN organization o ON o.id = m.organization_id
WHERE m.id = ANY(%(member_ids)s) AND m.organization_id = %(organization_id)s AND m.date_removed IS NULL
  AND o.incidents
  AND EXISTS (SELECT FROM incident_project ip
              WHERE ip.incident_id = %(incident_id)s
                AND (o.open_membership OR m.superuser OR m.role IN ('owner', 'manager')
                     OR EXISTS (SELECT FROM project_team pt JOIN member_team mt ON mt.team_id = pt.team_id
                                WHERE pt.project_id = ip.project_id AND mt.member_id = m.id)))
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that decides what a Slack person may see and do, as the database has it."""

    organization_id: int
    organization_slug: str
    organization_name: str
    incidents_on: bool
    open_membership: bool
    shared_channels: bool
    known_person: bool  # Slack has been asked about them
    date_checked: datetime | None  # when last; None: to be asked again
    home_team: str | None
    timezone: str | None
    member_id: int | None  # None: no member
    email: str | None
    name: str | None
    role: str | None
    superuser: bool | None
    sees_all: bool  # every project of the organization
    team_ids: list[int]
    project_ids: list[int]  # the projects they see


def standing(connection: Connection, workspace_id: str, user_id: str) -> Standing | None:
    """What the database knows of a Slack person; None where the workspace belongs to no organization."""
    row = _STANDING.row(connection, {"workspace_id": workspace_id, "user_id": user_id})
    return None if row is None else Standing(*row)


def members_who_see(
    connection: Connection, organization_id: int, incident_id: int, member_ids: Iterable[int]
) -> set[int]:
    """Those of `member_ids` who may see the incident now."""
    found = connection.exec_driver_sql(
        _VISIBLE_TO,
        {"organization_id": organization_id, "incident_id": incident_id, "member_ids": list(member_ids)},
    )
    return {row[0] for row in found}


def member_by_slack_id(connection: Connection, organization_id: int, user_id: str) -> int | None:
    """The member for whom the organization file names this Slack id."""
    return connection.scalar(
        select(Member.id).where(
            Member.organization_id == organization_id,
            Member.slack_user_id == user_id,
            Member.date_removed.is_(None),
        )
    )


def member_by_email(connection: Connection, organization_id: int, email: str) -> int | None:
    """The member with this e-mail, unless the organization file names another Slack id for them."""
    return connection.scalar(
        select(Member.id).where(
            Member.organization_id == organization_id,
            Member.email == email.strip().lower(),
            Member.slack_user_id.is_(None),
            Member.date_removed.is_(None),
        )
    )


def notify_of(connection: Connection, member_id: int) -> str:
    """What a member wants to be told of: "all", "mentions" or "none"."""
    return connection.scalar(select(Member.notify).where(Member.id == member_id)) or "all"


def set_notify(tx: Connection, member_id: int, wanted: str) -> None:
    """Keeps what a member wants to be told of."""
    tx.execute(update(Member).where(Member.id == member_id).values(notify=wanted))


def email_of(connection: Connection, member_id: int) -> str | None:
    """The e-mail of a present member."""
    return connection.scalar(select(Member.email).where(Member.id == member_id, Member.date_removed.is_(None)))


def members_who_manage(connection: Connection, organization_id: int, most: int = 5) -> list[int]:
    """Some of those who manage an organization, its owners first."""
    return list(
        connection.scalars(
            select(Member.id)
            .where(
                Member.organization_id == organization_id,
                Member.role.in_(["owner", "manager"]),
                Member.date_removed.is_(None),
            )
            .order_by(Member.role.desc(), Member.id)
            .limit(most)
        )
    )


def remember_person(
    connection: Connection,
    workspace_id: str,
    user_id: str,
    *,
    member_id: int | None,
    home_team: str | None,
    name: str,
    timezone: str,
    now: datetime,
) -> None:
    """Keeps what Slack said of a person, and which member that makes them."""
    values = {
        "member_id": member_id,
        "home_team": home_team,
        "name": name,
        "timezone": timezone,
        "date_checked": now,
    }
    connection.execute(
        insert(SlackPerson)
        .values(workspace_id=workspace_id, user_id=user_id, **values)
        .on_conflict_do_update(index_elements=[SlackPerson.workspace_id, SlackPerson.user_id], set_=values)
    )


def people_to_ask_again(connection: Connection, workspace_id: str, user_id: str) -> None:
    """Slack said that this person changed: they are asked about again before they are next believed."""
    connection.execute(
        update(SlackPerson)
        .where(SlackPerson.workspace_id == workspace_id, SlackPerson.user_id == user_id)
        .values(date_checked=None)
    )


def person(connection: Connection, workspace_id: str, user_id: str) -> tuple[int | None, str]:
    """Which member a Slack person is, and how Slack shows them; no member and no name where nothing is known."""
    row = connection.execute(
        select(SlackPerson.member_id, SlackPerson.name)
        .outerjoin(Member, Member.id == SlackPerson.member_id)
        .where(
            SlackPerson.workspace_id == workspace_id,
            SlackPerson.user_id == user_id,
            Member.date_removed.is_(None),
        )
    ).first()
    return (None, "") if row is None else (row[0], row[1])
