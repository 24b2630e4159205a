"""Calls to Slack that follow an acknowledgement: updates of messages and forms, answers over a response URL.

A lost call loses no data: what it shows is rendered from the database, and the next button press renders it again.
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog

from bot import tracing
from bot.saturation import PoolUse
from bot.slack.backoff import reason_of
from bot.slack.clients import CALL_TIMEOUT_S
from bot.slack.thread_pool import ThreadPool
from bot.slack.transport import post

log = structlog.get_logger(__name__)

WORKERS = 4
# With so many calls queued Slack is not taking answers, and more of them would only be late.
MAX_QUEUED = 1000
# Slack issues response URLs on these hosts, whatever the host of its Web API. The second is GovSlack's.
_RESPONSE_HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})


class Background:
    """A bounded queue of calls with a few worker threads."""

    def __init__(self, api_url: str) -> None:
        self._api_host = urlsplit(api_url).netloc
        self._workers = ThreadPool(WORKERS, "background")
        self._slots = threading.BoundedSemaphore(MAX_QUEUED)

    def submit(self, work: Callable[[], object]) -> None:
        """Runs `work` on a worker thread. Its exceptions are logged, and where the queue is full it is dropped."""
        if not self._slots.acquire(blocking=False):
            log.error("background work was dropped: too much is waiting", waiting=MAX_QUEUED)
            return
        try:
            # In the context of the request, whose id the log lines of this work have.
            self._workers.submit(contextvars.copy_context().run, self._run, work)
        except RuntimeError:  # shut down
            self._slots.release()
            log.warning("background work was dropped: the bot is stopping")

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            log.exception("background work failed")
        finally:
            self._slots.release()

    def measure_use(self) -> PoolUse:
        """How many of the threads are at work, and how much waits for one."""
        return self._workers.measure_use()

    def respond(self, url: str, body: Mapping[str, Any]) -> None:
        """Posts a message to a response URL, on a worker thread. An address on another host than Slack's is refused."""
        if not self.is_response_url(url):
            log.warning("a response URL of another host was refused", host=url.partition("://")[2].partition("/")[0])
            return
        self.submit(lambda: _post(url, body))

    def is_response_url(self, url: str) -> bool:
        """Whether Slack may have issued a response URL. A form's URL comes from the client, who may change it."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        return parts.netloc == self._api_host or (parts.scheme == "https" and parts.netloc in _RESPONSE_HOSTS)

    def drain(self, seconds: float) -> None:
        """Takes no more work, and returns when the queued work is done, or after `seconds`."""
        if not self._workers.close(seconds):
            log.warning("answers were not sent: Slack takes too long")


def _post(url: str, body: Mapping[str, Any]) -> None:
    headers = {"Content-Type": "application/json;charset=utf-8"}
    try:
        with tracing.span("slack response_url", tracing.CLIENT):
            answer = post(url, json.dumps(body).encode(), headers, timeout_s=CALL_TIMEOUT_S)
    except OSError as error:
        log.warning("an answer could not be sent", reason=reason_of(error))
        return
    if answer.status != 200:
        log.warning("Slack refused an answer", status=answer.status, answer=answer.text[:200])
