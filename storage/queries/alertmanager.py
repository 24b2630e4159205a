"""Silences that stand in Alertmanager too, and what is known of the alerts that they silence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from psycopg2.extras import Json
from sqlalchemy import Connection

from storage.queries.intake import list_projects
from storage.queries.intake_tokens import IntakeProject
from storage.queries.silences import ALERTMANAGER
from storage.queries.visibility import sees_incident
from storage.rows import AlertKey
from storage.silence_rows import KnownAlert, Receiver, StandingSilence

# A silence that was made here goes there if it was made for an alert that came from Alertmanager. One that stands there
# stays while an import has not come to its incident.
_STANDING = f"""
SELECT s.organization_id, s.id, m.name, s.matchers, s.reason, s.ends, s.date_ended IS NULL,
       CASE WHEN i.id IS NULL THEN m.id IS NULL OR s.alertmanager_id IS NOT NULL
            ELSE m.id IS NULL OR {sees_incident("i.id")} END,
       (SELECT pr.slug FROM project pr WHERE pr.organization_id = s.organization_id AND pr.id = s.project_id),
       i.alert_key, s.alertmanager_id, s.alertmanager_keys
FROM (
  SELECT v.* FROM silence v WHERE v.alertmanager_id IS NOT NULL AND NOT v.alertmanager_done
  UNION ALL
  SELECT v.* FROM silence v WHERE v.alertmanager_id IS NULL AND v.date_ended IS NULL
                              AND v.matchers ->> 'source' = '{ALERTMANAGER}'
) s
JOIN organization o ON o.id = s.organization_id
LEFT JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id
LEFT JOIN incident i ON i.organization_id = s.organization_id AND i.id = s.incident_id
ORDER BY s.id
"""  # noqa: S608 - composed of constants


def list_standing_silences(connection: Connection) -> list[StandingSilence]:
    """Returns the silences that stand in Alertmanager, or should, of all organizations."""
    return [StandingSilence(*row) for row in connection.exec_driver_sql(_STANDING)]


def list_receivers(connection: Connection) -> list[Receiver]:
    """Returns where the tokens of the intake put alerts of Alertmanager's, in organizations that show incidents."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT t.organization_id, p.slug FROM intake_token t JOIN organization o ON o.id = t.organization_id"
        " LEFT JOIN project p ON p.organization_id = t.organization_id AND p.id = t.project_id"
        " WHERE t.date_revoked IS NULL AND t.source = %(source)s AND o.incidents ORDER BY 1, 2",
        {"source": ALERTMANAGER},
    )
    return [Receiver(*row) for row in rows]


def list_known_alerts(connection: Connection, keys: Collection[str]) -> list[KnownAlert]:
    """Returns what is stored about these alerts of Alertmanager's, in all organizations."""
    if not keys:
        return []
    rows = connection.exec_driver_sql(
        "SELECT a.organization_id, a.project_id, p.slug, a.alert_key, a.fired, a.resolved IS NOT NULL"
        " FROM alert_memory a JOIN project p ON p.organization_id = a.organization_id AND p.id = a.project_id"
        " WHERE a.source = %(source)s AND a.alert_key = ANY(%(keys)s)"
        " AND a.organization_id IN (SELECT id FROM organization WHERE incidents)"
        " ORDER BY a.organization_id, a.alert_key, a.project_id",
        {"source": ALERTMANAGER, "keys": sorted(keys)},
    )
    return [KnownAlert(*row) for row in rows]


def list_open_alerts(connection: Connection, organization_id: int) -> list[AlertKey]:
    """Returns the alerts of open incidents that Alertmanager silences, or did: it does not report their ends."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT i.alert_project_id, i.alert_key FROM silence s"
        " JOIN incident i ON i.organization_id = s.organization_id AND i.alert_key = ANY(s.alertmanager_keys)"
        " JOIN alert_memory a ON a.organization_id = i.organization_id AND a.incident_id = i.id"
        " WHERE s.organization_id = %(organization_id)s AND s.alertmanager_id IS NOT NULL AND NOT s.alertmanager_done"
        " AND i.source = %(source)s AND i.status <> 2 AND i.alert_project_id IS NOT NULL AND a.resolved IS NULL"
        " ORDER BY 1, 2",
        {"organization_id": organization_id, "source": ALERTMANAGER},
    )
    return [AlertKey(ALERTMANAGER, project_id, key) for project_id, key in rows]


def find_project(connection: Connection, organization_id: int, slug: str) -> IntakeProject | None:
    """Returns the project of an organization with this slug."""
    return next(iter(list_projects(connection, organization_id, [slug])), None)


def save_silence_of_alertmanager(
    tx: Connection,
    organization_id: int,
    alertmanager_id: str,
    *,
    keys: Iterable[str],
    made_by: str,
    reason: str | None,
    ends: datetime,
    now: datetime,
) -> int | None:
    """Inserts a silence that was made in Alertmanager, or adds alerts to it.

    Returns its id, if it holds alerts that it did not hold before; None if it does not, or has ended here.
    """
    row = tx.exec_driver_sql(
        "INSERT INTO silence AS s (organization_id, made_by, matchers, reason, starts, ends, alertmanager_id,"
        "                          alertmanager_keys)"
        " VALUES (%(organization_id)s, %(made_by)s, %(matchers)s, %(reason)s, %(now)s, %(ends)s, %(alertmanager_id)s,"
        "         %(keys)s::text[])"
        " ON CONFLICT (organization_id, alertmanager_id) WHERE alertmanager_id IS NOT NULL"
        " DO UPDATE SET alertmanager_keys = ARRAY(SELECT DISTINCT unnest(s.alertmanager_keys || %(keys)s::text[]))"
        " WHERE s.date_ended IS NULL AND NOT s.alertmanager_keys @> %(keys)s::text[] RETURNING s.id",
        {
            "organization_id": organization_id,
            "alertmanager_id": alertmanager_id,
            "keys": sorted(keys),
            "made_by": made_by,
            "matchers": Json({"source": ALERTMANAGER}),
            "reason": reason,
            "ends": ends,
            "now": now,
        },
    ).first()
    return None if row is None else row[0]


def add_keys(tx: Connection, organization_id: int, keys: Mapping[int, Iterable[str]]) -> None:
    """Adds the alerts that Alertmanager silences by silences that were made here; by the silence's id."""
    for silence_id, added in keys.items():
        tx.exec_driver_sql(
            "UPDATE silence"
            " SET alertmanager_keys = ARRAY(SELECT DISTINCT unnest(alertmanager_keys || %(keys)s::text[]))"
            " WHERE organization_id = %(organization_id)s AND id = %(id)s"
            " AND NOT alertmanager_keys @> %(keys)s::text[]",
            {"organization_id": organization_id, "id": silence_id, "keys": sorted(added)},
        )


def set_alertmanager_id(tx: Connection, silence: StandingSilence, alertmanager_id: str | None) -> None:
    """Records which silence stands in Alertmanager for this one; None: none does any more."""
    tx.exec_driver_sql(
        "UPDATE silence SET alertmanager_id = %(alertmanager_id)s"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": silence.organization_id, "id": silence.id, "alertmanager_id": alertmanager_id},
    )


def set_end(tx: Connection, silence: StandingSilence, ends: datetime) -> None:
    """Records that the end of a silence was changed in Alertmanager."""
    tx.exec_driver_sql(
        "UPDATE silence SET ends = greatest(%(ends)s, starts + interval '1 second')"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s AND date_ended IS NULL",
        {"organization_id": silence.organization_id, "id": silence.id, "ends": ends},
    )


def set_done(tx: Connection, silence: StandingSilence) -> None:
    """Records that the end of a silence has been followed on both sides."""
    tx.exec_driver_sql(
        "UPDATE silence SET alertmanager_done = true WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": silence.organization_id, "id": silence.id},
    )
