"""Intake tokens: how they are made, stored and revoked."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from storage.audit_rows import Actor, AuditAction, AuditChange
from storage.queries import audit, tokens

# People and scanners recognize a leaked token by it, and `bot.log` hides what begins with it.
TOKEN_PREFIX = "tocsin_"
TOKEN_BYTES = 32
# Sentry's client secrets have 64 characters; longer than this is something else.
SECRET_MAX_LENGTH = 1024


class Source(StrEnum):
    """A kind of system that posts alerts."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    EVENTS = "events"
    SENTRY = "sentry"


def new_token() -> str:
    """A random token."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """The hash under which a token is stored. Tokens are long and random, so one SHA-256 is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def revoke(tx: Connection, organization_id: int, token_id: int, actor: Actor, now: datetime) -> datetime | None:
    """Revokes a token: what posts with it is refused from now on. The audit log says that `actor` did it.

    Returns when it was revoked, which may have been earlier; None if the organization has no such token.
    """
    revoked = tokens.revoke_token(tx, organization_id, token_id, now)
    if revoked == now:
        before = tokens.describe_token(tx, organization_id, token_id)
        audit.record(
            tx, organization_id, actor, [AuditChange(AuditAction.TOKEN_REVOKE, str(token_id), before=before)], now
        )
    return revoked
