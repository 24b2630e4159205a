"""The rows of digests, and what their owners may see."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.digest_rows import (
    DigestRow,
    History,
)
from storage.queries.visibility import SEES_ALL_PROJECTS, VISIBLE_PROJECTS
from storage.values import ROLES_THAT_MANAGE_DIGESTS

# The latest scheduled time of digest d whose message was sent, will be sent, or was not wanted. The news of the next
# message begins there: what a missed message would have reported is not lost.
LAST_SENT = (
    "(SELECT max(l.fire_at) FROM digest_fire l WHERE l.organization_id = d.organization_id AND l.digest_id = d.id"
    " AND NOT l.by_hand"
    " AND l.state IN ('due', 'posted', 'sent', 'silent'))"
)
GRACE = "CASE WHEN NOT d.default_grace THEN d.grace_minutes END"
DIGEST_COLUMNS = (
    "d.id, d.organization_id, d.workspace_id, d.channel_id, d.owner_id, d.owner_user_id, m.name, d.name, d.cron,"
    f" d.zone, d.filters, d.skip_empty, d.picture, {GRACE}, d.next_fire_at, {LAST_SENT}, d.date_paused,"
    " d.pause_reason"
)
_DIGEST = (
    f"SELECT {DIGEST_COLUMNS} FROM digest d"  # noqa: S608
    " JOIN member m ON m.organization_id = d.organization_id AND m.id = d.owner_id"
)


def find_digest(
    connection: Connection, organization_id: int, digest_id: int, *, lock: bool = False
) -> DigestRow | None:
    """A digest of the organization; with `lock`, its row is locked until the transaction ends."""
    row = connection.exec_driver_sql(
        f"{_DIGEST} WHERE d.id = %(id)s AND d.organization_id = %(organization_id)s"
        + (" FOR UPDATE OF d" if lock else ""),
        {"id": digest_id, "organization_id": organization_id},
    ).first()
    return None if row is None else DigestRow(*row)


_WITH_HISTORY = f"""
SELECT {DIGEST_COLUMNS}, sent.fire_at, latest.state, missed.fire_at, missed.reason
FROM digest d JOIN member m ON m.organization_id = d.organization_id AND m.id = d.owner_id
LEFT JOIN LATERAL (SELECT f.fire_at FROM digest_fire f
  WHERE f.organization_id = d.organization_id AND f.digest_id = d.id AND f.state = 'sent'
                   ORDER BY f.fire_at DESC LIMIT 1) sent ON true
LEFT JOIN LATERAL (SELECT f.state FROM digest_fire f WHERE f.organization_id = d.organization_id AND f.digest_id = d.id
                   ORDER BY f.fire_at DESC LIMIT 1) latest ON true
LEFT JOIN LATERAL (SELECT f.fire_at, f.reason FROM digest_fire f
                   WHERE f.organization_id = d.organization_id AND f.digest_id = d.id
                     AND f.state IN ('missed', 'failed')
                   ORDER BY f.fire_at DESC LIMIT 1) missed ON true
WHERE d.organization_id = %(organization_id)s
"""  # noqa: S608 - composed of constants


def list_digests(
    connection: Connection, organization_id: int, channel_id: str | None, member_id: int, most: int
) -> list[tuple[DigestRow, History]]:
    """Up to `most` digests of a channel and of a member, each with its history; those of the channel come first."""
    rows = connection.exec_driver_sql(
        _WITH_HISTORY + " AND (d.channel_id = %(channel_id)s OR d.owner_id = %(member_id)s)"
        " ORDER BY d.channel_id IS DISTINCT FROM %(channel_id)s, d.id LIMIT %(most)s",
        {"organization_id": organization_id, "channel_id": channel_id, "member_id": member_id, "most": most},
    )
    return [(DigestRow(*row[:-4]), History(*row[-4:])) for row in rows]


def list_all_digests(
    connection: Connection, organization_id: int, *, skip: int, most: int
) -> list[tuple[DigestRow, History]]:
    """The digests of the organization, each with its history."""
    rows = connection.exec_driver_sql(
        _WITH_HISTORY + " ORDER BY d.id OFFSET %(skip)s LIMIT %(most)s",
        {"organization_id": organization_id, "skip": skip, "most": most},
    )
    return [(DigestRow(*row[:-4]), History(*row[-4:])) for row in rows]


def insert_digest(tx: Connection, values: Mapping[str, Any]) -> int:
    """Inserts a digest; `values` by column. Returns its id."""
    columns = ", ".join(values)
    holders = ", ".join(f"%({column})s" for column in values)
    return int(
        tx.exec_driver_sql(
            f"INSERT INTO digest ({columns}) VALUES ({holders}) RETURNING id",  # noqa: S608
            dict(values),
        ).scalar_one()
    )


def update_digest(tx: Connection, organization_id: int, digest_id: int, values: Mapping[str, Any]) -> None:
    """Updates columns of a digest; `values` by column."""
    sets = ", ".join(f"{column} = %({column})s" for column in values)
    tx.exec_driver_sql(
        f"UPDATE digest SET {sets} WHERE organization_id = %(of_organization)s AND id = %(digest_id)s",  # noqa: S608
        {**values, "of_organization": organization_id, "digest_id": digest_id},
    )


def delete_digest(tx: Connection, organization_id: int, digest_id: int) -> None:
    """Deletes a digest and its fires; posts of theirs that wait are not sent any more."""
    tx.exec_driver_sql(
        "DELETE FROM digest WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": organization_id, "id": digest_id},
    )


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A digest as an organization file describes it."""

    id: int
    name: str
    channel_id: str
    owner: str  # e-mail
    cron: str
    zone: str
    filters: str
    skip_empty: bool
    picture: bool
    grace_minutes: int | None  # None: the default
    paused: bool  # by a person
    stopped: bool  # by itself

    def values(self) -> dict[str, Any]:
        """Returns the fields that the file sets."""
        fields = "channel_id", "owner", "cron", "zone", "filters", "skip_empty", "picture", "grace_minutes"
        return {field: getattr(self, field) for field in fields}


def list_file_digests(connection: Connection, organization_id: int) -> list[FileDigest]:
    """The digests that came from the organization file, by name."""
    rows = connection.exec_driver_sql(
        "SELECT d.id, d.name, d.channel_id, m.email, d.cron, d.zone, d.filters, d.skip_empty, d.picture,"  # noqa: S608
        f" {GRACE}, d.date_paused IS NOT NULL AND d.pause_reason IS NULL, d.pause_reason IS NOT NULL"
        " FROM digest d JOIN member m ON m.organization_id = d.organization_id AND m.id = d.owner_id"
        " WHERE d.organization_id = %(id)s AND d.name IS NOT NULL ORDER BY d.name",
        {"id": organization_id},
    )
    return [FileDigest(*row) for row in rows]


# --- owners --------------------------------------------------------------------------------------------

_OWNER = f"""
SELECT d.id, o.id, o.name, o.incidents, o.open_membership, o.shared_channels,
       m.id, m.name, m.email, m.role, m.superuser, m.date_removed IS NULL,
       {SEES_ALL_PROJECTS},
       ARRAY(SELECT mt.team_id FROM member_team mt WHERE mt.organization_id = m.organization_id
         AND mt.member_id = m.id),
       {VISIBLE_PROJECTS},
       p.user_id IS NULL OR p.member_id = m.id, p.date_checked
FROM digest d
JOIN organization o ON o.id = d.organization_id
JOIN member m ON m.organization_id = d.organization_id AND m.id = d.owner_id
LEFT JOIN slack_person p ON p.workspace_id = d.workspace_id AND p.user_id = d.owner_user_id
WHERE d.organization_id = ANY(%(organization_ids)s) AND d.id = ANY(%(digest_ids)s)
"""  # noqa: S608 - composed of constants


@dataclass(frozen=True, slots=True)
class Owner:
    """A digest's owner, and what they may see now."""

    organization_id: int
    organization_name: str
    incidents_on: bool
    open_membership: bool
    shared_channels: bool
    member_id: int
    name: str
    email: str
    role: str
    superuser: bool
    present: bool  # False: no longer a member
    sees_all: bool
    team_ids: list[int]
    project_ids: list[int]
    same_person: bool  # False: the Slack user who created the digest is no longer this member
    date_checked: datetime | None  # when Slack was last asked about them

    @property
    def manages_digests(self) -> bool:
        """Whether they may still create and change digests."""
        return self.superuser or self.role in ROLES_THAT_MANAGE_DIGESTS


def find_owners(connection: Connection, digests: Collection[DigestRow]) -> dict[int, Owner]:
    """Returns the owners of digests by the id of the digest. Digests that do not exist are left out."""
    given = {"organization_ids": [one.organization_id for one in digests], "digest_ids": [one.id for one in digests]}
    rows = connection.exec_driver_sql(_OWNER, given)
    return {row[0]: Owner(*row[1:]) for row in rows}


def find_owner(connection: Connection, digest: DigestRow) -> Owner | None:
    """Returns the owner of a digest; None when there is no such digest."""
    return find_owners(connection, [digest]).get(digest.id)


def has_open_membership(connection: Connection, organization_id: int) -> bool:
    """Whether every member of the organization sees every project."""
    return bool(
        connection.exec_driver_sql(
            "SELECT open_membership FROM organization WHERE id = %(id)s", {"id": organization_id}
        ).scalar_one()
    )


def list_all_managers(connection: Connection, organization_id: int) -> list[int]:
    """The ids of all present managers and owners; they are notified when nobody else can be."""
    return [
        row[0]
        for row in connection.exec_driver_sql(
            "SELECT id FROM member WHERE organization_id = %(id)s AND date_removed IS NULL"
            " AND role IN ('manager', 'owner') ORDER BY id",
            {"id": organization_id},
        )
    ]


def pause_digest(
    tx: Connection, organization_id: int, digest_id: int, reason: str | None, now: datetime
) -> DigestRow | None:
    """Pauses a digest and returns it; None when it was paused already or is deleted. `reason` None: by a person."""
    row = tx.exec_driver_sql(
        "UPDATE digest d SET next_fire_at = NULL, date_paused = %(now)s, pause_reason = %(reason)s"  # noqa: S608
        " FROM member m WHERE m.organization_id = d.organization_id AND m.id = d.owner_id"
        " AND d.organization_id = %(organization_id)s AND d.id = %(id)s"
        " AND d.date_paused IS NULL"
        f" RETURNING {DIGEST_COLUMNS}",
        {"organization_id": organization_id, "id": digest_id, "reason": reason, "now": now},
    ).first()
    return None if row is None else DigestRow(*row)
