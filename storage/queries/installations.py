"""Save, find and end installations of the app. Tokens arrive here encrypted, and leave encrypted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from storage.installation_rows import InstallationRow, RefreshLease
from storage.models import (
    Installation,
    InstallationWorkspace,
    IntakeToken,
    OAuthState,
)

_COLUMNS = [column.name for column in Installation.__table__.columns if column.name != "refresh_leased_until"]
_STORED = [field.name for field in fields(InstallationRow) if field.name not in ("version", "workspaces")]


def save_installation(
    tx: Connection, row: InstallationRow, workspaces: Mapping[str, str | None], now: datetime
) -> None:
    """Stores an installation in place of the earlier one of the same workspace or Enterprise organization.

    `workspaces` are those in which it works, with their names.
    """
    values = {name: getattr(row, name) for name in _STORED}
    statement = insert(Installation).values(**values)
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={
                **{name: statement.excluded[name] for name in _STORED if name != "id"},
                "version": Installation.version + 1,
                "refresh_leased_until": None,
            },
        )
    )
    tx.execute(
        delete(InstallationWorkspace).where(
            InstallationWorkspace.installation_id == row.id,
            InstallationWorkspace.workspace_id.not_in(list(workspaces)),
        )
    )
    add_workspaces(tx, row.id, workspaces, now)


def add_workspaces(tx: Connection, installation_id: str, workspaces: Mapping[str, str | None], now: datetime) -> None:
    """Records that an installation works in these workspaces, too."""
    if not workspaces:
        return
    statement = insert(InstallationWorkspace).values(
        [
            {"workspace_id": workspace_id, "installation_id": installation_id, "name": name, "date_added": now}
            for workspace_id, name in workspaces.items()
        ]
    )
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["workspace_id", "installation_id"],
            set_={"name": func.coalesce(statement.excluded.name, InstallationWorkspace.name)},
        )
    )
    _count_change(tx, installation_id)


def remove_workspaces(tx: Connection, installation_id: str, workspace_ids: Collection[str]) -> None:
    """Records that an installation works in these workspaces no more."""
    tx.execute(
        delete(InstallationWorkspace).where(
            InstallationWorkspace.installation_id == installation_id,
            InstallationWorkspace.workspace_id.in_(list(workspace_ids)),
        )
    )
    _count_change(tx, installation_id)


def _count_change(tx: Connection, installation_id: str) -> None:
    tx.execute(update(Installation).where(Installation.id == installation_id).values(version=Installation.version + 1))


def end_installation(tx: Connection, installation_id: str, reason: str, now: datetime) -> bool:
    """Ends an installation and deletes its tokens. Returns False if there is none, or it had ended before."""
    return bool(
        tx.execute(
            update(Installation)
            .where(Installation.id == installation_id, Installation.date_ended.is_(None))
            .values(
                token_sealed=None,
                refresh_token_sealed=None,
                token_expires_at=None,
                date_ended=now,
                end_reason=reason,
                version=Installation.version + 1,
            )
        ).rowcount
    )


def list_versions(connection: Connection) -> dict[str, int]:
    """Returns the version of every installation that has not ended, by its id."""
    rows = connection.execute(select(Installation.id, Installation.version).where(Installation.date_ended.is_(None)))
    return {row.id: row.version for row in rows}


def get_installations(connection: Connection, ids: Iterable[str] | None = None) -> list[InstallationRow]:
    """Returns the installations with these ids, or all of them; also those that ended."""
    statement = select(
        *(Installation.__table__.c[name] for name in _COLUMNS),
        select(func.coalesce(func.array_agg(InstallationWorkspace.workspace_id), []))
        .where(InstallationWorkspace.installation_id == Installation.id)
        .scalar_subquery()
        .label("workspaces"),
    ).order_by(Installation.id)
    if ids is not None:
        statement = statement.where(Installation.id.in_(list(ids)))
    return [
        InstallationRow(**{**row._mapping, "workspaces": tuple(sorted(row.workspaces))})
        for row in connection.execute(statement)
    ]


def find_installation_of(connection: Connection, workspace_id: str) -> InstallationRow | None:
    """Returns the installation that serves a workspace: that of its Enterprise organization before its own."""
    ids = connection.scalars(
        select(Installation.id)
        .join(InstallationWorkspace, InstallationWorkspace.installation_id == Installation.id)
        .where(InstallationWorkspace.workspace_id == workspace_id, Installation.date_ended.is_(None))
        .order_by(Installation.id)  # "E…" is before "T…"
        .limit(1)
    ).all()
    found = get_installations(connection, ids) if ids else []
    return found[0] if found else None


# --- states of authorizations ----------------------------------------------------------------------------------


def use_state(tx: Connection, state_hash: str, organization_id: int | None, expires: datetime, now: datetime) -> bool:
    """Records that a state is used. Returns False if it was before. Forgets those that have expired."""
    tx.execute(delete(OAuthState).where(OAuthState.date_expires < now))
    statement = insert(OAuthState).values(state_hash=state_hash, organization_id=organization_id, date_expires=expires)
    return bool(tx.execute(statement.on_conflict_do_nothing()).rowcount)


# --- rotation of tokens ----------------------------------------------------------------------------------------


def lease_refreshes(
    connection: Connection, before: datetime, lease: timedelta, now: datetime, count: int = 10
) -> list[RefreshLease]:
    """Leases installations whose token expires before a time, to one process for the time of `lease`."""
    due = (
        select(Installation.id)
        .where(
            Installation.token_expires_at < before,
            Installation.refresh_token_sealed.is_not(None),
            func.coalesce(Installation.refresh_leased_until, now) <= now,
        )
        .order_by(Installation.token_expires_at)
        .limit(count)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(
        update(Installation)
        .where(Installation.id.in_(due.scalar_subquery()))
        .values(refresh_leased_until=now + lease)
        .returning(Installation.id, Installation.refresh_token_sealed)
    )
    return [RefreshLease(row.id, row.refresh_token_sealed) for row in rows]


def store_refreshed(
    tx: Connection, lease: RefreshLease, token_sealed: str, refresh_token_sealed: str, expires_at: datetime
) -> bool:
    """Stores the tokens of a refresh. Returns False if the installation has got others since, or has ended."""
    return bool(
        tx.execute(
            update(Installation)
            .where(
                Installation.id == lease.installation_id,
                Installation.refresh_token_sealed == lease.refresh_token_sealed,
            )
            .values(
                token_sealed=token_sealed,
                refresh_token_sealed=refresh_token_sealed,
                token_expires_at=expires_at,
                refresh_leased_until=None,
                version=Installation.version + 1,
            )
        ).rowcount
    )


# --- another TOCSIN_SECRET_KEY ---------------------------------------------------------------------------------


def list_sealed_tokens(connection: Connection) -> dict[str, tuple[str, str | None]]:
    """Returns the encrypted tokens of every installation, by its id: the token, and the refresh token."""
    rows = connection.execute(
        select(Installation.id, Installation.token_sealed, Installation.refresh_token_sealed)
        .where(Installation.token_sealed.is_not(None))
        .order_by(Installation.id)
    )
    return {row.id: (row.token_sealed, row.refresh_token_sealed) for row in rows}


def replace_sealed_tokens(
    tx: Connection, installation_id: str, before: tuple[str, str | None], after: tuple[str, str | None]
) -> bool:
    """Stores the same tokens, encrypted anew. Returns False if they have been replaced meanwhile."""
    return bool(
        tx.execute(
            update(Installation)
            .where(
                Installation.id == installation_id,
                Installation.token_sealed == before[0],
                Installation.refresh_token_sealed.is_not_distinct_from(before[1]),
            )
            .values(token_sealed=after[0], refresh_token_sealed=after[1], version=Installation.version + 1)
        ).rowcount
    )


def list_sealed_secrets(connection: Connection) -> dict[int, str]:
    """Returns the encrypted secrets of intake tokens, by the token's id."""
    rows = connection.execute(
        select(IntakeToken.id, IntakeToken.secret_encrypted)
        .where(IntakeToken.secret_encrypted.is_not(None))
        .order_by(IntakeToken.id)
    )
    return {row.id: row.secret_encrypted for row in rows}


def replace_sealed_secret(tx: Connection, token_id: int, before: str, after: str) -> bool:
    """Stores the same secret of an intake token, encrypted anew. Returns False if it has been replaced meanwhile."""
    return bool(
        tx.execute(
            update(IntakeToken)
            .where(IntakeToken.id == token_id, IntakeToken.secret_encrypted == before)
            .values(secret_encrypted=after)
        ).rowcount
    )
