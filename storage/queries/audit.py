"""Writes and reads the audit log. Entries are written in the transaction of what they record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from storage.audit_rows import Actor, AuditChange

_INSERT = """
INSERT INTO audit_entry
  (organization_id, date_added, origin, workspace_id, member_id, actor, action, subject, subject_member_id,
   before, after)
SELECT %(organization_id)s, %(now)s, %(origin)s, %(workspace_id)s, %(member_id)s, %(actor)s,
       c.action, c.subject, c.subject_member_id, nullif(c.before, 'null'), nullif(c.after, 'null')
FROM jsonb_to_recordset(%(changes)s::jsonb)
  AS c(position int, action text, subject text, subject_member_id bigint, before jsonb, after jsonb)
ORDER BY c.position
"""


def record(tx: Connection, organization_id: int, actor: Actor, changes: Sequence[AuditChange], now: datetime) -> None:
    """Records what was done, in the transaction that does it."""
    if not changes:
        return
    tx.exec_driver_sql(
        _INSERT,
        {
            "organization_id": organization_id,
            "now": now,
            "origin": actor.origin,
            "workspace_id": actor.workspace_id,
            "member_id": actor.member_id,
            "actor": actor.name,
            "changes": json.dumps(
                [
                    {
                        "position": position,
                        "action": change.action,
                        "subject": change.subject,
                        "subject_member_id": change.subject_member_id,
                        "before": change.before,
                        "after": change.after,
                    }
                    for position, change in enumerate(changes)
                ],
                default=str,
            ),
        },
    )
