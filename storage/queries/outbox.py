"""The outbox: changes are recorded in the transaction that makes them, and delivery expands them to posts later.

`record_change` and `record_comment_change` record what changed; delivery finds out afterwards which cards, threads,
subscribers and mentioned people that concerns. `enqueue` requests one rendered message in one conversation: a digest in
a channel, a note to a person. Both take effect when the transaction commits.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from psycopg2.extras import Json
from sqlalchemy import Connection

from storage.engine import WORK_LEFT
from storage.prepared import PreparedStatement
from storage.queries.destinations import ensure_channels, ensure_destination, mark_due
from storage.queries.silences import has_silences
from storage.queries.visibility import CHANNELS_OF_PROJECTS
from storage.values import NO_WORK, ActivityType, PostKind, Urgency, Work

# How long a card waits, so that changes that follow at once become one update.
CARD_DEBOUNCE_S = 0.5


def is_shown(organization: str, incident: str) -> str:
    """Returns the condition that a message shows an incident or is to show it, or that somebody was asked about it.

    With `concerns_others`, it decides whether anything is left to expand after a change. The transaction has locked the
    incident, so others that change it come before or after. A change that is being expanded is still seen here, or else
    what it has led to.
    """
    return f"""(
EXISTS (SELECT FROM post p WHERE p.organization_id = {organization} AND p.incident_id = {incident})
OR EXISTS (SELECT FROM {CHANNELS_OF_PROJECTS}
           WHERE ip.organization_id = {organization} AND ip.incident_id = {incident} OFFSET 0)
OR EXISTS (SELECT FROM outbox e WHERE e.organization_id = {organization} AND e.incident_id = {incident})
OR EXISTS (SELECT FROM storm_incident f WHERE f.organization_id = {organization} AND f.incident_id = {incident})
OR EXISTS (SELECT FROM call_recipient r WHERE r.organization_id = {organization} AND r.incident_id = {incident})
OR EXISTS (SELECT FROM handoff_item h WHERE h.organization_id = {organization} AND h.incident_id = {incident})
OR EXISTS (SELECT FROM owner_reminder r WHERE r.organization_id = {organization} AND r.incident_id = {incident}
           AND r.post_key IS NOT NULL))"""  # noqa: S608 - composed of constants


def concerns_others(organization: str, incident: str, author: str, activity_type: str) -> str:
    """Returns the condition that an entry of the log concerns others, besides whom it mentions: who follows."""
    return f"""(
EXISTS (SELECT FROM incident_subscription s WHERE s.organization_id = {organization} AND s.incident_id = {incident}
        AND s.member_id IS DISTINCT FROM {author})
OR ({activity_type} = {ActivityType.STATUS_CHANGE:d} AND (
  {has_silences(organization)} OR EXISTS (SELECT FROM followed_filter f WHERE f.organization_id = {organization}))))"""  # noqa: S608 - composed of constants


def redraw_cards_of(organization: str, incident: str, of_alert: str) -> str:
    """Returns the statement that makes the cards of an incident due, for a change of a person or of an alert."""
    return f"""
  UPDATE post SET wanted_version = wanted_version + 1, traceparent = DEFAULT,
    due_at = CASE WHEN wanted_version > drawn_version THEN due_at
                  ELSE %(now)s + make_interval(secs => {CARD_DEBOUNCE_S}) END,
    urgency = CASE WHEN {of_alert} THEN urgency ELSE {Urgency.URGENT:d} END
  WHERE organization_id = {organization} AND incident_id = {incident} AND kind = '{PostKind.CARD}'"""  # noqa: S608 - composed of constants


_CONCERNS_SOMEBODY = f"""
{is_shown("%(organization_id)s", "%(incident_id)s")}
OR EXISTS (SELECT FROM incident_activity a WHERE a.organization_id = %(organization_id)s AND a.id = %(activity_id)s
  AND (
     EXISTS (SELECT FROM comment_mention c WHERE c.organization_id = a.organization_id AND c.activity_id = a.id)
     OR {concerns_others("a.organization_id", "a.incident_id", "a.member_id", "a.type")}) OFFSET 0)
"""  # noqa: S608 - composed of constants
_RECORD = PreparedStatement(
    f"""
WITH cards AS ({redraw_cards_of("%(organization_id)s", "%(incident_id)s", "%(of_alert)s")})
INSERT INTO outbox (organization_id, incident_id, activity_id, again, member_ids, said_in, of_alert, date_added)
SELECT %(organization_id)s, %(incident_id)s, %(activity_id)s, %(again)s, %(member_ids)s,
       %(thread_channel)s, %(of_alert)s, %(now)s
WHERE {_CONCERNS_SOMEBODY}
""",
    {
        "organization_id": "bigint",
        "incident_id": "bigint",
        "activity_id": "bigint",
        "again": "boolean",
        "member_ids": "bigint[]",
        "thread_channel": "text",
        "of_alert": "boolean",
        "now": "timestamptz",
    },
)


def record_change(
    tx: Connection,
    organization_id: int,
    incident_id: int,
    activity_id: int | None = None,
    *,
    now: datetime,
    thread_channel: str | None = None,
    of_alert: bool = False,
) -> bool:
    """Records that an incident changed: its cards are due, and delivery finds out who else must be notified.

    Without `activity_id` only its cards show the change. `thread_channel` is the channel in whose thread the comment
    was written; it is not posted there again. `of_alert`: an alert made the change, which is expanded after those of
    people. Whom a comment mentions must have been inserted. Returns False if nobody follows the incident and nothing
    shows it: then nothing is recorded.
    """
    return _record(tx, organization_id, incident_id, activity_id, now, thread_channel=thread_channel, of_alert=of_alert)


def record_comment_change(
    tx: Connection,
    organization_id: int,
    incident_id: int,
    activity_id: int,
    *,
    now: datetime,
    newly_mentioned: Collection[int] = (),
    thread_channel: str | None = None,
) -> None:
    """Records that a comment was edited or deleted: cards and threads are updated.

    Only the members `newly_mentioned` are notified. `thread_channel` is as in `record_change`.
    """
    mentioned = sorted(newly_mentioned) or None
    _record(
        tx,
        organization_id,
        incident_id,
        activity_id,
        now,
        again=True,
        member_ids=mentioned,
        thread_channel=thread_channel,
    )


def _record(
    tx: Connection,
    organization_id: int,
    incident_id: int,
    activity_id: int | None,
    now: datetime,
    *,
    again: bool = False,
    member_ids: list[int] | None = None,
    thread_channel: str | None = None,
    of_alert: bool = False,
) -> bool:
    recorded = _RECORD.execute(
        tx,
        {
            "organization_id": organization_id,
            "incident_id": incident_id,
            "activity_id": activity_id,
            "again": again,
            "member_ids": member_ids,
            "thread_channel": thread_channel,
            "of_alert": of_alert,
            "now": now,
        },
    )
    if recorded:
        wake_after_commit(tx, Work.ALERTS if of_alert else Work.CHANGES)
    return bool(recorded)


_CARDS = f"""
WITH cards AS (
  UPDATE post SET wanted_version = wanted_version + 1, traceparent = DEFAULT,
    due_at = CASE WHEN wanted_version > drawn_version THEN due_at
                  ELSE %(now)s + make_interval(secs => {CARD_DEBOUNCE_S}) END
  WHERE organization_id = %(organization_id)s AND incident_id = ANY(%(incident_ids)s) AND kind = '{PostKind.CARD}'
)
"""  # noqa: S608 - composed of constants
_ARRAYS = {"organization_id": "bigint", "incident_ids": "bigint[]", "now": "timestamptz"}
_REDRAW_CARDS = PreparedStatement(
    f"{_CARDS} INSERT INTO outbox (organization_id, incident_id, of_alert, date_added)"  # noqa: S608 - composed of constants
    " SELECT %(organization_id)s, i.id, true, %(now)s FROM unnest(%(incident_ids)s) AS i(id)",
    _ARRAYS,
)
_RECORD_ALL = PreparedStatement(
    f"{_CARDS} INSERT INTO outbox (organization_id, incident_id, activity_id, of_alert, date_added)"  # noqa: S608
    " SELECT %(organization_id)s, c.incident_id, c.activity_id, true, %(now)s"
    " FROM unnest(%(incident_ids)s, %(activity_ids)s::bigint[]) AS c(incident_id, activity_id) ORDER BY 2",
    _ARRAYS,
)
_REDRAW_DIRECT_MESSAGES = PreparedStatement(
    "INSERT INTO outbox (organization_id, incident_id, date_added)"  # noqa: S608 - composed of constants
    " SELECT i.organization_id, i.id, %(now)s"
    " FROM unnest(%(organization_ids)s::bigint[], %(incident_ids)s::bigint[]) AS i(organization_id, id) WHERE"
    " EXISTS (SELECT FROM post p WHERE p.organization_id = i.organization_id AND p.incident_id = i.id"
    f"         AND p.kind = '{PostKind.NEWEST}' OFFSET 0)"
    " OR EXISTS (SELECT FROM post p WHERE p.organization_id = i.organization_id AND p.incident_id = i.id"
    f"            AND p.kind = '{PostKind.NOTIFICATION}' OFFSET 0)",
    {"now": "timestamptz"},
)


def redraw_cards(tx: Connection, organization_id: int, incident_ids: Collection[int], now: datetime) -> None:
    """Records that only cards show what changed about these incidents: texts of their alerts, a silence."""
    if not incident_ids:
        return
    _REDRAW_CARDS.execute(tx, {"organization_id": organization_id, "incident_ids": sorted(incident_ids), "now": now})
    wake_after_commit(tx, Work.ALERTS)


def record_changes(tx: Connection, organization_id: int, activity_ids: Mapping[int, int], now: datetime) -> None:
    """Records one change of many incidents, by incident id the id of its log entry.

    They are expanded like the changes of alerts, so that nobody's single change waits for them.
    """
    given = {
        "organization_id": organization_id,
        "incident_ids": list(activity_ids),
        "activity_ids": list(activity_ids.values()),
        "now": now,
    }
    _RECORD_ALL.execute(tx, given)
    wake_after_commit(tx, Work.ALERTS)


def redraw_direct_messages(tx: Connection, incidents: Collection[tuple[int, int]], now: datetime) -> None:
    """Records a change that only direct messages about these incidents show, if any: such as a posted card.

    Each incident is given by the id of its organization and its own.
    """
    if not incidents:
        return
    organization_ids, incident_ids = (list(side) for side in zip(*incidents, strict=True))
    given = {"organization_ids": organization_ids, "incident_ids": incident_ids, "now": now}
    if _REDRAW_DIRECT_MESSAGES.execute(tx, given):
        wake_after_commit(tx, Work.CHANGES)


def wake_after_commit(tx: Connection, work: Work) -> None:
    """Wakes those who do this work after this transaction commits."""
    tx.info[WORK_LEFT] = tx.info.get(WORK_LEFT, NO_WORK) | work


def redraw_cards_of_project(
    tx: Connection, organization_id: int, channels: Collection[tuple[int, str]], now: datetime
) -> None:
    """Updates the cards of open incidents in channels that projects no longer name: (project id, channel id)."""
    if not channels:
        return
    of_projects, channel_ids = (list(side) for side in zip(*channels, strict=True))
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = %(now)s"  # noqa: S608 - composed of constants
        "  FROM workspace w JOIN destination d ON d.workspace_id = w.id"
        "  JOIN unnest(%(of_projects)s, %(channel_ids)s) AS gone (project_id, channel_id)"
        "    ON gone.channel_id = d.channel_id"
        "  JOIN incident_project ip ON ip.organization_id = w.organization_id AND ip.project_id = gone.project_id"
        "  WHERE w.organization_id = %(organization_id)s AND p.organization_id = w.organization_id"
        f"    AND d.id = p.destination_id AND p.kind = '{PostKind.CARD}'"
        "    AND ip.incident_id = p.incident_id AND ip.status <> 2"
        "  RETURNING p.organization_id, p.incident_id)"
        " INSERT INTO outbox (organization_id, incident_id, date_added)"
        " SELECT DISTINCT organization_id, incident_id, %(now)s::timestamptz FROM cards",
        {"organization_id": organization_id, "of_projects": of_projects, "channel_ids": channel_ids, "now": now},
    )
    wake_after_commit(tx, Work.CHANGES)


def redraw_cards_of_organization(tx: Connection, organization_id: int, now: datetime) -> None:
    """Updates the cards of all open incidents, after the organization switched incidents on again."""
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = %(now)s FROM incident i"  # noqa: S608 - composed of constants
        "  WHERE p.organization_id = i.organization_id AND p.incident_id = i.id"
        f"    AND p.kind = '{PostKind.CARD}' AND i.organization_id = %(organization_id)s AND i.status <> 2"
        "  RETURNING p.incident_id)"
        " INSERT INTO outbox (organization_id, incident_id, date_added)"
        " SELECT DISTINCT %(organization_id)s, incident_id, %(now)s::timestamptz FROM cards",
        {"organization_id": organization_id, "now": now},
    )
    wake_after_commit(tx, Work.CHANGES)


def enqueue_in_channels(
    tx: Connection, kind: PostKind, messages: Sequence[tuple[str, str, str, Mapping[str, Any]]], now: datetime
) -> dict[str, int]:
    """Requests that each message is posted once: (workspace, channel, key, message), as `enqueue` does for one.

    Returns the ids of the new posts by key.
    """
    channels = ensure_channels(tx, {(workspace_id, channel_id) for workspace_id, channel_id, _, _ in messages}, now)
    rows = tx.exec_driver_sql(
        "INSERT INTO post (organization_id, destination_id, kind, urgency, key, message, due_at, date_added)"
        " SELECT w.organization_id, v.destination_id, %(kind)s, %(urgency)s, v.key, v.message, %(now)s, %(now)s"
        " FROM unnest(%(workspaces)s::text[], %(destinations)s::bigint[], %(keys)s::text[], %(messages)s::jsonb[])"
        "   AS v(workspace_id, destination_id, key, message) JOIN workspace w ON w.id = v.workspace_id"
        " ON CONFLICT (key) DO NOTHING RETURNING key, id, destination_id",
        {
            "kind": str(kind),
            "urgency": int(Urgency.BULK),
            "workspaces": [workspace_id for workspace_id, _, _, _ in messages],
            "destinations": [channels[workspace_id, channel_id] for workspace_id, channel_id, _, _ in messages],
            "keys": [key for _, _, key, _ in messages],
            "messages": [json.dumps(dict(message)) for _, _, _, message in messages],
            "now": now,
        },
    ).all()
    if rows:
        mark_due(tx, {row[2] for row in rows}, Urgency.BULK, now)
        wake_after_commit(tx, Work.POSTS)
    return {row[0]: row[1] for row in rows}


_INSERT_POST = PreparedStatement(
    "INSERT INTO post (organization_id, destination_id, kind, urgency, key, message, due_at, date_added)"
    " SELECT organization_id, %(destination_id)s, %(kind)s, %(urgency)s, %(key)s, %(message)s, %(now)s, %(now)s"
    " FROM workspace WHERE id = %(workspace_id)s"
    " ON CONFLICT (key) DO NOTHING RETURNING id",
    {
        "workspace_id": "text",
        "destination_id": "bigint",
        "kind": "text",
        "urgency": "smallint",
        "key": "text",
        "message": "jsonb",
        "now": "timestamptz",
    },
)


def enqueue(
    tx: Connection,
    *,
    workspace_id: str,
    key: str,
    now: datetime,
    message: Mapping[str, Any] | None = None,
    channel_id: str | None = None,
    member_id: int | None = None,
    user_id: str | None = None,
    kind: Literal[
        PostKind.DIGEST,
        PostKind.NOTE,
        PostKind.HANDOFF,
        PostKind.HANDOFF_ANSWER,
        PostKind.REMINDER,
        PostKind.PERSONAL_DIGEST,
        PostKind.JOIN_REQUEST,
    ],
    urgency: Urgency = Urgency.BULK,
) -> int | None:
    """Requests that `message` (text, blocks, attachments) is posted once, to one of a channel, a member, a Slack user.

    Without `message`, it is rendered when it is sent, for its `key`.

    `key` names the wish: a second one with the same key asks for nothing and gives None; otherwise the post's id
    comes back. The channel is joined where it is public; a channel shared with
    another company is posted to only when the organization allows it.
    """
    destination_id = ensure_destination(
        tx, workspace_id, now=now, channel_id=channel_id, member_id=member_id, user_id=user_id
    )
    row = _INSERT_POST.row(
        tx,
        {
            "workspace_id": workspace_id,
            "destination_id": destination_id,
            "kind": str(kind),
            "urgency": int(urgency),
            "key": key,
            "message": None if message is None else Json(dict(message)),
            "now": now,
        },
    )
    if row is None:
        return None
    mark_due(tx, [destination_id], urgency, now)
    wake_after_commit(tx, Work.POSTS)
    return int(row[0])
