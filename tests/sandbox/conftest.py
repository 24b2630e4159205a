"""A workspace and a real Bolt app connected to it over Socket Mode, for the tests of the sandbox itself."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from sandbox import Sandbox
from sandbox.fixture import slack
from tests.measuring import unmeasured

__all__ = ["slack"]

Connect = Callable[[App], None]


def hang_up(slack: Sandbox, handler: SocketModeHandler) -> None:
    """Close a client without its waits.

    The server ends first, since the client would wait for its blocked read (3 s); and its idle queue gets
    something to wake up for (1 s).
    """
    client = handler.client
    client.auto_reconnect_enabled = False
    slack.hang_up()
    slack.wait_until(lambda: not client.is_connected())
    client.closed = True
    client.message_queue.put(None)
    handler.close()  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def not_measured() -> Iterator[None]:
    """Coverage is of the bot, which is not here."""
    with unmeasured():
        yield


@pytest.fixture
def client(slack: Sandbox) -> WebClient:
    return WebClient(token=slack.bot_token, base_url=slack.api_url, timeout=60)


@pytest.fixture
def app(client: WebClient) -> App:
    return App(client=client, process_before_response=True)


@pytest.fixture
def connect(slack: Sandbox) -> Iterator[Connect]:
    """Connect an app once its listeners are in place."""
    with ExitStack() as closing:

        def connect(app: App) -> None:
            sockets = slack.connections + 1
            handler = SocketModeHandler(app, slack.app_token)
            closing.callback(hang_up, slack, handler)
            handler.connect()  # type: ignore[no-untyped-call]
            slack.wait_until_connected(sockets)

        yield connect


@pytest.fixture
def still(slack: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes in the workspace only where the test moves its clock."""
    clock = slack.clock
    start = clock.now() - clock.ahead
    monkeypatch.setattr(clock, "now", lambda: start + clock.ahead)


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Closes what a test enters into it, before the workspace ends."""
    with ExitStack() as stack:
        yield stack
