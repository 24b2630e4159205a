"""What owners are asked and told when it is due, each once, whatever happens to the replicas.

Reminders of owners, the words to their teams, offers that lapse, and personal digests.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from bot.incidents import handoff, lifecycle, ownership
from bot.incidents.access import Access
from sandbox import Person, Sandbox
from storage.engine import Store
from storage.errors import Contended
from storage.member_rows import PersonalDigest
from storage.queries import handoffs, personal_digests
from storage.rows import IncidentHead, NewIncident
from storage.values import Status, StatusMethod
from tests.calls.test_exactly_once import ask, get_access, wait_until_calm
from tests.digests.test_exactly_once import SENT_WITHIN_S, Replica, kill_some, show
from tests.long import LONG
from tests.stories.conftest import Cast, apply_file, populate
from tests.stories.test_reminders import REMINDING

T = TypeVar("T")

KILLS = 200 if LONG else 3
MOST_AT_ONCE = 3 if LONG else 1
INCIDENTS = 3  # of each owner in a round
START = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)  # after the personal digests of the day
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
DUE = """
SELECT 'offer' FROM handoff h JOIN handoff_item i ON i.organization_id = h.organization_id AND i.handoff_id = h.id
WHERE i.state = 'offered' AND h.expires_at <= :now
UNION ALL SELECT 'reminder' FROM owner_reminder WHERE due_at <= :now
UNION ALL SELECT 'digest' FROM personal_digest WHERE next_fire_at <= :now
"""


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


@dataclass
class Fates:
    """What became of the incidents, by their numbers."""

    resolved: set[int]  # while their owners were asked
    accepted: set[int]  # when their offers lapsed
    owned: dict[int, str]  # by whom at first


def change(store: Store, work: Callable[[Connection], T]) -> T:
    """Does something in a transaction; again, as people do, if replicas on a busy machine hold its rows for long."""
    for _ in range(20):
        try:
            with store.write() as tx:
                return work(tx)
        except Contended:
            continue
    raise AssertionError("somebody holds the rows")


def own_some(store: Store, owner: Access, receiver: Access, now: datetime) -> list[IncidentHead]:
    """Opens incidents that somebody owns and offers, each by itself."""
    new = [
        NewIncident(
            project_ids=list(owner.project_ids),
            title=f"Trouble of {owner.name}",
            status=Status.WARNING,
            method=StatusMethod.MANUAL,
            date_started=now,
            date_detected=now,
        )
    ]

    def work(tx: Connection) -> list[IncidentHead]:
        opened = lifecycle.open_incidents(tx, owner.organization_id, new * INCIDENTS, now)
        for one in opened:
            ownership.take(tx, owner, one.identifier, now)
            handoff.offer(tx, owner, one.identifier, receiver.member_id, None, now)
        return opened

    return change(store, work)


def accept_late(store: Store, receiver: Access, incident: IncidentHead, now: datetime) -> bool:
    """Accepts the offer of an incident in its last second, while replicas end it. Returns whether it was in time."""
    with store.read() as connection:
        head = handoffs.find_open_handoff(connection, receiver.organization_id, incident.id)
    if head is None:
        return False
    return bool(change(store, lambda tx: handoff.accept(tx, receiver, head.id, None, now)).incidents)


def resolve(store: Store, owner: Access, incident: IncidentHead, now: datetime) -> None:
    change(store, lambda tx: lifecycle.resolve(tx, owner, incident.identifier, now))


def subscribe_to_digests(store: Store, people: list[Access]) -> None:
    """Gives everybody a digest of their own at nine."""
    with store.write() as tx:
        for one in people:
            due = START.replace(minute=0) + DAY
            digest = PersonalDigest(
                one.organization_id, one.member_id, one.workspace_id, "0 9 * * *", "UTC", due, START, None
            )
            personal_digests.save_digest(tx, digest, START)


def count_told(people: list[Person], words: str) -> Counter[int]:
    """How many direct messages with these words name each incident, by its number; but not as resolved."""
    texts = [one.text for person in people for one in person.direct_messages() if words in one.text]
    return Counter(
        int(number) for text in texts for number in re.findall(r"#(\d+) Trouble(?! of [\w ]+ is resolved)", text)
    )


def count_entries(store: Store, condition: str) -> Counter[int]:
    """How many entries of the log each incident has that fulfil a condition, by its number."""
    with store.read() as connection:
        query = (
            "SELECT i.identifier, count(*) FROM incident_activity a JOIN incident i ON i.id = a.incident_id"  # noqa: S608
            f" WHERE {condition} GROUP BY 1"
        )
        return Counter(dict(map(tuple, ask(connection, query))))


@pytest.mark.timeout(2 * SENT_WITHIN_S + KILLS * 30)
def test_replicas_that_are_killed_ask_and_tell_owners_once(store: Store, database_url: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    clock = tmp_path / "clock"
    with Sandbox() as slack, ExitStack() as ending:
        cast = populate(slack)
        apply_file(store, tmp_path, REMINDING)
        owners = [get_access(store, name) for name in ("Ada Obi", "Ben Tal", "Sue Perm")]
        dan = get_access(store, "Dan Wu")
        subscribe_to_digests(store, [*owners, dan])
        show(clock, START)
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "REPLICA_CLOCK": str(clock),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        replicas = [Replica(environment) for _ in range(2)]
        for replica in replicas:
            ending.callback(replica.end)
        killed = rounds = 0
        fates = Fates(set(), set(), {})
        while killed < KILLS:
            begun = START + rounds * DAY
            rounds += 1
            show(clock, begun)
            mine = [(owner, one) for owner in owners for one in own_some(store, owner, dan, begun)]
            fates.owned |= {one.identifier: owner.name for owner, one in mine}
            over, late = chance.sample(mine, 2)
            # The second time is counted from when the owner was asked, which was some seconds after the first.
            for after in (HOUR, 2 * HOUR + HOUR / 6, DAY):
                now = begun + after + SECOND
                show(clock, now)
                if after == DAY and accept_late(store, dan, late[1], begun + DAY - SECOND):
                    fates.accepted.add(late[1].identifier)
                killed += kill_some(replicas, chance, MOST_AT_ONCE)
                if after == HOUR:
                    resolve(store, *over, now)
                    fates.resolved.add(over[1].identifier)
                wait_until_calm(store, now, DUE)
                if after != DAY:
                    asked = count_told(people_of(cast), "Are you still on")  # what is over says so
                    assert asked == Counter({one.identifier for _, one in mine} - fates.resolved), (asked, killed)
            for owner, one in mine:  # the next round has others
                if one.identifier not in fates.resolved:
                    resolve(store, owner, one, now)
            wait_until_calm(store, now, DUE)
        assert killed >= KILLS
        check_once(store, slack, cast, fates)
        digests = [sum("of yours" in one.text for one in person.direct_messages()) for person in people_of(cast)]
        assert digests == [rounds] * 4


def people_of(cast: Cast) -> list[Person]:
    return [cast.ada, cast.ben, cast.sue, cast.dan]


def check_once(store: Store, slack: Sandbox, cast: Cast, fates: Fates) -> None:
    """Everything that was due was said once: to people, in threads and in the log."""
    people = people_of(cast)
    whole = set(fates.owned) - fates.resolved
    unheard = count_entries(store, "a.type = 107")
    assert unheard == Counter(whole)
    threads = [[one.text for one in card.thread] for card in slack.messages(cast.checkout)]
    told = [sum("No update from" in text for text in texts) for texts in threads]
    assert max(told) == 1 and sum(told) == len(whole)
    lapsed = whole - fates.accepted
    assert count_entries(store, "a.type = 106 AND a.value = 4") == Counter(lapsed)
    assert count_told(people, "did not answer about") == Counter(lapsed)
    assert count_told(people, ":white_check_mark: Dan Wu owns") == Counter(fates.accepted)
    for name, person in (("Ada Obi", cast.ada), ("Ben Tal", cast.ben), ("Sue Perm", cast.sue)):
        of_owner = {number for number, owner in fates.owned.items() if owner == name}
        assert set(count_told([person], "did not answer about")) == lapsed & of_owner
