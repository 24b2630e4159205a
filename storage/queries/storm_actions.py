"""What people do to all incidents of a storm at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.queries.outbox import wake_after_commit
from storage.queries.silences import is_silenced
from storage.queries.visibility import of_given_projects, shown_in_channel
from storage.values import PostKind, Status, Urgency, Work

_VISIBLE = f"""
FROM storm_incident si JOIN incident i ON i.organization_id = si.organization_id AND i.id = si.incident_id
WHERE si.organization_id = %(organization_id)s AND si.storm_id = %(storm_id)s
  AND {of_given_projects("i.organization_id", "i.id")}
"""


@dataclass(frozen=True, slots=True)
class StormRow:
    """A storm of which the caller sees an incident."""

    id: int
    destination_id: int
    post_id: int
    channel_id: str
    split: bool
    split_by: str | None  # name


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An open incident of a storm."""

    id: int
    owner_id: int | None
    silenced: bool


@dataclass(frozen=True, slots=True)
class UnfoldedIncident:
    """An incident of a storm that has its own card from now on."""

    id: int
    posted: bool  # False: a silence holds it, so its card comes later, or it had one


def find_storm(
    connection: Connection, organization_id: int, storm_id: int, project_ids: Sequence[int]
) -> StormRow | None:
    """Returns a storm; None if it does not exist, or the caller sees none of its incidents."""
    row = connection.exec_driver_sql(
        "SELECT s.id, s.destination_id, s.post_id, d.channel_id, s.date_split IS NOT NULL, m.name"  # noqa: S608 - composed of constants
        " FROM storm s JOIN workspace w ON w.organization_id = s.organization_id"
        " JOIN destination d ON d.workspace_id = w.id AND d.id = s.destination_id"
        " LEFT JOIN member m ON m.organization_id = s.organization_id AND m.id = s.split_by"
        f" WHERE s.organization_id = %(organization_id)s AND s.id = %(storm_id)s AND EXISTS (SELECT {_VISIBLE})",
        {"organization_id": organization_id, "storm_id": storm_id, "project_ids": list(project_ids)},
    ).first()
    return None if row is None else StormRow(*row)


def lock_open_incidents(
    tx: Connection, organization_id: int, storm_id: int, project_ids: Sequence[int], *, after: int, most: int
) -> list[OpenIncident]:
    """Locks and returns at most `most` open incidents of a storm that the caller sees, by their ids behind `after`."""
    rows = tx.exec_driver_sql(
        f"SELECT i.id, i.owner_id, {is_silenced('i')} {_VISIBLE} AND i.status <> 2 AND si.incident_id > %(after)s"
        " ORDER BY si.incident_id LIMIT %(most)s FOR NO KEY UPDATE OF i",
        {
            "organization_id": organization_id,
            "storm_id": storm_id,
            "project_ids": list(project_ids),
            "after": after,
            "most": most,
        },
    )
    return [OpenIncident(*row) for row in rows]


def list_labels(
    connection: Connection, organization_id: int, storm_id: int, project_ids: Sequence[int], most: int
) -> list[tuple[int, dict[str, str]]]:
    """Returns the identifiers and labels of open incidents of a storm with labels that the caller sees."""
    rows = connection.exec_driver_sql(
        f"SELECT i.identifier, i.details -> 'labels' {_VISIBLE} AND i.status <> 2"
        " AND coalesce(i.details -> 'labels', '{}') <> '{}' ORDER BY i.id LIMIT %(most)s",
        {
            "organization_id": organization_id,
            "storm_id": storm_id,
            "project_ids": list(project_ids),
            "most": most,
        },
    )
    return [(identifier, labels) for identifier, labels in rows]


def give_cards(
    tx: Connection,
    organization_id: int,
    storm: StormRow,
    status: Status,
    now: datetime,
    *,
    after: int,
    most: int,
    number: int,
) -> list[UnfoldedIncident]:
    """Gives open incidents of a storm with this status their own cards: at most `most`, by their ids behind `after`.

    The caller has locked its destination. The posts are due one after the other, behind `number` earlier ones: so what
    people do goes first, and critical incidents before others. Returns which incidents they are; what a silence holds
    gets its card later.
    """
    rows = tx.exec_driver_sql(
        "WITH batch AS MATERIALIZED (SELECT si.incident_id FROM storm_incident si"  # noqa: S608 - composed of constants
        "  CROSS JOIN LATERAL (SELECT FROM incident i WHERE i.organization_id = si.organization_id"
        "    AND i.id = si.incident_id AND i.status = %(status)s"
        f"    AND {shown_in_channel('i.organization_id', 'i.id', '%(channel_id)s')} OFFSET 0) i"
        "  WHERE si.organization_id = %(organization_id)s AND si.storm_id = %(storm_id)s AND si.folded"
        "    AND si.incident_id > %(after)s ORDER BY si.incident_id LIMIT %(most)s),"
        " unfolded AS (UPDATE storm_incident si SET folded = false FROM batch"
        "  WHERE si.organization_id = %(organization_id)s AND si.storm_id = %(storm_id)s"
        "    AND si.incident_id = batch.incident_id),"
        " made AS (INSERT INTO post (organization_id, destination_id, kind, incident_id, urgency, due_at, date_added)"
        f"  SELECT %(organization_id)s, %(destination_id)s, '{PostKind.CARD}', incident_id, %(urgency)s,"
        "   %(now)s + interval '1 ms' * (%(number)s + row_number() OVER (ORDER BY incident_id)), %(now)s FROM batch"
        f"  ON CONFLICT (incident_id, destination_id) WHERE kind = '{PostKind.CARD}' DO NOTHING RETURNING incident_id)"
        f" SELECT i.id, made.incident_id IS NOT NULL AND NOT {is_silenced('i')} FROM batch"
        "  JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = batch.incident_id"
        "  LEFT JOIN made ON made.incident_id = i.id ORDER BY i.id",
        {
            "organization_id": organization_id,
            "storm_id": storm.id,
            "destination_id": storm.destination_id,
            "channel_id": storm.channel_id,
            "status": int(status),
            "urgency": int(Urgency.CHANGE if status is Status.CRITICAL else Urgency.NEWS),
            "now": now,
            "after": after,
            "most": most,
            "number": number,
        },
    )
    found = [UnfoldedIncident(*row) for row in rows]
    if found:
        wake_after_commit(tx, Work.POSTS)
    return found


def set_split(tx: Connection, organization_id: int, storm: StormRow, member_id: int, now: datetime) -> None:
    """Records that somebody has given a storm's incidents their own cards. The caller has locked its destination."""
    tx.exec_driver_sql(
        "WITH split AS (UPDATE storm SET date_split = %(now)s, split_by = %(member_id)s"
        "  WHERE organization_id = %(organization_id)s AND id = %(storm_id)s)"
        " UPDATE post SET wanted_version = wanted_version + 1, due_at = %(now)s"
        " WHERE organization_id = %(organization_id)s AND id = %(post_id)s",
        {
            "organization_id": organization_id,
            "storm_id": storm.id,
            "post_id": storm.post_id,
            "member_id": member_id,
            "now": now,
        },
    )
    wake_after_commit(tx, Work.POSTS)
