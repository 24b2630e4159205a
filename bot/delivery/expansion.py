"""Expands changes into posts: cards, thread messages and notifications. Access is checked at this time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection

from bot import tracing
from bot.delivery.folding import fold_new_incidents
from bot.delivery.metrics import DeliveryMetrics
from storage.engine import Store, trace_for
from storage.errors import Contended, DatabaseAway, UnknownActivity
from storage.queries import (
    destinations,
    direct_messages,
    expansion,
    followed_filters,
    notifications,
    outbox_changes,
    silence_holding,
    silences,
    storms,
    subscriptions,
)
from storage.queries.destinations import LockedDestinations, Shown
from storage.queries.outbox_changes import Audience, Change, EntryChange, EntryChanged
from storage.values import NO_WORK, ActivityType, Status, Urgency, Work

log = structlog.get_logger(__name__)

# Changes made by alerts are expanded in batches, because an alert storm makes thousands. Changes made by people are
# expanded one by one, because somebody waits for them.
ALERTS_AT_ONCE = 100
# Entries that people are notified of; of the opening of an incident, those who follow what matches it.
_NOTIFIED = (
    ActivityType.CREATED,
    ActivityType.COMMENT,
    ActivityType.STATUS_CHANGE,
    ActivityType.OWNER,
    ActivityType.UNHEARD,
)
# Entries that the threads of cards show even without a comment.
_SHOWN_IN_THREADS = (
    ActivityType.STATUS_CHANGE,
    ActivityType.OWNER,
    ActivityType.HANDOFF,
    ActivityType.CALL,
    ActivityType.UNHEARD,
)
_KNOWN = frozenset(int(one) for one in ActivityType)


@dataclass(frozen=True, slots=True)
class Expanded:
    """What an expansion did, and whom that gives work."""

    count: int  # of the changes that it took
    more: bool = False  # others of the kind wait
    work: Work = NO_WORK  # that it leaves to others


def expand_next(store: Store, metrics: DeliveryMetrics, *, of_alert: bool, storm_s: float = 0.0) -> Expanded:
    """Expands the oldest waiting changes: one that a person made, or a batch of those that alerts made.

    A change that cannot be expanded is postponed. The message of a storm is updated every `storm_s` seconds at most.
    Raises DatabaseAway, Contended.
    """
    return _expand_some(store, metrics, of_alert=of_alert, storm_s=storm_s, most=ALERTS_AT_ONCE if of_alert else 1)


def _expand_some(
    store: Store, metrics: DeliveryMetrics, *, of_alert: bool, storm_s: float, most: int, alone: int | None = None
) -> Expanded:
    changes: list[Change] = []
    work = NO_WORK
    try:
        with ExitStack() as spans, store.write() as tx:
            now = store.clock.now()
            taken = outbox_changes.take_changes(tx, of_alert=of_alert, most=most, now=now, alone=alone)
            changes = taken.changes
            if changes:
                links = taken.traceparents
                spans.enter_context(
                    tracing.span("delivery expand", links=links, changes=len(changes), of_alert=of_alert)
                )
                if traceparent := links[0] if len(links) == 1 else tracing.get_traceparent():
                    trace_for(tx, traceparent)
            if changes and _expand(tx, changes, now, of_alert=of_alert, storm_s=storm_s):
                work |= Work.POSTS
    except (DatabaseAway, Contended):
        raise
    except Exception as error:
        if not changes:
            raise
        # A change that fails must not delay the others in its batch, or those after it.
        ids = [change.id for change in changes]
        if isinstance(error, UnknownActivity):
            log.warning("changes of an unknown kind are left for a newer replica", changes=ids, reason=str(error))
        else:
            log.exception("changes could not be expanded", changes=ids)
        if len(changes) > 1:
            singly = [
                _expand_some(store, metrics, of_alert=of_alert, storm_s=storm_s, most=1, alone=change.id)
                for change in changes
            ]
            return Expanded(sum(one.count for one in singly), more=True, work=Work.POSTS)
        with store.write() as tx:
            outbox_changes.postpone_change(tx, changes[0], store.clock.now())
        return Expanded(1, more=True, work=Work.ALERTS)
    metrics.expanded.inc(len(changes))
    if taken.frees_alerts:
        work |= Work.ALERTS
    return Expanded(len(changes), taken.more, work)


def _expand(tx: Connection, changes: Sequence[Change], now: datetime, *, of_alert: bool, storm_s: float) -> bool:
    """Expands changes. Returns whether messages wait to be sent or updated."""
    audiences = _get_known_audiences(tx, changes)
    entries = _list_entries(tx, changes, audiences, now)
    recipients = _choose_recipients(tx, entries, audiences, now)
    organization_ids = {change.organization_id for change in changes}
    incidents = {change.incident_id: _workspace(audiences.get(change.id)) for change in changes}
    people = {(audiences[id_].workspace_id, member_id) for id_, found in recipients.items() for member_id in found}
    changed = [change.activity_id for change in entries if isinstance(change, EntryChanged)]
    locked = destinations.lock_destinations(
        tx, incidents, people, now, entries=changed, organization_ids=organization_ids
    )
    storms.unfold_reopened(tx, organization_ids, [change.activity_id for change in entries])
    counted = fold_new_incidents(tx, organization_ids, incidents, locked.ids, now)
    expansion.create_cards(tx, organization_ids, incidents, locked, now, of_alert=of_alert)
    if of_alert:  # transactions of alerts and silences are long enough for that
        expansion.redraw_unseen_changes(tx, organization_ids, incidents, now)
    if counted or Shown.STORMS in locked.shown:
        storms.redraw_storms(tx, organization_ids, incidents, now, storm_s)
    _create_thread_posts(tx, entries, audiences, now)
    _notify(tx, entries, audiences, recipients, locked, now)
    shown = {change.incident_id for change in changes if change.id in audiences}
    expansion.redraw_messages(tx, organization_ids, shown, locked, now)
    if changed:
        direct_messages.redraw_messages_of_entries(tx, organization_ids, changed, now)
    destinations.reschedule_destinations(tx, locked.ids, now)
    return bool(locked.ids)


def _get_known_audiences(tx: Connection, changes: Sequence[Change]) -> dict[int, Audience]:
    """Returns the audiences of the changes by their ids. Raises UnknownActivity."""
    audiences = outbox_changes.get_audiences(tx, changes)
    for found in audiences.values():
        if found.type is not None and found.type not in _KNOWN:
            raise UnknownActivity(found.type)
    return audiences


def _list_entries(
    tx: Connection, changes: Sequence[Change], audiences: Mapping[int, Audience], now: datetime
) -> list[EntryChange]:
    """Returns the changes of the log that are told, and holds the incidents that a silence matches by now."""
    entries = [change for change in changes if isinstance(change, EntryChange) and change.id in audiences]
    # A silence may have been made while the alert was taken in, and a person may have reopened what one matches.
    matched: dict[int, set[int]] = {}  # incidents by organization
    for change in changes:
        if change.id in audiences and audiences[change.id].has_silences:
            matched.setdefault(change.organization_id, set()).add(change.incident_id)
    held: set[int] = set()
    for organization_id, incident_ids in sorted(matched.items()):
        silence_holding.hold_incidents(tx, organization_id, incident_ids, now)
        held |= silences.find_held(tx, organization_id, incident_ids)
    # What an alert changes while it is silenced stays quiet; what people do does not.
    return [one for one in entries if one.incident_id not in held or audiences[one.id].author_id is not None]


def _choose_recipients(
    tx: Connection, entries: Sequence[EntryChange], audiences: Mapping[int, Audience], now: datetime
) -> dict[int, dict[int, bool]]:
    """Subscribes those who follow what is new, and returns the members to notify of each change, by its id."""
    organization_ids = {change.organization_id for change in entries}
    followed = followed_filters.subscribe_followers(tx, organization_ids, _list_new(entries, audiences), now)
    return {
        change.id: _find_recipients(tx, change, audiences[change.id])
        for change in entries
        if audiences[change.id].type != ActivityType.CREATED or change.incident_id in followed
    }


def _notify(
    tx: Connection,
    entries: Sequence[EntryChange],
    audiences: Mapping[int, Audience],
    recipients: Mapping[int, Mapping[int, bool]],
    locked: LockedDestinations,
    now: datetime,
) -> None:
    for change in entries:
        if notified := recipients.get(change.id):
            workspace_id = audiences[change.id].workspace_id
            destination_of = {member_id: locked.people[workspace_id, member_id] for member_id in notified}
            foldable = not audiences[change.id].has_comment
            notifications.create_notifications(tx, change, notified, destination_of, now, foldable=foldable)


def _list_new(entries: Sequence[EntryChange], audiences: Mapping[int, Audience]) -> dict[int, int | None]:
    """Incidents that are new, or have another severity: by id, the severity before (None: new)."""
    found: dict[int, int | None] = {}
    for change in entries:
        audience = audiences[change.id]
        if audience.type == ActivityType.CREATED:
            found[change.incident_id] = None
        elif audience.previous_status not in (None, Status.CLOSED):
            found.setdefault(change.incident_id, audience.previous_status)
    return found


def _create_thread_posts(
    tx: Connection, entries: Sequence[EntryChange], audiences: Mapping[int, Audience], now: datetime
) -> None:
    """Has the threads of cards show comments, what became of them, and changes of status and owner."""
    shown: dict[Urgency, list[EntryChange]] = {}
    for change in entries:
        audience = audiences[change.id]
        if isinstance(change, EntryChanged) or audience.has_comment or audience.type in _SHOWN_IN_THREADS:
            # What alerts change in a storm goes after what people write, and after new cards.
            waits = audience.author_id is None and audience.type != ActivityType.CALL
            shown.setdefault(Urgency.BULK if waits else Urgency.URGENT, []).append(change)
    in_storms = {one.id for one in entries if isinstance(one, EntryChanged) or audiences[one.id].has_comment}
    for kind in (ActivityType.CALL, ActivityType.UNHEARD):
        of_kind = [one for one in entries if audiences[one.id].type == kind]
        in_storms |= expansion.list_for_storms(tx, of_kind, kind, now)
    for urgency, changes in shown.items():
        expansion.create_thread_posts(tx, changes, in_storms, urgency, now)


def _workspace(audience: Audience | None) -> str | None:
    return audience.workspace_id if audience else None


def _find_recipients(tx: Connection, change: EntryChange, audience: Audience) -> dict[int, bool]:
    """Returns the members to notify: by id, whether it is for a mention. Unsubscribes members who lost access."""
    is_note = audience.type == ActivityType.HANDOFF and audience.has_comment
    if audience.deleted or (audience.type not in _NOTIFIED and not is_note):
        return {}
    found = outbox_changes.list_candidates(tx, change, audience.author_id)
    blind = [one.member_id for one in found if not one.sees]
    if blind:
        subscriptions.unsubscribe_members(tx, change.organization_id, change.incident_id, blind)
    return {
        one.member_id: one.mention
        for one in found
        if one.sees
        and one.member_id != audience.told_otherwise
        and (one.notify == "all" or (one.notify == "mentions" and one.mention))
    }
