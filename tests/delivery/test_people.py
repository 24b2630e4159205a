"""People at work while the line to the bot breaks: whatever they do counts once, and everybody is told of it once.

Two complete replicas hold the sockets, and what comes twice often comes to both.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import NotAcknowledged, NotConnected, Person, Sandbox
from sandbox.records import Json
from storage.engine import Store
from tests.delivery.conftest import Company, Replicas, found_company
from tests.long import LONG
from tests.patience import PATIENCE_S

PEOPLE = 12 if LONG else 6
ROUNDS = 20 if LONG else 3
REST_S = 240.0 if LONG else 60.0
# For an event that is lost, or not acknowledged: each time takes as long as patience once.
ARRIVED_S = 5 * PATIENCE_S


@pytest.fixture
def company(slack: Sandbox, store: Store, tmp_path: Path) -> Company:
    return found_company(slack, store, tmp_path, PEOPLE)


@pytest.fixture
def bots(company: Company, replicas: Replicas) -> Iterator[None]:
    """Two complete replicas, at work."""
    slack = company.slack
    # Events are sent again soon, and as often as it takes.
    slack.platform.deliveries.retry_delays = (0.5,) * 100
    replicas.start(2, SLACK_APP_TOKEN=slack.app_token)
    replicas.wait_until_ready()
    slack.wait_until_connected(2, PATIENCE_S)
    yield
    slack.hang_up()


@contextmanager
def line_breaking(slack: Sandbox) -> Iterator[None]:
    """Meanwhile sockets are dropped and renewed, and events come again that came long ago."""
    stop = threading.Event()

    def trouble() -> None:
        while not stop.wait(random.uniform(0.2, 1.2)):
            match random.randrange(4):
                case 0:
                    slack.drop_sockets()
                case 1:
                    slack.refresh_sockets()
                case _:
                    events = [one for one in slack.sent if one.kind == "events_api"]
                    for event in random.sample(events, min(5, len(events))):
                        slack.redeliver(event)

    breaking = threading.Thread(target=trouble)
    breaking.start()
    try:
        yield
    finally:
        stop.set()
        breaking.join()
        slack.problems.take("not_acknowledged")


def insist(act: Callable[[], object]) -> None:
    """As somebody does who is told by Slack that it did not work, which takes as long as patience once."""
    deadline = time.monotonic() + ARRIVED_S
    while True:
        try:
            act()
            return
        except (NotAcknowledged, NotConnected):
            assert time.monotonic() < deadline, "the line stays broken"
            time.sleep(0.1)


def at_once(act: Callable[[], object], times: int = 2) -> None:
    """Does something so many times in the same moment."""
    together = threading.Barrier(times)

    def go() -> None:
        together.wait()
        act()

    with ThreadPoolExecutor(times) as pool:
        for done in [pool.submit(go) for _ in range(times)]:
            done.result()


def comment_by_form(company: Company, person: Person, outage: str, text: str) -> None:
    insist(lambda: person.press(company.card(outage), "Comment"))
    form = person.wait_for_form(timeout=PATIENCE_S)
    form.fill("Comment", f"[{text}] in a form")
    insist(form.submit)


def send_again(slack: Sandbox) -> None:
    """Delivers the latest form again, to both replicas at once, as if its acknowledgement had been lost."""
    payload: Json = next(one.sent for one in reversed(slack.sent) if one.name == "view_submission")

    def send() -> None:
        delivery = slack.platform.deliveries.send("interactive", "view_submission", payload, accepts_response=True)
        assert delivery.settled.wait(PATIENCE_S) and delivery.acknowledged

    at_once(send)


def seen_by(company: Company, person: Person) -> int:
    with company.store.read() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT count(*) FROM incident_seen s JOIN slack_person p ON p.member_id = s.member_id"
                " WHERE p.user_id = %(user)s",
                {"user": person.id},
            ).scalar_one()
        )


def standing(company: Company) -> list[str]:
    """The comments that are not deleted."""
    with company.store.read() as connection:
        comments = "SELECT comment FROM incident_activity WHERE date_deleted IS NULL AND comment IS NOT NULL"
        return list(connection.exec_driver_sql(comments).scalars())


@pytest.mark.usefixtures("bots")
@pytest.mark.timeout(900)
def test_sockets_dropped_and_events_out_of_order(company: Company) -> None:
    slack = company.slack
    company.comment("n0")
    company.rest(REST_S)
    replying, forming, seeing, *_ = company.people

    def forms() -> None:
        for number in range(ROUNDS):
            comment_by_form(company, forming, "n0", f"form{number}")
            company.told[f"form{number}"] = forming
            insist(lambda: seeing.press(company.card("n0"), "Acknowledge"))

    with line_breaking(slack), ThreadPoolExecutor(1) as pool:
        others = pool.submit(forms)
        for number in range(ROUNDS):
            with slack.events_held() as held:
                _, edited, deleted = (
                    replying.reply(company.card("n0"), f"[{kind}{number}] in the thread")
                    for kind in ("kept", "edited", "deleted")
                )
                replying.edit(edited, f"[edited{number}] in the thread, later")
                replying.delete(deleted)
                order = list(range(len(held)))
                held.release(random.sample(order, len(order)))
            company.told |= {f"kept{number}": replying, f"edited{number}": replying}
            time.sleep(random.uniform(0.0, 0.5))
        others.result()
    slack.wait_until(lambda: all(company.said(text) for text in company.told), ARRIVED_S, "every reply as a comment")

    def is_as_written_last(comment: str) -> bool:
        return "[deleted" not in comment and ("[edited" not in comment or "later" in comment)

    slack.wait_until(lambda: all(map(is_as_written_last, standing(company))), ARRIVED_S, "every change of a reply")
    slack.settle(ARRIVED_S)
    company.rest(REST_S)
    slack.problems.take("not_acknowledged")
    company.expect_everything_once()
    assert seen_by(company, seeing) == 1
    assert all(map(is_as_written_last, standing(company)))


@pytest.mark.usefixtures("bots")
@pytest.mark.timeout(600)
def test_pressed_and_sent_twice(company: Company) -> None:
    slack = company.slack
    first, second, *_ = company.people

    def work(outage: str) -> None:
        card = company.card(outage)
        at_once(lambda: first.press(card, "Acknowledge"), 3)
        fill_in_twice(first, "Comment", f"{outage} form")
        fill_in_twice(second, "Resolve", f"{outage} end")

    def fill_in_twice(person: Person, label: str, text: str) -> None:
        card = company.card(text.split()[0])
        at_once(lambda: person.press(card, label))
        form = person.wait_for_form(timeout=PATIENCE_S)
        assert form.fill("Comment", f"[{text}] twice").submit().closed
        send_again(slack)
        company.told[text] = person
        while (left := person.form) is not None:  # of the second press
            left.close()

    for number in range(ROUNDS):
        company.comment(f"n{number}")
    company.rest(REST_S)
    for number in range(ROUNDS):
        work(f"n{number}")
    slack.settle(ARRIVED_S)
    company.rest(REST_S)
    company.expect_everything_once()
    assert seen_by(company, first) == ROUNDS
    with company.store.read() as connection:
        resolved = "SELECT count(*) FROM incident_activity WHERE type = 2 AND value = '2'"
        assert connection.exec_driver_sql(resolved).scalar_one() == ROUNDS
