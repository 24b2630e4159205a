"""Steps of calls: making them with an incident, taking what is due, and recording what became of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection

from storage.call_rows import MANAGERS, ON_CALL, TEAM, Callee, CallRecord, DueStep, StepKey
from storage.prepared import PreparedStatement
from storage.queries.home_workspaces import first_workspace
from storage.queries.oncall import MEMBER_OF_USER
from storage.queries.outbox import wake_after_commit
from storage.queries.silences import SILENCED_UNTIL, has_silences
from storage.queries.visibility import sees_incident
from storage.values import ActivityType, Status, Work

_KEY = "organization_id, incident_id, round, step, repetition"

# The team that an incident is of: the one that it names, else the only one of its projects.
_TEAM = """
coalesce(i.team_id, (SELECT min(pt.team_id) FROM incident_project ip
                     JOIN project_team pt ON pt.organization_id = ip.organization_id AND pt.project_id = ip.project_id
                     WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id
                     HAVING count(DISTINCT pt.team_id) = 1))
"""
# What comes next for incident i, whether it ever had a step, and whether its organization makes calls at all.
CALLS_OF_INCIDENT = """
SELECT (SELECT c.due_at FROM call_step c WHERE c.organization_id = i.organization_id AND c.incident_id = i.id
        AND c.due_at IS NOT NULL ORDER BY c.due_at, c.step LIMIT 1) AS due_at,
       (SELECT c.who FROM call_step c WHERE c.organization_id = i.organization_id AND c.incident_id = i.id
        AND c.due_at IS NOT NULL ORDER BY c.due_at, c.step LIMIT 1) AS who,
       EXISTS (SELECT FROM call_step c
               WHERE c.organization_id = i.organization_id AND c.incident_id = i.id) AS has_steps,
       EXISTS (SELECT FROM team x WHERE x.organization_id = i.organization_id
               AND coalesce(x.calls, x.form_calls) IS NOT NULL) AS in_use
"""
# With `goes_on`, times count from the beginning of the round before, and what has passed by then is not made up for.
_BEGIN = PreparedStatement(
    f"""
WITH concerned AS (
  SELECT i.id, i.organization_id, i.status, t.id AS team_id, coalesce(t.calls, t.form_calls) AS calls,
         coalesce(last.round, 0) AS round,
         CASE WHEN %(goes_on)s THEN coalesce(last.since, %(now)s) ELSE %(now)s END AS since
  FROM incident i JOIN team t ON t.organization_id = i.organization_id AND t.id = {_TEAM}
  LEFT JOIN LATERAL (SELECT c.round, c.since FROM call_step c
                     WHERE c.organization_id = i.organization_id AND c.incident_id = i.id
                     ORDER BY c.round DESC LIMIT 1) last ON true
  WHERE i.organization_id = %(organization_id)s AND i.id = ANY(%(incident_ids)s)
    AND coalesce(t.calls, t.form_calls) IS NOT NULL
), ended AS (
  UPDATE call_step c SET due_at = NULL, outcome = 'superseded', date_done = %(now)s
  WHERE c.organization_id = %(organization_id)s AND c.incident_id = ANY(%(incident_ids)s) AND c.outcome IS NULL
)
INSERT INTO call_step (organization_id, incident_id, round, step, repetition, team_id, severity, who, after_s,
                       repeat_s, quiet, until, since, due_at)
SELECT c.organization_id, c.id, c.round + 1, rule.step, 0, c.team_id, c.status, r.who, r.after_s, r.repeat_s, r.quiet,
       r.until, c.since,
       CASE WHEN d.due_at > %(now)s OR NOT %(goes_on)s THEN d.due_at
            ELSE %(now)s + make_interval(secs => r.repeat_s) END
FROM concerned c
CROSS JOIN LATERAL jsonb_array_elements(c.calls) WITH ORDINALITY AS rule(value, step)
CROSS JOIN LATERAL jsonb_to_record(rule.value)
  AS r(severity smallint, who text, after_s bigint, repeat_s bigint, quiet text, until text)
CROSS JOIN LATERAL (SELECT c.since + make_interval(secs => r.after_s) AS due_at) d
WHERE r.severity = c.status AND (NOT %(goes_on)s OR d.due_at > %(now)s OR r.repeat_s IS NOT NULL)
RETURNING due_at <= %(now)s
""",  # noqa: S608 - composed of constants
    {"organization_id": "bigint", "incident_ids": "bigint[]", "goes_on": "boolean", "now": "timestamptz"},
)


def begin_round(
    tx: Connection, organization_id: int, incident_ids: Sequence[int], now: datetime, *, goes_on: bool = False
) -> None:
    """Makes the steps of these open incidents, by the rules of their teams for their severity. Earlier ones end.

    `goes_on`: the severity has fallen. The times count from the beginning of the round before, and of the steps whose
    time has passed only the repeats are made. The rows of the incidents are locked, or new.
    """
    given = {
        "organization_id": organization_id,
        "incident_ids": list(incident_ids),
        "goes_on": goes_on,
        "now": now,
    }
    if any(due for (due,) in _BEGIN.rows(tx, given)):
        wake_after_commit(tx, Work.CALLS)


_RESUME = PreparedStatement(
    "UPDATE call_step c SET since = v.since,"
    " due_at = v.since + make_interval(secs => CASE WHEN repetition > 0 THEN repeat_s ELSE after_s END)"
    " FROM unnest(%(organization_ids)s::bigint[], %(ids)s::bigint[], %(since)s::timestamptz[])"
    "  AS v(organization_id, id, since)"
    " WHERE c.organization_id = v.organization_id AND c.incident_id = v.id AND c.outcome IS NULL"
)


def resume(tx: Connection, since: Mapping[tuple[int, int], datetime]) -> None:
    """Has the steps of these incidents that were not made count from a moment: their release, or a silence's end.

    `since` has the moment by the ids of the organization and the incident. It is sent with the next
    statement of the transaction.
    """
    given = {
        "organization_ids": [organization_id for organization_id, _ in since],
        "ids": [incident_id for _, incident_id in since],
        "since": list(since.values()),
    }
    _RESUME.defer(tx, given)


_DUE = f"""
SELECT c.organization_id, c.incident_id, c.round, c.step, c.repetition, c.team_id, t.name, t.timezone, c.severity,
       c.who, c.repeat_s, c.quiet, c.until = 'acknowledged', c.since, i.status, i.identifier, i.title, i.owner_id,
       {SILENCED_UNTIL}, o.incidents, {first_workspace("o.id")},
       {has_silences("c.organization_id")}
FROM call_step c JOIN incident i ON i.organization_id = c.organization_id AND i.id = c.incident_id
JOIN organization o ON o.id = c.organization_id
JOIN team t ON t.organization_id = c.organization_id AND t.id = c.team_id
WHERE c.due_at <= %(now)s
ORDER BY c.due_at, {", ".join(f"c.{column.strip()}" for column in _KEY.split(","))}
"""  # noqa: S608 - composed of constants


@cache
def _build_lock_due(most: int) -> PreparedStatement:
    """Builds the statement for so many steps: one for any number would be planned for a tenth of all."""
    return PreparedStatement(f"{_DUE} LIMIT {most} FOR NO KEY UPDATE OF i, c SKIP LOCKED", {"now": "timestamptz"})


def lock_due_steps(tx: Connection, now: datetime, most: int) -> list[DueStep]:
    """Locks up to `most` steps that are due, with their incidents, skipping what another transaction has locked.

    Whoever takes an incident locks its row too: a step is made before that, or finds the owner. Incidents are locked
    before their steps, as whoever ends a silence does: a step that is skipped must not stay locked.
    """
    return [_parse_due(row) for row in _build_lock_due(most).rows(tx, {"now": now})]


def _parse_due(row: Sequence[Any]) -> DueStep:
    values: list[Any] = list(row)
    values[8], values[14] = Status(values[8]), Status(values[14])
    return DueStep(StepKey(*values[:5]), *values[5:])


_ACKNOWLEDGED = PreparedStatement(
    "SELECT s.n FROM unnest(%(organization_ids)s::bigint[], %(incident_ids)s::bigint[], %(since)s::timestamptz[])"
    " WITH ORDINALITY AS s(organization_id, incident_id, since, n) WHERE EXISTS"
    " (SELECT FROM incident_seen e WHERE e.organization_id = s.organization_id AND e.incident_id = s.incident_id"
    "  AND e.last_seen > s.since OFFSET 0)"
)


def list_acknowledged(tx: Connection, steps: Sequence[DueStep]) -> set[StepKey]:
    """Returns those steps whose incident somebody has acknowledged since their time began to count."""
    rows = _ACKNOWLEDGED.rows(
        tx,
        {
            "organization_ids": [one.key.organization_id for one in steps],
            "incident_ids": [one.key.incident_id for one in steps],
            "since": [one.since for one in steps],
        },
    )
    return {steps[number - 1].key for (number,) in rows}


_CALLEES = PreparedStatement(
    f"""
SELECT r.n, m.id, m.name, {sees_incident("r.incident_id")}
FROM unnest(%(incident_ids)s::bigint[], %(organization_ids)s::bigint[], %(workspaces)s::text[], %(team_ids)s::bigint[],
            %(who)s::text[]) WITH ORDINALITY AS r(incident_id, organization_id, workspace_id, team_id, who, n)
JOIN organization o ON o.id = r.organization_id
CROSS JOIN LATERAL (
  SELECT mt.member_id FROM member_team mt
  WHERE r.who = '{TEAM}' AND mt.organization_id = r.organization_id AND mt.team_id = r.team_id
  UNION
  SELECT x.id FROM member x WHERE r.who = '{MANAGERS}' AND x.organization_id = r.organization_id
    AND x.role IN ('manager', 'owner')
  UNION
  SELECT x.id FROM member x WHERE x.organization_id = r.organization_id AND x.email = r.who
  UNION
  SELECT {MEMBER_OF_USER} FROM team t
  JOIN workspace w ON w.organization_id = r.organization_id
  JOIN usergroup_user u ON u.workspace_id = w.id AND u.usergroup_id = t.oncall_usergroup
  WHERE r.who = '{ON_CALL}' AND t.organization_id = r.organization_id AND t.id = r.team_id
) c
JOIN member m ON m.id = c.member_id AND m.organization_id = o.id AND m.date_removed IS NULL
ORDER BY r.n, m.name, m.id
"""  # noqa: S608 - composed of constants
)


def list_callees(tx: Connection, steps: Sequence[DueStep]) -> dict[StepKey, list[Callee]]:
    """Returns whom each step calls, in the order of their names, with whether they may see the incident."""
    rows = _CALLEES.rows(
        tx,
        {
            "incident_ids": [one.key.incident_id for one in steps],
            "organization_ids": [one.key.organization_id for one in steps],
            "workspaces": [one.workspace_id for one in steps],
            "team_ids": [one.team_id for one in steps],
            "who": [one.who for one in steps],
        },
    )
    found: dict[StepKey, list[Callee]] = {one.key: [] for one in steps}
    for number, member_id, name, sees in rows:
        found[steps[number - 1].key].append(Callee(member_id, name, sees))
    return found


@dataclass(frozen=True, slots=True)
class StepResult:
    """What becomes of a due step: it is done with an outcome, or due later, or waits for a release."""

    key: StepKey
    outcome: str | None = None  # None: it is not done
    due_at: datetime | None = None  # of a step that is not done; None: it waits for a release


_RECORD_RESULTS = PreparedStatement(
    "UPDATE call_step c SET outcome = v.outcome, due_at = v.due_at,"
    " date_done = CASE WHEN v.outcome IS NOT NULL THEN %(now)s::timestamptz END"
    " FROM unnest(%(organization_id)s::bigint[], %(incident_id)s::bigint[], %(round)s::smallint[],"
    "  %(step)s::smallint[], %(repetition)s::bigint[], %(outcomes)s::text[], %(due)s::timestamptz[])"
    "  AS v(organization_id, incident_id, round, step, repetition, outcome, due_at)"
    " WHERE c.organization_id = v.organization_id AND c.incident_id = v.incident_id AND c.round = v.round"
    " AND c.step = v.step AND c.repetition = v.repetition"
)


def record_results(tx: Connection, results: Sequence[StepResult], now: datetime) -> None:
    """Writes what became of locked steps, with the next statement of the transaction."""
    _RECORD_RESULTS.defer(
        tx,
        {
            **_build_keys([one.key for one in results]),
            "outcomes": [one.outcome for one in results],
            "due": [one.due_at for one in results],
            "now": now,
        },
    )


_INSERT_REPETITIONS = PreparedStatement(
    f"INSERT INTO call_step ({_KEY}, team_id, severity, who, after_s, repeat_s, quiet, until, since, due_at)"  # noqa: S608 - composed of constants
    " SELECT c.organization_id, c.incident_id, c.round, c.step, c.repetition + 1, c.team_id, c.severity, c.who,"
    "  c.after_s, c.repeat_s, c.quiet, c.until, c.since, %(now)s::timestamptz + make_interval(secs => c.repeat_s)"
    " FROM call_step c JOIN unnest(%(organization_id)s::bigint[], %(incident_id)s::bigint[],"
    f"  %(round)s::smallint[], %(step)s::smallint[], %(repetition)s::bigint[]) AS k({_KEY}) USING ({_KEY})"
    " WHERE c.repeat_s IS NOT NULL ON CONFLICT DO NOTHING"
)


def insert_repetitions(tx: Connection, keys: Sequence[StepKey], now: datetime) -> None:
    """Inserts the next repetition of these steps, due after their `repeat_s`, with the transaction's next statement."""
    _INSERT_REPETITIONS.defer(tx, {**_build_keys(keys), "now": now})


def hasten_next(tx: Connection, keys: Collection[StepKey], now: datetime) -> set[int]:
    """Makes the next steps of these rounds due at once. Returns the incidents that have one; repeats are none."""
    rows = tx.exec_driver_sql(
        "UPDATE call_step c SET due_at = %(now)s"
        " FROM (SELECT DISTINCT * FROM unnest(%(organization_id)s::bigint[], %(incident_id)s::bigint[],"
        "  %(round)s::smallint[]) AS x(organization_id, incident_id, round)) k"
        " WHERE c.organization_id = k.organization_id AND c.incident_id = k.incident_id AND c.round = k.round"
        " AND c.repetition = 0 AND c.due_at = (SELECT min(n.due_at) FROM call_step n"
        "  WHERE n.organization_id = k.organization_id AND n.incident_id = k.incident_id AND n.round = k.round"
        "  AND n.repetition = 0 AND n.due_at > %(now)s)"
        " RETURNING c.incident_id",
        {**_build_keys(sorted(keys, key=lambda key: key.incident_id)), "now": now},
    )
    return {incident_id for (incident_id,) in rows}


_INSERT_RECORDS = PreparedStatement(
    "WITH logged AS (INSERT INTO incident_activity (organization_id, incident_id, type, call, date_added)"  # noqa: S608
    f" SELECT v.organization_id, v.incident_id, {ActivityType.CALL:d}, v.call::jsonb, %(now)s::timestamptz"
    " FROM unnest(%(organization_ids)s::bigint[], %(incident_ids)s::bigint[], %(calls)s::text[]) WITH ORDINALITY"
    "  AS v(organization_id, incident_id, call, n) ORDER BY v.n RETURNING organization_id, id, incident_id)"
    " INSERT INTO outbox (organization_id, incident_id, activity_id, of_alert, date_added)"
    " SELECT organization_id, incident_id, id, true, %(now)s FROM logged ORDER BY id"
)


def insert_records(tx: Connection, records: Sequence[tuple[StepKey, CallRecord]], now: datetime) -> None:
    """Inserts entries of the log about steps, and has the threads of cards show them.

    They are sent with the next statement of the transaction.
    """
    _INSERT_RECORDS.defer(
        tx,
        {
            "organization_ids": [key.organization_id for key, _ in records],
            "incident_ids": [key.incident_id for key, _ in records],
            "calls": [json.dumps(record.to_json()) for _, record in records],
            "now": now,
        },
    )
    wake_after_commit(tx, Work.ALERTS)


def _build_keys(keys: Sequence[StepKey]) -> dict[str, list[Any]]:
    return {
        "organization_id": [key.organization_id for key in keys],
        "incident_id": [key.incident_id for key in keys],
        "round": [key.round for key in keys],
        "step": [key.step for key in keys],
        "repetition": [key.repetition for key in keys],
    }


# --- answers of those who were called ----------------------------------------------------------------------


def decline(tx: Connection, organization_id: int, member_id: int, post_id: int, now: datetime) -> list[StepKey]:
    """Records that a member answered "Not me" to the calls in a message. Returns the steps that called them."""
    rows = tx.exec_driver_sql(
        "UPDATE call_recipient SET date_declined = %(now)s WHERE organization_id = %(organization_id)s"
        " AND member_id = %(member_id)s AND post_id = %(post_id)s AND date_declined IS NULL"
        " RETURNING organization_id, incident_id, round, step, repetition",
        {"organization_id": organization_id, "member_id": member_id, "post_id": post_id, "now": now},
    )
    return [StepKey(*row) for row in rows]


def filter_declined(tx: Connection, keys: Sequence[StepKey]) -> list[StepKey]:
    """Returns those of the steps that everybody whom they called has declined."""
    rows = tx.exec_driver_sql(
        f"SELECT k.* FROM unnest(%(organization_id)s::bigint[], %(incident_id)s::bigint[], %(round)s::smallint[],"  # noqa: S608 - composed of constants
        f"  %(step)s::smallint[], %(repetition)s::bigint[]) AS k({_KEY})"
        " WHERE NOT EXISTS (SELECT FROM call_recipient r WHERE r.organization_id = k.organization_id"
        "  AND r.incident_id = k.incident_id AND r.round = k.round AND r.step = k.step"
        "  AND r.repetition = k.repetition AND r.date_declined IS NULL)",
        _build_keys(keys),
    )
    return [StepKey(*row) for row in rows]
