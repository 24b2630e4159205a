"""One web socket of Socket Mode, and a server that does what servers seldom do."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from websockets.sync.server import ServerConnection, serve

from bot.slack.connections import Message, State, WebSocket
from tests.patience import PATIENCE_S


def test_a_message_in_parts_arrives_whole_and_is_answered() -> None:
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def slack(connection: ServerConnection) -> None:
        connection.send(['{"type":', ' "he', 'llo"}'])
        connection.send(["{", '"text": "Zür', 'ich"}'])
        connection.send('{"text": "Bern"}')
        for _ in range(2):
            answers.put(str(connection.recv(PATIENCE_S)))

    def on_message(socket: WebSocket, message: Message) -> None:
        assert socket.send(json.dumps(message["text"], ensure_ascii=False).encode())

    with _server(slack) as url:
        _WebSocket(url, on_message).wait_for(State.ENDED)
    assert [answers.get(timeout=PATIENCE_S) for _ in range(2)] == ['"Zürich"', '"Bern"']


def test_an_answer_that_the_reading_thread_sends_too_late_is_refused() -> None:
    """The library makes every other sender wait for that thread's end."""
    sent: queue.SimpleQueue[bool] = queue.SimpleQueue()
    closing = threading.Event()

    def slack(connection: ServerConnection) -> None:
        connection.send('{"type": "hello"}')
        connection.send('{"text": "Zürich"}')
        for _ in connection:
            pass
        closing.set()

    def on_message(socket: WebSocket, _: Message) -> None:
        threading.Thread(target=socket.close).start()
        assert closing.wait(PATIENCE_S)
        sent.put(socket.send(b"{}"))

    with _server(slack) as url:
        _WebSocket(url, on_message).wait_for(State.ENDED)
    assert sent.get(timeout=PATIENCE_S) is False


class _WebSocket(WebSocket):
    def __init__(self, url: str, on_message: Callable[[WebSocket, Message], None]) -> None:
        self._state_changed = threading.Condition()
        super().__init__(url, on_message, self._state_changed)

    def wait_for(self, state: State) -> None:
        with self._state_changed:
            assert self._state_changed.wait_for(lambda: self.state is state, PATIENCE_S), self.state


@contextmanager
def _server(handler: Callable[[ServerConnection], None]) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)
