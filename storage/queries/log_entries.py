"""The SQL that inserts an entry into the log of an incident and records in the outbox whom it concerns."""

from __future__ import annotations

from storage.queries import outbox

ENTRY_TYPES = {
    "organization_id": "bigint",
    "incident_id": "bigint",
    "member_id": "bigint",
    "type": "smallint",
    "value": "int",
    "previous_value": "int",
    "comment": "text",
    "rich_text": "jsonb",
    "date_added": "timestamptz",
    "owner_id": "bigint",
    "previous_owner_id": "bigint",
    "call": "jsonb",
    "mentioned_members": "bigint[]",
    "mentioned_teams": "bigint[]",
}
RECORD_TYPES = {"thread_channel": "text", "now": "timestamptz"}


def build_entry(incident: str) -> str:
    """Returns the CTEs that insert an entry and its mentions. `incident` selects the organization's id and its own.

    `build_record` does what `outbox.record_change` does for the entry.
    """
    return f"""
entry AS (
  INSERT INTO incident_activity (organization_id, incident_id, member_id, type, value, previous_value, comment,
                                 rich_text, date_added, owner_id, previous_owner_id, call)
  SELECT i.*, %(member_id)s, %(type)s, %(value)s, %(previous_value)s, %(comment)s, %(rich_text)s, %(date_added)s,
         %(owner_id)s, %(previous_owner_id)s, %(call)s FROM ({incident}) i
  RETURNING id, organization_id, incident_id
), mentioned AS (
  INSERT INTO comment_mention (organization_id, activity_id, member_id, team_id)
  SELECT organization_id, entry.id, m.id, NULL FROM entry, unnest(%(mentioned_members)s) AS m(id)
  UNION ALL SELECT organization_id, entry.id, NULL, t.id FROM entry, unnest(%(mentioned_teams)s) AS t(id)
)"""  # noqa: S608 - composed of constants


def build_record(organization: str, incident: str) -> str:
    """Returns the CTEs that record an entry in the outbox, if it concerns anybody. Both are ids or subqueries."""
    return f"""
cards AS ({outbox.redraw_cards_of(organization, incident, "%(member_id)s IS NULL")}
), recorded AS (
  INSERT INTO outbox (organization_id, incident_id, activity_id, said_in, of_alert, date_added)
  SELECT organization_id, incident_id, id, %(thread_channel)s, %(member_id)s IS NULL, %(now)s FROM entry
  WHERE cardinality(%(mentioned_members)s) + cardinality(%(mentioned_teams)s) > 0
     OR {outbox.is_shown("entry.organization_id", "entry.incident_id")}
     OR {outbox.concerns_others("entry.organization_id", "entry.incident_id", "%(member_id)s", "%(type)s")}
  RETURNING id
)"""  # noqa: S608 - composed of constants
