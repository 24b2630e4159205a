"""What others must learn: written in the transaction that makes it so, expanded by delivery to posts afterwards.

Two ways lead from here to Slack. `changed` says that something happened to an incident; whose business that is
(cards, threads, subscribers, the mentioned) is found out when it is expanded. `enqueue` asks for one message in
one conversation, drawn already: a digest in a channel, a note to a person. Both are done once the transaction
commits, and not at all when it does not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from psycopg2.extras import Json
from sqlalchemy import Connection

from storage.engine import OUTBOX_WRITTEN

# How long a card, and a message to one person about one incident, wait for what may follow at once.
CARD_SETTLES_S = 0.5
NOTIFICATION_SETTLES_S = 2.0


class Urgency(IntEnum):
    """Which of the posts that are due is sent first."""

    MENTION = 0  # somebody waits for somebody
    CARD = 1  # what a channel looks at; never behind what is said in its threads
    NEWS = 2  # threads, subscribers
    BULK = 3  # digests, notes


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to an incident and is to be told."""

    id: int
    incident_id: int
    activity_id: int | None
    again: bool
    member_ids: list[int] | None
    said_in: str | None


def changed(
    tx: Connection,
    incident_id: int,
    activity_id: int | None = None,
    *,
    again: bool = False,
    member_ids: Collection[int] | None = None,
    said_in: str | None = None,
    of_alert: bool = False,
) -> None:
    """Notes that an incident changed: its cards are due, and delivery finds out who else must learn of it.

    Without `activity_id` only its cards show the change. `again` is for a comment that was changed or deleted:
    threads follow, and only `member_ids`, whom it newly mentions, are told. `said_in` is the channel in whose
    thread it was said, where nobody needs to be shown it. `of_alert`: no person made it, and it comes after
    what people made.
    """
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post SET wanted_version = wanted_version + 1, due_at = CASE"
        "  WHEN wanted_version > drawn_version THEN due_at"
        "  ELSE now() + make_interval(secs => %(settles)s) END"
        "  WHERE incident_id = %(incident_id)s AND kind = 'card')"
        " INSERT INTO outbox (incident_id, activity_id, again, member_ids, said_in, of_alert)"
        " VALUES (%(incident_id)s, %(activity_id)s, %(again)s, %(member_ids)s, %(said_in)s, %(of_alert)s)",
        {
            "incident_id": incident_id,
            "activity_id": activity_id,
            "again": again,
            "member_ids": sorted(member_ids) if member_ids else None,
            "said_in": said_in,
            "of_alert": of_alert,
            "settles": CARD_SETTLES_S,
        },
    )
    written(tx, of_alert=of_alert)


def written(tx: Connection, *, of_alert: bool = False) -> None:
    """Has delivery woken once this transaction has committed; at once, unless only alerts made what it changed."""
    tx.info[OUTBOX_WRITTEN] = tx.info.get(OUTBOX_WRITTEN, False) or not of_alert


def audience_changed(tx: Connection, project_id: int, channel_id: str) -> None:
    """A project no longer names a channel: the cards of its open incidents there are drawn anew."""
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = now()"
        "  FROM destination d, incident_project ip"
        "  WHERE d.id = p.destination_id AND d.channel_id = %(channel_id)s AND p.kind = 'card'"
        "    AND ip.incident_id = p.incident_id AND ip.project_id = %(project_id)s AND ip.status <> 2"
        "  RETURNING p.incident_id)"
        " INSERT INTO outbox (incident_id) SELECT DISTINCT incident_id FROM cards",
        {"project_id": project_id, "channel_id": channel_id},
    )
    written(tx)


def switched_on(tx: Connection, organization_id: int) -> None:
    """Incidents are shown again: the cards of the open ones are drawn anew, for what was withdrawn meanwhile."""
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = now() FROM incident i"
        "  WHERE i.id = p.incident_id AND p.kind = 'card'"
        "    AND i.organization_id = %(organization_id)s AND i.status <> 2"
        "  RETURNING p.incident_id)"
        " INSERT INTO outbox (incident_id) SELECT DISTINCT incident_id FROM cards",
        {"organization_id": organization_id},
    )
    written(tx)


def enqueue(
    tx: Connection,
    *,
    workspace_id: str,
    key: str,
    message: Mapping[str, Any],
    channel_id: str | None = None,
    member_id: int | None = None,
    user_id: str | None = None,
    kind: str = "digest",
    urgency: Urgency = Urgency.BULK,
) -> int | None:
    """Asks for `message` (text, blocks, attachments) to be posted once: to exactly one of a channel, a member and
    a Slack user.

    `key` names the wish: a second one with the same key asks for nothing and gives None; otherwise the post's id
    comes back. `kind` is "digest" or "note". The channel is joined where it is public; a channel shared with
    another company is posted to only when the organization allows it.
    """
    destination_id = destinations(tx, workspace_id, channel_id=channel_id, member_id=member_id, user_id=user_id)
    post_id: int | None = tx.exec_driver_sql(
        "INSERT INTO post (destination_id, kind, urgency, key, message)"
        " VALUES (%(destination_id)s, %(kind)s, %(urgency)s, %(key)s, %(message)s)"
        " ON CONFLICT (key) DO NOTHING RETURNING id",
        {
            "destination_id": destination_id,
            "kind": kind,
            "urgency": int(urgency),
            "key": key,
            "message": Json(dict(message)),
        },
    ).scalar()
    if post_id is not None:
        mark_due(tx, [destination_id], None, urgency)
        written(tx)
    return post_id


def destinations(
    tx: Connection,
    workspace_id: str,
    *,
    channel_id: str | None = None,
    member_id: int | None = None,
    user_id: str | None = None,
) -> int:
    """The destination that one of the three names, made where there is none; its row is locked."""
    target = {"workspace_id": workspace_id, "channel_id": channel_id, "member_id": member_id, "user_id": user_id}
    found = (
        "SELECT id FROM destination WHERE workspace_id = %(workspace_id)s"
        " AND channel_id IS NOT DISTINCT FROM %(channel_id)s::text"
        " AND user_id IS NOT DISTINCT FROM %(user_id)s::text"
        " AND member_id IS NOT DISTINCT FROM %(member_id)s::bigint FOR UPDATE"
    )
    row = tx.exec_driver_sql(found, target).first()
    if row is None:
        tx.exec_driver_sql(
            "INSERT INTO destination (workspace_id, channel_id, user_id, member_id)"
            " VALUES (%(workspace_id)s, %(channel_id)s, %(user_id)s, %(member_id)s) ON CONFLICT DO NOTHING",
            target,
        )
        row = tx.exec_driver_sql(found, target).one()
    return int(row[0])


def mark_due(
    tx: Connection, destination_ids: Sequence[int], due: datetime | None, urgency: Urgency = Urgency.NEWS
) -> None:
    """Has these destinations looked at, from `due` on (None: now). Their rows are held by the caller."""
    tx.exec_driver_sql(
        "UPDATE destination SET"
        " urgency = CASE WHEN due_at IS NULL THEN %(urgency)s ELSE LEAST(urgency, %(urgency)s) END,"
        " due_at = LEAST(due_at, GREATEST(next_send_at, coalesce(%(due)s::timestamptz, now())))"
        " WHERE id = ANY(%(ids)s)",
        {"ids": list(destination_ids), "due": due, "urgency": int(urgency)},
    )


# --- expansion ---------------------------------------------------------------------------------------------


# Whoever expands a change holds its row, and nobody waits for it. Without `alone` it is one change of a person, or
# several of alerts.
_TAKE = """
DELETE FROM outbox WHERE id = ANY(ARRAY(
  SELECT id FROM outbox
  WHERE of_alert = %(of_alert)s AND (retry_at IS NULL OR retry_at <= now())
    AND (%(alone)s::bigint IS NULL OR id = %(alone)s)
  ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED))
RETURNING id, incident_id, activity_id, again, member_ids, said_in
"""


def take_changes(tx: Connection, *, of_alert: bool, most: int, alone: int | None = None) -> list[Change]:
    """The oldest changes that nobody else is expanding, at most so many, taken out with this transaction.

    Those that people made, or those that alerts made. With `alone` only the change of that id.
    """
    rows = tx.exec_driver_sql(_TAKE, {"of_alert": of_alert, "most": most, "alone": alone}).all()
    return [Change(*row) for row in sorted(rows)]


def put_off(tx: Connection, change_id: int) -> None:
    """A change that could not be expanded is tried again later, each time later, and holds up no other."""
    tx.exec_driver_sql(
        "UPDATE outbox SET failures = least(failures + 1, 30),"
        " retry_at = now() + make_interval(secs => least(600, power(2, least(failures, 10))))"
        " WHERE id = %(id)s",
        {"id": change_id},
    )


@dataclass(frozen=True, slots=True)
class Audience:
    """Whose incident it is, and what the entry of its log is."""

    workspace_id: str
    organization_id: int
    type: int | None  # of the activity
    author_id: int | None
    has_comment: bool
    deleted: bool


def audiences(tx: Connection, changes: Sequence[Change]) -> dict[int, Audience]:
    """What is needed to expand each change, by its id; nothing for those of which nobody is to be told (no
    workspace, incidents switched off).
    """
    rows = tx.exec_driver_sql(
        "SELECT c.id, w.id, o.id, a.type, a.member_id, a.comment IS NOT NULL, a.date_deleted IS NOT NULL"
        " FROM unnest(%(ids)s::bigint[], %(incident_ids)s::bigint[], %(activity_ids)s::bigint[])"
        "   AS c(id, incident_id, activity_id)"
        " JOIN incident i ON i.id = c.incident_id JOIN organization o ON o.id = i.organization_id"
        " JOIN workspace w ON w.organization_id = o.id"
        " LEFT JOIN incident_activity a ON a.id = c.activity_id"
        " WHERE o.incidents",
        {
            "ids": [change.id for change in changes],
            "incident_ids": [change.incident_id for change in changes],
            "activity_ids": [change.activity_id for change in changes],
        },
    )
    return {row[0]: Audience(*row[1:]) for row in rows}


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may have to be told."""

    member_id: int
    mention: bool
    notify: str
    sees: bool
    present: bool


_CANDIDATES = """
WITH mentioned AS (
  SELECT member_id FROM comment_mention WHERE activity_id = %(activity_id)s AND member_id IS NOT NULL
  UNION
  SELECT mt.member_id FROM comment_mention c JOIN member_team mt ON mt.team_id = c.team_id
  WHERE c.activity_id = %(activity_id)s
), candidate AS (
  SELECT member_id, true AS mention FROM mentioned
  WHERE NOT %(again)s OR member_id = ANY(%(member_ids)s::bigint[])
  UNION ALL
  SELECT s.member_id, false FROM incident_subscription s
  WHERE s.incident_id = %(incident_id)s AND NOT %(again)s
    AND NOT EXISTS (SELECT FROM mentioned m WHERE m.member_id = s.member_id)
)
SELECT c.member_id, c.mention, m.notify,
       EXISTS (SELECT FROM incident_project ip
               WHERE ip.incident_id = %(incident_id)s
                 AND (o.open_membership OR m.superuser OR m.role IN ('owner', 'manager')
                      OR EXISTS (SELECT FROM project_team pt JOIN member_team mt ON mt.team_id = pt.team_id
                                 WHERE pt.project_id = ip.project_id AND mt.member_id = m.id))),
       m.date_removed IS NULL
FROM candidate c JOIN member m ON m.id = c.member_id JOIN organization o ON o.id = m.organization_id
WHERE c.member_id IS DISTINCT FROM %(author_id)s
"""


def candidates(tx: Connection, change: Change, author_id: int | None) -> list[Candidate]:
    """The subscribers and the mentioned, except the author, and what each of them may see and wants."""
    rows = tx.exec_driver_sql(
        _CANDIDATES,
        {
            "activity_id": change.activity_id,
            "incident_id": change.incident_id,
            "again": change.again,
            "member_ids": change.member_ids or [],
            "author_id": author_id,
        },
    )
    return [Candidate(*row) for row in rows]


def unsubscribe_all(tx: Connection, incident_id: int, member_ids: Sequence[int]) -> None:
    """Ends the subscriptions of those who may no longer see the incident."""
    tx.exec_driver_sql(
        "DELETE FROM incident_subscription WHERE incident_id = %(incident_id)s AND member_id = ANY(%(ids)s)",
        {"incident_id": incident_id, "ids": list(member_ids)},
    )


# The channels that projects of these incidents name, each in its incident's workspace.
_NAMED = """
named AS (
  SELECT i.id AS incident_id, i.workspace_id, pc.channel_id
  FROM unnest(%(incident_ids)s::bigint[], %(workspaces)s::text[]) AS i(id, workspace_id)
  JOIN incident_project ip ON ip.incident_id = i.id
  JOIN project_channel pc ON pc.project_id = ip.project_id
  WHERE i.workspace_id IS NOT NULL
), person AS (
  SELECT * FROM unnest(%(person_workspaces)s::text[], %(member_ids)s::bigint[]) AS p(workspace_id, member_id)
)
"""
_MAKE_DESTINATIONS = f"""
WITH {_NAMED}
INSERT INTO destination (workspace_id, channel_id, member_id)
SELECT DISTINCT n.workspace_id, n.channel_id, NULL::bigint FROM named n
WHERE NOT EXISTS (SELECT FROM destination d WHERE d.workspace_id = n.workspace_id AND d.channel_id = n.channel_id)
UNION ALL
SELECT DISTINCT p.workspace_id, NULL, p.member_id FROM person p
WHERE NOT EXISTS (SELECT FROM destination d WHERE d.workspace_id = p.workspace_id AND d.member_id = p.member_id)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - composed of constants
_HOLD_DESTINATIONS = f"""
WITH {_NAMED}
SELECT id, workspace_id, member_id FROM destination WHERE id IN (
  SELECT d.id FROM named n JOIN destination d ON d.workspace_id = n.workspace_id AND d.channel_id = n.channel_id
  UNION
  SELECT d.id FROM person p JOIN destination d ON d.workspace_id = p.workspace_id AND d.member_id = p.member_id
  UNION
  SELECT destination_id FROM post WHERE incident_id = ANY(%(incident_ids)s) AND kind = 'card')
ORDER BY id FOR UPDATE
"""  # noqa: S608 - composed of constants


@dataclass(frozen=True, slots=True)
class Held:
    """Destinations that a transaction holds."""

    ids: list[int]
    people: dict[tuple[str, int], int]  # by workspace and member


def hold_destinations(tx: Connection, incidents: Mapping[int, str | None], people: Collection[tuple[str, int]]) -> Held:
    """The destinations of these people (workspace and member), and those of the cards of these incidents.

    `incidents` gives the workspace of each incident that its projects' channels are to show; None where only what
    stands already is looked at. Made where they are missing, and all locked, in one order, so that no two who hold
    several wait for each other.
    """
    parameters = {
        "incident_ids": list(incidents),
        "workspaces": list(incidents.values()),
        "person_workspaces": [workspace_id for workspace_id, _ in people],
        "member_ids": [member_id for _, member_id in people],
    }
    tx.exec_driver_sql(_MAKE_DESTINATIONS, parameters)
    rows = tx.exec_driver_sql(_HOLD_DESTINATIONS, parameters).all()
    return Held([row[0] for row in rows], {(row[1], row[2]): row[0] for row in rows if row[2] is not None})


def want_cards(tx: Connection, incidents: Mapping[int, str | None], held: Held) -> None:
    """Makes the cards that are missing in the destinations that are held, of `incidents` as for
    `hold_destinations`.
    """
    tx.exec_driver_sql(
        "INSERT INTO post (destination_id, kind, incident_id, urgency)"
        " SELECT DISTINCT d.id, 'card', i.id, %(urgency)s"
        " FROM unnest(%(incident_ids)s::bigint[], %(workspaces)s::text[]) AS i(id, workspace_id)"
        " JOIN incident_project ip ON ip.incident_id = i.id"
        " JOIN project_channel pc ON pc.project_id = ip.project_id"
        " JOIN destination d ON d.workspace_id = i.workspace_id AND d.channel_id = pc.channel_id"
        " WHERE d.id = ANY(%(held)s) ORDER BY i.id, d.id"
        " ON CONFLICT (incident_id, destination_id) WHERE kind = 'card' DO NOTHING",
        {
            "incident_ids": list(incidents),
            "workspaces": list(incidents.values()),
            "held": held.ids,
            "urgency": int(Urgency.CARD),
        },
    )


def want_in_threads(tx: Connection, change: Change) -> None:
    """Has the threads of the incident's cards show an entry of the log, or what became of it.

    Where it was said in the thread itself, it stands there already; a later change to it that was made elsewhere
    is told in an `amendment`.
    """
    tx.exec_driver_sql(
        "INSERT INTO post (destination_id, kind, incident_id, activity_id, card_id, urgency)"
        " SELECT c.destination_id,"
        "        CASE WHEN EXISTS (SELECT FROM thread_reply r WHERE r.activity_id = %(activity_id)s"
        "                          AND r.destination_id = c.destination_id)"
        "             THEN 'amendment' ELSE 'mirror' END,"
        "        c.incident_id, %(activity_id)s, c.id, %(urgency)s"
        " FROM post c JOIN destination d ON d.id = c.destination_id"
        " WHERE c.incident_id = %(incident_id)s AND c.kind = 'card'"
        "   AND d.channel_id IS DISTINCT FROM %(said_in)s"
        " ON CONFLICT (card_id, activity_id, kind) WHERE card_id IS NOT NULL"
        " DO UPDATE SET wanted_version = post.wanted_version + 1, due_at = now(), failed_reason = NULL",
        {
            "activity_id": change.activity_id,
            "incident_id": change.incident_id,
            "said_in": change.said_in,
            "urgency": int(Urgency.NEWS),
        },
    )
    # Said in the thread itself, it may go beyond what an amendment there tells.
    tx.exec_driver_sql(
        "UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = now() FROM destination d"
        " WHERE d.id = p.destination_id AND p.activity_id = %(activity_id)s AND p.kind = 'amendment'"
        "   AND d.channel_id = %(said_in)s",
        {"activity_id": change.activity_id, "said_in": change.said_in},
    )


def want_notifications(
    tx: Connection, change: Change, recipients: Mapping[int, bool], destination_of: Mapping[int, int]
) -> None:
    """Has each of the recipients (by member id: whether they are mentioned) told once of the change.

    What waits for the same person about the same incident becomes one message with it. The destinations' rows are
    held by the caller.
    """
    told = tx.exec_driver_sql(
        "SELECT r.member_id, r.mention, r.destination_id, p.id FROM"
        " unnest(%(member_ids)s::bigint[], %(mentions)s::boolean[], %(destinations)s::bigint[])"
        "   AS r(member_id, mention, destination_id)"
        " LEFT JOIN LATERAL (SELECT id FROM post WHERE destination_id = r.destination_id"
        "   AND wanted_version > drawn_version AND kind = 'notification'"
        "   AND incident_id = %(incident_id)s AND attempted_at IS NULL ORDER BY id DESC LIMIT 1) p ON true"
        " WHERE NOT EXISTS (SELECT FROM notification n WHERE n.activity_id = %(activity_id)s"
        "   AND n.member_id = r.member_id AND n.mention = r.mention)",
        {
            "member_ids": list(recipients),
            "mentions": list(recipients.values()),
            "destinations": [destination_of[member_id] for member_id in recipients],
            "incident_id": change.incident_id,
            "activity_id": change.activity_id,
        },
    ).all()
    if not told:
        return
    new = [row for row in told if row[3] is None]
    made = tx.exec_driver_sql(
        "INSERT INTO post (destination_id, kind, incident_id, urgency, due_at)"
        " SELECT r.destination_id, 'notification', %(incident_id)s,"
        "        CASE WHEN r.mention THEN 0 ELSE %(news)s END,"
        "        now() + CASE WHEN r.mention THEN interval '0' ELSE make_interval(secs => %(settles)s) END"
        " FROM unnest(%(destinations)s::bigint[], %(mentions)s::boolean[]) AS r(destination_id, mention)"
        " RETURNING destination_id, id",
        {
            "incident_id": change.incident_id,
            "destinations": [row[2] for row in new],
            "mentions": [row[1] for row in new],
            "settles": NOTIFICATION_SETTLES_S,
            "news": int(Urgency.NEWS),
        },
    )
    post_of: dict[int, int] = dict(made.all())
    hastened = [row[3] for row in told if row[3] is not None and row[1]]
    if hastened:
        tx.exec_driver_sql("UPDATE post SET urgency = 0, due_at = now() WHERE id = ANY(%(ids)s)", {"ids": hastened})
    tx.exec_driver_sql(
        "INSERT INTO notification (activity_id, member_id, mention, post_id)"
        " SELECT %(activity_id)s, r.member_id, r.mention, r.post_id"
        " FROM unnest(%(member_ids)s::bigint[], %(mentions)s::boolean[], %(posts)s::bigint[])"
        "   AS r(member_id, mention, post_id)",
        {
            "activity_id": change.activity_id,
            "member_ids": [row[0] for row in told],
            "mentions": [row[1] for row in told],
            "posts": [row[3] or post_of[row[2]] for row in told],
        },
    )


def look_again(tx: Connection, destination_ids: Sequence[int]) -> None:
    """Has these destinations looked at when the first of their posts is due. Their rows are held by the caller."""
    tx.exec_driver_sql(
        _NEXT + " UPDATE destination d SET due_at = n.due_at, urgency = n.urgency FROM next n WHERE d.id = n.id",  # noqa: S608
        {"ids": list(destination_ids)},
    )


# When a destination is next due and how urgent it then is: the first post of each urgency, by the index.
_NEXT = """
WITH next AS (
  SELECT d.id, CASE WHEN count(p.due_at) > 0 THEN GREATEST(d.next_send_at, min(p.due_at)) END AS due_at,
         coalesce(min(p.urgency) FILTER (WHERE p.due_at <= GREATEST(d.next_send_at, now())),
                  (array_agg(p.urgency ORDER BY p.due_at))[1], 3) AS urgency
  FROM destination d
  LEFT JOIN LATERAL (
    SELECT u.urgency, w.due_at FROM unnest(ARRAY[0, 1, 2, 3]) AS u(urgency)
    CROSS JOIN LATERAL (SELECT due_at FROM post
                        WHERE destination_id = d.id AND urgency = u.urgency AND wanted_version > drawn_version
                        ORDER BY due_at LIMIT 1) w
  ) p ON true
  WHERE d.id = ANY(%(ids)s)
  GROUP BY d.id, d.next_send_at
)
"""
