"""Storms: when many incidents begin in a channel at once, one message shows them instead of a card each.

A storm begins with the card of an alert's incident that would exceed the channel's limit, and counts the incidents
whose cards came before it within the same time, if these were opened then, too. It ends once nothing new has begun for
that time. What people declare always gets a card; the first critical incidents of a storm do, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from storage.values import Status

MAX_CRITICAL_CARDS = 10  # critical incidents of a storm that get cards of their own


@dataclass(frozen=True, slots=True)
class Limit:
    """More new cards than `cards` within `within_s` seconds begin a storm."""

    cards: int
    within_s: int


@dataclass(frozen=True, slots=True)
class NewIncident:
    """An incident of an alert that has no card in the channel yet."""

    id: int
    critical: bool
    folded: bool = False  # into the storm that goes on; it has become critical since


@dataclass(frozen=True, slots=True)
class RecentCard:
    """The card of an alert's incident that the channel got within the time of its limit."""

    incident_id: int
    critical: bool
    date_added: datetime
    is_new: bool  # it was opened shortly before; an older one counts for the limit, but is no part of a storm


@dataclass(frozen=True, slots=True)
class OngoingStorm:
    """A storm that has not ended."""

    id: int
    critical_cards: int
    split: bool


@dataclass(slots=True)
class Folding:
    """What becomes of new incidents in a channel. Incident ids, in the order of the given ones."""

    cards: list[int] = field(default_factory=list)  # get a card of their own
    folded: list[int] = field(default_factory=list)  # are shown by the storm's message
    unfolded: list[int] = field(default_factory=list)  # were folded, and get a card now
    begins: bool = False  # a storm begins with them
    before: list[int] = field(default_factory=list)  # incidents of a storm that begins which have cards already
    in_storm: bool = False  # `cards` are of the storm, too
    critical_cards: int = 0  # of the storm, from now on


def fold(new: Sequence[NewIncident], limit: Limit, recent: Sequence[RecentCard], storm: OngoingStorm | None) -> Folding:
    """Decides which new incidents of alerts get a card in a channel, and which are folded into its storm.

    `recent` are the cards within the time of the limit, and do not matter while a storm goes on.
    """
    result = Folding(critical_cards=storm.critical_cards if storm else 0)
    if storm is None:
        free = max(0, limit.cards - len(recent))
        result.cards = [one.id for one in new[:free]]
        if len(new) <= free:
            return result
        result.begins = True
        of_storm = [one for one in recent if one.is_new]
        result.before = [one.incident_id for one in of_storm]
        result.critical_cards = sum(one.critical for one in of_storm) + sum(one.critical for one in new[:free])
        new = new[free:]
    result.in_storm = True
    for one in new:
        has_card = storm is not None and storm.split
        if one.critical and result.critical_cards < MAX_CRITICAL_CARDS:
            result.critical_cards += 1
            has_card = True
        if has_card:
            (result.unfolded if one.folded else result.cards).append(one.id)
        elif not one.folded:
            result.folded.append(one.id)
    return result


def get_calm(limit: Limit, last: datetime) -> datetime:
    """Returns when a storm ends whose last incident began at `last`."""
    return last + timedelta(seconds=limit.within_s)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking all incidents of a storm that nobody owns."""

    taken: int
    mine: int  # open ones that the caller owned already
    others: int  # open ones that other people own
    silenced: int  # open ones that nobody owns and a silence holds; they were left out
    after: int | None = None  # the others of the storm, whose ids are greater, are still to be taken

    def __add__(self, other: Taken) -> Taken:
        return Taken(
            self.taken + other.taken,
            self.mine + other.mine,
            self.others + other.others,
            self.silenced + other.silenced,
            other.after,
        )


@dataclass(frozen=True, slots=True)
class Split:
    """What came of giving the incidents of a storm their own cards."""

    cards: int
    split_before: bool  # somebody has asked for it already: nothing was done
    by: str | None = None  # the name of who did, if it was done before
    left: Sequence[Status] = ()  # severities of which incidents are still to get cards
    after: int = 0  # of the first of them, those whose ids are greater
    number: int = 0  # of incidents that were given cards, also those whose cards a silence holds back
