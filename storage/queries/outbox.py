"""The outbox: changes are recorded in the transaction that makes them, and delivery expands them to posts later.

`record_change` and `record_comment_change` record what changed; delivery finds out afterwards which cards, threads,
subscribers and mentioned people that concerns. `enqueue` requests one rendered message in one conversation: a digest in
a channel, a note to a person. Both take effect when the transaction commits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Literal

from psycopg2.extras import Json
from sqlalchemy import Connection

from storage.engine import OUTBOX_WRITTEN
from storage.queries.destinations import ensure_destination, mark_due
from storage.values import PostKind, Urgency

# How long a card waits, so that changes that follow at once become one update.
CARD_DEBOUNCE_S = 0.5


def record_change(
    tx: Connection,
    incident_id: int,
    activity_id: int | None = None,
    *,
    now: datetime,
    thread_channel: str | None = None,
    of_alert: bool = False,
) -> None:
    """Records that an incident changed: its cards are due, and delivery finds out who else must be notified.

    Without `activity_id` only its cards show the change. `thread_channel` is the channel in whose thread the comment
    was written; it is not posted there again. `of_alert`: an alert made the change, which is expanded after those of
    people.
    """
    values = {
        "incident_id": incident_id,
        "activity_id": activity_id,
        "thread_channel": thread_channel,
        "of_alert": of_alert,
    }
    _insert_change(tx, values, now)


def record_comment_change(
    tx: Connection,
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
    member_ids = sorted(newly_mentioned) or None
    values = {
        "incident_id": incident_id,
        "activity_id": activity_id,
        "thread_channel": thread_channel,
        "again": True,
        "member_ids": member_ids,
    }
    _insert_change(tx, values, now)


def _insert_change(tx: Connection, values: Mapping[str, Any], now: datetime) -> None:
    parameters = {"again": False, "member_ids": None, "of_alert": False, **values}
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post SET wanted_version = wanted_version + 1, due_at = CASE"  # noqa: S608 - composed of constants
        "  WHEN wanted_version > drawn_version THEN due_at"
        "  ELSE %(now)s + make_interval(secs => %(settles)s) END,"
        "  urgency = CASE WHEN %(of_alert)s THEN urgency ELSE %(urgent)s END"
        f"  WHERE incident_id = %(incident_id)s AND kind = '{PostKind.CARD}')"
        " INSERT INTO outbox (incident_id, activity_id, again, member_ids, said_in, of_alert, date_added)"
        " VALUES (%(incident_id)s, %(activity_id)s, %(again)s, %(member_ids)s, %(thread_channel)s, %(of_alert)s,"
        " %(now)s)",
        {"now": now, "settles": CARD_DEBOUNCE_S, "urgent": int(Urgency.URGENT), **parameters},
    )
    wake_after_commit(tx, of_alert=parameters["of_alert"])


def redraw_cards(tx: Connection, incident_ids: Collection[int], now: datetime) -> None:
    """Records that only cards show what changed about these incidents: texts of their alerts, a silence."""
    if not incident_ids:
        return
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post SET wanted_version = wanted_version + 1, due_at = CASE"  # noqa: S608 - composed of constants
        "  WHEN wanted_version > drawn_version THEN due_at"
        "  ELSE %(now)s + make_interval(secs => %(settles)s) END"
        f"  WHERE incident_id = ANY(%(incident_ids)s) AND kind = '{PostKind.CARD}')"
        " INSERT INTO outbox (incident_id, of_alert, date_added)"
        " SELECT unnest(%(incident_ids)s), true, %(now)s::timestamptz",
        {"incident_ids": sorted(incident_ids), "now": now, "settles": CARD_DEBOUNCE_S},
    )
    wake_after_commit(tx, of_alert=True)


def record_changes(tx: Connection, activity_ids: Mapping[int, int], now: datetime) -> None:
    """Records one change of many incidents, by incident id the id of its log entry.

    They are expanded like the changes of alerts, so that nobody's single change waits for them.
    """
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post SET wanted_version = wanted_version + 1, due_at = CASE"  # noqa: S608 - composed of constants
        "  WHEN wanted_version > drawn_version THEN due_at"
        "  ELSE %(now)s + make_interval(secs => %(settles)s) END"
        f"  WHERE incident_id = ANY(%(incident_ids)s) AND kind = '{PostKind.CARD}')"
        " INSERT INTO outbox (incident_id, activity_id, of_alert, date_added)"
        " SELECT incident_id, activity_id, true, %(now)s::timestamptz"
        " FROM unnest(%(incident_ids)s::bigint[], %(activity_ids)s::bigint[]) AS c(incident_id, activity_id)"
        " ORDER BY incident_id",
        {
            "incident_ids": list(activity_ids),
            "activity_ids": list(activity_ids.values()),
            "now": now,
            "settles": CARD_DEBOUNCE_S,
        },
    )
    wake_after_commit(tx, of_alert=True)


def redraw_direct_messages(tx: Connection, incident_id: int, now: datetime) -> None:
    """Records a change that only direct messages about an incident show, if there are any: such as a posted card."""
    added = tx.exec_driver_sql(
        "INSERT INTO outbox (incident_id, date_added) SELECT %(id)s, %(now)s::timestamptz"  # noqa: S608 - composed of constants
        f" WHERE EXISTS (SELECT FROM post WHERE incident_id = %(id)s AND kind = '{PostKind.NEWEST}')"
        f" OR EXISTS (SELECT FROM post WHERE incident_id = %(id)s AND kind = '{PostKind.NOTIFICATION}')",
        {"id": incident_id, "now": now},
    ).rowcount
    if added:
        wake_after_commit(tx)


def wake_after_commit(tx: Connection, *, of_alert: bool = False) -> None:
    """Wakes delivery after this transaction commits; at once, unless only alerts made its changes."""
    tx.info[OUTBOX_WRITTEN] = tx.info.get(OUTBOX_WRITTEN, False) or not of_alert


def redraw_cards_of_project(tx: Connection, channels: Collection[tuple[int, str]], now: datetime) -> None:
    """Updates the cards of open incidents in channels that projects no longer name: (project id, channel id)."""
    if not channels:
        return
    of_projects, channel_ids = (list(side) for side in zip(*channels, strict=True))
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = %(now)s"  # noqa: S608 - composed of constants
        "  FROM unnest(%(of_projects)s, %(channel_ids)s) AS gone (project_id, channel_id)"
        "  JOIN destination d ON d.channel_id = gone.channel_id"
        "  JOIN incident_project ip ON ip.project_id = gone.project_id"
        f"  WHERE d.id = p.destination_id AND p.kind = '{PostKind.CARD}'"
        "    AND ip.incident_id = p.incident_id AND ip.status <> 2"
        "  RETURNING p.incident_id)"
        " INSERT INTO outbox (incident_id, date_added) SELECT DISTINCT incident_id, %(now)s::timestamptz FROM cards",
        {"of_projects": of_projects, "channel_ids": channel_ids, "now": now},
    )
    wake_after_commit(tx)


def redraw_cards_of_organization(tx: Connection, organization_id: int, now: datetime) -> None:
    """Updates the cards of all open incidents, after the organization switched incidents on again."""
    tx.exec_driver_sql(
        "WITH cards AS (UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = %(now)s FROM incident i"  # noqa: S608 - composed of constants
        f"  WHERE i.id = p.incident_id AND p.kind = '{PostKind.CARD}'"
        "    AND i.organization_id = %(organization_id)s AND i.status <> 2"
        "  RETURNING p.incident_id)"
        " INSERT INTO outbox (incident_id, date_added) SELECT DISTINCT incident_id, %(now)s::timestamptz FROM cards",
        {"organization_id": organization_id, "now": now},
    )
    wake_after_commit(tx)


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
    post_id: int | None = tx.exec_driver_sql(
        "INSERT INTO post (destination_id, kind, urgency, key, message, due_at, date_added)"
        " VALUES (%(destination_id)s, %(kind)s, %(urgency)s, %(key)s, %(message)s, %(now)s, %(now)s)"
        " ON CONFLICT (key) DO NOTHING RETURNING id",
        {
            "destination_id": destination_id,
            "kind": str(kind),
            "urgency": int(urgency),
            "key": key,
            "message": None if message is None else Json(dict(message)),
            "now": now,
        },
    ).scalar()
    if post_id is not None:
        mark_due(tx, destination_id, urgency, now)
        wake_after_commit(tx)
    return post_id
