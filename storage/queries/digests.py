"""Digests: the rows themselves, the times they fire, and what they tell, in a number of statements that does not
grow with the number of incidents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from storage.digest_rows import (
    DigestRow,
    Fire,
    LastFire,
    Named,
    News,
    OpenCounts,
    OpenLine,
    OpenPage,
    OpenSeries,
)
from storage.queries.activity import READABLE, entry_from, mentions_of
from storage.queries.list_filter import like
from storage.queries.visibility import SEES_ALL_PROJECTS, VISIBLE_PROJECTS
from storage.rows import Mentions
from storage.values import Status

SEEN_NAMED = 3
# A fire is kept for as long as somebody may turn the pages of its message.
FIRES_KEPT = timedelta(days=35)

_COLUMNS = (
    "d.id, d.organization_id, d.workspace_id, d.channel_id, d.owner_id, d.owner_user_id, m.name, d.name, d.cron,"
    " d.zone, d.filters, d.skip_empty, d.picture, d.grace_minutes, d.next_fire_at, d.last_fire_at, d.date_paused,"
    " d.pause_reason"
)
_DIGEST = f"SELECT {_COLUMNS} FROM digest d JOIN member m ON m.id = d.owner_id"  # noqa: S608


# --- the rows ----------------------------------------------------------------------------------------------


def digest(connection: Connection, organization_id: int, digest_id: int, *, lock: bool = False) -> DigestRow | None:
    """A digest of the organization; with `lock`, its row is held until the transaction ends."""
    row = connection.exec_driver_sql(
        f"{_DIGEST} WHERE d.id = %(id)s AND d.organization_id = %(organization_id)s"
        + (" FOR UPDATE OF d" if lock else ""),
        {"id": digest_id, "organization_id": organization_id},
    ).first()
    return None if row is None else DigestRow(*row)


def digests_for(
    connection: Connection, organization_id: int, channel_id: str | None, member_id: int, most: int
) -> list[tuple[DigestRow, LastFire | None]]:
    """The digests of a channel and those that a member owns, each with what became of it last."""
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS}, f.fire_at, f.state, f.reason FROM digest d JOIN member m ON m.id = d.owner_id"  # noqa: S608
        " LEFT JOIN LATERAL (SELECT fire_at, state, reason FROM digest_fire WHERE digest_id = d.id"
        "                    ORDER BY fire_at DESC LIMIT 1) f ON true"
        " WHERE d.organization_id = %(organization_id)s"
        "   AND (d.channel_id = %(channel_id)s OR d.owner_id = %(member_id)s)"
        " ORDER BY d.channel_id IS DISTINCT FROM %(channel_id)s, d.id LIMIT %(most)s",
        {"organization_id": organization_id, "channel_id": channel_id, "member_id": member_id, "most": most},
    )
    return [(DigestRow(*row[:-3]), None if row[-3] is None else LastFire(row[-3], row[-2], row[-1])) for row in rows]


def insert_digest(tx: Connection, values: Mapping[str, Any]) -> int:
    """Adds a digest; `values` by column. Gives its id."""
    columns = ", ".join(values)
    holders = ", ".join(f"%({column})s" for column in values)
    return int(
        tx.exec_driver_sql(
            f"INSERT INTO digest ({columns}) VALUES ({holders}) RETURNING id",  # noqa: S608
            dict(values),
        ).scalar_one()
    )


def update_digest(tx: Connection, digest_id: int, values: Mapping[str, Any]) -> None:
    """Changes columns of a digest."""
    sets = ", ".join(f"{column} = %({column})s" for column in values)
    tx.exec_driver_sql(
        f"UPDATE digest SET {sets} WHERE id = %(digest_id)s",  # noqa: S608
        {**values, "digest_id": digest_id},
    )


def delete_digest(tx: Connection, digest_id: int) -> None:
    """Removes a digest; what delivery has of it already is still sent."""
    tx.exec_driver_sql("DELETE FROM digest WHERE id = %(id)s", {"id": digest_id})


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A digest as an organization file describes it."""

    id: int
    name: str
    channel_id: str
    owner: str  # e-mail
    cron: str
    zone: str
    filters: str
    skip_empty: bool
    picture: bool
    grace_minutes: int
    paused: bool  # by a person
    stopped: bool  # by itself

    def values(self) -> dict[str, Any]:
        """What the file says of it."""
        fields = "channel_id", "owner", "cron", "zone", "filters", "skip_empty", "picture", "grace_minutes"
        return {field: getattr(self, field) for field in fields}


def digests_of_file(connection: Connection, organization_id: int) -> list[FileDigest]:
    """The digests that an organization file made."""
    rows = connection.exec_driver_sql(
        "SELECT d.id, d.name, d.channel_id, m.email, d.cron, d.zone, d.filters, d.skip_empty, d.picture,"
        " d.grace_minutes, d.date_paused IS NOT NULL AND d.pause_reason IS NULL, d.pause_reason IS NOT NULL"
        " FROM digest d JOIN member m ON m.id = d.owner_id"
        " WHERE d.organization_id = %(id)s AND d.name IS NOT NULL ORDER BY d.name",
        {"id": organization_id},
    )
    return [FileDigest(*row) for row in rows]


# --- whose it is -------------------------------------------------------------------------------------------

_OWNER = f"""
SELECT o.id, o.name, o.incidents, o.open_membership, o.shared_channels,
       m.id, m.name, m.email, m.role, m.superuser, m.date_removed IS NULL,
       {SEES_ALL_PROJECTS},
       ARRAY(SELECT mt.team_id FROM member_team mt WHERE mt.member_id = m.id),
       {VISIBLE_PROJECTS},
       p.user_id IS NULL OR p.member_id = m.id, p.date_checked
FROM digest d
JOIN organization o ON o.id = d.organization_id
JOIN member m ON m.id = d.owner_id
LEFT JOIN slack_person p ON p.workspace_id = d.workspace_id AND p.user_id = d.owner_user_id
WHERE d.id = %(digest_id)s
"""  # noqa: S608 - composed of constants


@dataclass(frozen=True, slots=True)
class Owner:
    """A digest's owner, and what they may see now."""

    organization_id: int
    organization_name: str
    incidents_on: bool
    open_membership: bool
    shared_channels: bool
    member_id: int
    name: str
    email: str
    role: str
    superuser: bool
    present: bool  # False: no longer a member
    sees_all: bool
    team_ids: list[int]
    project_ids: list[int]
    same_person: bool  # False: whom Slack knows by the id that made it is no longer this member
    date_checked: datetime | None  # when Slack was last asked about them


def owner(connection: Connection, digest_id: int) -> Owner | None:
    """Whose digest it is; None when there is no such digest."""
    row = connection.exec_driver_sql(_OWNER, {"digest_id": digest_id}).first()
    return None if row is None else Owner(*row)


def open_to_all(connection: Connection, organization_id: int) -> bool:
    """Whether every member of the organization sees every project."""
    return bool(
        connection.exec_driver_sql(
            "SELECT open_membership FROM organization WHERE id = %(id)s", {"id": organization_id}
        ).scalar_one()
    )


def managers(connection: Connection, organization_id: int) -> list[int]:
    """The members who are told what nobody else is there to be told: managers and owners."""
    return [
        row[0]
        for row in connection.exec_driver_sql(
            "SELECT id FROM member WHERE organization_id = %(id)s AND date_removed IS NULL"
            " AND role IN ('manager', 'owner') ORDER BY id",
            {"id": organization_id},
        )
    ]


# --- when they fire ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """A digest whose time has come; its row is held."""

    id: int
    cron: str
    zone: str
    grace_minutes: int
    next_fire_at: datetime
    last_fire_at: datetime | None


def take_due(tx: Connection, now: datetime, most: int) -> list[Due]:
    """Up to `most` digests whose time has come and that no other replica is seeing to, their rows held."""
    return [
        Due(*row)
        for row in tx.exec_driver_sql(
            "SELECT id, cron, zone, grace_minutes, next_fire_at, last_fire_at FROM digest"
            " WHERE next_fire_at <= %(now)s ORDER BY next_fire_at LIMIT %(most)s FOR UPDATE SKIP LOCKED",
            {"now": now, "most": most},
        )
    ]


@dataclass(frozen=True, slots=True)
class Move:
    """What a digest whose time had come does: when it is told now, if it is, and its next time."""

    digest_id: int
    next_fire_at: datetime
    fire_at: datetime | None = None
    since: datetime | None = None


def move_on(tx: Connection, moves: Sequence[Move], now: datetime) -> int:
    """Writes the fires of these digests and moves their next times on; gives how many fires were new."""
    told = [move for move in moves if move.fire_at is not None]
    parameters = {
        "ids": [move.digest_id for move in moves],
        "next": [move.next_fire_at for move in moves],
        "told": [move.digest_id for move in told],
        "fire": [move.fire_at for move in told],
        "since": [move.since for move in told],
        "kept": now - FIRES_KEPT,
    }
    new = tx.exec_driver_sql(
        "INSERT INTO digest_fire (digest_id, fire_at, since)"
        " SELECT * FROM unnest(%(told)s::bigint[], %(fire)s::timestamptz[], %(since)s::timestamptz[])"
        " ON CONFLICT (digest_id, fire_at) DO NOTHING",
        parameters,
    ).rowcount
    tx.exec_driver_sql(
        "UPDATE digest d SET next_fire_at = v.next_at FROM unnest(%(ids)s::bigint[], %(next)s::timestamptz[])"
        " AS v(id, next_at) WHERE d.id = v.id",
        parameters,
    )
    tx.exec_driver_sql(
        "UPDATE digest d SET last_fire_at = v.fire_at"
        " FROM unnest(%(told)s::bigint[], %(fire)s::timestamptz[]) AS v(id, fire_at) WHERE d.id = v.id",
        parameters,
    )
    tx.exec_driver_sql("DELETE FROM digest_fire WHERE digest_id = ANY(%(told)s) AND fire_at < %(kept)s", parameters)
    return new


def fire_by_hand(tx: Connection, digest_id: int, fire_at: datetime, since: datetime) -> int:
    """Has a digest told now, beside its schedule; gives the fire's id."""
    return int(
        tx.exec_driver_sql(
            "INSERT INTO digest_fire (digest_id, fire_at, since, by_hand)"
            " VALUES (%(id)s, %(fire)s, %(since)s, true) RETURNING id",
            {"id": digest_id, "fire": fire_at, "since": since},
        ).scalar_one()
    )


_FIRE = "f.id, f.digest_id, f.fire_at, f.since, f.by_hand, f.file_id, f.picture_says"


def lease_fire(connection: Connection, now: datetime, seconds: float) -> tuple[Fire, DigestRow] | None:
    """The next fire that is to be drawn, this replica's for so long; None when there is none."""
    row = connection.exec_driver_sql(
        "UPDATE digest_fire f SET leased_until = %(until)s"  # noqa: S608
        " FROM digest d JOIN member m ON m.id = d.owner_id"
        " WHERE d.id = f.digest_id AND f.id = (SELECT id FROM digest_fire WHERE state = 'due'"
        "   AND (leased_until IS NULL OR leased_until < %(now)s)"
        "   ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
        f" RETURNING {_FIRE}, {_COLUMNS}",
        {"now": now, "until": now + timedelta(seconds=seconds)},
    ).first()
    return None if row is None else (Fire(*row[:7]), DigestRow(*row[7:]))


def give_back(connection: Connection, fire_id: int, now: datetime, seconds: float) -> None:
    """A fire could not be drawn now: it is tried again, by whoever, in so many seconds."""
    connection.exec_driver_sql(
        "UPDATE digest_fire SET leased_until = %(until)s WHERE id = %(id)s AND state = 'due'",
        {"id": fire_id, "until": now + timedelta(seconds=seconds)},
    )


def finish_fire(
    tx: Connection,
    fire_id: int,
    state: str,
    *,
    reason: str | None = None,
    file_id: str | None = None,
    picture_says: str | None = None,
) -> bool:
    """Ends a fire that was to be drawn; False when another replica has ended it."""
    return bool(
        tx.exec_driver_sql(
            "UPDATE digest_fire SET state = %(state)s, reason = %(reason)s, file_id = %(file_id)s,"
            " picture_says = %(picture_says)s, leased_until = NULL WHERE id = %(id)s AND state = 'due'",
            {"id": fire_id, "state": state, "reason": reason, "file_id": file_id, "picture_says": picture_says},
        ).rowcount
    )


def handed_over(tx: Connection, fire_id: int, post_id: int | None) -> None:
    """Notes which post delivery made of a fire."""
    tx.exec_driver_sql(
        "UPDATE digest_fire SET post_id = %(post_id)s WHERE id = %(id)s", {"id": fire_id, "post_id": post_id}
    )


def fire(connection: Connection, digest_id: int, fire_id: int) -> Fire | None:
    """One time that a digest was told."""
    row = connection.exec_driver_sql(
        f"SELECT {_FIRE} FROM digest_fire f WHERE f.id = %(id)s AND f.digest_id = %(digest_id)s",  # noqa: S608
        {"id": fire_id, "digest_id": digest_id},
    ).first()
    return None if row is None else Fire(*row)


def settle_posted(tx: Connection) -> list[tuple[int, str]]:
    """Takes over what became of the posts of fires; gives the digests whose message could not be sent, and why."""
    rows = tx.exec_driver_sql(
        "UPDATE digest_fire f SET state = CASE WHEN v.reason IS NULL THEN 'sent' ELSE 'failed' END,"
        " reason = v.reason"
        " FROM (SELECT u.id, p.failed_reason AS reason FROM digest_fire u LEFT JOIN post p ON p.id = u.post_id"
        "       WHERE u.state = 'posted' AND (p.id IS NULL OR p.date_done IS NOT NULL)"
        "       FOR UPDATE OF u SKIP LOCKED) v"
        " WHERE f.id = v.id RETURNING f.digest_id, f.reason"
    )
    return [(digest_id, reason) for digest_id, reason in rows if reason is not None]


def pause(tx: Connection, digest_id: int, reason: str | None, now: datetime) -> DigestRow | None:
    """Pauses a digest; None when it was paused before or is gone."""
    row = tx.exec_driver_sql(
        "UPDATE digest d SET next_fire_at = NULL, date_paused = %(now)s, pause_reason = %(reason)s"  # noqa: S608
        " FROM member m WHERE m.id = d.owner_id AND d.id = %(id)s AND d.date_paused IS NULL"
        f" RETURNING {_COLUMNS}",
        {"id": digest_id, "reason": reason, "now": now},
    ).first()
    return None if row is None else DigestRow(*row)


# --- what they tell ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """Which incidents a digest tells of."""

    organization_id: int
    project_ids: Sequence[int]  # never more than the owner sees
    status: Status | None = None  # only this severity
    words: tuple[str, ...] = ()
    team_ids: tuple[int, ...] | None = None  # NO_TEAM stands for "no team owns it"
    environment: str | None = None
    until: datetime | None = None  # leaves out what started after
    unseen: bool = False  # only what nobody has acknowledged


# Severity of an incident that is resolved: what it was before. Nobody writes CLOSED there.
_SEVERITY = "CASE WHEN i.status = 2 THEN coalesce(i.status_before_closing, 1) ELSE i.status END"


class _Statement:
    """The incidents of a scope as the beginning of a statement, and its parameters."""

    def __init__(self, scope: Scope) -> None:
        self.parameters: dict[str, Any] = {
            "organization_id": scope.organization_id,
            "project_ids": list(scope.project_ids),
        }
        of_link = ["ip.project_id = ANY(%(project_ids)s)"]
        self._of_incident: list[str] = []
        if scope.team_ids is not None:
            of_link.append("ip.team_id = ANY(%(team_ids)s)")
            self.parameters["team_ids"] = list(scope.team_ids)
        if scope.until is not None:
            of_link.append("ip.started <= %(until)s")
            self.parameters["until"] = scope.until
        if scope.status is not None:
            self._of_incident.append(f"{_SEVERITY} = %(status)s")
            self.parameters["status"] = int(scope.status)
        for number, word in enumerate(scope.words):
            self._of_incident.append(f"i.title ILIKE %(word{number})s")
            self.parameters[f"word{number}"] = like(word)
        if scope.environment is not None:
            self._of_incident.append("lower(i.environment) = lower(%(environment)s)")
            self.parameters["environment"] = scope.environment
        self._unseen = scope.unseen
        self._of_link = " AND ".join(of_link)

    def of_open(self, select: str) -> str:
        """A select from `shown`: what is open, with whether anybody has seen it."""
        conditions = [*self._of_incident, "i.status <> 2"]
        unseen = "WHERE NOT shown_all.seen" if self._unseen else ""
        return f"""WITH shown AS MATERIALIZED (SELECT * FROM (
          SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started, team.name AS team,
                 EXISTS (SELECT FROM incident_seen s WHERE s.incident_id = i.id) AS seen
          FROM (SELECT DISTINCT ip.incident_id FROM incident_project ip
                WHERE {self._of_link} AND ip.status <> 2) link
          JOIN incident i ON i.id = link.incident_id LEFT JOIN team ON team.id = i.team_id
          WHERE {" AND ".join(conditions)}) shown_all {unseen}) {select}"""  # noqa: S608

    def of_lately(self, select: str) -> str:
        """A select from `lately`: what is open, and what was resolved since `%(since)s`.

        OFFSET 0 has the projects of what was resolved looked up, where a join would go through all there ever was;
        and they are looked up by the incident alone (+ 0), because an index searches anew for each of an array.
        """
        looked_up = self._of_link.replace("ip.project_id =", "ip.project_id + 0 =")
        conditions = " AND ".join(self._of_incident) or "true"
        columns = f"i.id, i.identifier, i.title, {_SEVERITY} AS severity, i.date_started, i.date_added, i.date_closed"
        return f"""WITH lately AS MATERIALIZED (
          SELECT {columns}
          FROM (SELECT DISTINCT ip.incident_id FROM incident_project ip
                WHERE {self._of_link} AND ip.status <> 2) link
          JOIN incident i ON i.id = link.incident_id WHERE i.status <> 2 AND {conditions}
          UNION ALL
          SELECT {columns} FROM incident i
          WHERE i.organization_id = %(organization_id)s AND i.status = 2 AND i.date_closed > %(since)s
            AND EXISTS (SELECT FROM incident_project ip
                        WHERE ip.incident_id = i.id AND {looked_up} OFFSET 0)
            AND {conditions}) {select}"""  # noqa: S608


def open_counts(connection: Connection, scope: Scope) -> OpenCounts:
    """Everything that is open, in numbers."""
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        statement.of_open(
            "SELECT team, status, count(*), count(*) FILTER (WHERE NOT seen), min(date_started)"
            " FROM shown GROUP BY team, status"
        ),
        statement.parameters,
    ).all()
    by_status: dict[Status, int] = {}
    by_team: dict[str | None, int] = {}
    for team, status, count, _, _ in rows:
        by_status[Status(status)] = by_status.get(Status(status), 0) + count
        by_team[team] = by_team.get(team, 0) + count
    return OpenCounts(by_status, by_team, sum(row[3] for row in rows), min((row[4] for row in rows), default=None))


def open_page(connection: Connection, scope: Scope, workspace_id: str, *, skip: int, size: int) -> OpenPage:
    """Some of what is open, by team; the unacknowledged first, then the oldest."""
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        statement.of_open(f"""SELECT p.id, p.identifier, p.title, p.status, p.environment, p.date_started, p.team,
             ARRAY(SELECT m.name FROM incident_seen s JOIN member m ON m.id = s.member_id
                   WHERE s.incident_id = p.id ORDER BY s.last_seen DESC, s.member_id LIMIT %(seen_named)s),
             (SELECT count(*) FROM incident_seen s WHERE s.incident_id = p.id),
             latest.id, latest.type, latest.member_id, latest.name, latest.value, latest.previous_value,
             latest.comment, latest.date_added, latest.date_edited
           FROM (SELECT * FROM shown ORDER BY team IS NULL, team, seen, date_started, id
                 LIMIT %(size)s OFFSET %(skip)s) p
           LEFT JOIN LATERAL (SELECT a.*, m.name FROM incident_activity a LEFT JOIN member m ON m.id = a.member_id
                              WHERE a.incident_id = p.id AND {READABLE}
                              ORDER BY a.date_added DESC, a.id DESC LIMIT 1) latest ON true
           ORDER BY p.team IS NULL, p.team, p.seen, p.date_started, p.id"""),  # noqa: S608
        {**statement.parameters, "skip": skip, "size": size, "seen_named": SEEN_NAMED},
    ).all()
    lines = [
        OpenLine(
            id=row[0],
            identifier=row[1],
            title=row[2],
            status=Status(row[3]),
            environment=row[4],
            date_started=row[5],
            team=row[6],
            seen_by=row[7],
            seen_count=row[8],
            latest=None if row[9] is None else entry_from(row[9:18]),
        )
        for row in rows
    ]
    comments = [line.latest.id for line in lines if line.latest and line.latest.comment is not None]
    return OpenPage(lines, mentions_of(connection, comments, workspace_id) if comments else Mentions())


def news(connection: Connection, scope: Scope, since: datetime, *, named: int) -> News:
    """What happened since a moment, naming the `named` latest of what was opened and resolved."""
    statement = _Statement(scope)
    row = connection.exec_driver_sql(
        statement.of_lately(""", opened AS (SELECT * FROM lately WHERE date_added > %(since)s),
             resolved AS (SELECT * FROM lately WHERE date_closed > %(since)s)
           SELECT (SELECT count(*) FROM opened), (SELECT count(*) FROM resolved),
             (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(epoch FROM s.first_seen - l.date_started))
              FROM lately l CROSS JOIN LATERAL (SELECT min(first_seen) AS first_seen FROM incident_seen s
                                                WHERE s.incident_id = l.id) s WHERE s.first_seen > %(since)s),
             (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(epoch FROM date_closed - date_started))
              FROM resolved),
             ARRAY(SELECT identifier FROM opened ORDER BY date_added DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT title FROM opened ORDER BY date_added DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT identifier FROM resolved ORDER BY date_closed DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT title FROM resolved ORDER BY date_closed DESC, id DESC LIMIT %(named)s)"""),
        {**statement.parameters, "since": since, "named": named},
    ).one()
    return News(
        since,
        row[0],
        row[1],
        _seconds(row[2]),
        _seconds(row[3]),
        [Named(*pair) for pair in zip(row[4], row[5], strict=True)],
        [Named(*pair) for pair in zip(row[6], row[7], strict=True)],
    )


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=max(0.0, float(value)))


def open_series(connection: Connection, scope: Scope, moments: Sequence[datetime]) -> OpenSeries:
    """How many were open at each of these moments (ascending), by severity."""
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        statement.of_lately("""SELECT severity, width_bucket(date_started, %(moments)s::timestamptz[]),
                     width_bucket(date_closed, %(moments)s::timestamptz[]), count(*)
              FROM lately GROUP BY 1, 2, 3"""),
        {**statement.parameters, "since": moments[0], "moments": list(moments)},
    )
    counts: dict[Status, list[int]] = {status: [0] * len(moments) for status in Status if status is not Status.CLOSED}
    for severity, started, closed, count in rows:
        # A bucket is the number of moments before it: open from the first one behind its start to the last one
        # before its end.
        for place in range(started, len(moments) if closed is None else closed):
            counts[Status(severity)][place] += count
    return OpenSeries(tuple(moments), counts)
