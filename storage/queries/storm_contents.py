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

_IN_CHANNEL = shown_in_channel("si.organization_id", "si.incident_id", "%(channel_id)s")
# Reads what is open from an index: the rows of a storm's incidents may be scattered among a million. What is looked up
# for each incident by itself, the planner would otherwise look up for all incidents of the channel's projects.
_SHOWN = f"""
shown AS MATERIALIZED (
  SELECT si.organization_id, si.incident_id AS id, si.folded, i.status, i.owner_id, i.silence_id
  FROM storm_incident si
  CROSS JOIN LATERAL (SELECT WHERE {_IN_CHANNEL} OFFSET 0) c
  LEFT JOIN incident i ON i.organization_id = si.organization_id AND i.id = si.incident_id AND i.status <> 2
  WHERE si.organization_id = %(organization_id)s AND si.storm_id = %(storm_id)s
), judged AS MATERIALIZED (
  SELECT h.organization_id, h.id, h.folded, h.status, h.owner_id, coalesce(h.status, closed.severity) AS severity,
         h.status IS NOT NULL AND {is_silenced("h")} AS silenced,
         h.status IS NOT NULL AND NOT {is_silenced("h")} AS open
  FROM shown h LEFT JOIN LATERAL (SELECT coalesce(x.status_before_closing, x.status) AS severity FROM incident x
                                  WHERE x.organization_id = h.organization_id AND x.id = h.id
                                    AND h.status IS NULL OFFSET 0) closed ON true
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
          SELECT m.name, count(*) AS count FROM judged
          JOIN member m ON m.organization_id = judged.organization_id AND m.id = judged.owner_id
          WHERE judged.open GROUP BY m.id ORDER BY count DESC, m.name LIMIT {NAMED}) o),
       (SELECT jsonb_agg(jsonb_build_array(x.identifier, x.title) ORDER BY x.identifier) FROM (
          SELECT organization_id, id FROM judged WHERE folded AND open AND status = {Status.CRITICAL:d}
          ORDER BY id LIMIT {NAMED}) c JOIN incident x ON x.organization_id = c.organization_id AND x.id = c.id),
       (SELECT jsonb_build_array(x.identifier, x.title) FROM incident x
        WHERE x.organization_id = %(organization_id)s AND x.id = (SELECT min(id) FROM judged))
FROM storm CROSS JOIN LATERAL (
  SELECT count(*), count(*) FILTER (WHERE severity = {Status.CRITICAL:d}),
         count(*) FILTER (WHERE severity = {Status.WARNING:d}), count(*) FILTER (WHERE severity = {Status.OPEN:d}),
         count(*) FILTER (WHERE status IS NULL), count(*) FILTER (WHERE silenced),
         count(*) FILTER (WHERE open AND owner_id IS NULL), count(DISTINCT owner_id) FILTER (WHERE open),
         count(*) FILTER (WHERE open AND folded),
         count(*) FILTER (WHERE folded AND open AND status = {Status.CRITICAL:d})
  FROM judged) total
"""  # noqa: S608 - composed of constants
# The ids of incidents of an organization are in the order of their identifiers.
_ENDS = " UNION ".join(
    "(SELECT si.organization_id, si.incident_id FROM storm_incident si"  # noqa: S608 - composed of constants
    f" CROSS JOIN LATERAL (SELECT WHERE {_IN_CHANNEL} OFFSET 0) c"
    " WHERE si.organization_id = %(organization_id)s AND si.storm_id = %(storm_id)s"
    f" ORDER BY si.incident_id {order} LIMIT {_COMPARED})"
    for order in ("", "DESC")
)
_ALERTS = f"""
SELECT i.title, i.environment, coalesce(i.details, '{{}}') FROM ({_ENDS}) c
JOIN incident i ON i.organization_id = c.organization_id AND i.id = c.incident_id ORDER BY i.id
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
