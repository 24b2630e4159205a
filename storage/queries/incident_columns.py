"""SQL expressions for what digests and `view` show of an incident in the same form.

Their argument is an SQL expression from this package for the id of the incident, never a value.
"""

from __future__ import annotations


def only_team(incident: str) -> str:
    """Returns the name of the team of an incident's projects among `%(project_ids)s`, if they have exactly one."""
    return f"""(SELECT min(t.name) FROM team t WHERE t.id IN (
           SELECT pt.team_id FROM incident_project ip JOIN project_team pt ON pt.project_id = ip.project_id
           WHERE ip.incident_id = {incident} AND ip.project_id = ANY(%(project_ids)s))
         HAVING count(*) = 1)"""  # noqa: S608


def project_names(incident: str) -> str:
    """Returns an array of the names of an incident's projects among `%(project_ids)s`."""
    return f"""ARRAY(SELECT pr.name FROM incident_project ip JOIN project pr ON pr.id = ip.project_id
             WHERE ip.incident_id = {incident} AND ip.project_id = ANY(%(project_ids)s) ORDER BY pr.name)"""  # noqa: S608
