"""Prepares a database that was restored from a backup: what happened later is in Slack, and not in the database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.models import Base

# Ids are in the metadata and the buttons of messages, and numbers in what people wrote. None that Slack may have is
# given away again.
_IDS_SKIPPED = 1_000_000
NUMBERS_SKIPPED = 1000
# Slack's clock may be ahead of the database's.
_SEARCH_MARGIN_S = 60.0
REASON = "the database was restored from a backup"


@dataclass(frozen=True, slots=True)
class PendingDigest:
    """A digest whose time has come since the backup."""

    id: int
    cron: str
    zone: str


@dataclass(frozen=True, slots=True)
class RestoredChannel:
    """A channel in which the bot has posted, or was to post."""

    workspace_id: str
    channel_id: str
    name: str | None


def find_moment(connection: Connection) -> datetime | None:
    """Returns the newest time in the database, at most some seconds before the backup; None in an empty one."""
    moment: datetime | None = connection.exec_driver_sql(
        "SELECT greatest((SELECT max(date_seen) FROM replica),"
        " (SELECT date_added FROM incident_activity ORDER BY id DESC LIMIT 1),"
        " (SELECT date_added FROM post ORDER BY id DESC LIMIT 1),"
        " (SELECT date_added FROM outbox ORDER BY id DESC LIMIT 1),"
        " (SELECT date_added FROM organization ORDER BY id DESC LIMIT 1))"
    ).scalar()
    return moment


def search_unsent_posts(tx: Connection, now: datetime) -> int:
    """Has delivery look for every message that was not sent yet, before it sends it. Returns their number."""
    return tx.exec_driver_sql(
        "UPDATE post SET attempted_at = date_added, searched_to = NULL, searchable_at = NULL, due_at = %(now)s,"
        " after_ts = (EXTRACT(epoch FROM date_added) - %(margin)s)::numeric(20, 6)::text"
        " WHERE ts IS NULL AND wanted_version > drawn_version AND attempted_at IS NULL",
        {"now": now, "margin": _SEARCH_MARGIN_S},
    ).rowcount


def drop_unexpanded_changes(tx: Connection) -> list[str]:
    """Deletes the changes that were not expanded to messages yet. Returns the titles of their incidents."""
    rows = tx.exec_driver_sql(
        "WITH gone AS (DELETE FROM outbox RETURNING organization_id, incident_id)"
        " SELECT DISTINCT '#' || i.identifier || ' ' || i.title FROM gone g"
        " JOIN incident i ON i.organization_id = g.organization_id AND i.id = g.incident_id ORDER BY 1"
    )
    return [row[0] for row in rows]


def list_pending_digests(tx: Connection, now: datetime) -> list[PendingDigest]:
    """Lists the digests that would be sent at once, and locks them."""
    rows = tx.exec_driver_sql(
        "SELECT id, cron, zone FROM digest WHERE next_fire_at <= %(now)s ORDER BY id FOR UPDATE", {"now": now}
    )
    return [PendingDigest(*row) for row in rows]


def postpone_digest(tx: Connection, digest_id: int, next_fire_at: datetime) -> None:
    """Sets the next time of a digest."""
    tx.exec_driver_sql(
        "UPDATE digest SET next_fire_at = %(next)s WHERE id = %(id)s", {"id": digest_id, "next": next_fire_at}
    )


def end_unrendered_fires(tx: Connection) -> int:
    """Ends the publications that had begun and have no message yet. Returns their number."""
    return tx.exec_driver_sql(
        "UPDATE digest_fire SET state = 'missed', reason = %(reason)s, leased_until = NULL WHERE state = 'due'",
        {"reason": REASON},
    ).rowcount


def skip_numbers(tx: Connection) -> list[tuple[str, int]]:
    """Skips the ids and incident numbers that Slack may have. Returns the next number of each organization.

    Only the owner of the tables may do this.
    """
    for table in Base.metadata.sorted_tables:
        if "id" in table.c and table.c.id.identity is not None:
            tx.exec_driver_sql(
                "SELECT setval(s::regclass, nextval(s::regclass) + %(skipped)s)"
                " FROM pg_get_serial_sequence(%(table)s, 'id') s",
                {"table": table.name, "skipped": _IDS_SKIPPED},
            )
    rows = tx.exec_driver_sql(
        "UPDATE organization SET last_identifier = last_identifier + %(skipped)s RETURNING slug, last_identifier + 1",
        {"skipped": NUMBERS_SKIPPED},
    )
    return sorted((row[0], row[1]) for row in rows)


def count_open_incidents(connection: Connection) -> int:
    """Returns the number of incidents that are not resolved."""
    return int(connection.exec_driver_sql("SELECT count(*) FROM incident WHERE status <> 2").scalar_one())


def list_channels(connection: Connection, workspace_ids: Collection[str]) -> list[RestoredChannel]:
    """Lists the channels of these workspaces."""
    rows = connection.exec_driver_sql(
        "SELECT workspace_id, channel_id, name FROM destination"
        " WHERE channel_id IS NOT NULL AND workspace_id = ANY(%(ids)s::text[]) ORDER BY workspace_id, channel_id",
        {"ids": sorted(workspace_ids)},
    )
    return [RestoredChannel(*row) for row in rows]


def find_known_messages(connection: Connection, ts: Collection[str]) -> set[str]:
    """Returns the ids in the metadata of messages that the database knows: those with these ts, and unsent ones."""
    rows = connection.exec_driver_sql(
        "SELECT id || '.' || generation FROM post WHERE ts = ANY(%(ts)s::text[]) OR ts IS NULL", {"ts": sorted(ts)}
    )
    return {row[0] for row in rows}
