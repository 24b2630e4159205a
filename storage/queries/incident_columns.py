"""SQL expressions for what digests and `view` show of an incident in the same form.

Their arguments are SQL expressions from this package for the ids of the organization and the incident, never values.
"""

from __future__ import annotations


def only_team(organization: str, incident: str) -> str:
    """Returns the name of the team of an incident's projects among `%(project_ids)s`, if they have exactly one."""
    return f"""(SELECT min(t.name) FROM team t WHERE t.organization_id = {organization} AND t.id IN (
           SELECT pt.team_id FROM incident_project ip
           JOIN project_team pt ON pt.organization_id = ip.organization_id AND pt.project_id = ip.project_id
           WHERE ip.organization_id = {organization} AND ip.incident_id = {incident}
             AND ip.project_id = ANY(%(project_ids)s))
         HAVING count(*) = 1)"""  # noqa: S608


def project_names(organization: str, incident: str) -> str:
    """Returns an array of the names of an incident's projects among `%(project_ids)s`."""
    return f"""ARRAY(SELECT pr.name FROM incident_project ip
             JOIN project pr ON pr.organization_id = ip.organization_id AND pr.id = ip.project_id
             WHERE ip.organization_id = {organization} AND ip.incident_id = {incident}
               AND ip.project_id = ANY(%(project_ids)s) ORDER BY pr.name)"""  # noqa: S608
