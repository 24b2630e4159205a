"""Which new incidents of alerts get a card in a channel, and which are folded into its storm."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.incidents.storms import Folding, Limit, NewIncident, OngoingStorm, RecentCard, fold

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = Limit(cards=3, within_s=60)


def new(*ids: int, critical: tuple[int, ...] = (), folded: tuple[int, ...] = ()) -> list[NewIncident]:
    return [NewIncident(one, one in critical, one in folded) for one in ids]


def recent(*ids: int, critical: tuple[int, ...] = (), old: tuple[int, ...] = ()) -> list[RecentCard]:
    return [RecentCard(one, one in critical, NOW, one not in old) for one in ids]


@pytest.mark.parametrize(
    ("given", "cards", "storm", "expected"),
    [
        # No storm: cards up to the limit.
        (new(), recent(), None, Folding()),
        (new(1, 2, 3), recent(), None, Folding(cards=[1, 2, 3])),
        (new(3), recent(1, 2), None, Folding(cards=[3])),
        # One more begins a storm, which counts the cards before it.
        (
            new(4),
            recent(1, 2, 3),
            None,
            Folding(folded=[4], begins=True, before=[1, 2, 3], in_storm=True),
        ),
        (
            new(2, 3, 4, 5),
            recent(1),
            None,
            Folding(cards=[2, 3], folded=[4, 5], begins=True, before=[1], in_storm=True),
        ),
        # Critical ones get cards, and those that came before the storm count.
        (
            new(3, 4, 5, critical=(3, 5)),
            recent(1, 2, critical=(1,)),
            None,
            Folding(cards=[3, 5], folded=[4], begins=True, before=[1, 2], in_storm=True, critical_cards=3),
        ),
        # An older incident whose card is new counts for the limit, and is no part of the storm.
        (
            new(3, 4),
            recent(1, 2, critical=(1,), old=(1,)),
            None,
            Folding(cards=[3], folded=[4], begins=True, before=[2], in_storm=True),
        ),
        (new(7, 8), recent(), OngoingStorm(1, 0, split=False), Folding(folded=[7, 8], in_storm=True)),
        (
            new(7, 8, 9, critical=(7, 8, 9)),
            recent(),
            OngoingStorm(1, 8, split=False),
            Folding(cards=[7, 8], folded=[9], in_storm=True, critical_cards=10),
        ),
        # Folded ones that have become critical.
        (
            new(7, 8, critical=(7, 8), folded=(7, 8)),
            recent(),
            OngoingStorm(1, 9, split=False),
            Folding(unfolded=[7], in_storm=True, critical_cards=10),
        ),
        # After a split, everything gets its card.
        (
            new(7, 8, critical=(8,)),
            recent(),
            OngoingStorm(1, 10, split=True),
            Folding(cards=[7, 8], in_storm=True, critical_cards=10),
        ),
    ],
)
def test_cards_and_folded_incidents(
    given: list[NewIncident], cards: list[RecentCard], storm: OngoingStorm | None, expected: Folding
) -> None:
    assert fold(given, LIMIT, cards, storm) == expected
