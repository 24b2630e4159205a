"""Several web sockets: of one process, and of several up to Slack's ten. Every request is answered once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.settings import MAX_SOCKETS
from sandbox import Sandbox
from sandbox.socket_mode import SOCKET_LIMIT, Socket
from storage.engine import Store
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve, Serving
from tests.slack.test_metrics import is_at_rest, value
from tests.stories.conftest import Cast


def list_sockets(slack: Sandbox) -> list[Socket]:
    return list(slack.platform.sockets.sockets)


@pytest.fixture
def busy(slack: Sandbox, cast: Cast, store: Store) -> Iterator[_Busy]:
    yield _Busy(slack, cast, store)


class _Busy:
    """People who declare incidents and write comments, and what must have come of it."""

    def __init__(self, slack: Sandbox, cast: Cast, store: Store) -> None:
        self._slack, self._cast, self._store = slack, cast, store
        self._declared = 0
        self._commented = 0

    def work(self, rounds: int) -> None:
        """Declares so many incidents, and comments on each by a reply, which is an event."""
        for _ in range(rounds):
            self._declared += 1
            title = f"Payments fail {self._declared}"
            answer = self._cast.ada.command("/incident", f"declare project:checkout {title}", channel=self._cast.random)
            assert f"#{self._declared} {title}" in answer.text
            card = self._cast.ben.wait_for_message(
                self._cast.checkout, containing=f"#{self._declared} {title}", timeout=PATIENCE_S
            )
            self._commented += 1
            self._cast.ben.reply(card, f"I look at it, says comment {self._commented}")
        self._slack.settle()

    def check(self) -> None:
        """Every incident and every comment is there once, and the workspace saw no fault."""
        self._slack.wait_until(lambda: self._count()[1] >= self._commented, PATIENCE_S, "every comment")
        assert self._count() == (self._declared, self._commented)
        assert not self._slack.problems

    def _count(self) -> tuple[int, int]:
        with self._store.read() as connection:
            row = connection.exec_driver_sql(
                "SELECT (SELECT count(*) FROM incident),"
                " (SELECT count(*) FROM incident_activity WHERE comment LIKE 'I look at it%%')"
            ).one()
        return row[0], row[1]


def test_a_process_keeps_several_sockets_and_each_gets_requests(slack: Sandbox, serve: Serve, busy: _Busy) -> None:
    bot = serve(environment={"TOCSIN_SOCKETS": "3"})
    slack.wait_until(lambda: value(bot, "tocsin_slack_sockets") == 3, PATIENCE_S, "three sockets")
    busy.work(3)
    assert all(one.envelopes for one in list_sockets(slack)), [one.envelopes for one in list_sockets(slack)]
    # One is lost without a word: the others take what comes, and another one takes its place.
    first = list_sockets(slack)[0]
    slack.platform.call(first.cut)
    busy.work(1)
    slack.wait_until(lambda: first not in list_sockets(slack), PATIENCE_S, "the lost one")
    slack.wait_until_connected(3, timeout=PATIENCE_S)
    # Slack renews all of them.
    slack.refresh_sockets()
    slack.wait_until_connected(3, timeout=PATIENCE_S)
    busy.work(1)
    busy.check()
    bot.process.terminate()
    assert bot.end() == 0
    slack.wait_until(lambda: slack.connections == 0, PATIENCE_S, "no socket")


def test_replicas_share_slacks_ten_sockets_and_nothing_is_answered_twice(
    slack: Sandbox, cast: Cast, serve: Serve, busy: _Busy
) -> None:
    assert MAX_SOCKETS == SOCKET_LIMIT
    first = serve(environment={"TOCSIN_SOCKETS": "2"})
    slack.wait_until_connected(2, timeout=PATIENCE_S)
    second = serve(environment={"TOCSIN_SOCKETS": "10"})
    slack.wait_until_connected(10, timeout=PATIENCE_S)
    second.wait_for("reconnecting to Slack", reason="Slack says too_many_websockets")
    busy.work(6)  # more requests than sockets
    busy.check()
    # Each socket gets one of these: nothing else is sent meanwhile.
    slack.wait_until(lambda: is_at_rest(first) and is_at_rest(second), PATIENCE_S, "everything is sent")
    slack.settle()
    for _ in range(SOCKET_LIMIT):
        assert "Ada Obi" in cast.ada.command("/incident", "whoami", channel=cast.random).text
    assert [one.envelopes for one in list_sockets(slack)] and all(one.envelopes for one in list_sockets(slack))
    assert count_commands(first) > 0 and count_commands(second) > 0
    assert count_commands(first) + count_commands(second) == 6 + SOCKET_LIMIT
    # What the one gives up, the other takes.
    first.process.terminate()
    assert first.end() == 0
    slack.wait_until(lambda: value(second, "tocsin_slack_sockets") == 10, PATIENCE_S, "ten of the other")
    busy.work(1)
    busy.check()
    second.process.terminate()
    assert second.end() == 0


def count_commands(bot: Serving) -> float:
    return sum(value(bot, "tocsin_commands_total", verb=verb, result="ok") for verb in ("declare", "whoami"))
