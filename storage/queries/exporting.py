"""Read everything that an organization has, as JSON in which members are e-mails, and teams and projects slugs.

It serves an operator, who sees the database; no rule of visibility applies.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.queries.activity import IS_DELETED

AT_ONCE = 500  # incidents of one statement

_ORGANIZATION = """
SELECT jsonb_build_object(
  'type', 'organization', 'slug', o.slug, 'name', o.name, 'open_membership', o.open_membership,
  'incidents', o.incidents, 'shared_channels', o.shared_channels, 'acknowledge_reaction', o.acknowledge_reaction,
  'resolve_reaction', o.resolve_reaction, 'retention_closed_incidents_s', o.retention_closed_incidents_s,
  'retention_audit_s', o.retention_audit_s, 'legal_hold', o.legal_hold,
  'workspaces', ARRAY(SELECT id FROM workspace w WHERE w.organization_id = o.id ORDER BY id))
FROM organization o WHERE o.id = %(id)s
"""
_TEAMS = """
SELECT jsonb_build_object(
  'type', 'team', 'slug', slug, 'name', name, 'slack_usergroup', slack_usergroup, 'sync_members', sync_members,
  'oncall_usergroup', oncall_usergroup, 'oncall_channel', oncall_channel, 'timezone', timezone,
  'remind_owner_s', remind_owner_s, 'calls', calls, 'form_calls', form_calls)
FROM team WHERE organization_id = %(id)s ORDER BY slug
"""
_PROJECTS = """
SELECT jsonb_build_object(
  'type', 'project', 'slug', p.slug, 'name', p.name, 'quiet_minutes', p.quiet_minutes,
  'storm_cards', p.storm_cards, 'storm_within_s', p.storm_within_s,
  'teams', ARRAY(SELECT t.slug FROM project_team pt
    JOIN team t ON t.organization_id = pt.organization_id AND t.id = pt.team_id
                 WHERE pt.project_id = p.id ORDER BY t.slug),
  'channels', ARRAY(SELECT channel_id FROM project_channel pc
    WHERE pc.organization_id = p.organization_id AND pc.project_id = p.id ORDER BY channel_id))
FROM project p WHERE p.organization_id = %(id)s ORDER BY p.slug
"""
_MEMBERS = """
SELECT jsonb_build_object(
  'type', 'member', 'email', m.email, 'name', m.name, 'slack_user_id', m.slack_user_id,
  'slack_user_ids', (SELECT coalesce(jsonb_object_agg(k.workspace_id, k.slack_user_id), '{}') FROM member_slack_user k
                     WHERE k.organization_id = m.organization_id AND k.member_id = m.id), 'role', m.role,
  'superuser', m.superuser, 'changed_in_slack', m.changed_in_slack,
  'notify', m.notify, 'date_added', m.date_added, 'date_removed', m.date_removed,
  'teams', ARRAY(SELECT t.slug FROM member_team mt JOIN team t ON t.organization_id = mt.organization_id
    AND t.id = mt.team_id
                 WHERE mt.member_id = m.id ORDER BY t.slug))
FROM member m WHERE m.organization_id = %(id)s ORDER BY m.email
"""
_INCIDENTS = f"""
SELECT i.id, jsonb_build_object(
  'type', 'incident', 'identifier', i.identifier, 'title', i.title, 'status', i.status,
  'status_method', i.status_method, 'status_before_closing', i.status_before_closing, 'team', t.slug,
  'environment', i.environment, 'url', i.url, 'source', i.source, 'alert_project', ap.slug, 'alert_key', i.alert_key,
  'details', i.details, 'date_started', i.date_started, 'date_detected', i.date_detected, 'date_added', i.date_added,
  'date_closed', i.date_closed, 'owner', owner.email, 'owned_since', i.owned_since,
  'legal_hold', i.legal_hold,
  'projects', ARRAY(SELECT p.slug FROM incident_project ip
    JOIN project p ON p.organization_id = ip.organization_id AND p.id = ip.project_id
                    WHERE ip.incident_id = i.id ORDER BY p.slug),
  'seen', ARRAY(SELECT jsonb_build_object('member', m.email, 'first_seen', s.first_seen, 'last_seen', s.last_seen)
                FROM incident_seen s JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id
                WHERE s.incident_id = i.id ORDER BY s.first_seen, m.email),
  'followers', ARRAY(SELECT jsonb_build_object('member', m.email, 'date_added', s.date_added)
                     FROM incident_subscription s JOIN member m ON m.organization_id = s.organization_id
                       AND m.id = s.member_id
                     WHERE s.incident_id = i.id ORDER BY s.date_added, m.email),
  'activity', ARRAY(SELECT jsonb_build_object(
                      'type', a.type, 'member', m.email, 'value', a.value, 'previous_value', a.previous_value,
                      'comment', a.comment, 'rich_text', a.rich_text, 'date_added', a.date_added,
                      'date_edited', a.date_edited, 'owner', o.email, 'previous_owner', po.email, 'call', a.call)
                    FROM incident_activity a
                    LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id
                    LEFT JOIN member o ON o.organization_id = a.organization_id AND o.id = a.owner_id
                    LEFT JOIN member po ON po.organization_id = a.organization_id AND po.id = a.previous_owner_id
                    WHERE a.incident_id = i.id AND NOT {IS_DELETED} ORDER BY a.date_added, a.id))
FROM incident i
LEFT JOIN team t ON t.organization_id = i.organization_id AND t.id = i.team_id
LEFT JOIN project ap ON ap.organization_id = i.organization_id AND ap.id = i.alert_project_id
LEFT JOIN member owner ON owner.organization_id = i.organization_id AND owner.id = i.owner_id
WHERE i.organization_id = %(id)s AND i.id > %(after)s
  AND (%(since)s::timestamptz IS NULL OR i.date_closed IS NULL OR i.date_closed >= %(since)s)
ORDER BY i.id LIMIT %(count)s
"""  # noqa: S608 - composed of constants
_AUDIT = """
SELECT e.id, jsonb_build_object(
  'type', 'audit', 'date_added', e.date_added, 'origin', e.origin, 'workspace_id', e.workspace_id, 'member', m.email,
  'actor', e.actor, 'action', e.action, 'subject', e.subject, 'subject_member', s.email, 'before', e.before,
  'after', e.after)
FROM audit_entry e
LEFT JOIN member m ON m.organization_id = e.organization_id AND m.id = e.member_id
LEFT JOIN member s ON s.organization_id = e.organization_id AND s.id = e.subject_member_id
WHERE e.organization_id = %(id)s AND e.id > %(after)s AND (%(since)s::timestamptz IS NULL OR e.date_added >= %(since)s)
ORDER BY e.id LIMIT %(count)s
"""


def read_setup(connection: Connection, organization_id: int) -> Iterator[dict[str, Any]]:
    """Returns the organization, its teams, its projects and its members, in the order in which they can be imported."""
    for statement in (_ORGANIZATION, _TEAMS, _PROJECTS, _MEMBERS):
        yield from connection.exec_driver_sql(statement, {"id": organization_id}).scalars()


def count_incidents(connection: Connection, organization_id: int) -> int:
    """Returns the number of all incidents of the organization."""
    return int(
        connection.exec_driver_sql(
            "SELECT count(*) FROM incident WHERE organization_id = %(id)s", {"id": organization_id}
        ).scalar_one()
    )


def read_incidents(
    connection: Connection, organization_id: int, after: int, since: datetime | None
) -> list[tuple[int, dict[str, Any]]]:
    """Returns the next incidents behind the database id `after`, up to AT_ONCE, each with its id and its contents.

    `since` leaves out what was closed before it. Mentions in comments hold database ids; see `get_names`.
    """
    rows = connection.exec_driver_sql(
        _INCIDENTS, {"id": organization_id, "after": after, "since": since, "count": AT_ONCE}
    )
    return [(id_, found) for id_, found in rows]


def read_audit_entries(
    connection: Connection, organization_id: int, after: int, since: datetime | None
) -> list[tuple[int, dict[str, Any]]]:
    """Returns the next entries of the audit log behind the database id `after`, like `read_incidents`."""
    rows = connection.exec_driver_sql(_AUDIT, {"id": organization_id, "after": after, "since": since, "count": AT_ONCE})
    return [(id_, found) for id_, found in rows]


def get_names(connection: Connection, organization_id: int) -> tuple[dict[int, str], dict[int, str]]:
    """Returns the e-mails of members and the slugs of teams, by id."""
    members = connection.exec_driver_sql(
        "SELECT id, email FROM member WHERE organization_id = %(id)s", {"id": organization_id}
    )
    teams = connection.exec_driver_sql(
        "SELECT id, slug FROM team WHERE organization_id = %(id)s", {"id": organization_id}
    )
    return {row.id: row.email for row in members}, {row.id: row.slug for row in teams}
