"""HTTP mode behind a balancer: each request goes to another replica, and everything is done once."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from sandbox import Sandbox
from storage.engine import Store
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve
from tests.slack.test_metrics import is_at_rest, value
from tests.stories.conftest import Cast


@contextmanager
def running_balancer(backends: Sequence[str]) -> Iterator[str]:
    """Gives the address of a server that passes each request on to the next backend that can be reached.

    Events take turns of their own: as many as there happen to be do not decide where what people do goes.
    """
    turns: dict[str, Iterator[int]] = defaultdict(itertools.count)

    class Balancer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            first = next(turns[self.headers["Content-Type"]])
            for number in range(len(backends)):
                backend = backends[(first + number) % len(backends)]
                try:
                    answer = httpx.post(backend + self.path, content=body, headers=headers, timeout=PATIENCE_S)
                except httpx.ConnectError:
                    continue
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers.get("content-type", "text/plain"))
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)
                return
            self.send_error(502)

        def log_message(self, *_: object) -> None:
            """Not on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Balancer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_requests_may_go_to_any_replica(slack: Sandbox, cast: Cast, store: Store, serve: Serve) -> None:
    first, second = serve(over_http=True), serve(over_http=True)
    with running_balancer([first.url, second.url]) as address:
        slack.use_http(f"{address}/slack/events")
        for number in range(1, 5):
            answer = cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
            assert f"#{number} Payments fail" in answer.text
        counts = [value(bot, "tocsin_commands_total", verb="declare", result="ok") for bot in (first, second)]
        assert sum(counts) == 4 and min(counts) >= 1
        # A form is opened by one replica and submitted to the other.
        card = cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail", timeout=PATIENCE_S)
        cast.ben.press(card, "Comment")
        cast.ben.wait_for_form("Comment #1").fill("Comment", "Looking at it").submit()
        # Slack sends an event again, to the other replica.
        cast.ben.reply(card, "It is the deploy")
        slack.settle()
        event = next(one for one in reversed(slack.sent) if one.kind == "events_api" and "It is the deploy" in str(one))
        slack.redeliver(event)
        slack.redeliver(event)
        slack.settle()
        slack.wait_until(lambda: count_comments(store) == 2, PATIENCE_S, "both comments")
        # One stops, and the balancer leaves it out.
        first.process.terminate()
        assert first.end() == 0
        for number in range(5, 8):
            answer = cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
            assert f"#{number} Payments fail" in answer.text
        assert count_comments(store) == 2
        slack.wait_until(lambda: is_at_rest(second), PATIENCE_S, "everything is sent")
        slack.settle()  # what Slack says of that arrives, too


def count_comments(store: Store) -> int:
    with store.read() as connection:
        query = "SELECT count(*) FROM incident_activity WHERE comment IS NOT NULL"
        return int(connection.exec_driver_sql(query).scalar_one())
