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


def find_storm(
    connection: Connection, organization_id: int, storm_id: int, project_ids: Sequence[int]
) -> StormRow | None:
    """Returns a storm; None if it does not exist, or the caller sees none of its incidents."""
    row = connection.exec_driver_sql(
        "SELECT s.id, s.destination_id, s.post_id, d.channel_id, s.date_split IS NOT NULL, m.name"  # noqa: S608 - composed of constants
        " FROM storm s JOIN destination d ON d.id = s.destination_id"
        " LEFT JOIN member m ON m.organization_id = s.organization_id AND m.id = s.split_by"
        f" WHERE s.organization_id = %(organization_id)s AND s.id = %(storm_id)s AND EXISTS (SELECT {_VISIBLE})",
        {"organization_id": organization_id, "storm_id": storm_id, "project_ids": list(project_ids)},
    ).first()
    return None if row is None else StormRow(*row)


def lock_open_incidents(
    tx: Connection, organization_id: int, storm_id: int, project_ids: Sequence[int]
) -> list[OpenIncident]:
    """Locks the open incidents of a storm that the caller sees, and returns them."""
    rows = tx.exec_driver_sql(
        f"SELECT i.id, i.owner_id, {is_silenced('i')} {_VISIBLE} AND i.status <> 2"
        " ORDER BY i.id FOR NO KEY UPDATE OF i",
        {"organization_id": organization_id, "storm_id": storm_id, "project_ids": list(project_ids)},
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


def split_storm(tx: Connection, organization_id: int, storm: StormRow, member_id: int, now: datetime) -> int:
    """Gives the open incidents of a storm their own cards, the most severe first. Returns how many.

    The caller has locked its destination. The posts are due one after the other in that order, so that what people do
    goes first, and critical incidents before others. What a silence holds gets its card later and does not count.
    """
    parameters = {
        "organization_id": organization_id,
        "storm_id": storm.id,
        "destination_id": storm.destination_id,
        "post_id": storm.post_id,
        "channel_id": storm.channel_id,
        "member_id": member_id,
        "now": now,
        "change": int(Urgency.CHANGE),
        "news": int(Urgency.NEWS),
    }
    tx.exec_driver_sql(
        "WITH split AS (UPDATE storm SET date_split = %(now)s, split_by = %(member_id)s"
        "  WHERE organization_id = %(organization_id)s AND id = %(storm_id)s)"
        " UPDATE post SET wanted_version = wanted_version + 1, due_at = %(now)s WHERE id = %(post_id)s",
        parameters,
    )
    made = tx.exec_driver_sql(
        "WITH unfolded AS (UPDATE storm_incident si SET folded = false FROM incident i"  # noqa: S608 - composed of constants
        "  WHERE si.organization_id = %(organization_id)s AND si.storm_id = %(storm_id)s AND si.folded"
        "    AND i.id = si.incident_id AND i.status <> 2"
        f"    AND {shown_in_channel('i.organization_id', 'i.id', '%(channel_id)s')}"
        "  RETURNING i.id, i.status)"
        " INSERT INTO post (organization_id, destination_id, kind, incident_id, urgency, due_at, date_added)"
        f" SELECT %(organization_id)s, %(destination_id)s, '{PostKind.CARD}', u.id,"
        f"  CASE WHEN u.status = {Status.CRITICAL:d} THEN %(change)s ELSE %(news)s END,"
        "  %(now)s + interval '1 ms' * row_number() OVER (ORDER BY u.status DESC, u.id), %(now)s"
        " FROM unfolded u"
        f" ON CONFLICT (incident_id, destination_id) WHERE kind = '{PostKind.CARD}' DO NOTHING"
        f" RETURNING (SELECT {is_silenced('i')} FROM incident i"
        " WHERE i.organization_id = post.organization_id AND i.id = post.incident_id)",
        parameters,
    )
    wake_after_commit(tx, Work.POSTS)
    return sum(not silenced for (silenced,) in made)
