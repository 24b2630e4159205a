"""Read everything that an organization has, as JSON in which members are e-mails, and teams and projects slugs.

It serves an operator, who sees the database; no rule of visibility applies.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.queries.activity import IS_DELETED
from storage.queries.digests import GRACE, LAST_SENT

AT_ONCE = 500  # incidents of one statement

_ORGANIZATION = """
SELECT jsonb_build_object(
  'type', 'organization', 'slug', o.slug, 'name', o.name, 'open_membership', o.open_membership,
  'incidents', o.incidents, 'shared_channels', o.shared_channels, 'acknowledge_reaction', o.acknowledge_reaction,
  'resolve_reaction', o.resolve_reaction, 'retention_closed_incidents_s', o.retention_closed_incidents_s,
  'retention_audit_s', o.retention_audit_s, 'legal_hold', o.legal_hold,
  'last_identifier', o.last_identifier,
  'workspaces', ARRAY(SELECT id FROM workspace w WHERE w.organization_id = o.id AND w.date_disconnected IS NULL
                      ORDER BY id),
  'connected_in_slack', ARRAY(SELECT id FROM workspace w WHERE w.organization_id = o.id AND w.date_disconnected IS NULL
                                AND w.connected_in_slack ORDER BY id))
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
                 WHERE pt.organization_id = p.organization_id AND pt.project_id = p.id ORDER BY t.slug),
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
  'date_erased', m.date_erased,
  'teams', ARRAY(SELECT t.slug FROM member_team mt JOIN team t ON t.organization_id = mt.organization_id
    AND t.id = mt.team_id
                 WHERE mt.organization_id = m.organization_id AND mt.member_id = m.id ORDER BY t.slug))
FROM member m WHERE m.organization_id = %(id)s ORDER BY m.email
"""
_DIGESTS = f"""
SELECT jsonb_build_object(
  'type', 'digest', 'name', d.name, 'workspace', d.workspace_id, 'channel', d.channel_id, 'owner', m.email,
  'owner_user_id', d.owner_user_id, 'cron', d.cron, 'zone', d.zone, 'filters', d.filters, 'skip_empty', d.skip_empty,
  'picture', d.picture, 'grace_minutes', {GRACE}, 'last_sent', {LAST_SENT}, 'date_paused', d.date_paused,
  'pause_reason', d.pause_reason, 'date_added', d.date_added)
FROM digest d JOIN member m ON m.organization_id = d.organization_id AND m.id = d.owner_id
WHERE d.organization_id = %(id)s ORDER BY d.date_added, d.id
"""  # noqa: S608 - composed of constants
_PERSONAL_DIGESTS = """
SELECT jsonb_build_object(
  'type', 'personal_digest', 'member', m.email, 'workspace', d.workspace_id, 'cron', d.cron, 'zone', d.zone,
  'since', d.since, 'date_paused', d.date_paused, 'date_added', d.date_added)
FROM personal_digest d JOIN member m ON m.organization_id = d.organization_id AND m.id = d.member_id
WHERE d.organization_id = %(id)s ORDER BY m.email
"""
_FOLLOWED_FILTERS = """
SELECT jsonb_build_object(
  'type', 'followed_filter', 'member', m.email, 'team', t.slug, 'project', p.slug, 'severity', f.severity,
  'date_added', f.date_added)
FROM followed_filter f JOIN member m ON m.organization_id = f.organization_id AND m.id = f.member_id
LEFT JOIN team t ON t.organization_id = f.organization_id AND t.id = f.team_id
LEFT JOIN project p ON p.organization_id = f.organization_id AND p.id = f.project_id
WHERE f.organization_id = %(id)s ORDER BY m.email, f.date_added, f.id
"""
# A team that has been removed stays a condition: nothing meets it.
_SILENCES = """
SELECT s.id, jsonb_build_object(
  'type', 'silence', 'workspace', s.workspace_id, 'project', p.slug, 'member', m.email, 'made_by', s.made_by,
  'matchers', CASE WHEN s.matchers ? 'team' THEN s.matchers || jsonb_build_object('team',
    (SELECT t.slug FROM team t WHERE t.organization_id = s.organization_id AND t.id = (s.matchers ->> 'team')::bigint))
    ELSE s.matchers END,
  'reason', s.reason, 'starts', s.starts, 'ends', s.ends, 'date_ended', s.date_ended, 'ended_by', e.email,
  'alertmanager_id', s.alertmanager_id, 'alertmanager_keys', s.alertmanager_keys,
  'alertmanager_done', s.alertmanager_done, 'released', s.released, 'released_open', s.released_open)
FROM silence s
LEFT JOIN project p ON p.organization_id = s.organization_id AND p.id = s.project_id
LEFT JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id
LEFT JOIN member e ON e.organization_id = s.organization_id AND e.id = s.ended_by
WHERE s.organization_id = %(id)s ORDER BY s.starts, s.id
"""
_INCIDENTS = f"""
SELECT i.id, jsonb_build_object(
  'type', 'incident', 'identifier', i.identifier, 'title', i.title, 'status', i.status,
  'status_method', i.status_method, 'status_before_closing', i.status_before_closing, 'team', t.slug,
  'environment', i.environment, 'url', i.url, 'source', i.source, 'alert_project', ap.slug, 'alert_key', i.alert_key,
  'details', i.details, 'date_started', i.date_started, 'date_detected', i.date_detected, 'date_added', i.date_added,
  'date_closed', i.date_closed, 'owner', owner.email, 'owned_since', i.owned_since,
  'legal_hold', i.legal_hold, 'silence', i.silence_id,
  'silences', ARRAY(SELECT s.id FROM silence s WHERE s.organization_id = i.organization_id AND s.incident_id = i.id),
  'alert', (SELECT jsonb_build_object(
              'status', a.status, 'fired', a.fired, 'resolved', a.resolved, 'resolved_received', a.resolved_received,
              'resolved_started', a.resolved_started, 'heard', a.heard)
            FROM alert_memory a WHERE a.organization_id = i.organization_id AND a.incident_id = i.id
              AND a.source = i.source AND a.project_id = i.alert_project_id AND a.alert_key = i.alert_key),
  'projects', ARRAY(SELECT p.slug FROM incident_project ip
    JOIN project p ON p.organization_id = ip.organization_id AND p.id = ip.project_id
                    WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id ORDER BY p.slug),
  'seen', ARRAY(SELECT jsonb_build_object('member', m.email, 'first_seen', s.first_seen, 'last_seen', s.last_seen)
                FROM incident_seen s JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id
                WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
                ORDER BY s.first_seen, m.email),
  'followers', ARRAY(SELECT jsonb_build_object('member', m.email, 'date_added', s.date_added)
                     FROM incident_subscription s JOIN member m ON m.organization_id = s.organization_id
                       AND m.id = s.member_id
                     WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
                     ORDER BY s.date_added, m.email),
  'activity', ARRAY(SELECT jsonb_build_object(
                      'type', a.type, 'member', m.email, 'value', a.value, 'previous_value', a.previous_value,
                      'comment', a.comment, 'rich_text', a.rich_text, 'date_added', a.date_added,
                      'date_edited', a.date_edited, 'owner', o.email, 'previous_owner', po.email, 'call', a.call)
                    FROM incident_activity a
                    LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id
                    LEFT JOIN member o ON o.organization_id = a.organization_id AND o.id = a.owner_id
                    LEFT JOIN member po ON po.organization_id = a.organization_id AND po.id = a.previous_owner_id
                    WHERE a.organization_id = i.organization_id AND a.incident_id = i.id AND NOT {IS_DELETED}
                    ORDER BY a.date_added, a.id))
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
    """Returns what there is beside incidents, silences and the audit log, in the order in which it can be imported."""
    for statement in (_ORGANIZATION, _TEAMS, _PROJECTS, _MEMBERS, _DIGESTS, _PERSONAL_DIGESTS, _FOLLOWED_FILTERS):
        yield from connection.exec_driver_sql(statement, {"id": organization_id}).scalars()


def read_silences(connection: Connection, organization_id: int) -> list[tuple[int, dict[str, Any]]]:
    """Returns the silences of the organization, each with its id and its contents."""
    return [(id_, found) for id_, found in connection.exec_driver_sql(_SILENCES, {"id": organization_id})]


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

    `since` leaves out what was closed before it. Mentions in comments hold database ids; see `get_names`. So do
    `silence`, which matched it last, and `silences`, which were made from it.
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
