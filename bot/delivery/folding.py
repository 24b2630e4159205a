"""Folds new incidents of alerts into storms, and ends storms. The rule is in `bot.incidents.storms`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from bot.incidents.storms import Limit, NewIncident, OngoingStorm, RecentCard, fold, get_calm
from storage.engine import Store
from storage.queries import destinations, storms

_ENDED_AT_ONCE = 100


def fold_new_incidents(
    tx: Connection,
    organization_ids: Collection[int],
    incidents: Mapping[int, str | None],
    destination_ids: Sequence[int],
    now: datetime,
) -> int:
    """Decides which of these incidents get no card in a channel, because its storm shows them.

    `organization_ids` are those of the incidents. `incidents` maps incident ids to workspace ids. The caller
    has locked the destinations, and inserts the cards. Returns how many storms count now, with a card or without.
    """
    counted = 0
    new = storms.list_new(tx, organization_ids, incidents, destination_ids)
    for destination_id, in_channel in groupby(new, key=lambda one: one.destination_id):
        found = [NewIncident(one.incident_id, one.critical, one.folded) for one in in_channel]
        counted += _fold_in_channel(tx, destination_id, found, now)
    return counted


def _fold_in_channel(tx: Connection, destination_id: int, new: Sequence[NewIncident], now: datetime) -> int:
    state = storms.get_channel_state(tx, destination_id)
    limit = Limit(state.cards, state.within_s)
    storm = None if state.storm_id is None else OngoingStorm(state.storm_id, state.critical_cards or 0, state.split)
    recent: list[RecentCard] = []
    if storm is None:
        since = now - timedelta(seconds=limit.within_s)
        recent = [
            RecentCard(*row)
            for row in storms.list_recent_cards(tx, state.organization_id, destination_id, since, limit.within_s)
        ]
    result = fold(new, limit, recent, storm)
    if not result.in_storm:
        return 0
    storm_id = state.storm_id
    if result.begins or storm_id is None:
        storm_id = storms.insert_storm(
            tx,
            state.organization_id,
            destination_id,
            cards=limit.cards,
            within_s=limit.within_s,
            started=min((card.date_added for card in recent if card.is_new), default=now),
            now=now,
        )
    if result.unfolded:
        storms.unfold_incidents(tx, state.organization_id, destination_id, result.unfolded)
    with_card = [*result.before, *result.cards]
    added = [*with_card, *result.folded]
    if not (added or result.unfolded):
        return 0
    storms.insert_incidents(
        tx, state.organization_id, storm_id, destination_id, with_card=with_card, folded=result.folded
    )
    storms.extend_storm(
        tx,
        state.organization_id,
        storm_id,
        critical_cards=result.critical_cards,
        last=now if added else None,
        calm_at=get_calm(limit, now) if added else None,
    )
    return len(added) + len(result.unfolded)


def end_calm_storms(store: Store) -> int:
    """Ends storms in whose channels nothing new has begun for long enough. Returns how many.

    Raises DatabaseAway, Contended.
    """
    now = store.clock.now()
    with store.write() as tx:
        calm = storms.lock_calm(tx, _ENDED_AT_ONCE, now)
        ended = [
            destination_id
            for organization_id, storm_id, destination_id in calm
            if storms.end_storm(tx, organization_id, storm_id, now)
        ]
        if ended:
            destinations.reschedule_destinations(tx, ended, now)
    return len(ended)
