"""Removes what an organization keeps no longer, and keeps what is on legal hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.values import PostKind

# A batch that removes something holds this lock shared, and whoever begins a hold has it alone: so when a hold has
# begun, nothing is being removed any more.
_LOCK_KEY = "hashtextextended('retention of ' || %(organization_id)s::bigint, 0)"


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """How many seconds an organization keeps what. None: for good."""

    organization_id: int
    slug: str
    closed_incidents_s: int | None
    audit_s: int | None
    legal_hold: bool


_ROW = "SELECT id, slug, retention_closed_incidents_s, retention_audit_s, legal_hold FROM organization"


def list_retentions(connection: Connection) -> list[RetentionRow]:
    """Returns the organizations that keep something for a time only, without those on legal hold."""
    rows = connection.exec_driver_sql(
        f"{_ROW} WHERE NOT legal_hold AND num_nonnulls(retention_closed_incidents_s, retention_audit_s) > 0 ORDER BY id"
    )
    return [RetentionRow(*row) for row in rows]


def get_retention(connection: Connection, organization_id: int) -> RetentionRow:
    """Returns what an organization keeps, and whether it is on legal hold."""
    row = connection.exec_driver_sql(f"{_ROW} WHERE id = %(id)s", {"id": organization_id}).one()
    return RetentionRow(*row)


def lock_against_hold(tx: Connection, organization_id: int) -> RetentionRow | None:
    """Returns what is kept now; until the transaction ends, no hold begins. None: somebody is beginning one."""
    got = tx.exec_driver_sql(
        f"SELECT pg_try_advisory_xact_lock_shared({_LOCK_KEY})", {"organization_id": organization_id}
    ).scalar_one()
    return get_retention(tx, organization_id) if got else None


# Incidents i that are still needed: an alert that goes on would open another one, a silence stands, a storm shows it,
# or something about it is to be sent.
_IS_NEEDED = """
(EXISTS (SELECT FROM alert_memory a WHERE a.organization_id = i.organization_id AND a.incident_id = i.id
  AND a.status IS NOT NULL AND a.resolved IS NULL)
 OR EXISTS (SELECT FROM silence s WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
            AND (s.date_ended IS NULL OR (s.alertmanager_id IS NOT NULL AND NOT s.alertmanager_done)))
 OR EXISTS (SELECT FROM storm_incident si JOIN storm s ON s.organization_id = si.organization_id AND s.id = si.storm_id
            WHERE si.organization_id = i.organization_id AND si.incident_id = i.id AND s.date_ended IS NULL)
 OR EXISTS (SELECT FROM outbox o WHERE o.organization_id = i.organization_id AND o.incident_id = i.id)
 OR EXISTS (SELECT FROM post p JOIN destination d ON d.id = p.destination_id
              JOIN workspace w ON w.organization_id = i.organization_id AND w.id = d.workspace_id
            WHERE p.organization_id = i.organization_id AND p.incident_id = i.id
            AND d.failed_reason IS NULL AND p.failed_reason IS NULL
            AND (p.attempted_at IS NOT NULL AND p.ts IS NULL OR p.wanted_version > p.drawn_version)))
"""
_IS_OLD = """
i.organization_id = %(organization_id)s AND i.status = 2 AND i.date_closed < %(before)s
"""


def lock_old_incidents(
    tx: Connection, organization_id: int, before: datetime, most: int, after: tuple[datetime, int] | None
) -> list[tuple[datetime, int]]:
    """Locks incidents that were closed before a moment, except those on hold, still needed, or locked by others.

    Returns when each was closed, and its id: at most `most`, the oldest first, behind the one of `after`.
    """
    rows = tx.exec_driver_sql(
        f"SELECT i.date_closed, i.id FROM incident i WHERE {_IS_OLD} AND NOT i.legal_hold"  # noqa: S608 - constants
        " AND (%(after_date)s::timestamptz IS NULL OR (i.date_closed, i.id) > (%(after_date)s, %(after_id)s))"
        f" AND NOT {_IS_NEEDED} ORDER BY i.date_closed, i.id LIMIT %(most)s FOR UPDATE OF i SKIP LOCKED",
        {
            "organization_id": organization_id,
            "before": before,
            "most": most,
            "after_date": after[0] if after else None,
            "after_id": after[1] if after else 0,
        },
    )
    return [(date_closed, id_) for date_closed, id_ in rows]


def count_log_entries(tx: Connection, organization_id: int, incident_ids: Sequence[int], most: int) -> list[int]:
    """Returns how many entries the logs of incidents have, each counted up to `most`; in the order of the ids."""
    rows = tx.exec_driver_sql(
        "SELECT (SELECT count(*) FROM (SELECT FROM incident_activity a WHERE a.organization_id = %(organization_id)s"
        " AND a.incident_id = i.id LIMIT %(most)s) counted)"
        " FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS i(id, position) ORDER BY i.position",
        {"organization_id": organization_id, "ids": list(incident_ids), "most": most},
    )
    return list(rows.scalars())


def delete_log_entries(tx: Connection, organization_id: int, incident_id: int, most: int) -> None:
    """Deletes up to `most` of the oldest entries of an incident's log, with their replies and messages."""
    tx.exec_driver_sql(
        "DELETE FROM incident_activity WHERE organization_id = %(organization_id)s AND id = ANY(ARRAY("
        "SELECT a.id FROM incident_activity a WHERE a.organization_id = %(organization_id)s"
        " AND a.incident_id = %(incident_id)s ORDER BY a.id LIMIT %(most)s))",
        {"organization_id": organization_id, "incident_id": incident_id, "most": most},
    )


def delete_incidents(tx: Connection, organization_id: int, incident_ids: Sequence[int]) -> None:
    """Deletes incidents with all that belongs to them: also offers and messages of storms that were about them alone.

    Messages that are in Slack stay there.
    """
    parameters = {"organization_id": organization_id, "ids": list(incident_ids)}
    handoffs = tx.exec_driver_sql(
        "SELECT DISTINCT handoff_id FROM handoff_item WHERE organization_id = %(organization_id)s"
        " AND incident_id = ANY(%(ids)s)",
        parameters,
    ).scalars()
    storms = tx.exec_driver_sql(
        "SELECT DISTINCT storm_id FROM storm_incident WHERE organization_id = %(organization_id)s"
        " AND incident_id = ANY(%(ids)s)",
        parameters,
    ).scalars()
    others = {**parameters, "handoffs": handoffs.all(), "storms": storms.all()}
    tx.exec_driver_sql(
        "DELETE FROM incident WHERE organization_id = %(organization_id)s AND id = ANY(%(ids)s)", parameters
    )
    tx.exec_driver_sql(
        "DELETE FROM handoff h WHERE h.organization_id = %(organization_id)s AND h.id = ANY(%(handoffs)s::bigint[])"
        " AND NOT EXISTS (SELECT FROM handoff_item hi WHERE hi.organization_id = h.organization_id"
        "                 AND hi.handoff_id = h.id)",
        others,
    )
    tx.exec_driver_sql(
        "DELETE FROM post p USING storm s WHERE s.organization_id = %(organization_id)s"  # noqa: S608 - constants
        f" AND s.id = ANY(%(storms)s::bigint[]) AND s.date_ended IS NOT NULL"
        " AND p.organization_id = s.organization_id AND p.id = s.post_id"
        f" AND p.kind = '{PostKind.STORM}' AND NOT EXISTS (SELECT FROM storm_incident si"
        "  WHERE si.organization_id = s.organization_id AND si.storm_id = s.id)",
        others,
    )


def count_old_incidents(connection: Connection, organization_id: int, before: datetime) -> tuple[int, int, int]:
    """Counts incidents that were closed before a moment: to be removed, on hold, and still needed."""
    row = connection.exec_driver_sql(
        "SELECT count(*) FILTER (WHERE NOT held AND NOT needed), count(*) FILTER (WHERE held),"  # noqa: S608 - constants
        f" count(*) FILTER (WHERE NOT held AND needed) FROM (SELECT i.legal_hold AS held, {_IS_NEEDED} AS needed"
        f" FROM incident i WHERE {_IS_OLD}) old",
        {"organization_id": organization_id, "before": before},
    ).one()
    return row[0], row[1], row[2]


def lock_old_audit_entries(tx: Connection, organization_id: int, before: datetime, most: int) -> list[int]:
    """Locks entries of the audit log from before a moment, except those that others have locked. Returns their ids."""
    rows = tx.exec_driver_sql(
        "SELECT id FROM audit_entry WHERE organization_id = %(organization_id)s AND date_added < %(before)s"
        " ORDER BY date_added, id LIMIT %(most)s FOR UPDATE SKIP LOCKED",
        {"organization_id": organization_id, "before": before, "most": most},
    )
    return list(rows.scalars())


def delete_audit_entries(tx: Connection, organization_id: int, entry_ids: Collection[int]) -> None:
    """Deletes entries of the audit log. The transaction must have recorded that before."""
    tx.exec_driver_sql(
        "DELETE FROM audit_entry WHERE organization_id = %(organization_id)s AND id = ANY(%(ids)s)",
        {"organization_id": organization_id, "ids": list(entry_ids)},
    )


def count_old_audit_entries(connection: Connection, organization_id: int, before: datetime) -> int:
    """Counts entries of the audit log from before a moment."""
    count: int = connection.exec_driver_sql(
        "SELECT count(*) FROM audit_entry WHERE organization_id = %(organization_id)s AND date_added < %(before)s",
        {"organization_id": organization_id, "before": before},
    ).scalar_one()
    return count


# --- legal hold ----------------------------------------------------------------------------------------------


def hold_organization(tx: Connection, organization_id: int, *, held: bool) -> bool:
    """Begins or ends the legal hold of an organization. Returns whether that changed something.

    What was being removed is done by then: it is waited for.
    """
    tx.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})", {"organization_id": organization_id})
    return bool(
        tx.exec_driver_sql(
            "UPDATE organization SET legal_hold = %(held)s WHERE id = %(id)s AND legal_hold <> %(held)s",
            {"id": organization_id, "held": held},
        ).rowcount
    )


def hold_incident(tx: Connection, organization_id: int, identifier: int, *, held: bool) -> tuple[str, bool] | None:
    """Begins or ends the legal hold of an incident. Returns its title, and whether that changed something.

    None: there is no such incident.
    """
    row = tx.exec_driver_sql(
        "SELECT id, title, legal_hold FROM incident WHERE organization_id = %(organization_id)s"
        " AND identifier = %(identifier)s FOR NO KEY UPDATE",
        {"organization_id": organization_id, "identifier": identifier},
    ).first()
    if row is None:
        return None
    if row.legal_hold != held:
        tx.exec_driver_sql(
            "UPDATE incident SET legal_hold = %(held)s WHERE organization_id = %(organization_id)s AND id = %(id)s",
            {"organization_id": organization_id, "id": row.id, "held": held},
        )
    return row.title, row.legal_hold != held


def list_holds(connection: Connection) -> list[tuple[str, int | None, str | None]]:
    """Returns what is on legal hold: the organization's slug, and number and title if it is an incident."""
    rows = connection.exec_driver_sql(
        "SELECT slug, NULL::bigint, NULL FROM organization WHERE legal_hold UNION ALL"
        " SELECT o.slug, i.identifier, i.title FROM incident i JOIN organization o ON o.id = i.organization_id"
        " WHERE i.legal_hold ORDER BY 1, 2 NULLS FIRST"
    )
    return [(slug, identifier, title) for slug, identifier, title in rows]
