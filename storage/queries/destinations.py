"""Destinations of messages: inserting their rows, locking and releasing them, and scheduling when each is due next.

Callers pass in the time of `storage.clock`. Replicas whose clocks differ or jump then agree on pace and leases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.home_workspaces import find_home, workspace_of_channel, workspace_of_member
from storage.queries.leases import Lease
from storage.queries.visibility import CHANNELS_OF_PROJECTS
from storage.values import PostKind, Urgency

_FIND = PreparedStatement(
    "SELECT id FROM destination WHERE workspace_id = %(workspace_id)s::text"
    " AND channel_id IS NOT DISTINCT FROM %(channel_id)s::text AND user_id IS NOT DISTINCT FROM %(user_id)s::text"
    " AND member_id IS NOT DISTINCT FROM %(member_id)s::bigint FOR NO KEY UPDATE"
)


def ensure_destination(
    tx: Connection,
    workspace_id: str,
    *,
    now: datetime,
    channel_id: str | None = None,
    member_id: int | None = None,
    user_id: str | None = None,
) -> int:
    """Locks and returns the id of a destination, and inserts it if it is missing.

    Exactly one of `channel_id`, `member_id` and `user_id` is given. A channel or member may be in another workspace of
    the organization than the given one.
    """
    if user_id is None:
        workspace_id = find_home(tx, workspace_id, channel_id=channel_id, member_id=member_id)
    target = {
        "workspace_id": workspace_id,
        "channel_id": channel_id,
        "member_id": member_id,
        "user_id": user_id,
        "now": now,
    }
    row = _FIND.row(tx, target)
    if row is None:
        tx.exec_driver_sql(
            "INSERT INTO destination (workspace_id, channel_id, user_id, member_id, next_send_at)"
            " VALUES (%(workspace_id)s, %(channel_id)s, %(user_id)s, %(member_id)s, %(now)s) ON CONFLICT DO NOTHING",
            {**target, "now": now},
        )
        row = _FIND.row(tx, target)
    assert row is not None
    return int(row[0])


def ensure_channels(tx: Connection, channels: Collection[tuple[str, str]], now: datetime) -> dict[tuple[str, str], int]:
    """Returns the ids of the destinations for channels, (workspace id, channel id), and locks their rows."""
    named = {"workspaces": [one for one, _ in sorted(channels)], "channels": [one for _, one in sorted(channels)]}
    tx.exec_driver_sql(
        "INSERT INTO destination (workspace_id, channel_id, next_send_at)"
        " SELECT v.workspace_id, v.channel_id, %(now)s::timestamptz"
        " FROM unnest(%(workspaces)s::text[], %(channels)s::text[]) AS v(workspace_id, channel_id)"
        " WHERE NOT EXISTS (SELECT FROM destination d"
        "                   WHERE d.workspace_id = v.workspace_id AND d.channel_id = v.channel_id)"
        " ORDER BY v.workspace_id, v.channel_id ON CONFLICT DO NOTHING",
        {**named, "now": now},
    )
    rows = tx.exec_driver_sql(
        "SELECT d.workspace_id, d.channel_id, d.id FROM destination d"
        " JOIN unnest(%(workspaces)s::text[], %(channels)s::text[]) AS v(workspace_id, channel_id)"
        "   ON d.workspace_id = v.workspace_id AND d.channel_id = v.channel_id"
        " ORDER BY d.id FOR NO KEY UPDATE OF d",
        named,
    )
    return {(row[0], row[1]): row[2] for row in rows}


def lock_destination(tx: Connection, destination_id: int) -> None:
    """Locks the row of a destination."""
    tx.exec_driver_sql("SELECT FROM destination WHERE id = %(id)s FOR NO KEY UPDATE", {"id": destination_id})


def build_mark_due(urgency: str) -> str:
    """Returns what an UPDATE of destinations sets for `mark_due`."""
    return (
        f"urgency = CASE WHEN due_at IS NULL THEN {urgency} ELSE LEAST(urgency, {urgency}) END,"
        " due_at = LEAST(due_at, GREATEST(next_send_at, %(now)s))"
    )


_MARK_DUE = PreparedStatement(
    f"UPDATE destination SET {build_mark_due('%(urgency)s')} WHERE id = ANY(%(ids)s)",  # noqa: S608 - composed of constants
    {"ids": "bigint[]", "urgency": "smallint", "now": "timestamptz"},
)


def mark_due(tx: Connection, destination_ids: Collection[int], urgency: Urgency, now: datetime) -> None:
    """Makes destinations due now, or as soon as their pace allows. The caller has locked their rows."""
    _MARK_DUE.execute(tx, {"ids": list(destination_ids), "urgency": int(urgency), "now": now})


class Shown(StrEnum):
    """Messages that show incidents, besides cards."""

    STORMS = "storms"  # messages of storms into which they are folded, or which count them
    DIRECT_MESSAGES = "direct messages"  # notifications
    OFFERS = "offers"
    REMINDERS = "reminders"  # that ask their owners
    CALLS = "calls"


# The channels of the incidents' projects and the people, each in their workspace of the organization. `asked` is the
# workspace with which the caller has named a person.
_NAMED = f"""
named AS (
  SELECT i.id AS incident_id, {workspace_of_channel("pc.channel_id", "i.workspace_id")} AS workspace_id, pc.channel_id
  FROM unnest(%(incident_ids)s::bigint[], %(workspaces)s::text[]) AS i(id, workspace_id)
  JOIN ({CHANNELS_OF_PROJECTS}) ON ip.organization_id = ANY(%(organization_ids)s::bigint[]) AND ip.incident_id = i.id
  WHERE i.workspace_id IS NOT NULL
), person AS (
  SELECT p.asked, {workspace_of_member("p.member_id", "p.asked")} AS workspace_id, p.member_id
  FROM unnest(%(person_workspaces)s::text[], %(member_ids)s::bigint[]) AS p(asked, member_id)
)
"""  # noqa: S608 - composed of constants
_INSERT_DESTINATIONS = PreparedStatement(
    f"""
WITH {_NAMED}
INSERT INTO destination (workspace_id, channel_id, member_id, next_send_at)
SELECT DISTINCT n.workspace_id, n.channel_id, NULL::bigint, %(now)s FROM named n
WHERE NOT EXISTS (SELECT FROM destination d WHERE d.workspace_id = n.workspace_id AND d.channel_id = n.channel_id)
UNION ALL
SELECT DISTINCT p.workspace_id, NULL, p.member_id, %(now)s FROM person p
WHERE NOT EXISTS (SELECT FROM destination d WHERE d.workspace_id = p.workspace_id AND d.member_id = p.member_id)
ON CONFLICT DO NOTHING
""",  # noqa: S608 - composed of constants
    {"now": "timestamptz"},
)
_LOCK_DESTINATIONS = PreparedStatement(
    f"""
WITH {_NAMED}, concerned AS (
  SELECT d.id, NULL AS what FROM named n
  JOIN destination d ON d.workspace_id = n.workspace_id AND d.channel_id = n.channel_id
  UNION
  SELECT d.id, NULL FROM person p JOIN destination d ON d.workspace_id = p.workspace_id AND d.member_id = p.member_id
  UNION
  SELECT destination_id, NULL FROM post
  WHERE organization_id = ANY(%(organization_ids)s) AND incident_id = ANY(%(incident_ids)s)
    AND kind = '{PostKind.CARD}'
  UNION
  SELECT destination_id, '{Shown.STORMS}' FROM storm_incident
  WHERE organization_id = ANY(%(organization_ids)s) AND incident_id = ANY(%(incident_ids)s)
  UNION
  SELECT destination_id, '{Shown.DIRECT_MESSAGES}' FROM post
  WHERE organization_id = ANY(%(organization_ids)s) AND incident_id = ANY(%(incident_ids)s)
    AND kind = '{PostKind.NEWEST}'
  UNION
  SELECT destination_id, '{Shown.DIRECT_MESSAGES}' FROM post
  WHERE organization_id = ANY(%(organization_ids)s) AND incident_id = ANY(%(incident_ids)s)
    AND kind = '{PostKind.NOTIFICATION}'
  UNION
  SELECT p.destination_id, '{Shown.OFFERS}' FROM handoff_item h
  JOIN handoff USING (organization_id) JOIN post p ON p.organization_id = handoff.organization_id
    AND p.id = handoff.post_id
  WHERE h.organization_id = ANY(%(organization_ids)s) AND h.incident_id = ANY(%(incident_ids)s)
    AND h.handoff_id = handoff.id AND p.date_done IS NULL
  UNION
  SELECT p.destination_id, '{Shown.REMINDERS}' FROM owner_reminder r
  JOIN post p ON p.organization_id = r.organization_id AND p.key = r.post_key
  WHERE r.organization_id = ANY(%(organization_ids)s) AND r.incident_id = ANY(%(incident_ids)s)
    AND p.date_done IS NULL
  UNION
  SELECT p.destination_id, '{Shown.CALLS}' FROM call_recipient r
  JOIN post p ON p.organization_id = r.organization_id AND p.id = r.post_id
  WHERE r.organization_id = ANY(%(organization_ids)s) AND r.incident_id = ANY(%(incident_ids)s)
    AND p.kind = '{PostKind.CALL}'
  UNION
  SELECT p.destination_id, NULL FROM notification n
  JOIN post p ON p.organization_id = n.organization_id AND p.id = n.post_id
  WHERE n.organization_id = ANY(%(organization_ids)s) AND n.activity_id = ANY(%(entries)s)
)
SELECT destination.id, coalesce(p.asked, destination.workspace_id), destination.member_id,
       ARRAY(SELECT c.what FROM concerned c WHERE c.id = destination.id AND c.what IS NOT NULL)
FROM destination
LEFT JOIN person p ON p.member_id = destination.member_id AND p.workspace_id = destination.workspace_id
WHERE destination.id IN (SELECT c.id FROM concerned c) ORDER BY destination.id FOR NO KEY UPDATE OF destination
""",  # noqa: S608 - composed of constants
    {"organization_ids": "bigint[]", "incident_ids": "bigint[]", "entries": "bigint[]"},
)


@dataclass(frozen=True, slots=True)
class LockedDestinations:
    """Ids of the destinations that a transaction has locked."""

    ids: list[int]
    people: dict[tuple[str, int], int]  # by the workspace id that the caller has given, and member id
    shown: frozenset[Shown]  # which messages in them show the incidents, besides cards


def lock_destinations(
    tx: Connection,
    incidents: Mapping[int, str | None],
    people: Collection[tuple[str, int]],
    now: datetime,
    *,
    entries: Collection[int] = (),
    organization_ids: Collection[int] = (),
) -> LockedDestinations:
    """Locks the destinations of these people (workspace id, member id) and of what shows these incidents.

    That is their cards, the direct messages that show their state or offer them, and those about the log entries
    `entries`. `organization_ids` are those of the incidents and entries.
    `incidents` maps incident ids to workspace ids. With a workspace, the channels of the incident's projects are
    included; with None, only the channels that have a card already. Missing destinations are inserted. The rows are
    locked in the order of their ids, so that two transactions cannot deadlock.
    """
    parameters = {
        "organization_ids": list(organization_ids),
        "incident_ids": list(incidents),
        "workspaces": list(incidents.values()),
        "person_workspaces": [workspace_id for workspace_id, _ in people],
        "member_ids": [member_id for _, member_id in people],
        "entries": list(entries),
        "now": now,
    }
    _INSERT_DESTINATIONS.execute(tx, parameters)
    rows = _LOCK_DESTINATIONS.rows(tx, parameters)
    return LockedDestinations(
        list(dict.fromkeys(row[0] for row in rows)),
        {(row[1], row[2]): row[0] for row in rows if row[2] is not None},
        frozenset(Shown(what) for row in rows for what in row[3]),
    )


# When a destination is next due, and its urgency then. The index gives the first post of each urgency.
_NEXT = """
next AS (
  SELECT d.id, d.next_send_at,
         CASE WHEN count(p.due_at) > 0 THEN GREATEST(d.next_send_at, min(p.due_at)) END AS due_at,
         coalesce(min(p.urgency) FILTER (WHERE p.due_at <= GREATEST(d.next_send_at, %(now)s)),
                  (array_agg(p.urgency ORDER BY p.due_at))[1], 3) AS urgency
  FROM changed d
  LEFT JOIN LATERAL (
    SELECT u.urgency, w.due_at FROM unnest(ARRAY[0, 1, 2, 3]) AS u(urgency)
    CROSS JOIN LATERAL (SELECT due_at FROM post
                        WHERE destination_id = d.id AND urgency = u.urgency AND wanted_version > drawn_version
                        ORDER BY due_at LIMIT 1) w
  ) p ON true
  GROUP BY d.id, d.next_send_at
)
"""
_RESCHEDULE = PreparedStatement(
    f"WITH changed AS (SELECT id, next_send_at FROM destination WHERE id = ANY(%(ids)s)), {_NEXT}"  # noqa: S608 - composed of constants
    " UPDATE destination d SET due_at = n.due_at, urgency = n.urgency FROM next n WHERE d.id = n.id",
    {"ids": "bigint[]", "now": "timestamptz"},
)


def reschedule_destinations(tx: Connection, destination_ids: Sequence[int], now: datetime) -> None:
    """Makes each destination due when its first post is due. The caller has locked the rows."""
    _RESCHEDULE.rows(tx, {"ids": destination_ids, "now": now})


@dataclass(frozen=True, slots=True)
class Target:
    """A locked destination, with its recipient and its organization's settings."""

    id: int
    workspace_id: str
    channel_id: str | None
    user_id: str | None  # the Slack id of a person, if known
    member_id: int | None
    conversation_id: str | None
    failures: int
    failed_reason: str | None
    last_ts: str | None
    is_shared: bool | None
    is_private: bool | None
    is_member: bool | None
    checked_s_ago: float | None  # seconds since the bot asked Slack about the channel or person
    organization_id: int
    incidents_on: bool
    shared_allowed: bool
    email: str | None
    by_file: bool  # the organization file names the person's Slack id
    is_present: bool  # False for a member who was removed, or is not of the workspace's organization

    @property
    def conversation(self) -> str | None:
        """The conversation that contains the messages; None while it is not known for a person."""
        return self.channel_id or self.conversation_id

    @property
    def address(self) -> str | None:
        """The id to post a message to: the conversation, else the person's Slack id."""
        return self.conversation or self.user_id


_TARGETS = """
SELECT d.lease, d.id, d.workspace_id, d.channel_id, coalesce(d.user_id, k.slack_user_id, m.slack_user_id, p.user_id),
       d.member_id, d.conversation_id, d.failures, d.failed_reason, d.last_ts, d.is_shared, d.is_private, d.is_member,
       EXTRACT(epoch FROM %(now)s - CASE WHEN d.channel_id IS NULL
                                       THEN p.date_checked ELSE d.date_checked END)::float8,
       o.id, o.incidents, o.shared_channels, m.email, coalesce(k.slack_user_id, m.slack_user_id) IS NOT NULL,
       (d.member_id IS NULL) = (m.id IS NULL) AND m.date_removed IS NULL
FROM unnest(%(ids)s, %(numbers)s) AS l(leased, number)
JOIN destination d ON d.id = l.leased AND d.lease = l.number AND d.leased_until IS NOT NULL
JOIN workspace w ON w.id = d.workspace_id
JOIN organization o ON o.id = w.organization_id
LEFT JOIN member m ON m.organization_id = o.id AND m.id = d.member_id
LEFT JOIN member_slack_user k ON k.organization_id = o.id AND k.member_id = m.id AND k.workspace_id = d.workspace_id
LEFT JOIN LATERAL (SELECT user_id, date_checked FROM slack_person
                   WHERE workspace_id = d.workspace_id AND member_id = d.member_id
                   ORDER BY date_checked DESC NULLS LAST LIMIT 1) p ON true
ORDER BY d.id
FOR NO KEY UPDATE OF d
"""
_TARGET_TYPES = {"ids": "bigint[]", "numbers": "int[]", "now": "timestamptz"}
_LOCK_TARGETS = PreparedStatement(_TARGETS, _TARGET_TYPES)
_LOCK_FREE_TARGETS = PreparedStatement(f"{_TARGETS} SKIP LOCKED", _TARGET_TYPES)


def lock_target(tx: Connection, lease: Lease, now: datetime) -> Target | None:
    """Locks and returns the leased destination; None if the lease was released or replaced."""
    row = _LOCK_TARGETS.row(tx, {"ids": [lease.destination_id], "numbers": [lease.number], "now": now})
    return None if row is None else Target(*row[1:])


def lock_free_targets(tx: Connection, leases: Collection[Lease], now: datetime) -> dict[Lease, Target]:
    """Locks and returns the leased destinations without waiting, in the order of their ids.

    Leaves out those that another transaction has locked, and those whose lease was released or replaced.
    """
    given = {(lease.destination_id, lease.number): lease for lease in leases}
    ids, numbers = [id_ for id_, _ in given], [number for _, number in given]
    rows = _LOCK_FREE_TARGETS.rows(tx, {"ids": ids, "numbers": numbers, "now": now}) if given else ()
    return {given[row[1], row[0]]: Target(*row[1:]) for row in rows}


_RELEASE = PreparedStatement(
    "WITH given AS (SELECT * FROM unnest(%(ids)s, %(pauses)s, %(ts)s, %(conversations)s, %(failures)s, %(reached)s)"  # noqa: S608 - composed of constants
    "   AS g(id, pause, ts, conversation, failures, reached)),"
    " changed AS (SELECT d.id, GREATEST(d.next_send_at, %(now)s + make_interval(secs => g.pause)) AS next_send_at"
    f" FROM given g JOIN destination d ON d.id = g.id), {_NEXT}"
    " UPDATE destination d SET leased_until = NULL, next_send_at = n.next_send_at, due_at = n.due_at,"
    " urgency = n.urgency,"
    " last_ts = coalesce(g.ts, last_ts), conversation_id = coalesce(g.conversation, conversation_id),"
    " failures = g.failures,"
    " failed_reason = CASE WHEN NOT g.reached THEN failed_reason END,"
    " failed_at = CASE WHEN NOT g.reached THEN failed_at END"
    " FROM next n JOIN given g ON g.id = n.id WHERE d.id = n.id",
    {
        "ids": "bigint[]",
        "now": "timestamptz",
        "pauses": "float8[]",
        "ts": "text[]",
        "conversations": "text[]",
        "failures": "int[]",
        "reached": "boolean[]",
    },
)


@dataclass(frozen=True, slots=True)
class Release:
    """The end of the lease of a destination. It is not due again within `pause_s` seconds."""

    target: Target
    pause_s: float = 0.0
    sent_ts: str | None = None
    conversation_id: str | None = None
    failures: int = 0
    reached: bool = False  # Slack accepted a message for it, so a recorded failure is cleared


def release_destinations(tx: Connection, releases: Sequence[Release], now: datetime) -> None:
    """Releases the leases of destinations. The caller has locked their rows."""
    if releases:
        given = {
            "ids": [one.target.id for one in releases],
            "pauses": [one.pause_s for one in releases],
            "ts": [one.sent_ts for one in releases],
            "conversations": [one.conversation_id for one in releases],
            "failures": [one.failures for one in releases],
            "reached": [one.reached for one in releases],
        }
        _RELEASE.rows(tx, {**given, "now": now})


def release_destination(tx: Connection, target: Target, now: datetime, *, failures: int, pause_s: float = 0.0) -> None:
    """Releases the lease of a destination to which nothing was sent. It is not due again within `pause_s` seconds."""
    release_destinations(tx, [Release(target, pause_s=pause_s, failures=failures)], now)
