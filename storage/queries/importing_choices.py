"""Insert what members have set up in Slack, as it was exported: digests, filters that they follow, and silences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from storage.models import Digest, DigestFire, FollowedFilter, Member, PersonalDigest, Silence, Workspace

# An alert of Alertmanager's is silenced by one silence there, whoever made it; others are told by maker and beginning.
SilenceKey = tuple[str, datetime | None]


def get_workspaces(connection: Connection, organization_id: int) -> set[str]:
    """Returns the ids of the workspaces that the organization uses."""
    return set(
        connection.scalars(
            select(Workspace.id).where(
                Workspace.organization_id == organization_id, Workspace.date_disconnected.is_(None)
            )
        )
    )


def get_digests(connection: Connection, organization_id: int) -> set[str | datetime]:
    """Returns what the digests are known by: the name in the organization file, or when they were made."""
    rows = connection.execute(select(Digest.name, Digest.date_added).where(Digest.organization_id == organization_id))
    return {row.name or row.date_added for row in rows}


def get_personal_digests(connection: Connection, organization_id: int) -> set[int]:
    """Returns the ids of the members who have a digest of their own."""
    return set(
        connection.scalars(select(PersonalDigest.member_id).where(PersonalDigest.organization_id == organization_id))
    )


def get_followed_filters(
    connection: Connection, organization_id: int
) -> set[tuple[int, int | None, int | None, int | None]]:
    """Returns the member, team, project and severity of each filter that members follow."""
    filter_ = FollowedFilter
    rows = connection.execute(
        select(filter_.member_id, filter_.team_id, filter_.project_id, filter_.severity).where(
            filter_.organization_id == organization_id
        )
    )
    return {(row.member_id, row.team_id, row.project_id, row.severity) for row in rows}


def get_silences(connection: Connection, organization_id: int) -> dict[SilenceKey, int]:
    """Returns the ids of the silences of an organization, by maker and beginning, and by their id in Alertmanager."""
    rows = connection.execute(
        select(Silence.id, Silence.starts, Silence.alertmanager_id, Silence.made_by, Member.email)
        .outerjoin(Member, (Member.organization_id == Silence.organization_id) & (Member.id == Silence.member_id))
        .where(Silence.organization_id == organization_id)
    )
    found: dict[SilenceKey, int] = {}
    for row in rows:
        found[row.email or row.made_by or "", row.starts] = row.id
        if row.alertmanager_id is not None:
            found[row.alertmanager_id, None] = row.id
    return found


def insert_digests(
    tx: Connection, organization_id: int, rows: Sequence[tuple[Mapping[str, Any], datetime | None]]
) -> None:
    """Inserts digests, each by column, with the time of the last one that was sent."""
    if not rows:
        return
    ids = tx.scalars(
        insert(Digest).returning(Digest.id, sort_by_parameter_order=True),
        [{"organization_id": organization_id, **values} for values, _ in rows],
    )
    sent = [
        {"organization_id": organization_id, "digest_id": id_, "fire_at": sent_at, "since": sent_at, "state": "sent"}
        for id_, (_, sent_at) in zip(ids, rows, strict=True)
        if sent_at is not None
    ]
    if sent:
        tx.execute(insert(DigestFire), sent)


def insert_personal_digests(tx: Connection, organization_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts digests of single members, each by column."""
    if rows:
        tx.execute(insert(PersonalDigest), [{"organization_id": organization_id, **row} for row in rows])


def insert_followed_filters(tx: Connection, organization_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts filters that members follow, each by column."""
    if rows:
        tx.execute(insert(FollowedFilter), [{"organization_id": organization_id, **row} for row in rows])


def insert_silences(tx: Connection, organization_id: int, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Inserts silences, each by column. Returns their ids in the same order."""
    if not rows:
        return []
    return list(
        tx.scalars(
            insert(Silence).returning(Silence.id, sort_by_parameter_order=True),
            [{"organization_id": organization_id, **row} for row in rows],
        )
    )
