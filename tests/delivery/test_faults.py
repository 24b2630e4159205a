"""What delivery must survive, with counting: everything arrives, and nothing twice."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import Sandbox
from storage.embedded import EmbeddedPostgres
from storage.embedded.scratch import scratch_folder
from storage.engine import Store
from storage.migrate import migrate
from tests.clock import shadow_database_time
from tests.delivery.conftest import Company, DatabaseClock, Replicas, found_company
from tests.long import LONG
from tests.patience import PATIENCE_S

PEOPLE, COMMENTS = (40, 50) if LONG else (6, 8)
TROUBLE_S = 60.0 if LONG else 3.0
REST_S = 240.0 if LONG else 60.0
KILLS = 160 if LONG else 8  # of each number of replicas
JUMPS = 4 if LONG else 1


@pytest.fixture
def company(slack: Sandbox, store: Store, tmp_path: Path) -> Company:
    return found_company(slack, store, tmp_path, PEOPLE)


def lose_replies(slack: Sandbox, stop: threading.Event) -> None:
    """Now and then Slack takes a message, and its sender never learns of it."""
    while not stop.wait(random.uniform(0.05, 0.3)):
        slack.faults.cut("chat.postMessage", times=random.randint(1, 3))


@contextmanager
def in_trouble(slack: Sandbox) -> Iterator[None]:
    """Meanwhile Slack refuses, is slow, asks for patience, or takes what it says that it has not."""
    stop = threading.Event()
    faults = slack.faults
    kinds = [
        lambda: faults.rate_limit("chat.*", retry_after=1, times=1),
        lambda: faults.fail("chat.*", status=500, times=2),
        lambda: faults.fail("chat.*", status=503, times=2, performed=True),
        lambda: faults.slow("chat.*", 1.3, times=1),
        lambda: faults.cut("chat.*", times=2),
        lambda: faults.cut("chat.*", times=2, performed=False),
        lambda: faults.refuse("chat.*", "internal_error", times=1),
    ]

    def trouble() -> None:
        while not stop.wait(random.uniform(0.3, 1.0)):
            random.choice(kinds)()

    troubling = threading.Thread(target=trouble)
    troubling.start()
    try:
        yield
    finally:
        stop.set()
        troubling.join()
        faults.clear()


def wait_for_a_post(slack: Sandbox) -> None:
    """Until another message is posted, though not for long."""
    posted = len(slack.calls("chat.postMessage"))
    with contextlib.suppress(AssertionError):
        slack.wait_until(lambda: len(slack.calls("chat.postMessage")) > posted, 2.0)


@contextmanager
def replies_lost(slack: Sandbox) -> Iterator[None]:
    """Meanwhile Slack now and then takes a message, and its sender never learns of it."""
    stop = threading.Event()
    trouble = threading.Thread(target=lose_replies, args=(slack, stop))
    trouble.start()
    try:
        yield
    finally:
        stop.set()
        trouble.join()
        slack.faults.clear()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [2, 4] if LONG else [2])
def test_killed_at_random_moments_with_replies_lost(company: Company, replicas: Replicas, count: int) -> None:
    replicas.start(count)
    with replies_lost(company.slack):
        for number in range(COMMENTS):
            latest = company.comment(f"n{number}")
            if number % 4 == 3:
                time.sleep(random.uniform(0.1, 0.7))
                replicas.kill_one()
                replicas.start()
        while replicas.killed < KILLS:
            if replicas.killed % 4 == 0:  # there is always something under way
                latest = company.comment(f"k{replicas.killed}")
            else:
                company.remark(latest, f"r{replicas.killed}")
            time.sleep(random.uniform(0.3, 1.2))
            replicas.kill_one()
            replicas.start()
    assert replicas.killed == KILLS
    company.rest(REST_S)
    company.expect_everything_once()


@pytest.mark.timeout(3600 if LONG else 600)
def test_two_replicas_killed_again_and_again_while_slack_is_in_trouble(company: Company, replicas: Replicas) -> None:
    replicas.start(2)
    with in_trouble(company.slack):
        for number in range(KILLS):
            if number < COMMENTS:
                company.comment(f"n{number}")
            elif number % 8 == 0:  # something to be killed at
                company.comment(f"m{number}")
            # Killed while one of them sends, as far as that can be told from outside; some before they have begun.
            wait_for_a_post(company.slack)
            replicas.kill_one()
            replicas.start()
    assert replicas.killed == KILLS
    company.rest(REST_S)
    company.expect_everything_once()


@pytest.mark.timeout(600)
def test_slack_in_trouble_for_a_while(company: Company, replicas: Replicas) -> None:
    replicas.start(2)
    faults = company.slack.faults
    kinds = [
        lambda: faults.rate_limit("chat.*", retry_after=1, times=3),
        lambda: faults.fail("chat.*", status=500, times=3),
        lambda: faults.fail("chat.*", status=503, times=3, performed=True),
        lambda: faults.slow("chat.*", 1.3, times=2),
        lambda: faults.cut("chat.*", times=3),
        lambda: faults.cut("chat.*", times=3, performed=False),
        lambda: faults.refuse("chat.*", "internal_error", times=2),
        lambda: faults.fail("conversations.*", status=500, times=2),
        lambda: faults.rate_limit("conversations.*", retry_after=1, times=2),
    ]
    until = time.monotonic() + TROUBLE_S
    number = 0
    while time.monotonic() < until:
        if number < COMMENTS:
            company.comment(f"n{number}")
            number += 1
        random.choice(kinds)()
        time.sleep(0.2)
    faults.clear()
    company.rest(REST_S)
    company.expect_everything_once()


@pytest.mark.timeout(300)
def test_postgresql_restarted_in_the_middle(slack: Sandbox, tmp_path: Path) -> None:
    with scratch_folder() as folder:
        with EmbeddedPostgres(folder / "data", durable=False) as url:
            shadow_database_time(url)
            migrate(url)
            store = Store.open(url)
            company = found_company(slack, store, tmp_path, PEOPLE)
            replicas = Replicas(slack, url)
            replicas.start(2)
            replicas.wait_until_ready()
            for number in range(COMMENTS):
                company.comment(f"n{number}")
            slack.wait_until(lambda: len(slack.calls("chat.postMessage")) > PEOPLE)
        time.sleep(0.5)
        with EmbeddedPostgres(folder / "data", durable=False):
            try:
                company.rest(REST_S)
                company.expect_everything_once()
            finally:
                replicas.end()
                store.close()


def test_sigterm_in_the_middle_of_a_send(company: Company, replicas: Replicas) -> None:
    replicas.start(2, CALL_S=f"{PATIENCE_S:.0f}")  # else nobody knows whether a message was posted that takes long
    replicas.wait_until_ready()
    slow = company.slack.faults.slow("chat.postMessage", 0.2, times=None)
    company.comment("n0")
    company.slack.wait_until(lambda: company.slack.calls("chat.postMessage"))
    assert replicas.stop_one() == 0
    company.comment("n1")
    assert replicas.stop_one() == 0
    company.slack.faults.remove(slow)
    with company.store.read() as connection:
        begun = "SELECT count(*) FROM post WHERE attempted_at IS NOT NULL"
        assert connection.exec_driver_sql(begun).scalar_one() == 0
    replicas.start(2)
    company.rest(REST_S)
    company.expect_everything_once()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ahead", ["0,-3600,3600,-300000,300000", "-300000"], ids=["jumping", "days behind"])
def test_the_clocks_of_the_replicas_are_wrong(company: Company, replicas: Replicas, ahead: str) -> None:
    replicas.start(2, CLOCK_AHEAD=ahead)
    with replies_lost(company.slack):
        for number in range(COMMENTS):
            company.comment(f"n{number}")
            time.sleep(random.uniform(0.0, 0.2))
    company.rest(REST_S)
    company.expect_everything_once()


@pytest.mark.timeout(300)
def test_the_clock_of_the_database_jumps(slack: Sandbox, jumping: tuple[str, DatabaseClock], tmp_path: Path) -> None:
    url, clock = jumping
    store = Store.open(url)
    company = found_company(slack, store, tmp_path, PEOPLE)
    replicas = Replicas(slack, url)
    try:
        replicas.start(2)
        replicas.wait_until_ready()
        number = 0
        with replies_lost(slack):
            for ahead_s in (7200.0, 3600.0, 0.0, -7200.0, -3600.0) * JUMPS:
                clock.set(ahead_s)
                for _ in range(3):
                    company.comment(f"n{number}")
                    number += 1
                    time.sleep(random.uniform(0.0, 0.3))
        company.rest(REST_S)
        company.expect_everything_once()
    finally:
        replicas.end()
        store.close()


def test_the_clock_of_slack_jumps_while_an_outcome_is_unknown(company: Company, replicas: Replicas) -> None:
    replicas.start(2)
    company.comment("n0")
    company.rest(REST_S)
    company.slack.faults.cut("chat.postMessage", times=5)
    company.comment("n1")
    company.slack.clock.advance(7200)
    company.comment("n2")
    company.rest(REST_S)
    company.expect_everything_once()
