"""Members as managers see and change them in Slack. `organization_changes` has the statements of a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, or_, select, update
from sqlalchemy.sql import Select
from sqlalchemy.sql.selectable import ScalarSelect

from storage.member_rows import MemberDetails
from storage.models import Member, MemberSlackUser, MemberTeam, Team
from storage.values import Role


def _select_ids() -> ScalarSelect[Any]:
    return (
        select(func.jsonb_object_agg(MemberSlackUser.workspace_id, MemberSlackUser.slack_user_id))
        .where(
            MemberSlackUser.organization_id == Member.organization_id,
            MemberSlackUser.member_id == Member.id,
        )
        .scalar_subquery()
    )


def _select_members(organization_id: int) -> Select[Any]:
    teams = (
        select(func.jsonb_object_agg(Team.slug, Team.name))
        .join(MemberTeam, (MemberTeam.organization_id == Team.organization_id) & (MemberTeam.team_id == Team.id))
        .where(MemberTeam.organization_id == Member.organization_id, MemberTeam.member_id == Member.id)
        .scalar_subquery()
    )
    return select(
        Member.id,
        Member.name,
        Member.email,
        Member.slack_user_id,
        _select_ids().label("slack_user_ids"),
        Member.role,
        Member.changed_in_slack,
        Member.date_removed.is_not(None).label("removed"),
        teams.label("teams"),
    ).where(Member.organization_id == organization_id)


def _build(row: RowMapping) -> MemberDetails:
    values = dict(row)
    ids, by_workspace = values.pop("slack_user_id"), values.pop("slack_user_ids")
    teams = dict(sorted((row["teams"] or {}).items()))
    return MemberDetails(**{**values, "slack": by_workspace or ids, "role": Role(row["role"]), "teams": teams})


def _match(organization_id: int, words: Sequence[str]) -> list[ColumnElement[bool]]:
    """Returns the conditions that name, e-mail or a team has each word, or that it is the role, also in the plural."""
    conditions: list[ColumnElement[bool]] = [Member.organization_id == organization_id]
    for word in (word.lower() for word in words):
        of_team = (
            select(MemberTeam.team_id)
            .join(Team, (MemberTeam.organization_id == Team.organization_id) & (MemberTeam.team_id == Team.id))
            .where(
                MemberTeam.organization_id == Member.organization_id,
                MemberTeam.member_id == Member.id,
                or_(func.strpos(func.lower(Team.name), word) > 0, func.strpos(Team.slug, word) > 0),
            )
        )
        conditions.append(
            or_(
                func.strpos(func.lower(Member.name), word) > 0,
                func.strpos(Member.email, word) > 0,
                Member.role == word.removesuffix("s"),
                of_team.exists(),
            )
        )
    return conditions


def list_page(
    connection: Connection, organization_id: int, words: Sequence[str], *, page: int, size: int
) -> tuple[list[MemberDetails], int]:
    """Returns a page of the members that all words find, ordered by name, and how many there are."""
    matching = [*_match(organization_id, words), Member.date_removed.is_(None)]
    count = connection.scalar(select(func.count()).select_from(Member).where(*matching)) or 0
    query = _select_members(organization_id).where(*matching).order_by(func.lower(Member.name), Member.id)
    rows = connection.execute(query.offset(page * size).limit(size)).mappings()
    return [_build(row) for row in rows], count


def list_removed_in_slack(
    connection: Connection, organization_id: int, words: Sequence[str], *, most: int
) -> tuple[list[tuple[str, datetime]], int]:
    """Returns name and time of those whom all words find and who were removed in Slack, and how many there are.

    The latest come first. An organization file that was applied since has decided about them.
    """
    matching = [
        *_match(organization_id, words),
        Member.date_removed.is_not(None),
        Member.changed_in_slack,
        Member.date_erased.is_(None),
    ]
    count = connection.scalar(select(func.count()).select_from(Member).where(*matching)) or 0
    query = select(Member.name, Member.date_removed).where(*matching).order_by(Member.date_removed.desc(), Member.id)
    return [(name, removed) for name, removed in connection.execute(query.limit(most)) if removed], count


def find_member(connection: Connection, organization_id: int, member_id: int) -> MemberDetails | None:
    """Returns a member of the organization, also one who was removed, or None."""
    row = connection.execute(_select_members(organization_id).where(Member.id == member_id)).mappings().first()
    return None if row is None else _build(row)


def find_by_slack_id_or_email(
    connection: Connection, organization_id: int, workspace_id: str, user_id: str, email: str
) -> MemberDetails | None:
    """Returns the member with this e-mail, or this Slack id in the workspace, or None.

    Of several, somebody who has not been removed comes first, then the one with that e-mail.
    """
    has_id = select(MemberSlackUser.member_id).where(
        MemberSlackUser.organization_id == Member.organization_id,
        MemberSlackUser.member_id == Member.id,
        MemberSlackUser.workspace_id == workspace_id,
        MemberSlackUser.slack_user_id == user_id,
    )
    query = (
        _select_members(organization_id)
        .where(or_(Member.email == email, Member.slack_user_id == user_id, has_id.exists()))
        .order_by(Member.date_removed.is_not(None), Member.email != email, Member.id)
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else _build(row)


def count_owners(connection: Connection, organization_id: int) -> int:
    """Returns the number of the organization's owners who have not been removed."""
    query = (
        select(func.count())
        .select_from(Member)
        .where(
            Member.organization_id == organization_id, Member.role == Role.OWNER.value, Member.date_removed.is_(None)
        )
    )
    return connection.scalar(query) or 0


def insert_member(tx: Connection, organization_id: int, values: Mapping[str, Any]) -> int:
    """Adds a member with these columns and returns their id."""
    return tx.scalars(
        insert(Member).values(organization_id=organization_id, changed_in_slack=True, **values).returning(Member.id)
    ).one()


def update_member(tx: Connection, organization_id: int, member_id: int, values: Mapping[str, Any]) -> None:
    """Sets columns of a member, who then counts as changed in Slack."""
    tx.execute(
        update(Member)
        .where(Member.organization_id == organization_id, Member.id == member_id)
        .values(changed_in_slack=True, **values)
    )


def settle_member(tx: Connection, organization_id: int, member_id: int) -> None:
    """Records that a member is as the organization file has them."""
    tx.execute(
        update(Member)
        .where(Member.organization_id == organization_id, Member.id == member_id)
        .values(changed_in_slack=False)
    )


def list_synced_teams(connection: Connection, organization_id: int) -> set[str]:
    """Returns the slugs of the teams whose members are read from a user group."""
    query = select(Team.slug).where(Team.organization_id == organization_id, Team.sync_members)
    return set(connection.scalars(query))


def set_teams(tx: Connection, organization_id: int, member_id: int, slugs: Collection[str]) -> None:
    """Makes these the member's teams, beside those whose members are read from a user group."""
    wanted = select(Team.id).where(Team.organization_id == organization_id, Team.slug.in_(slugs), ~Team.sync_members)
    synced = select(Team.id).where(Team.organization_id == organization_id, Team.sync_members)
    present = select(MemberTeam.team_id).where(
        MemberTeam.organization_id == organization_id, MemberTeam.member_id == member_id
    )
    tx.execute(
        delete(MemberTeam).where(
            MemberTeam.organization_id == organization_id,
            MemberTeam.member_id == member_id,
            MemberTeam.team_id.not_in(wanted),
            MemberTeam.team_id.not_in(synced),
        )
    )
    missing = [
        {"organization_id": organization_id, "member_id": member_id, "team_id": one}
        for one in tx.scalars(wanted.where(Team.id.not_in(present)))
    ]
    if missing:
        tx.execute(insert(MemberTeam), missing)
