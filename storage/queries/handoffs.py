"""Offers to take over incidents: making and ending them, and what messages about them show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.member_rows import HandoffContent, HandoffHead, HandoffItem, OfferState, ShownIncident
from storage.prepared import PreparedStatement
from storage.queries.activity import ENTRY_COLUMNS, READABLE, get_mentions_of_entries, parse_entry
from storage.queries.silences import SILENCED_UNTIL
from storage.queries.visibility import sees_incident, sees_project
from storage.rows import ActivityEntry, Mentions
from storage.values import NO_TEAM, Status

_HEAD = """
SELECT h.organization_id, h.id, h.workspace_id, h.giver_id, g.name, h.receiver_id, r.name, h.note, h.shift, h.post_id,
       h.expires_at
FROM handoff h JOIN member g ON g.organization_id = h.organization_id AND g.id = h.giver_id
JOIN member r ON r.organization_id = h.organization_id AND r.id = h.receiver_id
"""


def insert_handoff(
    tx: Connection,
    organization_id: int,
    workspace_id: str,
    *,
    giver_id: int,
    receiver_id: int,
    incident_ids: Collection[int],
    note: str | None,
    shift: bool,
    now: datetime,
    expires_at: datetime,
) -> int:
    """Inserts an offer of these incidents, none of which may have an open offer. Returns its id."""
    return int(
        tx.exec_driver_sql(
            "WITH made AS (INSERT INTO handoff (organization_id, workspace_id, giver_id, receiver_id, note, shift,"
            "  date_added, expires_at) VALUES (%(organization_id)s, %(workspace_id)s, %(giver_id)s, %(receiver_id)s,"
            "  %(note)s, %(shift)s, %(now)s, %(expires_at)s) RETURNING organization_id, id),"
            " items AS (INSERT INTO handoff_item (organization_id, handoff_id, incident_id, state)"
            "  SELECT organization_id, made.id, i.id, 'offered' FROM made, unnest(%(incident_ids)s::bigint[]) i(id))"
            " SELECT id FROM made",
            {
                "organization_id": organization_id,
                "workspace_id": workspace_id,
                "giver_id": giver_id,
                "receiver_id": receiver_id,
                "note": note,
                "shift": shift,
                "now": now,
                "expires_at": expires_at,
                "incident_ids": sorted(incident_ids),
            },
        ).scalar_one()
    )


def link_post(tx: Connection, organization_id: int, handoff_id: int, post_id: int | None) -> None:
    """Records which post is the message to the receiver."""
    tx.exec_driver_sql(
        "UPDATE handoff SET post_id = %(post_id)s WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": organization_id, "id": handoff_id, "post_id": post_id},
    )


def find_handoff(connection: Connection, organization_id: int, handoff_id: int) -> HandoffHead | None:
    """Returns an offer, or None if there is none with this id."""
    row = connection.exec_driver_sql(
        f"{_HEAD} WHERE h.organization_id = %(organization_id)s AND h.id = %(id)s",
        {"organization_id": organization_id, "id": handoff_id},
    ).first()
    return None if row is None else HandoffHead(*row)


def find_open_handoff(connection: Connection, organization_id: int, incident_id: int) -> HandoffHead | None:
    """Returns the open offer of an incident, or None if nobody is offered it."""
    row = connection.exec_driver_sql(
        f"{_HEAD} JOIN handoff_item i ON i.organization_id = h.organization_id AND i.handoff_id = h.id"
        " WHERE i.incident_id = %(incident_id)s AND i.state = 'offered' AND h.organization_id = %(organization_id)s",
        {"organization_id": organization_id, "incident_id": incident_id},
    ).first()
    return None if row is None else HandoffHead(*row)


def list_offered(connection: Connection, organization_id: int, handoff_id: int) -> list[tuple[int, int]]:
    """Returns the id and identifier of each incident that an offer still offers, ordered by id."""
    rows = connection.exec_driver_sql(
        "SELECT i.id, i.identifier FROM handoff_item h"
        " JOIN incident i ON i.organization_id = h.organization_id AND i.id = h.incident_id"
        " WHERE h.organization_id = %(organization_id)s AND h.handoff_id = %(id)s AND h.state = 'offered'"
        " ORDER BY i.id",
        {"organization_id": organization_id, "id": handoff_id},
    )
    return [(row[0], row[1]) for row in rows]


def end_offer(
    tx: Connection, organization_id: int, handoff_id: int, incident_id: int, state: OfferState, now: datetime
) -> bool:
    """Ends the offer of one incident, if it is still open. Returns whether it was."""
    return bool(
        tx.exec_driver_sql(
            "UPDATE handoff_item SET state = %(state)s, date_ended = %(now)s"
            " WHERE organization_id = %(organization_id)s AND handoff_id = %(id)s"
            " AND incident_id = %(incident_id)s AND state = 'offered'",
            {
                "organization_id": organization_id,
                "id": handoff_id,
                "incident_id": incident_id,
                "state": str(state),
                "now": now,
            },
        ).rowcount
    )


_VOID = PreparedStatement(
    "UPDATE handoff_item SET state = 'void', date_ended = %(now)s::timestamptz"
    " WHERE organization_id = %(organization_id)s::bigint AND incident_id = %(id)s::bigint AND state = 'offered'"
)


def void_offers(tx: Connection, organization_id: int, incident_id: int, now: datetime) -> None:
    """Ends the open offer of an incident that was resolved or has another owner. The caller has locked its row.

    It is sent with the next statement of the transaction.
    """
    _VOID.defer(tx, {"organization_id": organization_id, "id": incident_id, "now": now})


_LAPSE = """
WITH due AS (
  SELECT h.organization_id, h.id
  FROM handoff_item i JOIN handoff h ON h.organization_id = i.organization_id AND h.id = i.handoff_id
  WHERE i.state = 'offered' AND h.expires_at <= %(now)s
  ORDER BY h.expires_at LIMIT 1 FOR UPDATE OF h SKIP LOCKED)
UPDATE handoff_item i SET state = 'lapsed', date_ended = %(now)s FROM due
WHERE i.organization_id = due.organization_id AND i.handoff_id = due.id AND i.state = 'offered'
RETURNING i.organization_id, i.handoff_id, i.incident_id
"""


def lapse_next(tx: Connection, now: datetime) -> tuple[HandoffHead, list[int]] | None:
    """Ends the offer that should have been answered first, and returns it with the ids of its incidents.

    Returns None if none is due that another replica does not end.
    """
    rows = tx.exec_driver_sql(_LAPSE, {"now": now}).all()
    head = find_handoff(tx, rows[0][0], rows[0][1]) if rows else None
    return None if head is None else (head, sorted(row[2] for row in rows))


# Has the messages that offer these incidents updated, as `redraw_messages` in storage/queries/expansion.py says.
REDRAW = PreparedStatement(
    "UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = %(now)s"
    " FROM handoff_item i JOIN handoff h ON h.organization_id = i.organization_id AND h.id = i.handoff_id"
    " WHERE i.organization_id = ANY(%(organization_ids)s) AND i.incident_id = ANY(%(ids)s)"
    " AND p.organization_id = h.organization_id AND p.id = h.post_id AND p.date_done IS NULL"
    "   AND (p.ts IS NOT NULL OR p.attempted_at IS NOT NULL)"
    " AND p.destination_id = ANY(%(locked)s)",
    {"organization_ids": "bigint[]", "ids": "bigint[]", "locked": "bigint[]", "now": "timestamptz"},
)


def list_owned(connection: Connection, organization_id: int, owner_id: int, most: int) -> list[tuple[int, int]]:
    """Returns the ids and identifiers of up to `most` open incidents that a member owns, newest first.

    They are the member's own, so nobody asks whether the member sees them: who does not is no owner.
    """
    rows = connection.exec_driver_sql(
        "SELECT id, identifier FROM incident WHERE owner_id = %(owner_id)s AND status <> 2"
        " AND organization_id = %(organization_id)s ORDER BY date_started DESC, id DESC LIMIT %(most)s",
        {"organization_id": organization_id, "owner_id": owner_id, "most": most},
    )
    return [(row[0], row[1]) for row in rows]


# --- what messages show --------------------------------------------------------------------------------------

# An incident i in a line of a message, for `parse_shown`, with the last comment on it.
SHOWN = f"""
i.identifier, i.title, i.status, i.date_started, i.date_closed, team.name, i.environment,
(SELECT o.name FROM member o WHERE o.organization_id = i.organization_id
  AND o.id = i.owner_id), {SILENCED_UNTIL}, word.*
"""  # noqa: S608 - composed of constants
LAST_COMMENT = f"""
LEFT JOIN team ON team.organization_id = i.organization_id AND team.id = i.team_id
LEFT JOIN LATERAL (SELECT {ENTRY_COLUMNS} FROM incident_activity a
  LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id
                   WHERE a.organization_id = i.organization_id AND a.incident_id = i.id AND {READABLE}
                     AND a.comment IS NOT NULL AND a.type <> 106
                   ORDER BY a.date_added DESC, a.id DESC LIMIT 1) word ON true
"""  # noqa: S608 - composed of constants

_ITEMS = f"""
SELECT h.state, {sees_incident("i.id")}, {SHOWN}
FROM handoff_item h JOIN incident i ON i.organization_id = h.organization_id AND i.id = h.incident_id
JOIN member m ON m.organization_id = %(organization_id)s AND m.id = %(reader_id)s
JOIN organization o ON o.id = m.organization_id
{LAST_COMMENT}
WHERE h.organization_id = %(organization_id)s AND h.handoff_id = %(id)s
  AND (%(ended)s::timestamptz IS NULL OR h.date_ended = %(ended)s)
ORDER BY h.state = 'offered' DESC, i.status DESC, i.date_started DESC, i.id DESC
"""  # noqa: S608 - composed of constants

# Open incidents without an owner, of the giver's teams, that the reader sees as well.
# They are counted from indexes and chosen first: of the others, neither rows nor comments are read.
_ALSO_OPEN = f"""
WITH shared AS MATERIALIZED (
  SELECT pt.project_id, mt.team_id,
         o.incidents AND m.date_removed IS NULL AND {sees_project("pt.project_id")} AS seen
  FROM member_team mt JOIN project_team pt ON pt.organization_id = mt.organization_id AND pt.team_id = mt.team_id
  JOIN member m ON m.organization_id = mt.organization_id AND m.id = %(reader_id)s
  JOIN organization o ON o.id = m.organization_id
  WHERE mt.organization_id = %(organization_id)s AND mt.member_id = %(giver_id)s
), of_giver AS MATERIALIZED (
  SELECT ip.incident_id AS id, bool_or(shared.seen) AS seen
  FROM shared JOIN incident_project ip ON ip.organization_id = %(organization_id)s
    AND ip.project_id = shared.project_id AND ip.status <> 2 AND ip.team_id IN ({NO_TEAM}, shared.team_id)
  GROUP BY ip.incident_id
), also_open AS MATERIALIZED (
  SELECT i.id, i.status, i.date_started FROM of_giver
  JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = of_giver.id
    AND i.status <> 2 AND i.owner_id IS NULL
  JOIN member m ON m.organization_id = i.organization_id AND m.id = %(reader_id)s
  JOIN organization o ON o.id = m.organization_id
  WHERE of_giver.seen OR {sees_incident("i.id")}
)
SELECT (SELECT count(*) FROM also_open), {SHOWN}
FROM (SELECT id FROM also_open ORDER BY status DESC, date_started DESC, id DESC LIMIT %(most)s) chosen
JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = chosen.id
{LAST_COMMENT}
ORDER BY i.status DESC, i.date_started DESC, i.id DESC
"""  # noqa: S608 - composed of constants


def get_content(
    connection: Connection,
    head: HandoffHead,
    reader_id: int,
    *,
    ended: datetime | None = None,
    also_open: int = 0,
) -> HandoffContent:
    """Returns what a message about an offer may show to a reader.

    With `ended`, only what became of the incidents whose offers ended at that moment. `also_open` is how many other
    incidents, which nobody owns, are shown at most.
    """
    given = {"organization_id": head.organization_id, "id": head.id, "reader_id": reader_id, "ended": ended}
    rows = connection.exec_driver_sql(_ITEMS, given).all()
    items = [HandoffItem(parse_shown(row[2:]), OfferState(row[0])) for row in rows if row[1]]
    others: Sequence[Any] = ()
    if also_open:
        others = connection.exec_driver_sql(_ALSO_OPEN, {**given, "giver_id": head.giver_id, "most": also_open}).all()
    shown = [parse_shown(row[1:]) for row in others]
    words = [item.incident.last_comment for item in items] + [one.last_comment for one in shown]
    entries = [word for word in words if word is not None]
    return HandoffContent(
        head,
        items,
        hidden=len(rows) - len(items),
        mentions=_get_mentions(connection, head, entries),
        also_open=shown,
        also_open_count=others[0][0] if others else 0,
    )


def _get_mentions(connection: Connection, head: HandoffHead, entries: Sequence[ActivityEntry]) -> Mentions:
    """The mentions of these entries, and of the note: each incident's log has an entry with it."""
    found = get_mentions_of_entries(connection, entries, head.workspace_id)
    if head.note and "<" in head.note:
        rows = connection.exec_driver_sql(
            f"SELECT {ENTRY_COLUMNS} FROM handoff_item h"  # noqa: S608
            " JOIN incident_activity a ON a.organization_id = h.organization_id AND a.incident_id = h.incident_id"
            " LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id"
            " WHERE h.organization_id = %(organization_id)s AND h.handoff_id = %(id)s AND a.type = 106"
            " AND a.comment = %(note)s ORDER BY a.id DESC LIMIT 1",
            {"organization_id": head.organization_id, "id": head.id, "note": head.note},
        )
        of_note = get_mentions_of_entries(connection, [parse_entry(row) for row in rows], head.workspace_id)
        found = Mentions({**found.people, **of_note.people}, {**found.teams, **of_note.teams})
    return found


def parse_shown(row: Sequence[Any]) -> ShownIncident:
    """Builds the incident from the columns of `SHOWN`."""
    identifier, title, status, started, closed, team, environment, owner, silenced, *word = row
    last_comment = None if word[0] is None else parse_entry(word)
    return ShownIncident(
        identifier, title, Status(status), started, closed, team, environment, owner, silenced, last_comment
    )
