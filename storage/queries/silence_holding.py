"""Has silences hold and release incidents: those of an alert at once, those of one silence in batches.

A silence may match a hundred thousand open incidents. Its first batch is in the transaction that makes or ends it, and
the rest follows in short ones: `silence.hold_after` and `silence.release_after` say how far that has come.

Whoever changes incidents, the steps of their calls and messages about them locks these rows in this order: a silence,
incidents by their ids, steps, posts. An incident that goes over from one silence to another is held all the time: its
log says when it was silenced first, and when the last silence ended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.outbox import wake_after_commit
from storage.queries.silences import ALERTMANAGER, COLUMNS, FROM, is_held_longer, is_silenced
from storage.queries.visibility import of_given_projects, sees_incident, sees_project
from storage.silence_rows import (
    HeldBack,
    HeldIncident,
    MatchedIncident,
    OtherSilence,
    SilenceRow,
    UnfinishedEnd,
    UnfinishedHold,
)
from storage.values import ActivityType, PostKind, SilenceStep, Work

# Open incidents that are compared with a silence in one transaction, and incidents that are released in one. It takes a
# few tenths of a second, for which alerts and people wait who change one of them.
BATCH = 1000
# Of what a silence matches, the newest are compared with the other silences when it ends.
_COMPARED = 1000

# What describes an alert: a silence matches what contains its matchers. The team is the one that the card shows.
_DESCRIBED = """
jsonb_build_object(
  'source', i.source, 'key', i.alert_key, 'labels', coalesce(i.details -> 'labels', '{}'::jsonb),
  'environment', lower(i.environment), 'team', coalesce(i.team_id, (
    SELECT min(pt.team_id) FROM incident_project ip
    JOIN project_team pt ON pt.organization_id = ip.organization_id AND pt.project_id = ip.project_id
    WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id
    HAVING count(DISTINCT pt.team_id) = 1)))
"""
# The silence s, by member m of organization o, matches incident i.
_FROM_BOTH = """
silence s JOIN incident i ON i.organization_id = s.organization_id
LEFT JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id
JOIN organization o ON o.id = s.organization_id
"""
_MATCHES = f"""
i.source IS NOT NULL
AND CASE WHEN s.member_id IS NULL THEN i.source = '{ALERTMANAGER}' AND i.alert_key = ANY(s.alertmanager_keys)
    ELSE {_DESCRIBED} @> s.matchers
         AND EXISTS (SELECT FROM incident_project ip
                     WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id
                     AND (s.project_id IS NULL OR ip.project_id = s.project_id)
                     AND {sees_project("ip.project_id")} OFFSET 0)
         AND {sees_incident("i.id")} END
"""


# --- holding ---------------------------------------------------------------------------------------------------


def _build_hold(candidates: str, only: str) -> str:
    """Builds the statement that has silences hold open incidents. Of several, the one that ends last holds one.

    With `logs`, the log says so: that an incident is silenced now, or that it is for longer than before.

    It must not lock FOR UPDATE: that waits for whoever has inserted something that refers to the incident, and who may
    be waiting for a card that this transaction has changed. `expansion.redraw_unseen_changes` finds the cards that are
    being inserted meanwhile.
    """
    return f"""
WITH candidates AS MATERIALIZED ({candidates}), best AS (
  SELECT DISTINCT ON (i.id) i.organization_id, i.id, s.id AS silence_id, s.ends, s.member_id
  FROM {_FROM_BOTH} JOIN candidates c ON c.id = i.id
  WHERE s.date_ended IS NULL AND s.ends > %(now)s AND {only}
    AND i.organization_id = %(organization_id)s AND i.status <> 2 AND {_MATCHES}
  ORDER BY i.id, s.ends DESC, s.id DESC
), locked AS (
  SELECT best.*, {is_silenced("i")} AS was_silenced
  FROM incident i JOIN best ON best.organization_id = i.organization_id AND best.id = i.id
  WHERE i.silence_id IS DISTINCT FROM best.silence_id AND NOT {is_held_longer("i", "best.ends", "best.silence_id")}
  ORDER BY i.id FOR NO KEY UPDATE OF i
), held AS (
  UPDATE incident i SET silence_id = locked.silence_id FROM locked
  WHERE i.organization_id = locked.organization_id AND i.id = locked.id
  RETURNING i.organization_id, i.id, locked.member_id, locked.was_silenced
), logged AS (
  INSERT INTO incident_activity (organization_id, incident_id, member_id, type, value, date_added)
  SELECT organization_id, id, member_id, {ActivityType.SILENCE:d},
         CASE WHEN was_silenced THEN {SilenceStep.CHANGED:d} ELSE {SilenceStep.BEGAN:d} END, %(now)s
  FROM held WHERE %(logs)s ORDER BY id
)
"""  # noqa: S608 - composed of constants


_HOLD_INCIDENTS = PreparedStatement(
    f"{_build_hold('SELECT unnest(%(incident_ids)s) AS id', 'true')} SELECT id FROM held",  # noqa: S608
    {"organization_id": "bigint", "incident_ids": "bigint[]", "now": "timestamptz", "logs": "boolean"},
)


def hold_incidents(
    tx: Connection, organization_id: int, incident_ids: Collection[int], now: datetime, *, logs: bool = True
) -> list[int]:
    """Has the silences in force hold those of the incidents that they match. Returns the ids that this changed.

    `logs`: an entry of the log says so.
    """
    if not incident_ids:
        return []
    given = {"organization_id": organization_id, "incident_ids": sorted(incident_ids), "now": now, "logs": logs}
    return [row[0] for row in _HOLD_INCIDENTS.rows(tx, given)]


_TYPES = {
    **dict.fromkeys(("organization_id", "id", "after"), "bigint"),
    "now": "timestamptz",
    "logs": "boolean",
    "source": "text",
    "keys": "text[]",
}


def _build_candidates(most: int, *, of_alerts: bool) -> str:
    """Builds the statement that finds so many open incidents: one for any number would be planned for a tenth of all.

    A silence of certain alerts finds them in an index; another one is compared with what is open.
    """
    named = "AND i.source = %(source)s AND i.alert_key = ANY(%(keys)s)" if of_alerts else ""
    return f"""
SELECT i.id FROM incident i WHERE i.organization_id = %(organization_id)s AND i.status <> 2 AND i.id > %(after)s {named}
ORDER BY i.id LIMIT {most}
"""  # noqa: S608 - composed of constants


@cache
def _build_hold_batch(most: int, *, of_alerts: bool) -> PreparedStatement:
    only = "s.organization_id = %(organization_id)s AND s.id = %(id)s"
    hold = _build_hold(_build_candidates(most, of_alerts=of_alerts), only)
    # Whether the silence holds an incident is as it was before.
    return PreparedStatement(
        f"""{hold}
SELECT c.id, held.id IS NOT NULL, i.silence_id IS NOT DISTINCT FROM %(id)s
FROM candidates c JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = c.id
LEFT JOIN held ON held.id = c.id ORDER BY c.id
""",  # noqa: S608 - composed of constants
        _TYPES,
    )


@cache
def _build_lock_batch(most: int, *, of_alerts: bool) -> PreparedStatement:
    return PreparedStatement(
        f"""
WITH candidates AS MATERIALIZED ({_build_candidates(most, of_alerts=of_alerts)}), matched AS MATERIALIZED (
  SELECT i.id FROM {_FROM_BOTH} JOIN candidates c ON c.id = i.id
  WHERE s.organization_id = %(organization_id)s AND s.id = %(id)s AND {_MATCHES}
)
SELECT FROM incident i JOIN matched ON matched.id = i.id WHERE i.organization_id = %(organization_id)s
ORDER BY i.id FOR NO KEY UPDATE OF i
""",  # noqa: S608 - composed of constants
        _TYPES,
    )


_ALERTS = (
    "SELECT coalesce(s.matchers ->> 'source', ''),"
    " CASE WHEN s.member_id IS NULL THEN s.alertmanager_keys"
    "      WHEN s.matchers ? 'key' THEN ARRAY[s.matchers ->> 'key'] END,"
    " EXISTS (SELECT FROM silence o WHERE o.organization_id = s.organization_id AND o.date_ended IS NULL"
    "         AND (o.ends, o.id) > (s.ends, s.id))"
    " FROM silence s WHERE s.organization_id = %(organization_id)s AND s.id = %(id)s"
)


def hold_batch(
    tx: Connection, organization_id: int, silence_id: int, after: int, now: datetime
) -> list[MatchedIncident]:
    """Has a silence hold what it matches of the next BATCH open incidents behind `after`.

    Returns all that were compared with it: fewer if no others are left.
    """
    given: dict[str, Any] = {"organization_id": organization_id, "id": silence_id}
    source, keys, is_shorter = tx.exec_driver_sql(_ALERTS, given).one()
    given |= {"after": after, "now": now, "logs": True}
    if keys is not None:
        given |= {"source": source, "keys": list(keys)}
    if is_shorter:
        # Whoever ends a longer one right now does not know of this silence yet. The next statement sees that end.
        _build_lock_batch(BATCH, of_alerts=keys is not None).execute(tx, given)
    statement = _build_hold_batch(BATCH, of_alerts=keys is not None)
    return [MatchedIncident(*row) for row in statement.rows(tx, given)]


def set_hold_after(tx: Connection, organization_id: int, silence_id: int, after: int | None) -> None:
    """Records behind which id open incidents are still to be compared with a silence; None: all have been.

    With one that has ended, none are: an earlier version ends it without knowing of this column.
    """
    tx.exec_driver_sql(
        "UPDATE silence SET hold_after = CASE WHEN date_ended IS NULL THEN %(after)s::bigint END"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s"
        " AND (hold_after IS NOT NULL OR %(after)s::bigint IS NOT NULL)",
        {"organization_id": organization_id, "id": silence_id, "after": after},
    )
    if after is not None:
        wake_after_commit(tx, Work.SILENCES)


def lock_unfinished_hold(tx: Connection) -> UnfinishedHold | None:
    """Locks a silence that has more open incidents to be compared with, except those that others have locked.

    It is any of them, so that none waits until others are through, or for ever behind one that fails.
    """
    row = tx.exec_driver_sql(
        "SELECT organization_id, id, hold_after FROM silence WHERE hold_after IS NOT NULL"
        " ORDER BY random() LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"
    ).first()
    return None if row is None else UnfinishedHold(*row)


def lock_openings(tx: Connection, organization_id: int) -> None:
    """Waits for the transactions that open incidents of an organization; others wait for this one.

    Lock incidents first: an intake has locked its incidents when it opens others.
    """
    tx.exec_driver_sql(
        "SELECT FROM organization WHERE id = %(organization_id)s FOR NO KEY UPDATE",
        {"organization_id": organization_id},
    )


# --- releasing -------------------------------------------------------------------------------------------------

_LOCK_HELD = f"""
WITH batch AS MATERIALIZED (
  SELECT i.organization_id, i.id, i.status <> 2 AS open FROM incident i
  WHERE i.organization_id = %(organization_id)s AND i.silence_id = %(id)s AND i.id > %(after)s
  ORDER BY i.id LIMIT %(most)s FOR NO KEY UPDATE
)
SELECT b.id, b.open, EXISTS (SELECT FROM post p WHERE p.organization_id = b.organization_id
                             AND p.incident_id = b.id AND p.kind = '{PostKind.CARD}'
                             AND p.ts IS NOT NULL),
       %(project_ids)s::bigint[] IS NULL OR EXISTS (
         SELECT FROM incident_project ip WHERE ip.organization_id = b.organization_id AND ip.incident_id = b.id
           AND ip.project_id = ANY(%(project_ids)s))
FROM batch b ORDER BY b.id
"""  # noqa: S608 - composed of constants


def lock_held(
    tx: Connection, silence: SilenceRow, project_ids: Sequence[int] | None = None, *, after: int = 0
) -> list[HeldIncident]:
    """Locks and returns the next BATCH incidents behind `after` that an ending silence holds.

    `project_ids` are those that the member sees who ends it; None: its time has come.
    """
    given = {**_name(silence), "project_ids": _as_list(project_ids), "after": after, "most": BATCH}
    return [HeldIncident(*row) for row in tx.exec_driver_sql(_LOCK_HELD, given)]


def end_silence(
    tx: Connection, silence: SilenceRow, member_id: int | None, now: datetime, *, release_after: int | None
) -> None:
    """Ends a silence whose row is locked. It goes on holding what is behind `release_after`; None: nothing."""
    tx.exec_driver_sql(
        "UPDATE silence SET date_ended = %(now)s, ended_by = %(member_id)s, hold_after = NULL,"
        " release_after = %(release_after)s WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {**_name(silence), "member_id": member_id, "now": now, "release_after": release_after},
    )


def add_released(tx: Connection, silence: SilenceRow, counted: HeldBack) -> None:
    """Adds to what an ended silence is known to have held back. The rest is released later."""
    tx.exec_driver_sql(
        "UPDATE silence SET released = released + %(incidents)s, released_open = released_open + %(still_open)s"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {**_name(silence), "incidents": counted.incidents, "still_open": counted.still_open},
    )
    wake_after_commit(tx, Work.SILENCES)


def set_release_after(tx: Connection, silence: SilenceRow, release_after: int | None) -> None:
    """Records what an ended silence still holds: what is behind this id; None: nothing."""
    tx.exec_driver_sql(
        "UPDATE silence SET release_after = %(release_after)s"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {**_name(silence), "release_after": release_after},
    )


def lock_unfinished_end(tx: Connection) -> UnfinishedEnd | None:
    """Locks a silence that has ended and still holds incidents, except those that others have locked.

    It is any of them, as in `lock_unfinished_hold`.
    """
    row = tx.exec_driver_sql(
        f"SELECT {COLUMNS}, 0, s.release_after, s.released, s.released_open, s.ended_by,"  # noqa: S608 - constants
        " (SELECT e.name FROM member e WHERE e.organization_id = s.organization_id AND e.id = s.ended_by"
        "  AND e.id IS DISTINCT FROM s.member_id)"
        f" {FROM} WHERE s.release_after IS NOT NULL ORDER BY random() LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED"
    ).first()
    if row is None:
        return None
    *columns, after, released, still_open, ended_by, name = row
    return UnfinishedEnd(SilenceRow(*columns), after, HeldBack(released, still_open), ended_by, name)


_OTHERS = f"""
WITH silenced AS (
  SELECT incident_id AS id FROM silence WHERE organization_id = %(organization_id)s AND id = %(id)s
  UNION (SELECT id FROM incident WHERE organization_id = %(organization_id)s AND silence_id = %(id)s AND status <> 2
         ORDER BY id DESC LIMIT {_COMPARED})
  UNION (SELECT id FROM incident WHERE organization_id = %(organization_id)s AND silence_id IS NOT NULL AND status <> 2
         ORDER BY id DESC LIMIT {_COMPARED})
), matched AS MATERIALIZED (
  SELECT i.id FROM {_FROM_BOTH} JOIN silenced ON silenced.id = i.id
  WHERE s.organization_id = %(organization_id)s AND s.id = %(id)s AND {_MATCHES}
    AND (%(project_ids)s::bigint[] IS NULL OR {of_given_projects("i.organization_id", "i.id")})
)
SELECT DISTINCT s.id, s.ends FROM {_FROM_BOTH} JOIN matched ON matched.id = i.id
WHERE s.organization_id = %(organization_id)s AND s.id <> %(id)s AND s.date_ended IS NULL AND s.ends > %(now)s
  AND {_MATCHES}
ORDER BY s.ends DESC, s.id DESC
"""  # noqa: S608 - composed of constants


def list_others(
    tx: Connection, silence: SilenceRow, now: datetime, project_ids: Sequence[int] | None
) -> list[OtherSilence]:
    """Returns the other silences in force that match what an ending one matches, the one that ends last first.

    `project_ids` are those that the member sees who ends it; None: its time has come.
    """
    given = {**_name(silence), "now": now, "project_ids": _as_list(project_ids)}
    return [OtherSilence(*row) for row in tx.exec_driver_sql(_OTHERS, given)]


def _name(silence: SilenceRow) -> dict[str, Any]:
    """The parameters that name a silence."""
    return {"organization_id": silence.organization_id, "id": silence.id}


def _as_list(ids: Sequence[int] | None) -> list[int] | None:
    return None if ids is None else list(ids)
