"""Changes in the outbox that delivery expands: takes them, and finds out whom they concern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.activity import IS_DELETED
from storage.queries.home_workspaces import first_workspace
from storage.queries.silences import has_silences
from storage.queries.visibility import sees_incident
from storage.values import BY_HANDOFF, ActivityType


@dataclass(frozen=True, slots=True)
class Change:
    """A change to an incident, from the outbox. One of this class itself is shown by the incident's cards alone."""

    id: int
    organization_id: int
    incident_id: int


@dataclass(frozen=True, slots=True)
class EntryChange(Change):
    """A change that an entry of the incident's log describes."""

    activity_id: int
    thread_channel: str | None  # the channel in whose thread it was written, where nobody needs to be shown it


@dataclass(frozen=True, slots=True)
class EntryAdded(EntryChange):
    """The entry is new: subscribers and the mentioned are notified."""


@dataclass(frozen=True, slots=True)
class EntryChanged(EntryChange):
    """A comment was edited or deleted: threads follow, and only those whom it newly mentions are notified."""

    newly_mentioned: list[int]  # members


# The transaction that expands a change locks its row, and others skip it. Without `alone` it takes one change of a
# person, or several of alerts. A change waits while an earlier one of the same incident is not expanded, as when
# another replica is at it, so that threads and direct messages show both in their order. It does not wait for one that
# could not be expanded; and that of a person does not wait for those of alerts, however many there are.
def _build_take(of_alert: str) -> PreparedStatement:
    """Builds the statement for one kind: planned for itself, it need not read the other's, however many wait."""
    return PreparedStatement(
        f"""
WITH found AS MATERIALIZED (
  SELECT id, organization_id, incident_id FROM outbox o
  WHERE of_alert = {of_alert} AND (retry_at IS NULL OR retry_at <= %(now)s)
    AND (%(alone)s IS NULL OR id = %(alone)s) AND NOT {_has_earlier("o", "NOT e.of_alert")}
  ORDER BY of_alert, id LIMIT %(most)s FOR UPDATE SKIP LOCKED
), taken AS (
  DELETE FROM outbox WHERE id = ANY(ARRAY(
    SELECT id FROM found f
    WHERE NOT ({of_alert} AND {_has_earlier("f", "e.of_alert AND e.id <> ALL(ARRAY(SELECT g.id FROM found g))")})))
  RETURNING id, organization_id, incident_id, activity_id, again, member_ids, said_in, traceparent
)
SELECT (SELECT count(*) FROM found) > (SELECT count(*) FROM taken)
         OR coalesce((SELECT true FROM outbox o WHERE of_alert = {of_alert} AND id > (SELECT max(id) FROM taken)
                      AND (retry_at IS NULL OR retry_at <= %(now)s) ORDER BY of_alert, id LIMIT 1), false),
       NOT {of_alert} AND EXISTS (
         SELECT FROM outbox o WHERE o.organization_id = taken.organization_id AND o.incident_id = taken.incident_id
           AND o.of_alert),
       taken.*
FROM (VALUES (0)) AS always LEFT JOIN taken ON true ORDER BY taken.id
""",  # noqa: S608 - composed of constants
        {"now": "timestamptz", "alone": "bigint", "most": "int"},
    )


def _has_earlier(change: str, kind: str) -> str:
    """Returns the condition that an earlier change of a kind to the same incident waits, and did not fail."""
    return f"""EXISTS (
      SELECT FROM outbox e
      WHERE e.organization_id = {change}.organization_id AND e.incident_id = {change}.incident_id
        AND e.id < {change}.id AND e.retry_at IS NULL AND {kind} OFFSET 0)"""


_TAKE_OF_PEOPLE, _TAKE_OF_ALERTS = _build_take("false"), _build_take("true")


@dataclass(frozen=True, slots=True)
class TakenChanges:
    """Changes that this transaction expands, the oldest first."""

    changes: list[Change]
    more: bool  # others of the kind that was asked for wait after them
    frees_alerts: bool  # changes of alerts may have waited for these
    traceparents: list[str]  # of what made the changes, where that was traced


def take_changes(tx: Connection, *, of_alert: bool, most: int, now: datetime, alone: int | None = None) -> TakenChanges:
    """Deletes and returns up to `most` of the oldest changes that no other transaction is expanding.

    `of_alert` chooses between the changes of alerts and of people. With `alone`, only the change of that id. A change
    is not taken while an earlier one to the same incident waits, except that people's do not wait for alerts'.
    """
    take = _TAKE_OF_ALERTS if of_alert else _TAKE_OF_PEOPLE
    rows = take.rows(tx, {"most": most, "alone": alone, "now": now})
    return TakenChanges(
        [_build_change(row[2:-1]) for row in rows if row[2] is not None],
        any(row[0] for row in rows),
        any(row[1] for row in rows),
        list(dict.fromkeys(row[-1] for row in rows if row[-1])),
    )


def _build_change(row: Sequence[Any]) -> Change:
    id_, organization_id, incident_id, activity_id, again, member_ids, thread_channel = row
    if activity_id is None:
        return Change(id_, organization_id, incident_id)
    if again:
        return EntryChanged(id_, organization_id, incident_id, activity_id, thread_channel, member_ids or [])
    return EntryAdded(id_, organization_id, incident_id, activity_id, thread_channel)


def postpone_change(tx: Connection, change: Change, now: datetime) -> None:
    """Delays a change that could not be expanded, with exponential backoff. Other changes go on."""
    tx.exec_driver_sql(
        "UPDATE outbox SET failures = least(failures + 1, 30),"
        " retry_at = %(now)s + make_interval(secs => least(600, power(2, least(failures, 10))))"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": change.organization_id, "id": change.id, "now": now},
    )


@dataclass(frozen=True, slots=True)
class Audience:
    """The workspace and organization of a change, and the entry of the log behind it."""

    workspace_id: str
    organization_id: int
    type: int | None  # of the activity
    author_id: int | None
    has_comment: bool
    deleted: bool
    has_silences: bool  # the organization has some in force
    told_otherwise: int | None  # a member whom another message tells about the entry
    previous_status: int | None  # before a change of the status


_AUDIENCES = PreparedStatement(
    f"""
SELECT c.id, w.id, o.id, a.type, a.member_id, a.comment IS NOT NULL, {IS_DELETED}, {has_silences("o.id")},
       CASE WHEN a.type IN ({ActivityType.HANDOFF:d}, {ActivityType.UNHEARD:d}) THEN a.owner_id
            WHEN a.type = {ActivityType.OWNER:d} AND a.value = {BY_HANDOFF} THEN a.previous_owner_id END,
       CASE WHEN a.type = {ActivityType.STATUS_CHANGE:d} THEN a.previous_value END
FROM unnest(%(ids)s::bigint[], %(organization_ids)s::bigint[], %(incident_ids)s::bigint[], %(activity_ids)s::bigint[])
  AS c(id, organization_id, incident_id, activity_id)
JOIN incident i ON i.organization_id = c.organization_id AND i.id = c.incident_id
JOIN organization o ON o.id = i.organization_id
JOIN workspace w ON w.id = {first_workspace("o.id")}
LEFT JOIN incident_activity a ON a.organization_id = c.organization_id AND a.id = c.activity_id
WHERE o.incidents
"""  # noqa: S608 - composed of constants
)


def get_audiences(tx: Connection, changes: Sequence[Change]) -> dict[int, Audience]:
    """Returns what is needed to expand each change, by the change's id.

    Changes that notify nobody are left out: their organization has no workspace, or incidents are switched off.
    """
    rows = _AUDIENCES.rows(
        tx,
        {
            "ids": [change.id for change in changes],
            "organization_ids": [change.organization_id for change in changes],
            "incident_ids": [change.incident_id for change in changes],
            "activity_ids": [change.activity_id if isinstance(change, EntryChange) else None for change in changes],
        },
    )
    return {row[0]: Audience(*row[1:]) for row in rows}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member who may have to be notified."""

    member_id: int
    mention: bool
    notify: str
    sees: bool


_CANDIDATES = PreparedStatement(
    f"""
WITH mentioned AS (
  SELECT member_id FROM comment_mention
  WHERE organization_id = %(organization_id)s AND activity_id = %(activity_id)s AND member_id IS NOT NULL
  UNION
  SELECT mt.member_id FROM comment_mention c JOIN member_team mt ON mt.organization_id = c.organization_id
    AND mt.team_id = c.team_id
  WHERE c.organization_id = %(organization_id)s AND c.activity_id = %(activity_id)s
), candidate AS (
  SELECT member_id, true AS mention FROM mentioned
  WHERE NOT %(again)s OR member_id = ANY(%(member_ids)s::bigint[])
  UNION ALL
  SELECT s.member_id, false FROM incident_subscription s
  WHERE s.organization_id = %(organization_id)s AND s.incident_id = %(incident_id)s AND NOT %(again)s
    AND NOT EXISTS (SELECT FROM mentioned m WHERE m.member_id = s.member_id)
)
SELECT c.member_id, c.mention, m.notify,
       {sees_incident("%(incident_id)s")}
FROM candidate c JOIN member m ON m.organization_id = %(organization_id)s AND m.id = c.member_id
JOIN organization o ON o.id = m.organization_id
WHERE o.incidents AND c.member_id IS DISTINCT FROM %(author_id)s
""",  # noqa: S608 - composed of constants
    {
        **dict.fromkeys(("organization_id", "activity_id", "incident_id", "author_id"), "bigint"),
        "again": "boolean",
    },
)


def list_candidates(tx: Connection, change: EntryChange, author_id: int | None) -> list[Candidate]:
    """Returns the subscribers and mentioned members without the author, with what each may see and wants."""
    rows = _CANDIDATES.rows(
        tx,
        {
            "organization_id": change.organization_id,
            "activity_id": change.activity_id,
            "incident_id": change.incident_id,
            "again": isinstance(change, EntryChanged),
            "member_ids": change.newly_mentioned if isinstance(change, EntryChanged) else [],
            "author_id": author_id,
        },
    )
    return [Candidate(*row) for row in rows]
