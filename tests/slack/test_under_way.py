"""Events whose outcome is not known yet: who brings the same one waits for the same outcome."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from bot.slack import events
from bot.slack.events import PendingEvents, TooManyEvents


def event(id_: str) -> dict[str, str]:
    return {"type": "event_callback", "team_id": "T0001", "event_id": id_}


def test_what_comes_again_joins_what_is_under_way_and_is_begun_anew_afterwards() -> None:
    under_way: PendingEvents[int] = PendingEvents()
    first: Future[int] = Future()
    again: Future[int] = Future()
    assert under_way.join(event("Ev1"), lambda: first) is first
    assert under_way.join(event("Ev1"), lambda: again) is first
    assert under_way.join(event("Ev2"), lambda: again) is again
    first.set_result(200)
    assert under_way.join(event("Ev1"), lambda: again) is again


def test_what_is_over_at_once_is_not_kept() -> None:
    under_way: PendingEvents[int] = PendingEvents()
    over: Future[int] = Future()
    over.set_result(200)
    assert under_way.join(event("Ev1"), lambda: over) is over
    another: Future[int] = Future()
    assert under_way.join(event("Ev1"), lambda: another) is another


def test_events_without_an_id_are_each_their_own() -> None:
    under_way: PendingEvents[int] = PendingEvents()
    futures: list[Future[int]] = [Future(), Future()]
    for future in futures:
        assert under_way.join(event(""), lambda future=future: future) is future  # type: ignore[misc]


def test_beyond_a_bound_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_PENDING_EVENTS", 2)
    under_way: PendingEvents[int] = PendingEvents()
    futures: list[Future[int]] = [Future(), Future(), Future()]
    for number in range(2):
        under_way.join(event(f"Ev{number}"), lambda number=number: futures[number])  # type: ignore[misc]
    with pytest.raises(TooManyEvents):
        under_way.join(event("Ev2"), lambda: futures[2])
    assert under_way.join(event("Ev1"), lambda: futures[2]) is futures[1]
    futures[0].set_result(200)
    assert under_way.join(event("Ev2"), lambda: futures[2]) is futures[2]
