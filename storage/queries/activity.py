"""The activity log of an incident: read its pages, and write entries, comments and mentions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from storage.call_rows import CallRecord
from storage.errors import UnknownActivity
from storage.models import CommentMention, IncidentActivity
from storage.prepared import PreparedStatement
from storage.queries import log_entries, outbox
from storage.queries.slack_ids import user_of_member
from storage.rows import ActivityEntry, ActivityPage, Comment, Mentionable, Mentions
from storage.values import FIRST_OWN_TYPE, ActivityType, Work

# The columns of an entry a by a member m, for `parse_entry`.
ENTRY_COLUMNS = (
    "a.id, a.type, a.member_id, m.name, a.value, a.previous_value, a.comment, a.date_added, a.date_edited,"
    " (SELECT o.name FROM member o WHERE o.organization_id = a.organization_id AND o.id = a.owner_id),"
    " (SELECT o.name FROM member o WHERE o.organization_id = a.organization_id AND o.id = a.previous_owner_id), a.call"
)

_KNOWN = frozenset(int(one) for one in ActivityType)
# Which entry is a deleted comment.
IS_DELETED = f"(a.date_deleted IS NOT NULL AND a.type < {FIRST_OWN_TYPE})"
# Which entries are read. During a deploy, a newer version may write entries of types that this version does not know.
_NOT_DELETED = f"(a.date_deleted IS NULL OR a.type >= {FIRST_OWN_TYPE})"  # as the index has it
READABLE = f"{_NOT_DELETED} AND a.type IN ({', '.join(str(int(one)) for one in ActivityType)})"
# Which entries can be the latest news of an incident in a digest. Who has acknowledged or owns it, is to, or is
# called, is shown beside it.
_NO_NEWS = (
    ActivityType.ACKNOWLEDGED,
    ActivityType.OWNER,
    ActivityType.HANDOFF,
    ActivityType.CALL,
    ActivityType.UNHEARD,
)
NEWS = f"{READABLE} AND a.type NOT IN ({', '.join(str(int(one)) for one in _NO_NEWS)})"

_LOG = f"""
SELECT {ENTRY_COLUMNS}
FROM incident_activity a LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id
WHERE a.organization_id = %(organization_id)s AND a.incident_id = %(incident_id)s AND {READABLE}
"""  # noqa: S608

_MENTIONED = PreparedStatement(
    f"""
SELECT c.member_id, c.team_id, coalesce(m.name, t.name),
       CASE WHEN t.id IS NOT NULL THEN t.slack_usergroup
            ELSE {user_of_member("%(workspace_id)s")} END
FROM workspace w JOIN comment_mention c ON c.organization_id = w.organization_id
LEFT JOIN member m ON m.organization_id = c.organization_id AND m.id = c.member_id
LEFT JOIN team t ON t.organization_id = c.organization_id AND t.id = c.team_id
WHERE w.id = %(workspace_id)s AND c.activity_id = ANY(%(activity_ids)s)
""",  # noqa: S608 - composed of constants
    {"workspace_id": "text", "activity_ids": "bigint[]"},
)


def build_latest_entry(organization: str, incident: str) -> str:
    """Returns the query of the first entry on the first page of a log. The ids of both are SQL."""
    return f"""
SELECT {ENTRY_COLUMNS}
FROM incident_activity a LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id
WHERE a.organization_id = {organization} AND a.incident_id = {incident} AND {READABLE}
ORDER BY a.date_added DESC, a.id DESC LIMIT 1"""  # noqa: S608 - composed of constants


def parse_entry(row: Sequence[Any]) -> ActivityEntry:
    """Returns the entry in a row of `ENTRY_COLUMNS`. Raises UnknownActivity if this version does not know its type.

    The two names of owners and the call at the end are left out where no entry can have any.
    """
    id_, type_, member_id, author, value, previous, comment, added, edited, *more = row
    if type_ not in _KNOWN:
        raise UnknownActivity(type_)
    owner, previous_owner, call = more or (None, None, None)
    return ActivityEntry(
        id_,
        ActivityType(type_),
        member_id,
        author,
        value,
        previous,
        comment,
        added,
        edited,
        owner,
        previous_owner,
        CallRecord.from_json(call) if call else None,
    )


def get_mentions_of_entries(connection: Connection, entries: Iterable[ActivityEntry], workspace_id: str) -> Mentions:
    """Returns the people and teams that the comments of these entries mention. Runs no query if there are none."""
    mentioning = [
        entry.id for entry in entries if entry.comment and ("<person:" in entry.comment or "<team:" in entry.comment)
    ]
    return get_mentions(connection, mentioning, workspace_id) if mentioning else Mentions()


def get_mentions(connection: Connection, activity_ids: Iterable[int], workspace_id: str) -> Mentions:
    """Returns the people and teams that these comments mention, with their names and Slack ids in that workspace."""
    people: dict[int, Mentionable] = {}
    teams: dict[int, Mentionable] = {}
    rows = _MENTIONED.rows(connection, {"activity_ids": list(activity_ids), "workspace_id": workspace_id})
    for member_id, team_id, name, slack_id in rows:
        if member_id is not None:
            people[member_id] = Mentionable(name, slack_id)
        else:
            teams[team_id] = Mentionable(name, slack_id)
    return Mentions(people, teams)


_PEOPLE = PreparedStatement(
    f"""
SELECT m.id, m.name, {user_of_member("%(workspace_id)s")}
FROM workspace w JOIN member m ON m.organization_id = w.organization_id
WHERE w.id = %(workspace_id)s AND m.id = ANY(%(ids)s)
""",  # noqa: S608 - composed of constants
    {"workspace_id": "text", "ids": "bigint[]"},
)


def get_people(connection: Connection, member_ids: Sequence[int], workspace_id: str) -> Mentions:
    """Returns these members, to be mentioned in that workspace."""
    rows = _PEOPLE.rows(connection, {"ids": list(member_ids), "workspace_id": workspace_id})
    return Mentions({member_id: Mentionable(name, slack_id) for member_id, name, slack_id in rows})


def get_activity_page(
    connection: Connection,
    organization_id: int,
    incident_id: int,
    workspace_id: str,
    *,
    size: int,
    before: tuple[datetime, int] | None = None,
    after: tuple[datetime, int] | None = None,
) -> ActivityPage:
    """Returns a page of the log with at most `size` entries, newest first.

    `before` and `after` are the date and id of an entry. With `before`, the page holds the next older entries; with
    `after`, the next newer ones; with neither, the newest entries.
    """
    sql = _LOG
    parameters: dict[str, Any] = {"organization_id": organization_id, "incident_id": incident_id, "size": size + 1}
    direction = "DESC"
    place = before or after
    if place is not None:
        compare = "<" if before else ">"
        sql += f" AND (a.date_added, a.id) {compare} (%(date)s, %(id)s)"
        parameters |= {"date": place[0], "id": place[1]}
        direction = "DESC" if before else "ASC"
    sql += f" ORDER BY a.date_added {direction}, a.id {direction} LIMIT %(size)s"
    entries = [parse_entry(row) for row in connection.exec_driver_sql(sql, parameters)]
    more = len(entries) > size
    entries = entries[:size]
    if after:
        entries.reverse()
    mentions = get_mentions_of_entries(connection, entries, workspace_id)
    has_older = bool(entries) and (more or bool(after))
    has_newer = bool(entries) and (bool(before) or (bool(after) and more))
    return ActivityPage(
        entries,
        mentions,
        older=entries[-1].id if has_older else None,
        newer=entries[0].id if has_newer else None,
    )


def find_position(
    connection: Connection, organization_id: int, incident_id: int, activity_id: int
) -> tuple[datetime, int] | None:
    """Returns the date and id of an entry, deleted or not, or None if the incident has no such entry."""
    row = connection.execute(
        select(IncidentActivity.date_added, IncidentActivity.id).where(
            IncidentActivity.organization_id == organization_id,
            IncidentActivity.id == activity_id,
            IncidentActivity.incident_id == incident_id,
        )
    ).first()
    return None if row is None else (row[0], row[1])


_LAST_STATUS_CHANGE = PreparedStatement(
    f"SELECT {ENTRY_COLUMNS} FROM incident_activity a"  # noqa: S608
    " LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id"
    " WHERE a.organization_id = %(organization_id)s AND a.incident_id = %(incident_id)s"
    f" AND a.type = {ActivityType.STATUS_CHANGE:d} AND a.date_deleted IS NULL"
    " ORDER BY a.id DESC LIMIT 1",
    {"organization_id": "bigint", "incident_id": "bigint"},
)


def find_last_status_change(connection: Connection, organization_id: int, incident_id: int) -> ActivityEntry | None:
    """Returns the entry with the last change of an incident's status, or None if the status never changed.

    Its id identifies the state of the incident since then.
    """
    row = _LAST_STATUS_CHANGE.row(connection, {"organization_id": organization_id, "incident_id": incident_id})
    return None if row is None else parse_entry(row)


_ONE_INCIDENT = "SELECT %(organization_id)s, %(incident_id)s"
_INSERT = PreparedStatement(
    f"WITH {log_entries.build_entry(_ONE_INCIDENT)} SELECT id, false FROM entry",  # noqa: S608 - composed of constants
    log_entries.ENTRY_TYPES,
)
INSERT_AND_RECORD = PreparedStatement(
    f"WITH {log_entries.build_entry(_ONE_INCIDENT)},"  # noqa: S608 - composed of constants
    f" {log_entries.build_record('%(organization_id)s', '%(incident_id)s')}"
    " SELECT id, EXISTS (SELECT FROM recorded) FROM entry",
    log_entries.ENTRY_TYPES | log_entries.RECORD_TYPES,
)


def insert_activity(
    connection: Connection,
    organization_id: int,
    incident_id: int,
    type_: ActivityType,
    *,
    now: datetime,
    member_id: int | None = None,
    value: int | None = None,
    previous_value: int | None = None,
    comment: str | None = None,
    rich_text: dict[str, Any] | None = None,
    date_added: datetime | None = None,
    notify: bool = True,
    thread_channel: str | None = None,
    owner_id: int | None = None,
    previous_owner_id: int | None = None,
    call: CallRecord | None = None,
    mentioned_members: Iterable[int] = (),
    mentioned_teams: Iterable[int] = (),
) -> int:
    """Inserts an entry into the log, with whom its comment mentions, and returns its id.

    With `notify`, also records the change in the outbox, if it concerns anybody. `date_added` is when the change
    happened, if not `now`. `thread_channel` is the channel, if the comment was written in a thread. `owner_id` and
    `previous_owner_id` are who owns the incident after and before it changed its owner.
    """
    row = (INSERT_AND_RECORD if notify else _INSERT).row(
        connection,
        {
            "organization_id": organization_id,
            "incident_id": incident_id,
            "member_id": member_id,
            "type": int(type_),
            "value": value,
            "previous_value": previous_value,
            "comment": comment,
            "rich_text": None if rich_text is None else json.dumps(rich_text),
            "date_added": date_added or now,
            "owner_id": owner_id,
            "previous_owner_id": previous_owner_id,
            "call": json.dumps(call.to_json()) if call else None,
            "mentioned_members": sorted(set(mentioned_members)),
            "mentioned_teams": sorted(set(mentioned_teams)),
            "thread_channel": thread_channel,
            "now": now,
        },
    )
    assert row is not None
    activity_id: int = row[0]
    if row[1]:
        outbox.wake_after_commit(connection, Work.ALERTS if member_id is None else Work.CHANGES)
    return activity_id


def insert_activities(
    tx: Connection,
    organization_id: int,
    incident_ids: Sequence[int],
    type_: ActivityType,
    *,
    now: datetime,
    member_id: int | None,
    value: int | None = None,
    owner_id: int | None = None,
    notify: bool = True,
) -> None:
    """Inserts an entry into the log of each incident. With `notify`, it is expanded after what people do singly."""
    rows = tx.exec_driver_sql(
        "INSERT INTO incident_activity (organization_id, incident_id, member_id, type, value, date_added, owner_id)"
        " SELECT %(organization_id)s, i.id, %(member_id)s, %(type)s, %(value)s, %(now)s, %(owner_id)s"
        " FROM unnest(%(ids)s::bigint[]) AS i(id)"
        " RETURNING incident_id, id",
        {
            "organization_id": organization_id,
            "ids": list(incident_ids),
            "member_id": member_id,
            "type": int(type_),
            "value": value,
            "now": now,
            "owner_id": owner_id,
        },
    ).all()
    if notify and rows:
        outbox.record_changes(tx, organization_id, dict(rows), now)


def insert_mentions(
    connection: Connection, organization_id: int, activity_id: int, member_ids: Iterable[int], team_ids: Iterable[int]
) -> None:
    """Saves the people and teams that a new comment mentions."""
    connection.exec_driver_sql(
        "INSERT INTO comment_mention (organization_id, activity_id, member_id, team_id)"
        " SELECT %(organization_id)s, %(id)s, n.member_id, n.team_id FROM ("
        "  SELECT m.id AS member_id, NULL::bigint AS team_id FROM unnest(%(members)s::bigint[]) AS m(id)"
        "  UNION ALL SELECT NULL, t.id FROM unnest(%(teams)s::bigint[]) AS t(id)) n",
        {
            "organization_id": organization_id,
            "id": activity_id,
            "members": sorted(set(member_ids)),
            "teams": sorted(set(team_ids)),
        },
    )


def find_comment(
    connection: Connection, organization_id: int, incident_id: int, activity_id: int, workspace_id: str, *, lock: bool
) -> Comment | None:
    """Returns a comment of the incident, or None if it does not exist or was deleted.

    With `lock`, its row is locked until the transaction ends.
    """
    query = select(
        IncidentActivity.id,
        IncidentActivity.incident_id,
        IncidentActivity.member_id,
        IncidentActivity.comment,
        IncidentActivity.rich_text,
        IncidentActivity.date_edited,
    ).where(
        IncidentActivity.organization_id == organization_id,
        IncidentActivity.id == activity_id,
        IncidentActivity.incident_id == incident_id,
        IncidentActivity.type == ActivityType.COMMENT,
        IncidentActivity.date_deleted.is_(None),
    )
    row = connection.execute(query.with_for_update(key_share=True) if lock else query).first()
    if row is None:
        return None
    mentions = get_mentions(connection, [activity_id], workspace_id)
    return Comment(row.id, row.incident_id, row.member_id, row.comment or "", row.rich_text, row.date_edited, mentions)


def update_comment(
    connection: Connection,
    organization_id: int,
    activity_id: int,
    text: str,
    rich_text: dict[str, Any] | None,
    now: datetime,
) -> None:
    """Replaces the text of a comment and deletes its mentions. Call `insert_mentions` to save the new ones."""
    _delete_mentions(connection, organization_id, activity_id)
    connection.execute(
        update(IncidentActivity)
        .where(IncidentActivity.organization_id == organization_id, IncidentActivity.id == activity_id)
        .values(comment=text, rich_text=rich_text, date_edited=now)
    )


def delete_comment(connection: Connection, organization_id: int, activity_id: int, now: datetime) -> bool:
    """Deletes the text and mentions of a comment. Returns False if it was already deleted or does not exist.

    The row remains, because messages that were posted for the comment refer to it.
    """
    _delete_mentions(connection, organization_id, activity_id)
    return bool(
        connection.execute(
            update(IncidentActivity)
            .where(
                IncidentActivity.organization_id == organization_id,
                IncidentActivity.id == activity_id,
                IncidentActivity.date_deleted.is_(None),
            )
            .values(comment=None, rich_text=None, date_deleted=now)
        ).rowcount
    )


def _delete_mentions(tx: Connection, organization_id: int, activity_id: int) -> None:
    tx.execute(
        delete(CommentMention).where(
            CommentMention.organization_id == organization_id, CommentMention.activity_id == activity_id
        )
    )
