"""Every digest once, whatever happens to the replicas: killed at any moment, or all away for a while."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.digests.scheduler import fire_due
from sandbox import Sandbox
from sandbox.records import Channel
from storage.engine import Store
from storage.queries import digest_fires
from tests.stories.conftest import ORGANIZATION, apply_file, populate

CHANNELS = 10
# `TOCSIN_FAULT_FIRES=200` for the long run.
FIRES = int(os.environ.get("TOCSIN_FAULT_FIRES", "20"))
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SENT_WITHIN_S = 180  # in which two replicas start that were killed, and wait for the leases of those before


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


def make_digest(store: Store, channel_id: str, cron: str, due: datetime, grace_minutes: int | None = 10) -> int:
    """A digest of Ada's without a picture, whose time comes then."""
    with store.write() as tx:
        return int(
            tx.execute(
                text(
                    "INSERT INTO digest (organization_id, workspace_id, channel_id, owner_id, cron, zone, filters,"
                    " picture, grace_minutes, default_grace, next_fire_at, date_added)"
                    " SELECT o.id, 'T0001', :channel, m.id, :cron, 'UTC', 'open', false, coalesce(:grace, 10),"
                    " CAST(:grace AS bigint) IS NULL, :due, :due"
                    " FROM organization o JOIN member m ON m.organization_id = o.id AND m.role = 'owner' RETURNING id"
                ),
                {"channel": channel_id, "cron": cron, "due": due, "grace": grace_minutes},
            ).scalar_one()
        )


# Replicas are forked from a process that has imported everything: an interpreter of its own would start for seconds.
REPLICAS = get_context("forkserver")
REPLICAS.set_forkserver_preload(["tests.digests.replica", "tests.calls.replica"])


def _run(module: str, environment: dict[str, str]) -> None:
    """Runs the main function of a module in a process of its own, which says nothing."""
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    os.environ.clear()
    os.environ.update(environment)
    import_module(module).main()


class Replica:
    """A process that is started again whenever it was killed; it tells digests unless another module is named."""

    def __init__(self, environment: dict[str, str], module: str = "tests.digests.replica") -> None:
        self._environment = environment
        self._module = module
        self._start()

    def _start(self) -> None:
        self._process = REPLICAS.Process(target=_run, args=(self._module, self._environment), daemon=True)
        self._process.start()

    def kill(self) -> None:
        """kill -9, and another one in its place."""
        self.end()
        self._start()

    def end(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.join()


def kill_some(replicas: list[Replica], chance: random.Random, most: int = 3) -> int:
    """Kills one to `most` times, each time one of the replicas, at unforeseeable moments. Returns how often."""
    times = chance.randint(1, most)
    for _ in range(times):
        # A replica needs a moment before it can do anything: some are killed before, most after.
        time.sleep(chance.uniform(0.0, 0.6))
        chance.choice(replicas).kill()
    return times


def test_a_replica_takes_only_digests_of_workspaces_that_it_is_in(store: Store, tmp_path: Path) -> None:
    """Of another it could draw no picture, and ask nobody about the owner."""
    with Sandbox() as slack:
        populate(slack)
        apply_file(store, tmp_path, ORGANIZATION)
        make_digest(store, "C0001", "* * * * *", START)
        fire_due(store, START)
        for workspaces, taken in (([], False), (["T0002"], False), (["T0002", "T0001"], True)):
            with store.read() as connection:
                leased = digest_fires.lease_fires(connection, workspaces, START, 60, pictures=False, most=2)
                assert bool(leased) is taken


@pytest.mark.timeout(SENT_WITHIN_S * FIRES // CHANNELS + FIRES * 5)
def test_two_replicas_that_are_killed_tell_every_digest_once(store: Store, database_url: str, tmp_path: Path) -> None:
    chance = random.Random(5)
    clock = tmp_path / "clock"
    with Sandbox() as slack, ExitStack() as ending:
        populate(slack)
        apply_file(store, tmp_path, ORGANIZATION)
        channels = [slack.channel(f"C01{number:02}", f"digests-{number}") for number in range(CHANNELS)]
        for channel in channels:
            make_digest(store, channel.id, "0 * * * *", START + HOUR)
        show(clock, START)
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "REPLICA_CLOCK": str(clock),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        replicas = [Replica(environment), Replica(environment)]
        for replica in replicas:
            ending.callback(replica.end)
        rounds = FIRES // CHANNELS
        for passed in range(1, rounds + 1):
            show(clock, START + passed * HOUR)
            kill_some(replicas, chance)
            wait_until_sent(store, passed * CHANNELS)
        assert {channel.id: told(slack, channel) for channel in channels} == {
            channel.id: rounds for channel in channels
        }
        with store.read() as connection:
            times = connection.execute(text("SELECT digest_id, fire_at FROM digest_fire")).all()
        assert len(times) == len(set(times)) == rounds * CHANNELS
        assert {at for _, at in times} == {START + passed * HOUR for passed in range(1, rounds + 1)}


def show(clock: Path, now: datetime) -> None:
    """Sets the clock of all replicas."""
    new = clock.with_suffix(".new")
    new.write_text(f"{now.isoformat()} {time.monotonic()}")
    new.replace(clock)


def wait_until_sent(store: Store, count: int) -> None:
    """Waits until so many fires have been sent, however often that was begun."""
    states: dict[str, int] = {}
    deadline = time.monotonic() + SENT_WITHIN_S
    while time.monotonic() < deadline:
        with store.read() as connection:
            query = text("SELECT state, count(*) FROM digest_fire GROUP BY state")
            states = {row[0]: row[1] for row in connection.execute(query)}
        if states == {"sent": count}:
            return
        time.sleep(0.1)
    raise AssertionError(f"not sent within {SENT_WITHIN_S} s: {states}")


def told(slack: Sandbox, channel: Channel) -> int:
    """How many digests stand in a channel."""
    return sum("No incidents open" in message.text for message in slack.messages(channel))


# --- the tick, without processes ---------------------------------------------------------------------------


@pytest.fixture
def acme(store: Store, tmp_path: Path) -> Store:
    apply_file(store, tmp_path, ORGANIZATION)
    return store


def fires(store: Store, state: str = "due") -> list[tuple[int, datetime]]:
    with store.read() as connection:
        query = text("SELECT digest_id, fire_at FROM digest_fire WHERE state = :state ORDER BY digest_id, fire_at")
        return [(digest_id, at) for digest_id, at in connection.execute(query, {"state": state})]


def next_fire(store: Store, digest_id: int) -> datetime:
    with store.read() as connection:
        query = text("SELECT next_fire_at FROM digest WHERE id = :id")
        found: datetime = connection.execute(query, {"id": digest_id}).scalar_one()
        return found


def test_many_ticks_at_once_write_each_fire_once(acme: Store) -> None:
    ids = [make_digest(acme, "C0001", "0 9 * * *", START) for _ in range(1200)]
    threads = [threading.Thread(target=fire_due, args=(acme, START)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(digest_id for digest_id, _ in fires(acme)) == Counter(ids)
    assert fire_due(acme, START + timedelta(hours=1)) == 0


def test_within_its_grace_a_digest_is_told_and_behind_it_is_skipped(acme: Store) -> None:
    told_ = make_digest(acme, "C0001", "0 9 * * *", START)
    short = make_digest(acme, "C0001", "0 9 * * *", START, grace_minutes=5)
    fire_due(acme, START + timedelta(minutes=9))
    assert fires(acme) == [(told_, START)]
    assert fires(acme, "missed") == [(short, START)]
    assert next_fire(acme, short) == next_fire(acme, told_) == START + timedelta(days=1)


@pytest.mark.parametrize(
    ("cron", "minutes"),
    [
        ("0 9 * * *", 120),  # half a day would be too much
        ("0 9-17 * * *", 30),
        ("*/10 * * * *", 5),
        ("0 9,10 * * *", 30),  # until the next one, not on average
        ("* * * * *", 0.5),
    ],
)
def test_the_default_grace_is_half_the_time_to_the_next_at_most_two_hours(
    acme: Store, cron: str, minutes: float
) -> None:
    grace = timedelta(minutes=minutes)
    in_time = make_digest(acme, "C0001", cron, START, grace_minutes=None)
    fire_due(acme, START + grace)
    assert fires(acme) == [(in_time, START)]
    late = make_digest(acme, "C0001", cron, START, grace_minutes=None)
    fire_due(acme, START + grace + timedelta(seconds=1))
    assert (late, START) in fires(acme, "missed")


def test_of_several_missed_times_the_last_within_the_grace_is_told(acme: Store) -> None:
    digest_id = make_digest(acme, "C0001", "*/5 * * * *", START)
    now = START + timedelta(hours=2, minutes=2)
    assert fire_due(acme, now) == 1
    assert fires(acme) == [(digest_id, START + timedelta(hours=2))]
    # Of those before, however many they are, the first and the last are recorded.
    last = START + timedelta(hours=1, minutes=55)
    assert fires(acme, "missed") == [(digest_id, START), (digest_id, last)]
    assert next_fire(acme, digest_id) == START + timedelta(hours=2, minutes=5)


def test_nothing_comes_back_from_a_clock_that_is_set_back(acme: Store) -> None:
    digest_id = make_digest(acme, "C0001", "0 9 * * *", START)
    fire_due(acme, START)
    fire_due(acme, START - timedelta(hours=1))
    fire_due(acme, START + timedelta(minutes=1))
    assert fires(acme) == [(digest_id, START)]
