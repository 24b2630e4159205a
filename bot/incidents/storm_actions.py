"""What people do to a whole storm: take its incidents, or give them their own cards.

Whoever sees one of its incidents may do so, and does it to those that they see. A storm may have tens of thousands, so
both are done in batches. What a batch has done stays, and doing it again goes on.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import ownership
from bot.incidents.access import Access
from bot.incidents.common_parts import find_shared_labels
from bot.incidents.errors import Refusal
from bot.incidents.storms import Split, Taken
from storage.queries import destinations, storm_actions
from storage.queries.storm_actions import StormRow
from storage.values import Status

MAX_COMPARED = 400  # incidents whose labels are compared
BATCH = 500  # incidents in one transaction, for which alerts and people wait who change one of them
NOT_SPLIT = Split(0, split_before=False, left=(Status.CRITICAL, Status.WARNING, Status.OPEN))


class NoSuchStorm(Refusal):
    """There is no such storm, or the caller sees none of its incidents. The sentence does not reveal which."""

    def __init__(self) -> None:
        super().__init__("There is no incident of this alert storm that you can see.")


def take_some(tx: Connection, access: Access, storm_id: int, now: datetime, *, after: int = 0) -> Taken:
    """Makes the caller the owner of open incidents of a storm that nobody owns and no silence holds.

    They are a batch of those behind the id `after`; the result says whether others are left. Raises NoSuchStorm.
    """
    get_storm(tx, access, storm_id)
    found = storm_actions.lock_open_incidents(
        tx, access.organization_id, storm_id, access.project_ids, after=after, most=BATCH
    )
    unowned = [one for one in found if one.owner_id is None]
    silenced = sum(one.silenced for one in unowned)
    mine = sum(one.owner_id == access.member_id for one in found)
    ownership.take_unowned(tx, access, [one.id for one in unowned if not one.silenced], now)
    rest = found[-1].id if len(found) == BATCH else None
    return Taken(len(unowned) - silenced, mine, len(found) - len(unowned) - mine, silenced, rest)


def split_some(tx: Connection, access: Access, storm_id: int, now: datetime, before: Split = NOT_SPLIT) -> Split:
    """Gives open incidents of a storm their own cards, the most severe first: a batch behind those of `before`.

    The storm counts as split with the last batch, in which what it has taken in since the others gets cards too; `left`
    of the result is empty then. Raises NoSuchStorm.
    """
    storm = get_storm(tx, access, storm_id)
    destinations.lock_destination(tx, storm.destination_id)
    storm = get_storm(tx, access, storm_id)
    if storm.split:
        return Split(before.cards, split_before=True, by=storm.split_by)
    cards, left, after, number = before.cards, before.left, before.after, before.number
    # The storm takes nothing in while its destination is locked, but it may have since the batch before.
    is_complete = not number
    while left and (room := before.number + BATCH - number):
        made = storm_actions.give_cards(
            tx, access.organization_id, storm, left[0], now, after=after, most=room, number=number
        )
        cards += sum(one.posted for one in made)
        left, after = (left, made[-1].id) if len(made) == room else (left[1:], 0)
        number += len(made)
        if not left and not is_complete:
            left, is_complete = NOT_SPLIT.left, True
    if not left:
        storm_actions.set_split(tx, access.organization_id, storm, access.member_id, now)
    destinations.reschedule_destinations(tx, [storm.destination_id], now)
    return Split(cards, split_before=False, left=left, after=after, number=number)


def find_alert_to_silence(connection: Connection, access: Access, storm_id: int) -> tuple[int, list[str]] | None:
    """Returns an incident of a storm, and the names of the labels that most of its alerts share; None without any.

    Raises NoSuchStorm.
    """
    get_storm(connection, access, storm_id)
    found = storm_actions.list_labels(connection, access.organization_id, storm_id, access.project_ids, MAX_COMPARED)
    shared = find_shared_labels([labels for _, labels in found])
    with_all = (identifier for identifier, labels in found if shared.items() <= labels.items())
    identifier = next(with_all, None) if shared else None
    return None if identifier is None else (identifier, list(shared))


def get_storm(connection: Connection, access: Access, storm_id: int) -> StormRow:
    """The storm, if the caller sees one of its incidents. Raises NoSuchStorm."""
    storm = storm_actions.find_storm(connection, access.organization_id, storm_id, access.project_ids)
    if storm is None:
        raise NoSuchStorm
    return storm
