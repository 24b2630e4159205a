"""From changes to the posts that they ask for: cards, threads, and who is told, their access checked now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import Connection

from bot.delivery.metrics import DeliveryMetrics
from storage.engine import Store
from storage.errors import Contended, DatabaseAway, UnknownActivity
from storage.queries import destinations, expansion
from storage.queries.expansion import Audience, Change
from storage.values import ActivityType

log = structlog.get_logger(__name__)

# Changes that alerts made are expanded so many at a time, for a storm makes thousands. People's go one by one: somebody
# waits for them.
ALERTS_AT_ONCE = 100
# What people are told of; that an incident opened, they see by its card.
_TOLD = (ActivityType.COMMENT, ActivityType.STATUS_CHANGE)
_KNOWN = frozenset(int(one) for one in ActivityType)


def expand_next(store: Store, metrics: DeliveryMetrics, *, of_alert: bool) -> int:
    """Expands the oldest changes that wait: one that a person made, or several that alerts made.

    Gives how many it dealt with; 0 when none waits. Raises DatabaseAway, Contended.
    """
    return _expand_some(store, metrics, of_alert=of_alert, most=ALERTS_AT_ONCE if of_alert else 1)


def _expand_some(store: Store, metrics: DeliveryMetrics, *, of_alert: bool, most: int, alone: int | None = None) -> int:
    changes: list[Change] = []
    try:
        with store.write() as tx:
            now = store.clock.now()
            changes = expansion.take_changes(tx, of_alert=of_alert, most=most, now=now, alone=alone)
            if changes:
                _expand(tx, changes, now)
    except (DatabaseAway, Contended):
        raise
    except Exception as error:
        if not changes:
            raise
        # They must not hold up what waits behind them, nor one of them the others.
        ids = [change.id for change in changes]
        if isinstance(error, UnknownActivity):
            log.warning("changes are left for a replica that knows them", changes=ids, reason=str(error))
        else:
            log.exception("changes could not be expanded", changes=ids)
        if len(changes) > 1:
            return sum(_expand_some(store, metrics, of_alert=of_alert, most=1, alone=change.id) for change in changes)
        with store.write() as tx:
            expansion.postpone_change(tx, changes[0].id, store.clock.now())
        return 1
    metrics.expanded.inc(len(changes))
    return len(changes)


def _expand(tx: Connection, changes: Sequence[Change], now: datetime) -> None:
    audiences = expansion.get_audiences(tx, changes)
    for found in audiences.values():
        if found.type is not None and found.type not in _KNOWN:
            raise UnknownActivity(found.type)
    recipients = {
        change.id: _recipients(tx, change, audiences[change.id]) for change in changes if change.id in audiences
    }
    incidents = {change.incident_id: _workspace(audiences.get(change.id)) for change in changes}
    people = {(audiences[id_].workspace_id, member_id) for id_, told in recipients.items() for member_id in told}
    held = destinations.lock_destinations(tx, incidents, people, now)
    expansion.create_cards(tx, incidents, held, now)
    for change in changes:
        audience = audiences.get(change.id)
        if audience is None:
            continue
        if change.activity_id is not None and (audience.has_comment or change.again):
            expansion.create_thread_posts(tx, change, now)
        if told := recipients[change.id]:
            destination_of = {member_id: held.people[audience.workspace_id, member_id] for member_id in told}
            expansion.create_notifications(tx, change, told, destination_of, now)
    destinations.reschedule_destinations(tx, held.ids, now)


def _workspace(audience: Audience | None) -> str | None:
    return audience.workspace_id if audience else None


def _recipients(tx: Connection, change: Change, audience: Audience) -> dict[int, bool]:
    """Who is told, by member id: whether because they are mentioned. Who lost access is unsubscribed instead."""
    if change.activity_id is None or audience.deleted or audience.type not in _TOLD:
        return {}
    found = expansion.list_candidates(tx, change, audience.author_id)
    blind = [one.member_id for one in found if not one.sees]
    if blind:
        expansion.unsubscribe_members(tx, change.incident_id, blind)
    return {
        one.member_id: one.mention
        for one in found
        if one.sees and (one.notify == "all" or (one.notify == "mentions" and one.mention))
    }
