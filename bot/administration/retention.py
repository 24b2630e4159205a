"""Removes closed incidents and entries of the audit log that the organization file says to keep no longer.

Requests to join that were decided are removed after a month in every organization: they name people who are no members.

It runs in batches, each a short transaction with an entry in the audit log. What is removed is decided anew in each, so
it does not matter when a process is killed, or how many run. The limit moves once a day, at midnight UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import accumulate

from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.engine import Store
from storage.queries import audit, join_requests, retention
from storage.queries.retention import RetentionRow

INCIDENTS_AT_ONCE = 100  # with all that belongs to each
# Of their logs. With each entry go its replies and messages, which takes a tenth of a second for a thousand.
LOG_ENTRIES_AT_ONCE = 1000
ENTRIES_AT_ONCE = 1000
JOIN_REQUESTS_KEPT = timedelta(days=30)  # after they were decided
BY_ITSELF = Actor(AuditOrigin.SCHEDULE)


@dataclass(frozen=True, slots=True)
class Limits:
    """From before which moments something is removed. None: it is kept for good."""

    closed_incidents: datetime | None
    audit: datetime | None


@dataclass(slots=True)
class Removed:
    """How much was removed."""

    incidents: int = 0
    entries: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a transaction removed of the incidents."""

    count: int = 0
    after: tuple[datetime, int] | None = None  # when the last of them was closed, and its id
    is_last: bool = False


def find_limits(row: RetentionRow, now: datetime) -> Limits:
    """What the organization keeps no longer, as of the beginning of the day."""
    midnight = datetime.combine(now.astimezone(UTC).date(), time.min, UTC)

    def limit(seconds: int | None) -> datetime | None:
        return None if seconds is None else midnight - timedelta(seconds=seconds)

    return Limits(limit(row.closed_incidents_s), limit(row.audit_s))


def remove_all_old(store: Store, now: datetime, *, stopping: Callable[[], bool]) -> None:
    """Removes what is old in all organizations. Raises DatabaseAway, Contended; then the next call goes on."""
    with store.read() as connection:
        rows = retention.list_retentions(connection)
        with_requests = join_requests.list_organizations_with_old(connection, now - JOIN_REQUESTS_KEPT)
    for organization_id in with_requests:
        _remove_join_requests(store, organization_id, now)
    for row in rows:
        remove_old(store, row.organization_id, now, BY_ITSELF, stopping=stopping)


def _remove_join_requests(store: Store, organization_id: int, now: datetime) -> None:
    with store.write(organization_id) as tx:
        row = retention.lock_against_hold(tx, organization_id)
        if row is not None and not row.legal_hold:
            join_requests.delete_old(tx, organization_id, now - JOIN_REQUESTS_KEPT)


def remove_old(
    store: Store,
    organization_id: int,
    now: datetime,
    actor: Actor,
    *,
    stopping: Callable[[], bool] = lambda: False,
    tick: Callable[[int], None] = lambda _: None,
) -> Removed:
    """Removes what is old in an organization, until nothing is left or `stopping`. `tick` is told after each batch.

    Raises DatabaseAway, Contended. What was removed before stays so.
    """
    removed = Removed()
    batch = _Batch()
    while not (stopping() or batch.is_last):
        batch = _remove_incidents(store, organization_id, now, actor, batch.after)
        removed.incidents += batch.count
        tick(batch.count)
    while not stopping():
        count = _remove_entries(store, organization_id, now, actor)
        removed.entries += count
        tick(count)
        if count < ENTRIES_AT_ONCE:
            break
    return removed


def _remove_incidents(
    store: Store, organization_id: int, now: datetime, actor: Actor, after: tuple[datetime, int] | None
) -> _Batch:
    """Removes the next incidents whose logs together are not too long, or else a part of the log of the first."""
    with store.write(organization_id) as tx:
        row = retention.lock_against_hold(tx, organization_id)
        before = find_limits(row, now).closed_incidents if row and not row.legal_hold else None
        if before is None:
            return _Batch(is_last=True)
        found = retention.lock_old_incidents(tx, organization_id, before, INCIDENTS_AT_ONCE, after)
        ids = [id_ for _, id_ in found]
        entries = retention.count_log_entries(tx, organization_id, ids, LOG_ENTRIES_AT_ONCE + 1)
        count = sum(1 for together in accumulate(entries) if together <= LOG_ENTRIES_AT_ONCE)
        if found and not count:
            retention.delete_log_entries(tx, organization_id, ids[0], LOG_ENTRIES_AT_ONCE)
            return _Batch(after=after)
        if count:
            removed = {"incidents": count, "closed_before": before.isoformat()}
            audit.record(tx, organization_id, actor, [AuditChange(AuditAction.DATA_RETENTION, before=removed)], now)
            retention.delete_incidents(tx, organization_id, ids[:count])
        return _Batch(count, found[count - 1] if count else after, is_last=count == len(found) < INCIDENTS_AT_ONCE)


def _remove_entries(store: Store, organization_id: int, now: datetime, actor: Actor) -> int:
    """Removes a batch. Returns how many."""
    with store.write(organization_id) as tx:
        row = retention.lock_against_hold(tx, organization_id)
        before = find_limits(row, now).audit if row and not row.legal_hold else None
        if before is None:
            return 0
        found = retention.lock_old_audit_entries(tx, organization_id, before, ENTRIES_AT_ONCE)
        if found:
            # The trigger of the table lets nothing be deleted without this entry.
            removed = {"audit_entries": len(found), "added_before": before.isoformat()}
            audit.record(tx, organization_id, actor, [AuditChange(AuditAction.DATA_RETENTION, before=removed)], now)
            retention.delete_audit_entries(tx, organization_id, found)
        return len(found)
