"""Posts on their way to Slack: leasing a destination, choosing what to send there, writing down what came of it.

Times are the database's, so that replicas whose clocks differ, or jump, agree on pace and leases.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.queries.outbox import look_again, written

# How long before a posting began a conversation is searched for it: what is known of Slack's clock is not exact.
_LOOKED_BEFORE_S = 60.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send to one destination for a while; `number` tells an old one from the present one."""

    destination_id: int
    number: int


def lease(connection: Connection, workspaces: Collection[str], count: int, seconds: float) -> list[Lease]:
    """Up to `count` destinations that are due and nobody's, the most urgent first; theirs for `seconds`."""
    rows = connection.exec_driver_sql(
        "UPDATE destination d SET leased_until = now() + make_interval(secs => %(seconds)s), lease = d.lease + 1"
        " FROM (SELECT f.id FROM unnest(ARRAY[0, 1, 2, 3]) WITH ORDINALITY AS u(urgency, place)"
        "       CROSS JOIN LATERAL (SELECT id FROM destination"
        "                           WHERE urgency = u.urgency AND due_at <= now()"
        "                             AND (leased_until IS NULL OR leased_until <= now())"
        "                             AND workspace_id = ANY(%(workspaces)s)"
        "                           ORDER BY due_at LIMIT %(count)s FOR UPDATE SKIP LOCKED) f"
        "       ORDER BY u.place LIMIT %(count)s) picked"
        " WHERE d.id = picked.id RETURNING d.id, d.lease, d.urgency",
        {"seconds": seconds, "workspaces": sorted(workspaces), "count": count},
    ).all()
    return [Lease(id_, number) for id_, number, _ in sorted(rows, key=lambda row: int(row[2]))]


def seconds_to_next(connection: Connection, workspaces: Collection[str]) -> float | None:
    """How long until the next destination is due that is not due yet; None when none will be."""
    found: float | None = connection.exec_driver_sql(
        "SELECT EXTRACT(epoch FROM min(n.due_at) - now())::float8 FROM unnest(ARRAY[0, 1, 2, 3]) AS u(urgency)"
        " CROSS JOIN LATERAL (SELECT due_at FROM destination WHERE urgency = u.urgency AND due_at > now()"
        "                     AND workspace_id = ANY(%(workspaces)s) ORDER BY due_at LIMIT 1) n",
        {"workspaces": sorted(workspaces)},
    ).scalar()
    return found


@dataclass(frozen=True, slots=True)
class Target:
    """A destination, held, with what is known of it."""

    id: int
    workspace_id: str
    channel_id: str | None
    user_id: str | None  # of a person: what Slack calls them, where that is known
    member_id: int | None
    conversation_id: str | None
    failures: int
    failed_reason: str | None
    last_ts: str | None
    is_shared: bool | None
    is_private: bool | None
    is_member: bool | None
    checked_s_ago: float | None  # a channel: since Slack was asked about it; a person: likewise
    organization_id: int
    incidents_on: bool
    shared_allowed: bool
    email: str | None
    by_file: bool  # the organization file names the person's Slack id


_TARGET = """
SELECT d.id, d.workspace_id, d.channel_id, coalesce(d.user_id, m.slack_user_id, p.user_id), d.member_id,
       d.conversation_id, d.failures, d.failed_reason, d.last_ts, d.is_shared, d.is_private, d.is_member,
       EXTRACT(epoch FROM now() - CASE WHEN d.channel_id IS NULL
                                       THEN p.date_checked ELSE d.date_checked END)::float8,
       o.id, o.incidents, o.shared_channels, m.email, m.slack_user_id IS NOT NULL
FROM destination d
JOIN workspace w ON w.id = d.workspace_id
JOIN organization o ON o.id = w.organization_id
LEFT JOIN member m ON m.id = d.member_id
LEFT JOIN LATERAL (SELECT user_id, date_checked FROM slack_person
                   WHERE workspace_id = d.workspace_id AND member_id = d.member_id
                   ORDER BY date_checked DESC NULLS LAST LIMIT 1) p ON true
WHERE d.id = %(id)s AND d.lease = %(number)s AND d.leased_until IS NOT NULL
FOR UPDATE OF d
"""


def hold(tx: Connection, held: Lease) -> Target | None:
    """The leased destination, its row locked until the transaction ends; None when the lease is another's now."""
    row = tx.exec_driver_sql(_TARGET, {"id": held.destination_id, "number": held.number}).first()
    return None if row is None else Target(*row)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A post that is due."""

    id: int
    kind: str
    incident_id: int | None
    activity_id: int | None
    card_id: int | None
    key: str | None
    message: dict[str, object] | None
    wanted_version: int
    generation: int
    begun_at: float | None  # when a posting was begun of which nobody knows what came; seconds, by Slack's clock
    attempts: int
    after_ts: str | None
    searched_to: str | None
    ts: str | None
    drawn_hash: str | None
    has_slot: bool
    waited_s: float  # since it was asked for


def next_post(tx: Connection, destination_id: int) -> Waiting | None:
    """What is to be sent there first, of what is due."""
    row = tx.exec_driver_sql(
        "SELECT id, kind, incident_id, activity_id, card_id, key, message, wanted_version, generation,"
        " EXTRACT(epoch FROM attempted_at)::float8, attempts, after_ts, searched_to, ts, drawn_hash,"
        " slot_at IS NOT NULL AND slot_at <= now(),"
        " EXTRACT(epoch FROM now() - date_added)::float8"
        " FROM post WHERE destination_id = %(id)s AND wanted_version > drawn_version AND due_at <= now()"
        " ORDER BY urgency, due_at, id LIMIT 1",
        {"id": destination_id},
    ).first()
    if row is None:
        return None
    values: list[Any] = list(row)
    return Waiting(*values)


def begin(tx: Connection, post: Waiting, target: Target, slack_now: float, settles_in_s: float) -> None:
    """Notes that a posting begins, `slack_now` seconds since the epoch by Slack's clock. Unless it is settled, it
    counts as unknown, to be looked into after `settles_in_s` seconds.

    When that is, and how far back to look, must not depend on a clock of ours: one that jumps would have the
    message missed, and posted again.
    """
    before = f"{slack_now - _LOOKED_BEFORE_S:.6f}"
    tx.exec_driver_sql(
        "UPDATE post SET attempted_at = to_timestamp(%(begun)s), attempts = attempts + 1, searched_to = NULL,"
        " after_ts = %(after)s, due_at = now() + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {"id": post.id, "begun": slack_now, "after": max(before, target.last_ts or ""), "seconds": settles_in_s},
    )


def settled(
    tx: Connection,
    post: Waiting,
    *,
    ts: str | None,
    version: int | None = None,
    drawn_hash: str | None = None,
    failed_reason: str | None = None,
    done: bool = False,
) -> None:
    """Writes down that a post stands as it was wanted (or is given up); `done`: it will never change again.

    `version` is what it shows, where that is not what was wanted.
    """
    tx.exec_driver_sql(
        "UPDATE post SET ts = %(ts)s, drawn_version = GREATEST(drawn_version, %(version)s),"
        " drawn_hash = %(hash)s, failed_reason = %(reason)s, attempted_at = NULL, slot_at = NULL, due_at = now(),"
        " date_done = CASE WHEN %(done)s THEN now() END"
        " WHERE id = %(id)s",
        {
            "id": post.id,
            "ts": ts,
            "version": post.wanted_version if version is None else version,
            "hash": drawn_hash,
            "reason": failed_reason,
            "done": done,
        },
    )


def settled_late(tx: Connection, post: Waiting, ts: str) -> None:
    """Keeps the outcome of a posting whose lease has meanwhile ended, unless somebody has begun it again."""
    tx.exec_driver_sql(
        "UPDATE post SET ts = %(ts)s, drawn_version = GREATEST(drawn_version, %(version)s), attempted_at = NULL,"
        " due_at = now(), date_done = CASE WHEN kind IN ('notification', 'digest', 'note') THEN now() END"
        " WHERE id = %(id)s AND ts IS NULL AND generation = %(generation)s AND attempts = %(attempts)s + 1",
        {
            "id": post.id,
            "ts": ts,
            "version": post.wanted_version,
            "generation": post.generation,
            "attempts": post.attempts,
        },
    )


def ts_of(connection: Connection, post_id: int) -> str | None:
    """By what Slack knows the message of a post."""
    ts: str | None = connection.exec_driver_sql("SELECT ts FROM post WHERE id = %(id)s", {"id": post_id}).scalar()
    return ts


def unsent(tx: Connection, post: Waiting) -> None:
    """Writes down that a posting that had begun has certainly not happened."""
    tx.exec_driver_sql(
        "UPDATE post SET attempted_at = NULL, searched_to = NULL, due_at = now() WHERE id = %(id)s",
        {"id": post.id},
    )


def searched(tx: Connection, post: Waiting, to_ts: str) -> None:
    """Writes down how far back a conversation has been searched for a post whose outcome is unknown."""
    tx.exec_driver_sql("UPDATE post SET searched_to = %(to)s WHERE id = %(id)s", {"id": post.id, "to": to_ts})


def post_later(tx: Connection, post: Waiting, seconds: float) -> None:
    """Puts off one post, and nothing else that waits for its destination."""
    tx.exec_driver_sql(
        "UPDATE post SET due_at = now() + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {"id": post.id, "seconds": seconds},
    )


def post_anew(tx: Connection, post: Waiting) -> None:
    """Somebody deleted the message: it is to be posted again, as another one."""
    tx.exec_driver_sql(
        "UPDATE post SET ts = NULL, generation = generation + 1, drawn_hash = NULL, attempted_at = NULL,"
        " due_at = now() WHERE id = %(id)s",
        {"id": post.id},
    )


def release(
    tx: Connection,
    target: Target,
    *,
    pause_s: float = 0.0,
    sent_ts: str | None = None,
    conversation_id: str | None = None,
    failures: int = 0,
) -> None:
    """Gives a destination back; it is next due when `pause_s` seconds have passed and something waits for it."""
    tx.exec_driver_sql(
        "UPDATE destination SET leased_until = NULL,"
        " next_send_at = GREATEST(next_send_at, clock_timestamp() + make_interval(secs => %(pause)s)),"
        " last_ts = coalesce(%(ts)s, last_ts), conversation_id = coalesce(%(conversation)s, conversation_id),"
        " failures = %(failures)s,"
        " failed_reason = CASE WHEN %(ts)s::text IS NULL THEN failed_reason END"
        " WHERE id = %(id)s",
        {
            "id": target.id,
            "pause": pause_s,
            "ts": sent_ts,
            "conversation": conversation_id,
            "failures": failures,
        },
    )
    look_again(tx, [target.id])


def fail(tx: Connection, target: Target, reason: str, pause_s: float, *, ask_again: bool = True) -> int:
    """What waits for the destination cannot arrive there: one-time messages are given up, what shows a state is
    tried again with the next change, though not within `pause_s` seconds. Gives how many posts that ends.

    With `ask_again` Slack is asked about a channel once more before that.
    """
    ended = tx.exec_driver_sql(
        "UPDATE post SET drawn_version = wanted_version, failed_reason = %(reason)s, attempted_at = NULL,"
        " slot_at = NULL, date_done = CASE WHEN kind IN ('notification', 'digest', 'note') THEN now() END"
        " WHERE destination_id = %(id)s AND wanted_version > drawn_version",
        {"id": target.id, "reason": reason},
    ).rowcount
    tx.exec_driver_sql(
        "UPDATE destination SET failed_reason = %(reason)s, failed_at = now(), failures = failures + 1,"
        " leased_until = NULL,"
        " due_at = NULL, date_checked = CASE WHEN %(ask)s THEN NULL ELSE date_checked END,"
        " next_send_at = now() + make_interval(secs => %(pause)s) WHERE id = %(id)s",
        {"id": target.id, "reason": reason, "pause": pause_s, "ask": ask_again},
    )
    return ended


def recover(tx: Connection, workspace_id: str, channel_id: str) -> bool:
    """A channel may take messages again (unarchived, the bot invited): what failed to show a state there is due.

    Cards of incidents that were resolved before they could be posted stay unposted. Gives whether the channel is
    known at all.
    """
    row = tx.exec_driver_sql(
        "SELECT id FROM destination WHERE workspace_id = %(workspace)s AND channel_id = %(channel)s FOR UPDATE",
        {"workspace": workspace_id, "channel": channel_id},
    ).first()
    if row is None:
        return False
    tx.exec_driver_sql(
        "UPDATE destination SET failed_reason = NULL, failed_at = NULL, failures = 0, is_member = NULL,"
        " date_checked = NULL, next_send_at = now() WHERE id = %(id)s",
        {"id": row[0]},
    )
    tx.exec_driver_sql(
        "UPDATE post p SET wanted_version = wanted_version + 1, failed_reason = NULL, due_at = now()"
        " FROM incident i WHERE i.id = p.incident_id AND p.destination_id = %(id)s"
        " AND p.kind IN ('card', 'mirror', 'amendment') AND p.failed_reason IS NOT NULL"
        " AND (p.ts IS NOT NULL OR i.status <> 2)",
        {"id": row[0]},
    )
    look_again(tx, [row[0]])
    written(tx)
    return True


def recover_oldest(tx: Connection, failed_for_s: float, most: int) -> int:
    """Has channels that took nothing for so long tried again, in case nobody said that they do again."""
    rows = tx.exec_driver_sql(
        "SELECT workspace_id, channel_id FROM destination WHERE failed_reason IS NOT NULL AND channel_id IS NOT NULL"
        " AND failed_at < now() - make_interval(secs => %(seconds)s) ORDER BY failed_at LIMIT %(most)s",
        {"seconds": failed_for_s, "most": most},
    ).all()
    for workspace_id, channel_id in rows:
        recover(tx, workspace_id, channel_id)
    return len(rows)


def channel_changed(tx: Connection, workspace_id: str, channel_id: str) -> None:
    """Something about a channel is no longer as Slack said: it is asked again before it is next posted to."""
    tx.exec_driver_sql(
        "UPDATE destination SET date_checked = NULL, is_member = NULL"
        " WHERE workspace_id = %(workspace)s AND channel_id = %(channel)s",
        {"workspace": workspace_id, "channel": channel_id},
    )


def channel_learnt(
    tx: Connection, target: Target, *, name: str, is_private: bool, is_shared: bool, is_member: bool
) -> None:
    """Keeps what Slack said of a channel."""
    tx.exec_driver_sql(
        "UPDATE destination SET name = %(name)s, is_private = %(private)s, is_shared = %(shared)s,"
        " is_member = %(member)s, date_checked = now() WHERE id = %(id)s",
        {"id": target.id, "name": name, "private": is_private, "shared": is_shared, "member": is_member},
    )


# --- the pace of a whole workspace -------------------------------------------------------------------------


def take_slot(tx: Connection, workspace_id: str, method: str, interval_s: float, burst: int) -> float:
    """A place in the pace of a method: in how many seconds it may be called. 0: now.

    `burst` calls may come at once; each takes `interval_s` of the time ahead.
    """
    wait: float = tx.exec_driver_sql(
        "INSERT INTO method_pace AS m (workspace_id, method, spoken_for_until)"
        " VALUES (%(workspace)s, %(method)s, now() + make_interval(secs => %(interval)s))"
        " ON CONFLICT (workspace_id, method) DO UPDATE"
        " SET spoken_for_until = GREATEST(m.spoken_for_until, now()) + make_interval(secs => %(interval)s)"
        " RETURNING EXTRACT(epoch FROM m.spoken_for_until - now())::float8",
        {"workspace": workspace_id, "method": method, "interval": interval_s},
    ).scalar_one()
    return max(0.0, wait - interval_s * burst)


def slot_given(tx: Connection, post: Waiting, seconds: float) -> None:
    """A post waits for its place in the workspace's pace."""
    tx.exec_driver_sql(
        "UPDATE post SET slot_at = now() + make_interval(secs => %(seconds)s),"
        " due_at = now() + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {"id": post.id, "seconds": seconds},
    )


def block_method(tx: Connection, workspace_id: str, method: str, seconds: float) -> None:
    """Slack said that a method must not be called for so long in a workspace."""
    tx.exec_driver_sql(
        "INSERT INTO method_pace AS m (workspace_id, method, spoken_for_until)"
        " VALUES (%(workspace)s, %(method)s, now() + make_interval(secs => %(seconds)s))"
        " ON CONFLICT (workspace_id, method) DO UPDATE"
        " SET spoken_for_until = GREATEST(m.spoken_for_until, EXCLUDED.spoken_for_until)",
        {"workspace": workspace_id, "method": method, "seconds": seconds},
    )


# --- a workspace that takes nothing ------------------------------------------------------------------------


def pause(tx: Connection, workspace_id: str, reason: str, seconds: float) -> bool:
    """Nothing is sent to a workspace for a while; True when that is news."""
    was: str | None = tx.exec_driver_sql(
        "SELECT paused_reason FROM workspace WHERE id = %(id)s FOR UPDATE", {"id": workspace_id}
    ).scalar()
    tx.exec_driver_sql(
        "UPDATE workspace SET paused_reason = %(reason)s, paused_until = now() + make_interval(secs => %(s)s)"
        " WHERE id = %(id)s",
        {"id": workspace_id, "reason": reason, "s": seconds},
    )
    return was is None


def resume(tx: Connection, workspace_id: str) -> bool:
    """A workspace takes messages again; True when that is news."""
    return bool(
        tx.exec_driver_sql(
            "UPDATE workspace SET paused_reason = NULL, paused_until = NULL"
            " WHERE id = %(id)s AND paused_reason IS NOT NULL",
            {"id": workspace_id},
        ).rowcount
    )


def paused(connection: Connection) -> dict[str, tuple[str, float]]:
    """The workspaces that take nothing: why, and in how many seconds it is tried again."""
    rows = connection.exec_driver_sql(
        "SELECT id, paused_reason, EXTRACT(epoch FROM paused_until - now())::float8"
        " FROM workspace WHERE paused_reason IS NOT NULL"
    )
    return {id_: (reason, seconds) for id_, reason, seconds in rows}


# --- a clock that is set back -------------------------------------------------------------------------------


def database_now(connection: Connection) -> float:
    """What time it is for the database, in seconds since the epoch."""
    now: float = connection.exec_driver_sql("SELECT EXTRACT(epoch FROM clock_timestamp())::float8").scalar_one()
    return now


def clock_set_back(tx: Connection, longest_s: float) -> None:
    """The database's clock was set back: what would now wait for it to be again what it was is due at once.

    What is due within `longest_s` seconds waits as it would have anyhow. Done twice, it changes nothing more.
    """
    limit = {"limit": longest_s}
    tx.exec_driver_sql(
        "WITH latest AS (SELECT now() + make_interval(secs => %(limit)s) AS at)"
        " UPDATE destination SET leased_until = LEAST(leased_until, latest.at),"
        " next_send_at = CASE WHEN next_send_at > latest.at THEN now() ELSE next_send_at END,"
        " due_at = CASE WHEN due_at > latest.at THEN now() ELSE due_at END"
        " FROM latest WHERE leased_until > latest.at OR next_send_at > latest.at OR due_at > latest.at",
        limit,
    )
    tx.exec_driver_sql(
        "UPDATE post SET due_at = now(), slot_at = NULL"
        " WHERE wanted_version > drawn_version AND due_at > now() + make_interval(secs => %(limit)s)",
        limit,
    )
    for table, column in (("method_pace", "spoken_for_until"), ("workspace", "paused_until"), ("outbox", "retry_at")):
        tx.exec_driver_sql(
            f"UPDATE {table} SET {column} = now()"  # noqa: S608
            f" WHERE {column} > now() + make_interval(secs => %(limit)s)",
            limit,
        )


# --- what became of it -------------------------------------------------------------------------------------


def forget_done(connection: Connection, before: datetime, most: int) -> int:
    """Removes messages that were sent, or given up, before that; gives how many of at most `most`."""
    return connection.exec_driver_sql(
        "DELETE FROM post WHERE id IN (SELECT id FROM post WHERE date_done < %(before)s ORDER BY date_done"
        " LIMIT %(most)s)",
        {"before": before, "most": most},
    ).rowcount


@dataclass(frozen=True, slots=True)
class Trouble:
    """A conversation that something is wrong with."""

    workspace_id: str
    channel_id: str | None
    channel_name: str | None
    member: str | None  # a person's name
    reason: str | None  # Slack's name for why nothing arrives there; None: it is only deaf
    since: datetime | None
    deaf: bool  # nothing that is said there is heard, because the bot is not in it


def troubles(connection: Connection) -> Sequence[Trouble]:
    """Where nothing arrives, and which channels of the organization file are deaf."""
    rows = connection.exec_driver_sql(
        "SELECT d.workspace_id, d.channel_id, d.name, m.name, d.failed_reason, d.failed_at,"
        " d.channel_id IS NOT NULL AND d.is_member IS NOT DISTINCT FROM false"
        " FROM destination d LEFT JOIN member m ON m.id = d.member_id"
        " WHERE d.failed_reason IS NOT NULL OR (d.channel_id IS NOT NULL AND d.is_member = false)"
        " ORDER BY d.id"
    )
    return [Trouble(*row) for row in rows]


def waiting_count(connection: Connection) -> int:
    """How many posts wait to be sent."""
    count: int = connection.exec_driver_sql(
        "SELECT count(*) FROM post WHERE wanted_version > drawn_version"
    ).scalar_one()
    return count
