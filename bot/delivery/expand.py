"""From a change to the posts that it asks for: cards, threads, and who is told, their access checked now."""

from __future__ import annotations

import structlog
from sqlalchemy import Connection

from bot.delivery import counts
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import outbox
from storage.queries.outbox import Audience, Change
from storage.values import ActivityType

log = structlog.get_logger(__name__)

# What people are told of; that an incident opened, they see by its card.
_TOLD = (ActivityType.COMMENT, ActivityType.STATUS_CHANGE)


def expand_next(store: Store) -> bool:
    """Expands the oldest change that waits; False when none does. Raises DatabaseAway, Contended."""
    change: Change | None = None
    try:
        with store.write() as tx:
            change = outbox.take_change(tx)
            if change is None:
                return False
            _expand(tx, change)
    except (DatabaseAway, Contended):
        raise
    except Exception:
        if change is None:
            raise
        # It must not hold up what waits behind it.
        log.exception("a change could not be expanded", change=change.id)
        with store.write() as tx:
            outbox.put_off(tx, change.id)
        return True
    counts.EXPANDED.inc()
    return True


def _expand(tx: Connection, change: Change) -> None:
    audience = outbox.audience(tx, change)
    if audience is None:
        outbox.look_at_cards(tx, change.incident_id)
        return
    recipients = _recipients(tx, change, audience)
    people, channels = outbox.hold_destinations(tx, audience.workspace_id, change.incident_id, list(recipients))
    outbox.want_cards(tx, change.incident_id, list(channels))
    if change.activity_id is not None and (audience.has_comment or change.again):
        outbox.want_in_threads(tx, change)
    if recipients:
        outbox.want_notifications(tx, change, recipients, people)
    outbox.look_again(tx, [*people.values(), *channels])


def _recipients(tx: Connection, change: Change, audience: Audience) -> dict[int, bool]:
    """Who is told, by member id: whether because they are mentioned. Who lost access is unsubscribed instead."""
    if change.activity_id is None or audience.deleted or audience.type not in _TOLD:
        return {}
    found = outbox.candidates(tx, change, audience.author_id)
    blind = [one.member_id for one in found if not one.sees or not one.present]
    if blind:
        outbox.unsubscribe_all(tx, change.incident_id, blind)
    return {
        one.member_id: one.mention
        for one in found
        if one.sees and one.present and (one.notify == "all" or (one.notify == "mentions" and one.mention))
    }
