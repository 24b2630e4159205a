"""What managers see of their organization: how much there is of each kind, its teams and its projects."""

from __future__ import annotations

from sqlalchemy import Connection

from storage.administration_rows import Counts, ProjectOverview, TeamOverview, Usergroup

_CALLS = "jsonb_array_length(coalesce(t.calls, t.form_calls, '[]')) > 0"
_COUNTS = f"""
SELECT m.*, t.*, p.*, c.*, d.*, s.*, i.*
FROM (SELECT count(*), count(*) FILTER (WHERE changed_in_slack) FROM member
      WHERE organization_id = %(organization_id)s AND date_removed IS NULL) m(members, members_changed_in_slack),
     (SELECT count(*), count(*) FILTER (WHERE sync_members), count(*) FILTER (WHERE {_CALLS}),
             count(*) FILTER (WHERE {_CALLS} AND calls IS NULL) FROM team t WHERE organization_id = %(organization_id)s)
       t(teams, teams_synced, teams_with_calls, teams_with_calls_of_slack),
     (SELECT count(*) FROM project WHERE organization_id = %(organization_id)s) p(projects),
     (SELECT count(DISTINCT pc.channel_id) FROM project r
       JOIN project_channel pc ON pc.organization_id = r.organization_id AND pc.project_id = r.id
      WHERE r.organization_id = %(organization_id)s) c(channels),
     (SELECT count(*), count(date_paused) FROM digest WHERE organization_id = %(organization_id)s)
       d(digests, digests_paused),
     (SELECT count(*) FROM silence WHERE organization_id = %(organization_id)s AND date_ended IS NULL) s(silences),
     (SELECT count(*), max(last_used) FROM intake_token
      WHERE organization_id = %(organization_id)s AND date_revoked IS NULL) i(tokens, token_last_used)
"""  # noqa: S608 - composed of constants


def count_everything(connection: Connection, organization_id: int) -> Counts:
    """Returns how much there is of what managers administer."""
    return Counts(**connection.exec_driver_sql(_COUNTS, {"organization_id": organization_id}).mappings().one())


_TEAMS = """
SELECT t.slug, t.name,
       (SELECT count(*) FROM member_team mt JOIN member m ON m.organization_id = mt.organization_id
         AND m.id = mt.member_id
        WHERE mt.organization_id = t.organization_id AND mt.team_id = t.id AND m.date_removed IS NULL),
       t.slack_usergroup, g.problem, t.sync_members, t.oncall_usergroup, o.problem
FROM team t
LEFT JOIN usergroup g ON g.workspace_id = %(workspace_id)s AND g.id = t.slack_usergroup
LEFT JOIN usergroup o ON o.workspace_id = %(workspace_id)s AND o.id = t.oncall_usergroup
WHERE t.organization_id = %(organization_id)s ORDER BY lower(t.name), t.id OFFSET %(skip)s LIMIT %(most)s
"""


def list_teams(
    connection: Connection, organization_id: int, workspace_id: str, *, skip: int, most: int
) -> list[TeamOverview]:
    """Returns teams by name. What is known of their user groups is as read in this workspace."""
    rows = connection.exec_driver_sql(
        _TEAMS, {"organization_id": organization_id, "workspace_id": workspace_id, "skip": skip, "most": most}
    )
    return [
        TeamOverview(
            slug,
            name,
            members,
            Usergroup(usergroup, problem) if usergroup else None,
            synced,
            Usergroup(on_call, on_call_problem) if on_call else None,
        )
        for slug, name, members, usergroup, problem, synced, on_call, on_call_problem in rows
    ]


_PROJECTS = """
SELECT p.slug, p.name,
       ARRAY(SELECT t.name FROM project_team pt JOIN team t ON t.organization_id = pt.organization_id
         AND t.id = pt.team_id
             WHERE pt.organization_id = p.organization_id AND pt.project_id = p.id ORDER BY lower(t.name)),
       ARRAY(SELECT c.channel_id FROM project_channel c
         WHERE c.organization_id = p.organization_id AND c.project_id = p.id ORDER BY c.channel_id)
FROM project p WHERE p.organization_id = %(organization_id)s
ORDER BY lower(p.name), p.id OFFSET %(skip)s LIMIT %(most)s
"""


def list_projects(connection: Connection, organization_id: int, *, skip: int, most: int) -> list[ProjectOverview]:
    """Returns projects by name."""
    rows = connection.exec_driver_sql(_PROJECTS, {"organization_id": organization_id, "skip": skip, "most": most})
    return [ProjectOverview(*row) for row in rows]
