"""What goes to Slack right after an acknowledgement: redraws and confirmations over a response URL.

Losing one loses nothing: each is drawn from the database, and the next press draws it again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog

from bot.slack.backoff import reason_of
from bot.slack.clients import CALL_TIMEOUT_S
from bot.slack.transport import post
from bot.slack.workers import Workers

log = structlog.get_logger(__name__)

WORKERS = 4
# Beyond this much waiting Slack is not taking answers, and more of them would only be late.
MAX_QUEUED = 1000
# Slack hands response URLs out on these hosts, whatever host its Web API has; the second is GovSlack's.
_RESPONSE_HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})


class Background:
    """A bounded executor that can be drained."""

    def __init__(self, api_url: str) -> None:
        self._api_host = urlsplit(api_url).netloc
        self._workers = Workers(WORKERS, "background")
        self._room = threading.BoundedSemaphore(MAX_QUEUED)

    def submit(self, work: Callable[[], object]) -> None:
        """Runs `work` soon, on another thread. What it raises is logged."""
        if not self._room.acquire(blocking=False):
            log.error("background work was dropped: too much is waiting", waiting=MAX_QUEUED)
            return
        try:
            self._workers.submit(self._run, work)
        except RuntimeError:  # shut down
            self._room.release()
            log.warning("background work was dropped: the bot is stopping")

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            log.exception("background work failed")
        finally:
            self._room.release()

    def respond(self, url: str, body: Mapping[str, Any]) -> None:
        """Posts a message to a response URL, soon."""
        if not self.is_response_url(url):
            log.warning("a response URL of another host was refused", host=url.partition("://")[2].partition("/")[0])
            return
        self.submit(lambda: _post(url, body))

    def is_response_url(self, url: str) -> bool:
        """Whether Slack could have handed a response URL out: a form carries its own through the client."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        return parts.netloc == self._api_host or (parts.scheme == "https" and parts.netloc in _RESPONSE_HOSTS)

    def drain(self, seconds: float) -> None:
        """Takes nothing more, and returns when what is waiting has been done, or after so many seconds."""
        if not self._workers.close(seconds):
            log.warning("answers are left unsent: Slack takes too long to take them")


def _post(url: str, body: Mapping[str, Any]) -> None:
    headers = {"Content-Type": "application/json;charset=utf-8"}
    try:
        answer = post(url, json.dumps(body).encode(), headers, timeout_s=CALL_TIMEOUT_S)
    except OSError as error:
        log.warning("an answer could not be sent", reason=reason_of(error))
        return
    if answer.status != 200:
        log.warning("Slack refused an answer", status=answer.status, answer=answer.text[:200])
