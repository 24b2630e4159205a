"""Reads the contents of posts. Each is read when the post is sent, with what its recipient may see at that time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.queries.activity import (
    ENTRY_COLUMNS,
    IS_DELETED,
    READABLE,
    find_last_status_change,
    get_mentions,
    get_people,
    parse_entry,
)
from storage.queries.destinations import Target
from storage.queries.incidents import find_incident_details
from storage.queries.places import places_of_incident
from storage.queries.post_kinds import CardPost, DirectPost, NotificationPost, ThreadPost
from storage.queries.silences import is_silenced
from storage.queries.visibility import (
    CHANNELS_OF_PROJECTS,
    projects_shown_in_channel,
    sees_incident,
    sees_project,
    shown_in_channel,
)
from storage.rows import (
    ActivityEntry,
    CardContent,
    IncidentName,
    Mentions,
    NotificationContent,
    NotificationEntry,
    ThreadContent,
)
from storage.values import ActivityType, PostKind, Status

# The entries that record that an incident was resolved.
_CLOSING = f"a.type = {ActivityType.STATUS_CHANGE:d} AND a.value = {Status.CLOSED:d}"

# The projects by which the reader sees the incident; none if the reader may not see it.
_READER = f"""
SELECT i.identifier, m.notify,
       CASE WHEN {sees_incident("i.id")}
            THEN ARRAY(SELECT ip.project_id FROM incident_project ip
                       WHERE ip.organization_id = o.id AND ip.incident_id = i.id
                         AND {sees_project("ip.project_id")}) END
FROM member m JOIN organization o ON o.id = m.organization_id
JOIN incident i ON i.organization_id = o.id AND i.id = %(incident_id)s
WHERE m.organization_id = %(organization_id)s AND m.id = %(member_id)s
"""  # noqa: S608 - composed of constants

# A card, or the message of a storm that stands for it, in a channel of a project that the reader sees. Those in other
# channels are not shown to the reader.
_CARD_FOR_READER = f"""
SELECT d.channel_id, c.ts
FROM ({places_of_incident("%(organization_id)s", "%(incident_id)s")}) place
JOIN post c ON c.organization_id = %(organization_id)s AND c.id = place.post_id
JOIN destination d ON d.id = c.destination_id
JOIN member m ON m.organization_id = c.organization_id AND m.id = %(member_id)s
JOIN organization o ON o.id = m.organization_id
WHERE c.ts IS NOT NULL AND d.failed_reason IS NULL AND d.workspace_id = %(workspace_id)s
  AND EXISTS (SELECT FROM {CHANNELS_OF_PROJECTS}
              WHERE ip.organization_id = o.id AND ip.incident_id = %(incident_id)s AND pc.channel_id = d.channel_id
                AND {sees_project("ip.project_id")})
ORDER BY place.folded, c.id LIMIT 1
"""  # noqa: S608 - composed of constants


def find_notification_content(
    tx: Connection, post: DirectPost, target: Target, most: int
) -> NotificationContent | None:
    """Returns the contents of a notification, with at most `most` entries; None if the incident or member is gone."""
    member_id = target.member_id or 0
    given = {"organization_id": post.organization_id, "incident_id": post.incident_id, "member_id": member_id}
    reader = tx.exec_driver_sql(_READER, given).first()
    if reader is None:
        return None
    identifier, notify, project_ids = reader
    details = find_incident_details(
        tx,
        target.organization_id,
        identifier,
        project_ids=project_ids or [],
        member_id=member_id,
        workspace_id=target.workspace_id,
    )
    rows = tx.exec_driver_sql(
        f"SELECT n.mention, {ENTRY_COLUMNS} FROM notification n"  # noqa: S608
        " JOIN incident_activity a ON a.organization_id = n.organization_id AND a.id = n.activity_id"
        " LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id"
        " WHERE n.organization_id = %(organization_id)s AND n.post_id = %(post_id)s"
        f" AND NOT {IS_DELETED} ORDER BY a.id LIMIT %(most)s",
        {"organization_id": post.organization_id, "post_id": post.id, "most": most},
    ).all()
    entries = [NotificationEntry(parse_entry(row[1:]), row[0]) for row in rows]
    last_comment = _find_comment_after(tx, post, member_id, entries[-1].entry.id if entries else 0)
    shown = [item.entry for item in entries] + ([last_comment] if last_comment else [])
    return NotificationContent(
        identifier=identifier,
        incident=details,
        status_change=find_last_status_change(tx, post.organization_id, post.incident_id),
        last_comment=last_comment,
        entries=entries,
        mentions=_mentions(tx, [entry.id for entry in shown if entry.comment], target.workspace_id),
        notify=notify,
        card=find_card_for_reader(tx, post.organization_id, post.incident_id, member_id, target.workspace_id),
    )


def _find_comment_after(tx: Connection, post: DirectPost, member_id: int, entry_id: int) -> ActivityEntry | None:
    row = tx.exec_driver_sql(
        f"SELECT {ENTRY_COLUMNS} FROM incident_activity a"  # noqa: S608
        " LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id"
        " WHERE a.organization_id = %(organization_id)s AND a.incident_id = %(incident_id)s"
        f" AND {READABLE} AND a.comment IS NOT NULL AND a.id > %(after)s"
        " AND NOT EXISTS (SELECT FROM notification n"
        " WHERE n.organization_id = a.organization_id AND n.activity_id = a.id AND n.member_id = %(member_id)s)"
        " ORDER BY a.id DESC LIMIT 1",
        {
            "organization_id": post.organization_id,
            "incident_id": post.incident_id,
            "after": entry_id,
            "member_id": member_id,
        },
    ).first()
    return None if row is None else parse_entry(row)


def find_card_for_reader(
    connection: Connection, organization_id: int, incident_id: int, member_id: int, workspace_id: str
) -> tuple[str, str] | None:
    """Returns channel id and ts of where an incident is shown, in a channel of a project that the member sees, or None.

    That is its oldest posted card, or else the message of its storm, in the workspace in which the member reads it.
    """
    given = {
        "organization_id": organization_id,
        "incident_id": incident_id,
        "member_id": member_id,
        "workspace_id": workspace_id,
    }
    row = connection.exec_driver_sql(_CARD_FOR_READER, given).first()
    return None if row is None else (row[0], row[1])


def _mentions(tx: Connection, activity_ids: list[int], workspace_id: str) -> Mentions:
    return get_mentions(tx, activity_ids, workspace_id) if activity_ids else Mentions()


def drop_entries(tx: Connection, post: NotificationPost, activity_ids: list[int]) -> None:
    """Removes entries from a notification that the recipient has chosen not to get."""
    tx.exec_driver_sql(
        "DELETE FROM notification WHERE organization_id = %(organization_id)s AND post_id = %(post_id)s"
        " AND activity_id = ANY(%(ids)s)",
        {"organization_id": post.organization_id, "post_id": post.id, "ids": activity_ids},
    )


def split_notification(tx: Connection, post: NotificationPost, last_id: int, now: datetime) -> None:
    """Moves the entries after `last_id`, which did not fit into a notification, to a new post of the same kind."""
    tx.exec_driver_sql(
        "WITH rest AS (SELECT activity_id FROM notification WHERE organization_id = %(organization_id)s"
        "  AND post_id = %(id)s AND activity_id > %(last)s),"
        " made AS (INSERT INTO post (organization_id, destination_id, kind, incident_id, urgency, due_at, date_added)"
        "          SELECT organization_id, destination_id, kind, incident_id, urgency, %(now)s, %(now)s FROM post"
        "          WHERE organization_id = %(organization_id)s AND id = %(id)s AND EXISTS (SELECT"
        " FROM rest) RETURNING id)"
        " UPDATE notification SET post_id = made.id FROM made"
        " WHERE notification.organization_id = %(organization_id)s AND notification.post_id = %(id)s"
        " AND notification.activity_id > %(last)s",
        {"organization_id": post.organization_id, "id": post.id, "last": last_id, "now": now},
    )


def find_card_content(tx: Connection, post: CardPost, target: Target) -> CardContent | None:
    """Returns what a channel may show of an incident; None if none of its projects names the channel (any more)."""
    row = tx.exec_driver_sql(
        f"SELECT i.identifier, {projects_shown_in_channel('i.organization_id', 'i.id', '%(channel_id)s')}"  # noqa: S608
        " FROM incident i WHERE i.organization_id = %(organization_id)s AND i.id = %(incident_id)s",
        {
            "organization_id": post.organization_id,
            "incident_id": post.incident_id,
            "channel_id": target.channel_id,
        },
    ).first()
    if row is None or not row[1]:
        return None
    details = find_incident_details(
        tx,
        target.organization_id,
        row[0],
        project_ids=row[1],
        member_id=0,
        workspace_id=target.workspace_id,
    )
    if details is None:
        return None
    wanted = _CLOSING if details.status is Status.CLOSED else "a.comment IS NOT NULL"
    row = tx.exec_driver_sql(
        f"SELECT {ENTRY_COLUMNS} FROM incident_activity a"  # noqa: S608
        " LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id"
        " WHERE a.organization_id = %(organization_id)s AND a.incident_id = %(id)s"
        f" AND {READABLE} AND {wanted} ORDER BY a.date_added DESC, a.id DESC LIMIT 1",
        {"organization_id": post.organization_id, "id": details.id},
    ).first()
    entry = None if row is None else parse_entry(row)
    return CardContent(details, entry, _mentions(tx, [entry.id] if entry else [], target.workspace_id))


def find_identifier(tx: Connection, post: CardPost) -> int | None:
    """Returns the number of a card's incident within its organization, or None if the incident is gone."""
    row: Any = tx.exec_driver_sql(
        "SELECT identifier FROM incident WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": post.organization_id, "id": post.incident_id},
    ).first()
    return None if row is None else int(row[0])


def find_thread_content(tx: Connection, post: ThreadPost, target: Target) -> ThreadContent | None:
    """Returns what a card's thread shows of a log entry, or None if the entry or the card is gone."""
    row = tx.exec_driver_sql(
        f"SELECT {ENTRY_COLUMNS}, {IS_DELETED}, c.ts,"  # noqa: S608
        " c.ts IS NULL AND c.wanted_version <= c.drawn_version AND c.failed_reason IS NULL,"
        " EXISTS (SELECT FROM thread_reply r WHERE r.organization_id = a.organization_id AND r.activity_id = a.id"
        "         AND r.destination_id = c.destination_id AND r.gone),"
        f" {shown_in_channel('a.organization_id', 'a.incident_id', '%(channel_id)s')},"
        " EXISTS (SELECT FROM incident i WHERE i.organization_id = a.organization_id AND i.id = a.incident_id"
        " AND i.status <> 2 AND i.owner_id IS NULL"
        f" AND NOT {is_silenced('i')}),"
        f" CASE WHEN c.kind = '{PostKind.STORM}' THEN i.identifier END, i.title"
        " FROM incident_activity a LEFT JOIN member m ON m.organization_id = a.organization_id"
        " AND m.id = a.member_id JOIN incident i ON i.organization_id = a.organization_id AND i.id = a.incident_id"
        " JOIN post c ON c.organization_id = a.organization_id AND c.id = %(card_id)s"
        " WHERE a.organization_id = %(organization_id)s AND a.id = %(activity_id)s",
        {
            "organization_id": post.organization_id,
            "activity_id": post.activity_id,
            "card_id": post.card_id,
            "channel_id": target.channel_id,
        },
    ).first()
    if row is None:
        return None
    *columns, deleted, card_ts, withheld, gone, here, is_waiting, identifier, title = row
    entry = parse_entry(columns)
    if entry.call is not None:
        mentions = get_people(tx, [member_id for member_id, _ in entry.call.people], target.workspace_id)
    else:
        mentions = _mentions(tx, [entry.id], target.workspace_id)
    incident = None if identifier is None else IncidentName(identifier, title)
    return ThreadContent(entry, mentions, deleted, card_ts, withheld, gone, here, is_waiting, incident)
