"""The rule for who may see which incident, as SQL fragments.

Every statement that shows incidents, counts them or sends notifications about them uses these fragments.

- A member sees the incidents of the projects of their teams; with open membership, of every project. Managers, owners
  and superusers see every project of their organization (Sentry's rules).
- If an organization has disabled incidents, its members see none. A removed member sees none.
- A channel shows the incidents of the projects that name it in the organization file.

There are two ways to apply the rule. For a request, the projects of the caller are read once (`VISIBLE_PROJECTS`), and
later statements receive them as the parameter `project_ids` (`of_given_projects`). For notifications, each member or
channel is checked against the incident (`sees_incident`, `shown_in_channel`).

The fragments use the table aliases named in their comments. Their arguments (`organization`, `incident`, …) are SQL
expressions from this package, never values.
"""

from __future__ import annotations

# Whether member m of organization o sees every project.
SEES_ALL_PROJECTS = "(o.open_membership OR m.superuser OR m.role IN ('owner', 'manager'))"

# An array of the ids of the projects whose incidents member m of organization o sees.
VISIBLE_PROJECTS = f"""
       CASE WHEN m.id IS NULL THEN '{{}}'
            WHEN {SEES_ALL_PROJECTS} THEN ARRAY(SELECT pr.id FROM project pr WHERE pr.organization_id = o.id)
            ELSE ARRAY(SELECT DISTINCT pr.id
                       FROM member_team mt
                       JOIN project_team pt ON pt.organization_id = mt.organization_id AND pt.team_id = mt.team_id
                       JOIN project pr ON pr.organization_id = pt.organization_id AND pr.id = pt.project_id
                       WHERE mt.organization_id = o.id AND mt.member_id = m.id) END"""  # noqa: S608

# For FROM or JOIN: the projects ip of an incident, each with a channel pc that its cards are posted to.
CHANNELS_OF_PROJECTS = (
    "incident_project ip JOIN project_channel pc"
    " ON pc.organization_id = ip.organization_id AND pc.project_id = ip.project_id"
)


def sees_project(project: str) -> str:
    """Returns the condition that member m of organization o sees the incidents of a project."""
    return (
        f"({SEES_ALL_PROJECTS} OR EXISTS (SELECT FROM project_team pt"
        " JOIN member_team mt ON mt.organization_id = pt.organization_id AND mt.team_id = pt.team_id"
        f" WHERE pt.organization_id = o.id AND pt.project_id = {project} AND mt.member_id = m.id))"
    )


def sees_incident(incident: str) -> str:
    """Returns the condition that member m of organization o sees an incident now."""
    return (
        "(o.incidents AND m.date_removed IS NULL AND EXISTS (SELECT FROM incident_project ip"
        f" WHERE ip.organization_id = o.id AND ip.incident_id = {incident} AND {sees_project('ip.project_id')}))"
    )


def of_given_projects(organization: str, incident: str) -> str:
    """Returns the condition that an incident belongs to one of `%(project_ids)s`, the projects that the caller sees.

    OFFSET 0 makes the planner look up the few projects of the incident. Without it, the planner may read all incidents
    of a project.
    """
    return (
        f"EXISTS (SELECT FROM incident_project ip WHERE ip.organization_id = {organization}"
        f" AND ip.incident_id = {incident} AND ip.project_id = ANY(%(project_ids)s) OFFSET 0)"
    )


def shown_in_channel(organization: str, incident: str, channel: str) -> str:
    """Returns the condition that a project of an incident names a channel."""
    return (
        f"EXISTS (SELECT FROM {CHANNELS_OF_PROJECTS} WHERE ip.organization_id = {organization}"
        f" AND ip.incident_id = {incident} AND pc.channel_id = {channel})"
    )


def projects_shown_in_channel(organization: str, incident: str, channel: str) -> str:
    """Returns an array expression for the projects of an incident that name a channel: those the channel may see."""
    return (
        f"ARRAY(SELECT ip.project_id FROM {CHANNELS_OF_PROJECTS}"  # noqa: S608
        f" WHERE ip.organization_id = {organization} AND ip.incident_id = {incident} AND pc.channel_id = {channel})"
    )
