"""`serve` as a process of its own: told to stop in the middle of requests, and killed without a word."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox import NotAcknowledged, NotConnected, Sandbox
from sandbox.faults import RESPONSE_URL
from storage.engine import Store
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve
from tests.stories.conftest import Cast


@pytest.mark.parametrize("over_http", [False, True], ids=["socket", "http"])
def test_told_to_stop_it_answers_what_it_holds_and_ends_well(
    slack: Sandbox, cast: Cast, serve: Serve, over_http: bool
) -> None:
    bot = serve(over_http=over_http)
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.checkout)
    strangers = [slack.person(f"U10{n}", f"Stranger {n}", f"{n}@elsewhere.test") for n in range(6)]
    slack.faults.slow("users.info", 1.0, times=None)
    with ThreadPoolExecutor(8) as many:
        asked = [many.submit(one.command, "/incident", "list", channel=cast.random) for one in strangers]
        asked.append(many.submit(cast.ben.command, "/incident", "comment 1 Looking", channel=cast.random))
        slack.wait_until(lambda: len(slack.calls("users.info")) >= 8, what="requests under way", timeout=PATIENCE_S)
        bot.process.send_signal(signal.SIGTERM)
        answers = [one.result().text for one in asked]
    assert all("not a member" in text for text in answers[:-1])
    assert "You commented on #1" in answers[-1]
    assert bot.end() == 0
    assert bot.lines[-1]["event"] == "stopped"
    assert not any(line.get("level") in ("error", "critical") for line in bot.lines)
    # What happens while it stops is sent again, to another.
    assert all("events_api" in problem.detail for problem in slack.problems.take("not_acknowledged"))


@pytest.mark.parametrize("over_http", [False, True], ids=["socket", "http"])
def test_killed_it_loses_nothing_that_it_had_acknowledged(
    slack: Sandbox, cast: Cast, store: Store, serve: Serve, over_http: bool
) -> None:
    bot = serve(over_http=over_http)
    acknowledged: list[str] = []
    enough = threading.Event()

    def declares(number: int) -> None:
        person = (cast.ada, cast.ben, cast.dan)[number % 3]
        for turn in range(1000):
            title = f"Fire {number}.{turn}."
            try:
                answer = person.command("/incident", f"declare project:checkout {title}", channel=cast.checkout)
            except (NotAcknowledged, NotConnected):
                return
            if title in answer.text:
                acknowledged.append(title)
            if len(acknowledged) >= 40:
                enough.set()

    with ThreadPoolExecutor(4) as many:
        everybody = [many.submit(declares, number) for number in range(4)]
        assert enough.wait(PATIENCE_S)
        bot.process.send_signal(signal.SIGKILL)
        assert bot.process.wait() == -signal.SIGKILL

        def answered_or_not() -> bool:
            slack.platform.deliveries.expire()
            return all(one.done() for one in everybody)

        slack.wait_until(answered_or_not, what="the end of what was under way", timeout=PATIENCE_S)
        for one in everybody:
            one.result()
    slack.problems.clear()  # those who were not answered

    again = serve(over_http=over_http)
    with store.read() as connection:
        titles = list(connection.exec_driver_sql("SELECT title FROM incident ORDER BY identifier").scalars())
        numbers = list(connection.exec_driver_sql("SELECT identifier FROM incident ORDER BY identifier").scalars())
    assert set(acknowledged) <= set(titles)
    assert len(titles) == len(set(titles))
    assert numbers == list(range(1, len(numbers) + 1))
    shown = cast.dan.command("/incident", f'list all "{acknowledged[-1]}"', channel=cast.random)
    assert acknowledged[-1] in shown.text
    again.process.send_signal(signal.SIGTERM)
    assert again.end() == 0


def test_told_to_stop_it_does_not_wait_for_answers_that_slack_does_not_take(
    slack: Sandbox, cast: Cast, serve: Serve
) -> None:
    # Not measured for coverage: writing it down takes from the seconds that a stop may take.
    bot = serve(environment={"COVERAGE_PROCESS_CONFIG": ""})
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.checkout)
    shown = cast.ada.command("/incident", "view 1", channel=cast.checkout).message
    assert shown is not None
    slow = slack.faults.slow(RESPONSE_URL, 5.0, times=None)
    with ThreadPoolExecutor(8) as many:
        for pressed in [many.submit(cast.ada.press, shown, "Acknowledge") for _ in range(60)]:
            pressed.result()
    slack.wait_until(lambda: slow.hits, what="an answer under way", timeout=PATIENCE_S)
    bot.process.send_signal(signal.SIGTERM)
    assert bot.end() == 0
    assert bot.lines[-1]["event"] == "stopped"
    assert bot.said("answers were not sent: Slack takes too long")
