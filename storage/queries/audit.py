"""Writes and reads the audit log. Entries are written in the transaction of what they record."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.audit_rows import Actor, AuditAction, AuditChange, AuditEntry, AuditNames
from storage.queries.slack_ids import HAS_ID

_INSERT = """
INSERT INTO audit_entry
  (organization_id, date_added, origin, workspace_id, member_id, actor, action, subject, subject_member_id,
   before, after)
SELECT %(organization_id)s, %(now)s, %(origin)s, %(workspace_id)s, %(member_id)s, %(actor)s,
       c.action, c.subject, c.subject_member_id, nullif(c.before, 'null'), nullif(c.after, 'null')
FROM jsonb_to_recordset(%(changes)s::jsonb)
  AS c(position int, action text, subject text, subject_member_id bigint, before jsonb, after jsonb)
ORDER BY c.position
"""


def record(tx: Connection, organization_id: int, actor: Actor, changes: Sequence[AuditChange], now: datetime) -> None:
    """Records what was done, in the transaction that does it."""
    if not changes:
        return
    tx.exec_driver_sql(
        _INSERT,
        {
            "organization_id": organization_id,
            "now": now,
            "origin": actor.origin,
            "workspace_id": actor.workspace_id,
            "member_id": actor.member_id,
            "actor": actor.name,
            "changes": json.dumps(
                [
                    {
                        "position": position,
                        "action": change.action,
                        "subject": change.subject,
                        "subject_member_id": change.subject_member_id,
                        "before": change.before,
                        "after": change.after,
                    }
                    for position, change in enumerate(changes)
                ]
            ),
        },
    )


_ENTRIES = """
SELECT e.id, e.date_added, e.origin, e.workspace_id, coalesce(m.name, e.actor) AS actor, e.action, e.subject,
       s.name AS subject_name, e.before, e.after
FROM audit_entry e
LEFT JOIN member m ON m.organization_id = e.organization_id AND m.id = e.member_id
LEFT JOIN member s ON s.organization_id = e.organization_id AND s.id = e.subject_member_id
WHERE e.organization_id = %(organization_id)s
  AND (%(people)s::bigint[] IS NULL OR e.member_id = ANY(%(people)s) OR e.subject_member_id = ANY(%(people)s)
       OR (e.action = %(ask)s AND e.actor = ANY(%(users)s)) OR (e.action = %(decline)s AND e.subject = ANY(%(users)s)))
  AND (%(since)s::timestamptz IS NULL OR e.date_added >= %(since)s)
ORDER BY e.date_added DESC, e.id DESC OFFSET %(skip)s LIMIT %(most)s
"""


def list_entries(
    connection: Connection,
    organization_id: int,
    *,
    people: Collection[int] | None,
    users: Collection[str] = (),
    since: datetime | None,
    skip: int,
    most: int,
) -> tuple[list[AuditEntry], bool]:
    """Returns entries by or about these members (None: everybody), the newest first, and whether there are more.

    `users` are the Slack ids of these people: who asks to be let in is recorded by it, being no member.
    """
    parameters = {
        "organization_id": organization_id,
        "people": None if people is None else list(people),
        "users": list(users),
        "ask": AuditAction.MEMBER_ASK,
        "decline": AuditAction.MEMBER_DECLINE,
        "since": since,
        "skip": skip,
        "most": most + 1,
    }
    rows = [dict(row) for row in connection.exec_driver_sql(_ENTRIES, parameters).mappings()]
    values = [values for row in rows for values in (row["before"], row["after"]) if values]
    names = _get_names(connection, organization_id, {one["owner_id"] for one in values if one.get("owner_id")})
    entries = [
        AuditEntry(**{**row, "before": _name_owner(row["before"], names), "after": _name_owner(row["after"], names)})
        for row in rows
    ]
    return entries[:most], len(entries) > most


def find_latest(
    connection: Connection,
    organization_id: int,
    action: AuditAction,
    subjects: Collection[str],
    since: datetime,
    *,
    changed: Collection[str],
) -> tuple[str, str | None] | None:
    """Returns origin and actor of the latest entry of an action on one of these subjects, not older than `since`.

    `changed` are the names of values, one of which it changed.
    """
    row = connection.exec_driver_sql(
        "SELECT e.origin, coalesce(m.name, e.actor) FROM audit_entry e"
        " LEFT JOIN member m ON m.organization_id = e.organization_id AND m.id = e.member_id"
        " WHERE e.organization_id = %(organization_id)s AND e.date_added >= %(since)s AND e.action = %(action)s"
        " AND e.subject = ANY(%(subjects)s) AND e.after ?| %(changed)s ORDER BY e.date_added DESC, e.id DESC LIMIT 1",
        {
            "organization_id": organization_id,
            "since": since,
            "action": action,
            "subjects": list(subjects),
            "changed": list(changed),
        },
    ).first()
    return None if row is None else (row[0], row[1])


def _get_names(connection: Connection, organization_id: int, ids: Collection[int]) -> dict[int, str]:
    if not ids:
        return {}
    rows = connection.exec_driver_sql(
        "SELECT id, name FROM member WHERE organization_id = %(organization_id)s AND id = ANY(%(ids)s)",
        {"organization_id": organization_id, "ids": list(ids)},
    )
    return {row.id: row.name for row in rows}


def _name_owner(values: Mapping[str, Any] | None, names: Mapping[int, str]) -> Mapping[str, Any] | None:
    """The values with the name of the member behind `owner_id` in its place."""
    if not values or "owner_id" not in values:
        return values
    named = {"owner": names.get(values["owner_id"] or 0)}
    return {key: value for key, value in values.items() if key != "owner_id"} | named


def find_names(connection: Connection, organization_id: int, words: Collection[str]) -> AuditNames:
    """Returns the names of the teams, projects and members whose slug or e-mail is one of these words."""
    rows = connection.exec_driver_sql(
        "SELECT 'team', slug, name FROM team WHERE organization_id = %(organization_id)s AND slug = ANY(%(words)s)"
        " UNION ALL SELECT 'project', slug, name FROM project"
        "  WHERE organization_id = %(organization_id)s AND slug = ANY(%(words)s)"
        " UNION ALL SELECT 'member', email, name FROM member"
        "  WHERE organization_id = %(organization_id)s AND email = ANY(%(words)s)",
        {"organization_id": organization_id, "words": list(words)},
    )
    names: dict[str, dict[str, str]] = {"team": {}, "project": {}, "member": {}}
    for kind, word, name in rows:
        names[kind][word] = name
    return AuditNames(names["team"], names["project"], names["member"])


def list_member_entries(
    connection: Connection, organization_id: int, member_ids: Collection[int]
) -> list[tuple[int, str, str, Mapping[str, Any] | None]]:
    """Returns who it is about, origin, action and the values before of the entries about members, the oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT subject_member_id, origin, action, before FROM audit_entry"
        " WHERE organization_id = %(organization_id)s AND subject_member_id = ANY(%(member_ids)s) ORDER BY id",
        {"organization_id": organization_id, "member_ids": list(member_ids)},
    )
    return [(member_id, origin, action, before) for member_id, origin, action, before in rows]


def find_people(connection: Connection, organization_id: int, typed: str) -> list[int]:
    """Returns all who are or were members and have this e-mail, Slack id, name or first name."""
    rows = connection.exec_driver_sql(
        "SELECT m.id FROM member m WHERE m.organization_id = %(organization_id)s AND (m.email = lower(%(typed)s)"  # noqa: S608 - a constant
        f" OR {HAS_ID.format(user_id='upper(%(typed)s)')} OR lower(m.name) = lower(%(typed)s)"
        " OR split_part(lower(m.name), ' ', 1) = lower(%(typed)s)) ORDER BY m.id",
        {"organization_id": organization_id, "typed": typed},
    )
    return [row.id for row in rows]


def find_users(connection: Connection, organization_id: int, typed: str) -> list[str]:
    """Returns the Slack ids of all who have asked to be let in and have this Slack id, name or first name."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT user_id FROM join_request WHERE organization_id = %(organization_id)s"
        " AND (user_id = upper(%(typed)s) OR lower(name) = lower(%(typed)s)"
        " OR split_part(lower(name), ' ', 1) = lower(%(typed)s))",
        {"organization_id": organization_id, "typed": typed},
    )
    return [row.user_id for row in rows]


_IMPORT = """
INSERT INTO audit_entry
  (organization_id, date_added, origin, workspace_id, member_id, actor, action, subject, subject_member_id,
   before, after)
SELECT %(organization_id)s, c.date_added, c.origin, c.workspace_id, c.member_id, c.actor, c.action, c.subject,
       c.subject_member_id, nullif(c.before, 'null'), nullif(c.after, 'null')
FROM jsonb_to_recordset(%(entries)s::jsonb)
  AS c(position int, date_added timestamptz, origin text, workspace_id text, member_id bigint, actor text,
       action text, subject text, subject_member_id bigint, before jsonb, after jsonb)
WHERE NOT EXISTS (
  SELECT FROM audit_entry e WHERE e.organization_id = %(organization_id)s AND e.date_added = c.date_added
  AND e.action = c.action AND e.subject IS NOT DISTINCT FROM c.subject
  AND e.subject_member_id IS NOT DISTINCT FROM c.subject_member_id
  AND e.before IS NOT DISTINCT FROM nullif(c.before, 'null') AND e.after IS NOT DISTINCT FROM nullif(c.after, 'null'))
ORDER BY c.position
"""


def import_entries(tx: Connection, organization_id: int, entries: Sequence[Mapping[str, Any]]) -> int:
    """Inserts entries of another database that are not there, each as JSON by column. Returns how many were not."""
    numbered = [{"position": position, **entry} for position, entry in enumerate(entries)]
    return tx.exec_driver_sql(_IMPORT, {"organization_id": organization_id, "entries": json.dumps(numbered)}).rowcount


# --- erasing a person ----------------------------------------------------------------------------------------


def list_entries_with(
    tx: Connection, organization_id: int, member_id: int, texts: Collection[str]
) -> list[tuple[int, bool, str | None, str | None, dict[str, Any] | None, dict[str, Any] | None]]:
    """Returns entries about a member, or with one of these texts.

    For each: id, whether it is about the member, actor, subject, before and after.
    """
    rows = tx.exec_driver_sql(
        "SELECT id, coalesce(subject_member_id = %(member_id)s, false), actor, subject, before, after"
        " FROM audit_entry WHERE organization_id = %(organization_id)s"
        " AND (subject_member_id = %(member_id)s OR EXISTS (SELECT FROM unnest(%(texts)s::text[]) AS t(text)"
        "  WHERE strpos(concat_ws(' ', actor, subject, before::text, after::text), t.text) > 0)) ORDER BY id",
        {"organization_id": organization_id, "member_id": member_id, "texts": list(texts)},
    )
    return [(id_, own, actor, subject, before, after) for id_, own, actor, subject, before, after in rows]


def replace_entries(tx: Connection, organization_id: int, entries: Sequence[Mapping[str, Any]]) -> None:
    """Replaces actor, subject, before and after of entries, by id. The transaction must have recorded an erasing."""
    tx.exec_driver_sql(
        "UPDATE audit_entry e SET actor = c.actor, subject = c.subject, before = nullif(c.before, 'null'),"
        " after = nullif(c.after, 'null') FROM jsonb_to_recordset(%(entries)s::jsonb)"
        " AS c(id bigint, actor text, subject text, before jsonb, after jsonb)"
        " WHERE e.organization_id = %(organization_id)s AND e.id = c.id",
        {"organization_id": organization_id, "entries": json.dumps(list(entries))},
    )
