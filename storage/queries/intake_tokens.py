"""The token of a delivery, with its organization and project."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from storage.models import IntakeToken
from storage.prepared import PreparedStatement


@dataclass(frozen=True, slots=True)
class IntakeProject:
    """The data of a project that the intake needs."""

    id: int
    slug: str
    quiet: timedelta  # an alert that fires again within this time after its end is the same incident


@dataclass(frozen=True, slots=True)
class IntakeTokenRow:
    """An intake token that has not been revoked."""

    id: int
    organization_id: int
    project: IntakeProject | None  # None: each alert names its project
    source: str
    token_hash: str | None
    secret_encrypted: str | None
    last_used: datetime | None
    last_refused: datetime | None  # when the last delivery was refused; None: it was accepted completely
    incidents: bool  # whether incidents are enabled for the organization


_TOKEN = """
SELECT t.id, t.organization_id, t.source, t.token_hash, t.secret_encrypted, t.last_used, t.last_refused,
       o.incidents, p.id, p.slug, p.quiet_minutes
FROM intake_token t JOIN organization o ON o.id = t.organization_id
LEFT JOIN project p ON p.organization_id = t.organization_id AND p.id = t.project_id
WHERE t.date_revoked IS NULL AND """
_TOKEN_BY_HASH = PreparedStatement(_TOKEN + "t.token_hash = %(token_hash)s", {"token_hash": "text"})
_TOKEN_BY_ID = PreparedStatement(_TOKEN + "t.id = %(id)s", {"id": "bigint"})


def find_token_by_hash(connection: Connection, token_hash: str) -> IntakeTokenRow | None:
    """Returns the token with this hash, or None if there is none or it has been revoked."""
    return _parse_token(_TOKEN_BY_HASH.row(connection, {"token_hash": token_hash}))


def find_token_by_id(connection: Connection, token_id: int) -> IntakeTokenRow | None:
    """Returns the token with this id, or None if there is none or it has been revoked."""
    return _parse_token(_TOKEN_BY_ID.row(connection, {"id": token_id}))


def _parse_token(row: tuple[Any, ...] | None) -> IntakeTokenRow | None:
    if row is None:
        return None
    id_, organization_id, source, hashed, sealed, last_used, last_refused, incidents, project_id, slug, quiet = row
    project = None if project_id is None else IntakeProject(project_id, slug, timedelta(minutes=quiet))
    return IntakeTokenRow(id_, organization_id, project, source, hashed, sealed, last_used, last_refused, incidents)


def record_token_use(connection: Connection, organization_id: int, token_id: int, now: datetime) -> None:
    """Records that a token was used."""
    connection.execute(
        update(IntakeToken)
        .where(IntakeToken.organization_id == organization_id, IntakeToken.id == token_id)
        .values(last_used=now)
    )


def record_token_refusal(
    connection: Connection, organization_id: int, token_id: int, when: datetime | None, why: str | None
) -> None:
    """Records when and why the last delivery of a token was refused; None if it was accepted completely."""
    connection.execute(
        update(IntakeToken)
        .where(IntakeToken.organization_id == organization_id, IntakeToken.id == token_id)
        .values(last_refused=when, last_refusal=why)
    )
