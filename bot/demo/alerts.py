"""The alerts of Acme's monitoring while the demo runs: they arrive, worsen and resolve, over the intake's HTTP API."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

import structlog

from bot.slack.transport import HttpAnswer, post

log = structlog.get_logger(__name__)

POST_S = 5.0  # the intake must have answered by then
RETRY_S = 1.0
ROUND_S = 300.0  # from one round of alerts to the next


@dataclass(frozen=True, slots=True)
class TimedAlert:
    """An alert at one moment of a round."""

    after: float  # seconds from the beginning of the round
    key: str
    project: str
    team: str
    title: str
    severity: str | None = None  # warning, critical
    firing: bool = True


# The alert of the guided path: it comes first, and only people resolve it.
MAIN = TimedAlert(0, "checkout-502", "checkout", "payments", "Checkout answers 502 for one in ten orders", "warning")

FIRST = (
    MAIN,
    TimedAlert(20, "checkout-502", "checkout", "payments", "Checkout answers 502 for one in ten orders", "critical"),
)

ROUND = (
    TimedAlert(30, "search-empty", "catalogue", "search", "Searches with umlauts find nothing", "warning"),
    TimedAlert(75, "edge-tls", "edge", "platform", "TLS handshakes fail in eu-north", "warning"),
    TimedAlert(110, "search-empty", "catalogue", "search", "Searches with umlauts find nothing", firing=False),
    TimedAlert(130, "edge-tls", "edge", "platform", "TLS handshakes fail in eu-north", "critical"),
    TimedAlert(170, "billing-queue", "billing", "payments", "Billing queue holds more than 5,000 jobs", "warning"),
    TimedAlert(200, "edge-tls", "edge", "platform", "TLS handshakes fail in eu-north", firing=False),
    TimedAlert(260, "billing-queue", "billing", "payments", "Billing queue holds more than 5,000 jobs", firing=False),
)


class AlertSender:
    """Posts the alerts in a thread of its own, from `start` to `stop`."""

    def __init__(
        self, intake_url: str, token: str, now: Callable[[], datetime], arrived: Callable[[int], None]
    ) -> None:
        """`arrived` is called once, with the number of the incident that MAIN opened."""
        self._url = intake_url
        self._token = token
        self._now = now
        self._arrived = arrived
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(POST_S + RETRY_S)

    def _run(self) -> None:
        self._play(FIRST)
        while not self._stop.is_set():
            began = time.monotonic()
            self._play(ROUND)
            self._stop.wait(max(0.0, began + ROUND_S - time.monotonic()))

    def _play(self, moments: tuple[TimedAlert, ...]) -> None:
        began = time.monotonic()
        for moment in moments:
            if self._stop.wait(max(0.0, began + moment.after - time.monotonic())):
                return
            accepted = self._post(moment)
            if moment is MAIN and accepted:
                self._arrived(accepted[0])

    def _post(self, moment: TimedAlert) -> list[int]:
        event = {
            "dedup_key": moment.key,
            "title": moment.title,
            "status": "firing" if moment.firing else "resolved",
            "project": moment.project,
            "team": moment.team,
            "environment": "production",
            "url": f"https://monitoring.acme.test/alerts/{moment.key}",
        }
        if moment.severity:
            event["severity"] = moment.severity
        if not moment.firing:
            event["ended_at"] = self._now().isoformat()
        while not self._stop.is_set():
            try:
                answer = self._send(event)
            except OSError:
                pass  # the bot is not there yet, or not any more
            else:
                if answer.status == HTTPStatus.ACCEPTED:
                    return list(json.loads(answer.body)["accepted"])
                if answer.status < 500 and answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                    log.error("the intake refuses an alert of the demo", status=answer.status, key=moment.key)
                    return []
            self._stop.wait(RETRY_S)
        return []

    def _send(self, event: dict[str, Any]) -> HttpAnswer:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        return post(f"{self._url}/intake/events", json.dumps(event).encode(), headers, timeout_s=POST_S)
