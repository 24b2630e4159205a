"""Reads what the message of a storm shows: only the incidents that its channel may show."""

from __future__ import annotations

from sqlalchemy import Connection

from storage.queries.destinations import Target
from storage.queries.post_kinds import StormPost
from storage.queries.silences import is_silenced
from storage.queries.visibility import shown_in_channel
from storage.rows import DESCRIPTION, IncidentName, StormAlert, StormContent
from storage.values import Status

NAMED = 5  # critical incidents and owners that a message names
# Incidents that are compared to find what a storm's incidents have in common: the first and the last ones.
_COMPARED = 200
_MAX_LABEL_LENGTH = 60  # characters of a fact of an alert that may be a label

_SHOWN = f"""
shown AS MATERIALIZED (
  SELECT i.id, i.identifier, i.title, i.status, coalesce(i.status_before_closing, i.status) AS severity, i.owner_id,
         si.folded, i.status <> 2 AND {is_silenced("i")} AS silenced, i.status <> 2 AND NOT {is_silenced("i")} AS open
  FROM storm_incident si JOIN incident i ON i.organization_id = si.organization_id AND i.id = si.incident_id
  WHERE si.organization_id = %(organization_id)s AND si.storm_id = %(storm_id)s
    AND {shown_in_channel("i.organization_id", "i.id", "%(channel_id)s")}
)
"""  # noqa: S608 - composed of constants
_CONTENT = f"""
WITH storm AS (SELECT s.*, m.name AS split_by_name FROM storm s
  LEFT JOIN member m ON m.organization_id = s.organization_id AND m.id = s.split_by
               WHERE s.post_id = %(post_id)s AND s.organization_id = %(organization_id)s), {_SHOWN}
SELECT storm.date_started, storm.date_last, storm.date_ended IS NOT NULL, storm.cards, storm.within_s,
       storm.date_split IS NOT NULL, storm.split_by_name,
       total.*,
       (SELECT jsonb_agg(jsonb_build_array(o.name, o.count)) FROM (
          SELECT m.name, count(*) AS count FROM shown JOIN member m ON m.id = shown.owner_id
          WHERE shown.open GROUP BY m.id ORDER BY count DESC, m.name LIMIT {NAMED}) o),
       (SELECT jsonb_agg(jsonb_build_array(c.identifier, c.title)) FROM (
          SELECT identifier, title FROM shown WHERE folded AND open AND status = {Status.CRITICAL:d}
          ORDER BY identifier LIMIT {NAMED}) c),
       (SELECT jsonb_build_array(identifier, title) FROM shown ORDER BY identifier LIMIT 1)
FROM storm CROSS JOIN LATERAL (
  SELECT count(*), count(*) FILTER (WHERE severity = {Status.CRITICAL:d}),
         count(*) FILTER (WHERE severity = {Status.WARNING:d}), count(*) FILTER (WHERE severity = {Status.OPEN:d}),
         count(*) FILTER (WHERE status = 2), count(*) FILTER (WHERE silenced),
         count(*) FILTER (WHERE open AND owner_id IS NULL), count(DISTINCT owner_id) FILTER (WHERE open),
         count(*) FILTER (WHERE open AND folded),
         count(*) FILTER (WHERE folded AND open AND status = {Status.CRITICAL:d})
  FROM shown) total
"""  # noqa: S608 - composed of constants
_ALERTS = f"""
WITH {_SHOWN}
SELECT i.title, i.environment, coalesce(i.details, '{{}}') FROM (
  (SELECT id FROM shown ORDER BY identifier LIMIT {_COMPARED})
  UNION (SELECT id FROM shown ORDER BY identifier DESC LIMIT {_COMPARED})) c
JOIN incident i ON i.id = c.id ORDER BY i.id
"""  # noqa: S608 - composed of constants


def find_storm_content(tx: Connection, post: StormPost, target: Target) -> StormContent | None:
    """Returns what a storm's message shows; None if the channel may show none of its incidents (any more)."""
    storm_id: int | None = tx.exec_driver_sql(
        "SELECT id FROM storm WHERE post_id = %(post_id)s AND organization_id = %(organization_id)s",
        {"post_id": post.id, "organization_id": target.organization_id},
    ).scalar()
    if storm_id is None:
        return None
    parameters = {
        "organization_id": target.organization_id,
        "storm_id": storm_id,
        "post_id": post.id,
        "channel_id": target.channel_id,
    }
    *columns, owners, criticals, first = tx.exec_driver_sql(_CONTENT, parameters).one()
    if first is None:
        return None
    alerts = tx.exec_driver_sql(_ALERTS, parameters)
    values = [
        storm_id,
        *columns,
        [(name, count) for name, count in owners or ()],
        [IncidentName(*name) for name in criticals or ()],
        IncidentName(*first),
        [
            StormAlert(title, _find_labels(environment, details), details.get("labels") or {})
            for title, environment, details in alerts
        ],
    ]
    return StormContent(*values)


def _find_labels(environment: str | None, details: dict[str, object]) -> dict[str, str]:
    """The labels of an alert, and what else is short enough to be one."""
    facts = details.get("facts")
    labels = {
        str(name): str(text)
        for name, text in (facts if isinstance(facts, list) else ())
        if name != DESCRIPTION and len(text) <= _MAX_LABEL_LENGTH
    }
    if environment:
        labels["environment"] = environment
    stored = details.get("labels")
    return labels | (stored if isinstance(stored, dict) else {})
