"""A large organization, written straight into the tables: projects, people, incidents, their logs.

The data are made from row numbers alone, so every run measures the same ones.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

PROJECTS = 200
TEAMS = 50
ACTIVITIES = 10  # for each incident
OPEN_ONE_IN = 10
# One project of its own, with this many incidents whatever the table's size, for a member who sees little.
QUIET_INCIDENTS = 20

# Slack ids of the people who ask.
MANAGER = "U0MANAGER"
FIVE_TEAMS = "U0FIVE"
QUIET = "U0QUIET"
WORKSPACE = "T0001"

_STATEMENTS = """
INSERT INTO organization (slug, name, last_identifier) VALUES ('bench', 'Bench', :incidents + :quiet);
INSERT INTO workspace (id, organization_id) SELECT 'T0001', id FROM organization WHERE slug = 'bench';
INSERT INTO team (organization_id, slug, name)
  SELECT o.id, 'team-' || n, 'Team ' || n FROM organization o, generate_series(1, :teams) n;
INSERT INTO project (organization_id, slug, name)
  SELECT o.id, 'project-' || n, 'Project ' || n FROM organization o, generate_series(1, :projects) n;
INSERT INTO project (organization_id, slug, name) SELECT id, 'quiet', 'Quiet' FROM organization;
INSERT INTO team (organization_id, slug, name) SELECT id, 'quiet', 'Quiet' FROM organization;
INSERT INTO project_team (project_id, team_id)
  SELECT p.id, t.id FROM project p
  JOIN team t ON t.slug = 'team-' || (substr(p.slug, 9)::int % :teams + 1) WHERE p.slug <> 'quiet';
INSERT INTO project_team (project_id, team_id)
  SELECT p.id, t.id FROM project p, team t WHERE p.slug = 'quiet' AND t.slug = 'quiet';
INSERT INTO member (organization_id, email, name, slack_user_id, role)
  SELECT o.id, lower(v.slack) || '@bench.test', v.name, v.slack, v.role FROM organization o,
  (VALUES ('U0MANAGER', 'Manager', 'manager'), ('U0FIVE', 'Five Teams', 'member'),
          ('U0QUIET', 'Quiet', 'member')) v(slack, name, role);
INSERT INTO member (organization_id, email, name)
  SELECT o.id, 'm' || n || '@bench.test', 'Member ' || n FROM organization o, generate_series(1, 500) n;
INSERT INTO member_team (member_id, team_id)
  SELECT m.id, t.id FROM member m, team t
  WHERE (m.slack_user_id = 'U0FIVE' AND t.slug IN ('team-1', 'team-2', 'team-3', 'team-4', 'team-5'))
     OR (m.slack_user_id = 'U0QUIET' AND t.slug = 'quiet');
INSERT INTO incident (organization_id, identifier, title, status, status_method, team_id, environment,
                      date_started, date_detected, date_added, date_closed)
  SELECT o.id, n,
         (ARRAY['Checkout latency above target', 'Queue is not drained', 'Error rate of the gateway',
                'Disk is nearly full', 'Certificate expires soon', 'Replica lags behind'])[abs(hashint8(n) % 6) + 1]
           || ' on host-' || abs(hashint8(n + 7) % 1000),
         CASE WHEN n % :open_one_in <> 0 THEN 2 ELSE (ARRAY[1, 10, 20])[abs(hashint8(n + 1) % 3) + 1] END, 3,
         t.id, (ARRAY['production', 'staging'])[abs(hashint8(n + 3) % 2) + 1],
         timestamptz '2026-11-01' - n * interval '1 minute', timestamptz '2026-11-01' - n * interval '1 minute',
         timestamptz '2026-11-01' - n * interval '1 minute',
         CASE WHEN n % :open_one_in <> 0
              THEN timestamptz '2026-11-01' - n * interval '1 minute' + interval '1 hour' END
  FROM organization o CROSS JOIN generate_series(1, :incidents + :quiet) n
  LEFT JOIN team t ON t.slug = 'team-' || abs(hashint8(n + 5) % :teams) + 1;
INSERT INTO incident_project (incident_id, project_id, started, status, team_id, title)
  SELECT i.id, p.id, i.date_started, i.status, coalesce(i.team_id, 0), i.title FROM incident i
  JOIN project p ON p.slug = CASE WHEN i.identifier > :incidents THEN 'quiet'
                                  ELSE 'project-' || abs(hashint8(i.identifier + 11) % :projects) + 1 END;
INSERT INTO incident_activity (incident_id, member_id, type, value, comment, date_added)
  SELECT i.id, CASE WHEN a > 1 THEN (SELECT min(id) FROM member) + (i.id + a) % 500 END,
         CASE a WHEN 0 THEN 4 WHEN 1 THEN 1 ELSE 3 END,
         CASE WHEN a < 2 THEN CASE i.status WHEN 2 THEN 1 ELSE i.status END END,
         CASE WHEN a > 1 THEN 'Looking at it, note ' || a END, i.date_started + a * interval '3 minutes'
  FROM incident i, generate_series(0, :activities - 1) a;
INSERT INTO incident_activity (incident_id, type, value, previous_value, date_added)
  SELECT id, 2, 2, 1, date_closed FROM incident WHERE status = 2;
INSERT INTO incident_seen (incident_id, member_id, last_seen, first_seen)
  SELECT i.id, (SELECT min(id) FROM member) + (i.id + s) % 500, seen.at, seen.at
  FROM incident i, generate_series(1, 2) s, LATERAL (SELECT i.date_started + s * interval '2 minutes' AS at) seen
  WHERE i.id % 3 <> 0
"""


def fill(connection: Connection, incidents: int) -> None:
    """Fills an empty, migrated database with that many incidents and commits."""
    parameters = {
        "incidents": incidents,
        "quiet": QUIET_INCIDENTS,
        "projects": PROJECTS,
        "teams": TEAMS,
        "activities": ACTIVITIES,
        "open_one_in": OPEN_ONE_IN,
    }
    connection.execute(text("SET LOCAL synchronous_commit = off"))
    for statement in _STATEMENTS.split(";"):
        used = {name: value for name, value in parameters.items() if f":{name}" in statement}
        connection.execute(text(statement), used)
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
