"""Storms in channels: their rows, their incidents, and the posts of their messages.

Whoever changes a storm or folds an incident into it has locked the row of its destination.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.home_workspaces import workspace_of_channel
from storage.queries.silences import is_silenced
from storage.queries.visibility import CHANNELS_OF_PROJECTS
from storage.values import ActivityType, PostKind, Status, Urgency

# Pairs of an incident of an alert and a channel where it has no card and is not folded; or where it is folded into a
# storm that goes on, and has become critical or open again after the storm was split.
_NEW = PreparedStatement(
    f"""
SELECT DISTINCT d.id, i.id, n.status = {Status.CRITICAL:d}, f.incident_id IS NOT NULL
FROM unnest(%(incident_ids)s::bigint[], %(workspaces)s::text[]) AS i(id, workspace_id)
JOIN incident n ON n.organization_id = ANY(%(organization_ids)s::bigint[]) AND n.id = i.id
JOIN ({CHANNELS_OF_PROJECTS}) ON ip.organization_id = n.organization_id AND ip.incident_id = n.id
JOIN destination d ON d.channel_id = pc.channel_id AND d.workspace_id =
  {workspace_of_channel("pc.channel_id", "i.workspace_id")}
LEFT JOIN storm_incident f ON f.organization_id = n.organization_id AND f.incident_id = n.id
  AND f.destination_id = d.id AND f.folded
LEFT JOIN storm s ON s.organization_id = f.organization_id AND s.id = f.storm_id
WHERE d.id = ANY(%(destination_ids)s::bigint[]) AND n.source IS NOT NULL AND NOT {is_silenced("n")}
  AND (f.incident_id IS NULL OR (s.date_ended IS NULL AND (
    n.status = {Status.CRITICAL:d} OR (s.date_split IS NOT NULL AND n.status <> {Status.CLOSED:d}))))
  AND NOT EXISTS (SELECT FROM post c WHERE c.organization_id = n.organization_id AND c.incident_id = n.id
                  AND c.destination_id = d.id
                  AND c.kind = '{PostKind.CARD}')
ORDER BY d.id, i.id
"""  # noqa: S608 - composed of constants
)


@dataclass(frozen=True, slots=True)
class NewInChannel:
    """An incident of an alert that is new in a channel."""

    destination_id: int
    incident_id: int
    critical: bool
    folded: bool


def list_new(
    tx: Connection,
    organization_ids: Collection[int],
    incidents: Mapping[int, str | None],
    destination_ids: Sequence[int],
) -> list[NewInChannel]:
    """Returns which of these incidents are new in which of the locked channels, in the order of their ids.

    `incidents` maps incident ids to workspace ids, as for `destinations.lock_destinations`.
    """
    rows = _NEW.rows(
        tx,
        {
            "organization_ids": list(organization_ids),
            "incident_ids": list(incidents),
            "workspaces": list(incidents.values()),
            "destination_ids": list(destination_ids),
        },
    )
    return [NewInChannel(*row) for row in rows]


_CHANNEL = PreparedStatement(
    """
SELECT w.organization_id, coalesce(l.storm_cards, 5), coalesce(l.storm_within_s, 60),
       s.id, s.critical_cards, s.date_split IS NOT NULL
FROM destination d
JOIN workspace w ON w.id = d.workspace_id
LEFT JOIN LATERAL (SELECT p.storm_cards, p.storm_within_s
                   FROM project_channel pc JOIN project p ON p.organization_id = pc.organization_id
                     AND p.id = pc.project_id
                   WHERE pc.channel_id = d.channel_id AND p.organization_id = w.organization_id
                   ORDER BY p.storm_cards, p.storm_within_s DESC LIMIT 1) l ON true
LEFT JOIN storm s ON s.organization_id = w.organization_id AND s.destination_id = d.id AND s.date_ended IS NULL
WHERE d.id = %(id)s::bigint
"""
)


@dataclass(frozen=True, slots=True)
class ChannelState:
    """The limit of a channel, and its storm if one goes on.

    Of several projects in a channel the one that allows the fewest cards counts, and of those the longest time.
    """

    organization_id: int
    cards: int
    within_s: int
    storm_id: int | None
    critical_cards: int | None
    split: bool


def get_channel_state(tx: Connection, destination_id: int) -> ChannelState:
    """Returns the state of a locked channel."""
    row = _CHANNEL.row(tx, {"id": destination_id})
    assert row is not None
    return ChannelState(*row)


def list_recent_cards(
    tx: Connection, organization_id: int, destination_id: int, since: datetime, within_s: int
) -> list[tuple[int, bool, datetime, bool]]:
    """Returns the cards of alerts that a channel got after `since`: incident id, whether it is critical, when, and
    whether the incident had been opened at most `within_s` seconds before.
    """
    rows = tx.exec_driver_sql(
        f"SELECT p.incident_id, i.status = {Status.CRITICAL:d}, p.date_added,"  # noqa: S608 - composed of constants
        " i.date_added > p.date_added - make_interval(secs => %(within_s)s)"
        " FROM post p JOIN incident i ON i.organization_id = p.organization_id AND i.id = p.incident_id"
        " WHERE p.organization_id = %(organization_id)s AND p.destination_id = %(id)s"
        f" AND p.kind = '{PostKind.CARD}' AND p.date_added > %(since)s"
        " AND i.source IS NOT NULL ORDER BY p.date_added, p.id",
        {"organization_id": organization_id, "id": destination_id, "since": since, "within_s": within_s},
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def insert_storm(
    tx: Connection,
    organization_id: int,
    destination_id: int,
    *,
    cards: int,
    within_s: int,
    started: datetime,
    now: datetime,
) -> int:
    """Begins a storm in a channel, with the post of its message. Returns its id."""
    storm_id: int = tx.exec_driver_sql(
        "WITH made AS (INSERT INTO post (organization_id, destination_id, kind, urgency, due_at, date_added)"  # noqa: S608
        f"  VALUES (%(organization_id)s, %(destination_id)s, '{PostKind.STORM}', {Urgency.CHANGE:d}, %(now)s, %(now)s)"
        "  RETURNING id)"
        " INSERT INTO storm (organization_id, destination_id, post_id, cards, within_s, date_started, date_last,"
        "  calm_at)"
        " SELECT %(organization_id)s, %(destination_id)s, made.id, %(cards)s, %(within_s)s, %(started)s, %(now)s,"
        "  %(now)s::timestamptz FROM made RETURNING id",
        {
            "organization_id": organization_id,
            "destination_id": destination_id,
            "cards": cards,
            "within_s": within_s,
            "started": started,
            "now": now,
        },
    ).scalar_one()
    return storm_id


def insert_incidents(
    tx: Connection,
    organization_id: int,
    storm_id: int,
    destination_id: int,
    *,
    with_card: Sequence[int] = (),
    folded: Sequence[int] = (),
) -> None:
    """Adds incidents to a storm: those that have a card in its channel, and those that are folded into its message."""
    tx.exec_driver_sql(
        "INSERT INTO storm_incident (organization_id, storm_id, incident_id, destination_id, folded)"
        " SELECT %(organization_id)s, %(storm_id)s, i.id, %(destination_id)s, i.folded"
        " FROM unnest(%(ids)s::bigint[], %(are_folded)s::boolean[]) AS i(id, folded)"
        " ON CONFLICT (organization_id, storm_id, incident_id) DO UPDATE SET folded = EXCLUDED.folded",
        {
            "organization_id": organization_id,
            "storm_id": storm_id,
            "destination_id": destination_id,
            "ids": [*with_card, *folded],
            "are_folded": [False] * len(with_card) + [True] * len(folded),
        },
    )


def extend_storm(
    tx: Connection,
    organization_id: int,
    storm_id: int,
    *,
    critical_cards: int,
    last: datetime | None,
    calm_at: datetime | None,
) -> None:
    """Records what became of a storm's incidents. `last` and `calm_at` are given if some were added."""
    tx.exec_driver_sql(
        "UPDATE storm SET critical_cards = %(critical_cards)s, date_last = coalesce(%(last)s, date_last),"
        " calm_at = coalesce(%(calm_at)s, calm_at)"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {
            "organization_id": organization_id,
            "id": storm_id,
            "critical_cards": critical_cards,
            "last": last,
            "calm_at": calm_at,
        },
    )


def unfold_incidents(tx: Connection, organization_id: int, destination_id: int, incident_ids: Collection[int]) -> None:
    """Records that these incidents get cards of their own in a channel."""
    tx.exec_driver_sql(
        "UPDATE storm_incident SET folded = false"
        " WHERE organization_id = %(organization_id)s AND destination_id = %(destination_id)s"
        " AND incident_id = ANY(%(ids)s) AND folded",
        {"organization_id": organization_id, "destination_id": destination_id, "ids": sorted(incident_ids)},
    )


def unfold_reopened(tx: Connection, organization_ids: Collection[int], activity_ids: Collection[int]) -> None:
    """Has incidents count as new that were reopened after their storm had ended. The log entries say which."""
    if not activity_ids:
        return
    tx.exec_driver_sql(
        "UPDATE storm_incident si SET folded = false FROM incident_activity a, storm s"  # noqa: S608 - composed of constants
        " WHERE a.organization_id = ANY(%(organization_ids)s) AND a.id = ANY(%(ids)s)"
        f" AND a.type = {ActivityType.STATUS_CHANGE:d}"
        f" AND a.previous_value = {Status.CLOSED:d} AND si.organization_id = a.organization_id"
        " AND si.incident_id = a.incident_id AND si.folded"
        " AND s.organization_id = si.organization_id AND s.id = si.storm_id AND s.date_ended <= a.date_added",
        {"organization_ids": list(organization_ids), "ids": sorted(activity_ids)},
    )


_REDRAW = PreparedStatement(
    """
UPDATE post p SET wanted_version = p.wanted_version + 1,
  due_at = CASE WHEN p.wanted_version > p.drawn_version THEN p.due_at
                ELSE %(now)s + make_interval(secs => %(redraw)s) END
FROM storm s WHERE s.organization_id = p.organization_id AND s.post_id = p.id AND (s.organization_id, s.id) IN (
  SELECT si.organization_id, si.storm_id FROM storm_incident si
  WHERE si.organization_id = ANY(%(organization_ids)s) AND si.incident_id = ANY(%(ids)s))
""",
    {"organization_ids": "bigint[]", "ids": "bigint[]", "now": "timestamptz", "redraw": "float8"},
)


def redraw_storms(
    tx: Connection, organization_ids: Collection[int], incident_ids: Collection[int], now: datetime, within_s: float
) -> None:
    """Makes the messages of storms due that count one of these incidents. The caller has locked their destinations.

    All changes within `within_s` seconds become one update.
    """
    given = {"organization_ids": list(organization_ids), "ids": sorted(incident_ids), "now": now, "redraw": within_s}
    _REDRAW.execute(tx, given)


def lock_calm(tx: Connection, most: int, now: datetime) -> list[tuple[int, int, int]]:
    """Locks the channels of storms that are to end: their organization id, id and destination id.

    Channels that another transaction has locked are left for the next time.
    """
    rows = tx.exec_driver_sql(
        "SELECT s.organization_id, s.id, d.id FROM storm s JOIN destination d ON d.id = s.destination_id"
        " WHERE s.date_ended IS NULL AND s.calm_at <= %(now)s ORDER BY s.calm_at LIMIT %(most)s"
        " FOR UPDATE OF d SKIP LOCKED",
        {"now": now, "most": most},
    ).all()
    return [(row[0], row[1], row[2]) for row in rows]


def end_storm(tx: Connection, organization_id: int, storm_id: int, now: datetime) -> bool:
    """Ends a storm whose channel is locked, if it is still calm there, and makes its message due."""
    ended = tx.exec_driver_sql(
        "WITH ended AS (UPDATE storm SET date_ended = %(now)s WHERE organization_id = %(organization_id)s"
        "  AND id = %(id)s AND date_ended IS NULL AND calm_at <= %(now)s RETURNING post_id)"
        " UPDATE post p SET wanted_version = p.wanted_version + 1,"
        " due_at = CASE WHEN p.wanted_version > p.drawn_version THEN p.due_at ELSE %(now)s END"
        " FROM ended WHERE p.organization_id = %(organization_id)s AND p.id = ended.post_id",
        {"organization_id": organization_id, "id": storm_id, "now": now},
    )
    return bool(ended.rowcount)
