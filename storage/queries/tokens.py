"""Create, list, revoke and check intake tokens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Text, and_, any_, bindparam, insert, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import Select

from storage.administration_rows import TokenRow
from storage.models import IntakeToken, Organization, Project


def get_organization_slugs(connection: Connection) -> dict[str, int]:
    """Returns the ids of all organizations, by slug."""
    return {row.slug: row.id for row in connection.execute(select(Organization.slug, Organization.id))}


def get_project_slugs(connection: Connection, organization_id: int) -> dict[str, int]:
    """Returns the ids of all projects of an organization, by slug."""
    rows = connection.execute(select(Project.slug, Project.id).where(Project.organization_id == organization_id))
    return {row.slug: row.id for row in rows}


def filter_valid_tokens(connection: Connection, *, hashes: Collection[str], ids: Collection[int]) -> set[str | int]:
    """Returns those of the hashes and ids that belong to tokens that have not been revoked.

    An id counts only if the secret of its token is stored.
    """
    rows = connection.execute(
        select(IntakeToken.token_hash, IntakeToken.id).where(
            IntakeToken.date_revoked.is_(None),
            or_(
                IntakeToken.token_hash == any_(bindparam("hashes", list(hashes), ARRAY(Text))),
                and_(
                    IntakeToken.id == any_(bindparam("ids", list(ids), ARRAY(BigInteger))),
                    IntakeToken.secret_encrypted.is_not(None),
                ),
            ),
        )
    )
    return {shown for row in rows for shown in (row.token_hash, row.id) if shown is not None}


def insert_token(
    tx: Connection,
    *,
    organization_id: int,
    project_id: int | None,
    source: str,
    token_hash: str | None,
    secret_encrypted: str | None,
    now: datetime,
) -> int:
    """Inserts a token and returns its id."""
    return tx.scalars(
        insert(IntakeToken)
        .values(
            organization_id=organization_id,
            project_id=project_id,
            source=source,
            token_hash=token_hash,
            secret_encrypted=secret_encrypted,
            date_added=now,
        )
        .returning(IntakeToken.id)
    ).one()


def list_tokens(connection: Connection) -> list[TokenRow]:
    """Returns all tokens, including revoked ones, in the order in which they were created."""
    return [TokenRow(*row) for row in connection.execute(_select_tokens())]


def list_valid_tokens(connection: Connection, organization_id: int, *, skip: int, most: int) -> list[TokenRow]:
    """Returns the tokens of an organization that have not been revoked, in the order in which they were created."""
    query = _select_tokens().where(IntakeToken.organization_id == organization_id, IntakeToken.date_revoked.is_(None))
    return [TokenRow(*row) for row in connection.execute(query.offset(skip).limit(most))]


def _select_tokens() -> Select[*tuple[Any, ...]]:
    return (
        select(
            IntakeToken.id,
            Organization.slug,
            Project.slug,
            IntakeToken.source,
            IntakeToken.date_added,
            IntakeToken.last_used,
            IntakeToken.date_revoked,
            IntakeToken.last_refused,
            IntakeToken.last_refusal,
        )
        .join(Organization, Organization.id == IntakeToken.organization_id)
        .outerjoin(
            Project, (Project.organization_id == IntakeToken.organization_id) & (Project.id == IntakeToken.project_id)
        )
        .order_by(IntakeToken.id)
    )


def find_organization_of_token(connection: Connection, token_id: int) -> int | None:
    """Returns the organization of a token; None if there is no such token."""
    return connection.scalar(select(IntakeToken.organization_id).where(IntakeToken.id == token_id))


def revoke_token(tx: Connection, organization_id: int, token_id: int, now: datetime) -> datetime | None:
    """Revokes a token. Returns when it was revoked, or None if the organization has no such token.

    A token that was revoked before keeps its earlier date.
    """
    named = (IntakeToken.organization_id == organization_id, IntakeToken.id == token_id)
    tx.execute(update(IntakeToken).where(*named, IntakeToken.date_revoked.is_(None)).values(date_revoked=now))
    return tx.scalar(select(IntakeToken.date_revoked).where(*named))


def describe_token(connection: Connection, organization_id: int, token_id: int) -> dict[str, str | None]:
    """Returns source and project of a token as the audit log has them."""
    query = (
        select(IntakeToken.source, Project.slug)
        .outerjoin(
            Project, (Project.organization_id == IntakeToken.organization_id) & (Project.id == IntakeToken.project_id)
        )
        .where(IntakeToken.organization_id == organization_id, IntakeToken.id == token_id)
    )
    source, project = connection.execute(query).one()
    return {"source": source, "project": project}
