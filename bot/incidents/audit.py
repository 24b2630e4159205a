"""The audit log: what is recorded of acts in Slack, and who may read it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.incidents.access import Access
from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.queries import audit as queries


def record(tx: Connection, access: Access, change: AuditChange | None, now: datetime) -> None:
    """Records what a member did in Slack, in the transaction that does it. None: nothing was changed."""
    actor = Actor(AuditOrigin.SLACK, access.member_id, workspace_id=access.workspace_id)
    queries.record(tx, access.organization_id, actor, [change] if change else [], now)


def build_change(
    actions: tuple[AuditAction, AuditAction, AuditAction],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    subject: str | None = None,
    subject_member_id: int | None = None,
) -> AuditChange | None:
    """What is recorded of something that was added, changed or removed (`actions`); None if it is as before.

    Of a change only the values that differ are recorded.
    """
    added, changed, removed = actions
    if before is None or after is None:
        if before is after:
            return None
        return AuditChange(added if before is None else removed, subject, subject_member_id, before, after)
    different = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    if not different:
        return None
    old, new = ({key: values.get(key) for key in sorted(different)} for values in (before, after))
    return AuditChange(changed, subject, subject_member_id, old, new)
