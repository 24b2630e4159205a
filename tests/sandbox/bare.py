"""An app without any SDK: bare sockets, and acknowledgements with whatever payload a test wants, right or
wrong.
"""

import json
import threading
from contextlib import ExitStack
from typing import Any
from urllib.request import Request, urlopen

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sandbox import Sandbox
from tests.patience import PATIENCE_S


def socket_url(slack: Sandbox) -> str:
    """The URL of a new socket."""
    headers = {
        "Authorization": f"Bearer {slack.app_token}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    with urlopen(Request(slack.api_url + "apps.connections.open", b"", headers)) as response:
        return str(json.load(response)["url"])


def dial(slack: Sandbox, stack: ExitStack) -> ClientConnection:
    """A bare socket, past its hello."""
    socket = stack.enter_context(connect(socket_url(slack)))
    assert json.loads(socket.recv(PATIENCE_S))["type"] == "hello"
    return socket


def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = json.loads(socket.recv(PATIENCE_S))
    return message


def acknowledge(socket: ClientConnection, envelope: dict[str, Any], payload: Any = None) -> None:
    """Acknowledge an envelope, with a payload if one is given."""
    answer = {"envelope_id": envelope["envelope_id"]}
    socket.send(json.dumps(answer if payload is None else answer | {"payload": payload}))


class BareApp:
    """Acknowledges everything with `answer`, and keeps what it received."""

    def __init__(self, slack: Sandbox, stack: ExitStack) -> None:
        self.answer: Any = None
        self.received: list[dict[str, Any]] = []
        self._socket = dial(slack, stack)
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def last(self) -> dict[str, Any]:
        """The payload that came last."""
        payload: dict[str, Any] = self.received[-1]["payload"]
        return payload

    def _run(self) -> None:
        try:
            for text in self._socket:
                envelope = json.loads(text)
                if envelope["type"] == "disconnect":
                    return
                self.received.append(envelope)
                acknowledge(self._socket, envelope, self.answer)
        except ConnectionClosed:
            return
