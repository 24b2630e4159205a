"""Expands a change in the outbox to posts: finds out who must be notified, and inserts cards and thread messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.activity import IS_DELETED
from storage.queries.destinations import LockedDestinations
from storage.queries.home_workspaces import first_workspace, workspace_of_channel
from storage.queries.places import places_of_incident
from storage.queries.silences import has_silences, is_silenced
from storage.queries.visibility import CHANNELS_OF_PROJECTS, sees_incident
from storage.values import BY_HANDOFF, ActivityType, PostKind, Status, Urgency


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
# person, or several of alerts. The change of an alert waits for what people changed earlier in the same incident, so
# that threads and direct messages show both in their order; it does not wait for one that could not be expanded.
def _build_take(of_alert: str) -> PreparedStatement:
    """Builds the statement for one kind: planned for itself, it need not read the other's, however many wait."""
    return PreparedStatement(
        f"""
WITH taken AS (
  DELETE FROM outbox WHERE id = ANY(ARRAY(
    SELECT id FROM outbox o
    WHERE of_alert = {of_alert} AND (retry_at IS NULL OR retry_at <= %(now)s)
      AND (%(alone)s IS NULL OR id = %(alone)s)
      AND NOT ({of_alert} AND EXISTS (
        SELECT FROM outbox e
        WHERE e.organization_id = o.organization_id AND e.incident_id = o.incident_id AND e.id < o.id
          AND NOT e.of_alert AND e.retry_at IS NULL))
    ORDER BY of_alert, id LIMIT %(most)s FOR UPDATE SKIP LOCKED))
  RETURNING id, organization_id, incident_id, activity_id, again, member_ids, said_in, traceparent
)
SELECT coalesce((SELECT true FROM outbox o WHERE of_alert = {of_alert} AND id > (SELECT max(id) FROM taken)
                 AND (retry_at IS NULL OR retry_at <= %(now)s) ORDER BY of_alert, id LIMIT 1), false),
       NOT {of_alert} AND EXISTS (
         SELECT FROM outbox o WHERE o.organization_id = taken.organization_id AND o.incident_id = taken.incident_id
           AND o.of_alert),
       taken.*
FROM taken ORDER BY id
""",  # noqa: S608 - composed of constants
        {"now": "timestamptz", "alone": "bigint", "most": "int"},
    )


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

    `of_alert` chooses between the changes of alerts and of people. With `alone`, only the change of that id. A
    change of an alert is not taken while an earlier change of a person to the same incident waits.
    """
    take = _TAKE_OF_ALERTS if of_alert else _TAKE_OF_PEOPLE
    rows = take.rows(tx, {"most": most, "alone": alone, "now": now})
    return TakenChanges(
        [_build_change(row[2:-1]) for row in rows],
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


def unsubscribe_members(tx: Connection, organization_id: int, incident_id: int, member_ids: Sequence[int]) -> None:
    """Deletes the subscriptions of members who may no longer see the incident."""
    tx.exec_driver_sql(
        "DELETE FROM incident_subscription WHERE organization_id = %(organization_id)s"
        " AND incident_id = %(incident_id)s AND member_id = ANY(%(ids)s)",
        {"organization_id": organization_id, "incident_id": incident_id, "ids": list(member_ids)},
    )


_CREATE_CARDS = PreparedStatement(
    f"""
INSERT INTO post (organization_id, destination_id, kind, incident_id, urgency, due_at, date_added)
SELECT DISTINCT n.organization_id, d.id, '{PostKind.CARD}', i.id,
       CASE WHEN NOT %(of_alert)s THEN {Urgency.URGENT:d} WHEN n.status = {Status.CRITICAL:d} THEN {Urgency.CHANGE:d}
            ELSE {Urgency.NEWS:d} END,
       %(now)s, %(now)s
FROM unnest(%(incident_ids)s::bigint[], %(workspaces)s::text[]) AS i(id, workspace_id)
JOIN incident n ON n.organization_id = ANY(%(organization_ids)s::bigint[]) AND n.id = i.id
JOIN ({CHANNELS_OF_PROJECTS}) ON ip.organization_id = n.organization_id AND ip.incident_id = n.id
JOIN destination d ON d.channel_id = pc.channel_id AND d.workspace_id =
  {workspace_of_channel("pc.channel_id", "i.workspace_id")}
WHERE d.id = ANY(%(destination_ids)s::bigint[]) AND NOT {is_silenced("n")} AND NOT EXISTS (
  SELECT FROM storm_incident f WHERE f.organization_id = n.organization_id AND f.incident_id = n.id
    AND f.destination_id = d.id AND f.folded)
ORDER BY i.id, d.id
ON CONFLICT (incident_id, destination_id) WHERE kind = '{PostKind.CARD}'
DO UPDATE SET urgency = EXCLUDED.urgency WHERE post.ts IS NULL AND post.urgency > EXCLUDED.urgency
""",  # noqa: S608 - composed of constants
    {"of_alert": "boolean", "now": "timestamptz"},
)


def create_cards(
    tx: Connection,
    organization_ids: Collection[int],
    incidents: Mapping[int, str | None],
    locked: LockedDestinations,
    now: datetime,
    *,
    of_alert: bool,
) -> None:
    """Inserts the missing cards in the locked destinations; `incidents` as for `lock_destinations`.

    The card of a critical incident, or of one that a person changed (not `of_alert`), goes before others, also where it
    waits already. An incident that a silence holds gets none until that has ended, and one that is folded into a storm
    gets none in that channel.
    """
    _CREATE_CARDS.execute(
        tx,
        {
            "organization_ids": list(organization_ids),
            "incident_ids": list(incidents),
            "workspaces": list(incidents.values()),
            "destination_ids": locked.ids,
            "now": now,
            "of_alert": of_alert,
        },
    )


_REDRAW_UNSEEN = PreparedStatement(
    "UPDATE post SET wanted_version = wanted_version + 1, due_at = greatest(due_at, %(now)s)"  # noqa: S608 - composed of constants
    " WHERE organization_id = ANY(%(organization_ids)s::bigint[]) AND incident_id = ANY(%(incident_ids)s::bigint[])"
    f" AND kind = '{PostKind.CARD}'"
    " AND (wanted_version <= drawn_version OR attempted_at IS NOT NULL)",
    {"now": "timestamptz"},
)


def redraw_unseen_changes(
    tx: Connection, organization_ids: Collection[int], incident_ids: Collection[int], now: datetime
) -> None:
    """Redraws cards that were inserted while their incident was being changed: the change did not see them.

    It is not known which these are. The others that are current are rendered again and found unchanged.
    """
    given = {"organization_ids": list(organization_ids), "incident_ids": list(incident_ids), "now": now}
    _REDRAW_UNSEEN.execute(tx, given)


def list_for_storms(tx: Connection, changes: Sequence[EntryChange], kind: ActivityType, now: datetime) -> set[int]:
    """Returns those of the changes of a kind that the threads of storms show: one for each storm in a minute.

    A storm may call for hundreds of incidents at once, or somebody own them. Each person gets a direct message about
    all of theirs.
    """
    if not changes:
        return set()
    rows = tx.exec_driver_sql(
        "SELECT DISTINCT ON (place.post_id) e.id"  # noqa: S608 - composed of constants
        " FROM unnest(%(ids)s::bigint[], %(organization_ids)s::bigint[], %(incident_ids)s::bigint[])"
        "  AS e(id, organization_id, incident_id)"
        f" CROSS JOIN LATERAL ({places_of_incident('e.organization_id', 'e.incident_id')}) place"
        " WHERE place.folded AND NOT EXISTS (SELECT FROM post m"
        " JOIN incident_activity a ON a.organization_id = m.organization_id AND a.id = m.activity_id"
        f"   WHERE m.organization_id = e.organization_id AND m.card_id = place.post_id AND a.type = %(kind)s"
        "    AND m.date_added > %(now)s - interval '1 minute')"
        " ORDER BY place.post_id, e.id",
        {
            "ids": [one.id for one in changes],
            "organization_ids": [one.organization_id for one in changes],
            "incident_ids": [one.incident_id for one in changes],
            "kind": int(kind),
            "now": now,
        },
    )
    return {row[0] for row in rows}


_CREATE_THREAD_POSTS = PreparedStatement(
    f"""
INSERT INTO post (organization_id, destination_id, kind, incident_id, activity_id, card_id, urgency, due_at, date_added)
SELECT c.organization_id, c.destination_id,
       CASE WHEN EXISTS (SELECT FROM thread_reply r
         WHERE r.organization_id = e.organization_id AND r.activity_id = e.activity_id
                         AND r.destination_id = c.destination_id)
            THEN '{PostKind.AMENDMENT}' ELSE '{PostKind.MIRROR}' END,
       e.incident_id, e.activity_id, c.id, %(urgency)s, %(now)s, %(now)s
FROM unnest(%(organization_ids)s::bigint[], %(activity_ids)s::bigint[], %(incident_ids)s::bigint[],
            %(thread_channel)s::text[], %(in_storms)s::boolean[])
  AS e(organization_id, activity_id, incident_id, thread_channel, in_storms)
CROSS JOIN LATERAL (
  SELECT post_id FROM ({places_of_incident("e.organization_id", "e.incident_id")}) place WHERE NOT folded OR e.in_storms
  UNION SELECT m.card_id FROM post m WHERE m.organization_id = e.organization_id AND m.activity_id = e.activity_id
    AND m.kind = '{PostKind.MIRROR}'
) place
JOIN post c ON c.organization_id = e.organization_id AND c.id = place.post_id
JOIN workspace w ON w.organization_id = c.organization_id
JOIN destination d ON d.workspace_id = w.id AND d.id = c.destination_id
WHERE d.channel_id IS DISTINCT FROM e.thread_channel ORDER BY e.activity_id, c.id
ON CONFLICT (card_id, activity_id, kind) WHERE card_id IS NOT NULL
DO UPDATE SET wanted_version = post.wanted_version + 1, due_at = %(now)s, failed_reason = NULL
""",  # noqa: S608 - composed of constants
    {"urgency": "smallint", "now": "timestamptz"},
)


def create_thread_posts(
    tx: Connection, changes: Sequence[EntryChange], in_storms: Collection[int], urgency: Urgency, now: datetime
) -> None:
    """Inserts or updates the posts that show entries of the log in the threads of their incidents' cards.

    An incident that is folded into a storm has the thread of the storm's message, which shows only the changes with
    the ids `in_storms`. A comment that began as a reply in a thread is not repeated
    there; a later change to it that was made elsewhere is posted there as an `amendment`. A message that shows an entry
    already is updated where it is. `changes` has each entry once.
    """
    parameters = {
        "in_storms": [change.id in in_storms for change in changes],
        "organization_ids": [change.organization_id for change in changes],
        "activity_ids": [change.activity_id for change in changes],
        "incident_ids": [change.incident_id for change in changes],
        "thread_channel": [change.thread_channel for change in changes],
        "urgency": int(urgency),
        "now": now,
    }
    _CREATE_THREAD_POSTS.execute(tx, parameters)
    if not any(change.thread_channel for change in changes):
        return
    # A change made in the thread itself may make an amendment there out of date.
    tx.exec_driver_sql(
        "UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = %(now)s"  # noqa: S608 - composed of constants
        " FROM workspace w JOIN destination d ON d.workspace_id = w.id"
        " JOIN unnest(%(organization_ids)s::bigint[], %(activity_ids)s::bigint[], %(thread_channel)s::text[])"
        "  AS e(organization_id, activity_id, thread_channel)"
        "  ON e.organization_id = w.organization_id AND e.thread_channel = d.channel_id"
        " WHERE p.organization_id = e.organization_id AND d.id = p.destination_id"
        f" AND p.activity_id = e.activity_id AND p.kind = '{PostKind.AMENDMENT}'",
        parameters,
    )
