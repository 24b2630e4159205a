"""Revokes intake tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from storage.audit_rows import Actor, AuditAction, AuditChange
from storage.queries import audit, tokens


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
