"""Errors that are reported to Sentry, by a Sentry that is a web server on this machine."""

from __future__ import annotations

import gzip
import json
import queue
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sandbox import Sandbox
from storage.engine import Store
from tests.ending import run_to_end
from tests.patience import PATIENCE_S
from tests.slack.serving import ROOT, Serve
from tests.stories.conftest import Cast


@contextmanager
def running_sentry() -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """Gives a DSN, and the events that arrive."""
    events: queue.Queue[dict[str, Any]] = queue.Queue()

    class Sentry(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            lines = (gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body).splitlines()
            if json.loads(lines[1])["type"] == "event":
                events.put(json.loads(lines[2]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Not on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Sentry) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://key@127.0.0.1:{server.server_address[1]}/1", events
        finally:
            server.shutdown()
            thread.join()


def test_an_unexpected_error_is_reported_with_the_id_that_the_person_has(
    slack: Sandbox, cast: Cast, store: Store, serve: Serve
) -> None:
    with running_sentry() as (dsn, events):
        bot = serve(environment={"SENTRY_DSN": dsn, "SENTRY_ENVIRONMENT": "tests"})
        cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
        cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail", timeout=PATIENCE_S)
        with store.write() as tx:
            tx.exec_driver_sql("ALTER TABLE incident_subscription RENAME TO gone")
        try:
            text = cast.ada.command("/incident", "subscribe 1", channel=cast.random).text
        finally:
            with store.write() as tx:
                tx.exec_driver_sql("ALTER TABLE gone RENAME TO incident_subscription")
        event = events.get(timeout=PATIENCE_S)
        shown = re.search(r"Error ID: ([0-9a-f]{8})", text)
        assert shown and event["tags"]["request_id"] == shown[1]
        assert event["environment"] == "tests" and event["release"].startswith("tocsin@")
        [error] = event["exception"]["values"]
        assert error["type"] == "UndefinedTable" and 'relation "incident_subscription" does not exist' in error["value"]
        assert error["stacktrace"]["frames"]
        assert event["contexts"]["log"]["event"] == "unexpected error"
        assert '"vars":' not in json.dumps(event) and not event.get("breadcrumbs", {}).get("values")
        for secret in (slack.bot_token, slack.app_token, "Payments fail", "U0001"):
            assert secret not in json.dumps(event)
        assert bot.said("unexpected error")
        bot.process.terminate()
        assert bot.end() == 0


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONPATH": str(ROOT), "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", **environment}
    return run_to_end(["-c", program], env=variables)


def test_the_package_is_loaded_only_where_it_is_needed() -> None:
    program = "import bot.cli, bot.app, sys; print('sentry_sdk' in sys.modules)"
    assert run(program).stdout == "False\n"


@pytest.mark.parametrize("dsn", ["https://key@sentry.example/1"])
def test_a_missing_package_is_one_line(dsn: str) -> None:
    program = "import sys; sys.modules['sentry_sdk'] = None; from bot.cli import main; sys.exit(main(['serve']))"
    done = run(program, SENTRY_DSN=dsn)
    assert done.returncode == 2
    assert done.stderr == "SENTRY_DSN is set, and the package sentry-sdk is not installed: pip install sentry-sdk\n"
