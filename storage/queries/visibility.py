"""Who may see which incident: the one rule, as pieces of SQL from which every statement that shows, tells or counts
incidents is built.

- A member sees the incidents of the projects of their teams; with open membership, of every project. Managers, owners
  and superusers see every project of their organization (Sentry's rules).
- Nobody sees any where their organization has switched incidents off; a removed member sees none.
- A channel shows the incidents of the projects that name it in the organization file.

Two ways lead through it. Where one member asks, their projects are found once (`VISIBLE_PROJECTS`) and every further
statement gets them as the parameter `project_ids` (`of_given_projects`). Where many members or a channel are to be
told, each is held against the incident (`sees_incident`, `shown_in_channel`).

The pieces read the aliases that stand in their comments; what they are given (`incident`, `project`, `channel`) is an
SQL expression of this package's own, never a value.
"""

from __future__ import annotations

# Of member m and organization o: whether they see every project.
SEES_ALL_PROJECTS = "(o.open_membership OR m.superuser OR m.role IN ('owner', 'manager'))"

# Of member m and organization o: the ids of the projects whose incidents they see, as an array.
VISIBLE_PROJECTS = f"""
       CASE WHEN m.id IS NULL THEN '{{}}'
            WHEN {SEES_ALL_PROJECTS} THEN ARRAY(SELECT pr.id FROM project pr WHERE pr.organization_id = o.id)
            ELSE ARRAY(SELECT DISTINCT pr.id
                       FROM member_team mt
                       JOIN project_team pt ON pt.team_id = mt.team_id
                       JOIN project pr ON pr.id = pt.project_id
                       WHERE mt.member_id = m.id AND pr.organization_id = o.id) END"""  # noqa: S608

# Projects ip of an incident, each with a channel pc that its cards go to: what stands behind FROM or JOIN.
CHANNELS_OF_PROJECTS = "incident_project ip JOIN project_channel pc ON pc.project_id = ip.project_id"


def sees_project(project: str) -> str:
    """Whether member m of organization o sees the incidents of a project."""
    return (
        f"({SEES_ALL_PROJECTS} OR EXISTS (SELECT FROM project_team pt JOIN member_team mt ON mt.team_id = pt.team_id"
        f" WHERE pt.project_id = {project} AND mt.member_id = m.id))"
    )


def sees_incident(incident: str) -> str:
    """Whether member m of organization o sees an incident now."""
    return (
        "(o.incidents AND m.date_removed IS NULL AND EXISTS (SELECT FROM incident_project ip"
        f" WHERE ip.incident_id = {incident} AND {sees_project('ip.project_id')}))"
    )


def of_given_projects(incident: str) -> str:
    """Whether an incident is of one of `%(project_ids)s`, those that the caller sees.

    OFFSET 0 has the incident's few projects looked up, where the planner might go through all of a project's.
    """
    return (
        f"EXISTS (SELECT FROM incident_project ip WHERE ip.incident_id = {incident}"
        " AND ip.project_id = ANY(%(project_ids)s) OFFSET 0)"
    )


def shown_in_channel(incident: str, channel: str) -> str:
    """Whether a project of an incident names a channel."""
    return (
        f"EXISTS (SELECT FROM {CHANNELS_OF_PROJECTS} WHERE ip.incident_id = {incident} AND pc.channel_id = {channel})"
    )


def projects_shown_in_channel(incident: str, channel: str) -> str:
    """The ids of an incident's projects that name a channel, as an array: what the channel may know it by."""
    return (
        f"ARRAY(SELECT ip.project_id FROM {CHANNELS_OF_PROJECTS}"  # noqa: S608
        f" WHERE ip.incident_id = {incident} AND pc.channel_id = {channel})"
    )
