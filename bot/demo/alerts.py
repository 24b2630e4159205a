"""The alerts of Acme's monitoring while the demo runs: they arrive, worsen and resolve, over the intake's HTTP API."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
    description: str | None = None
    labels: Mapping[str, str] | None = None


# The alert of the guided path: it comes first, and only people resolve it.
MAIN = TimedAlert(
    after=0,
    key="checkout-502",
    project="checkout",
    team="payments",
    title="Checkout answers 502 for one in ten orders",
    severity="warning",
    description="9.8% of the requests to checkout-api fail with 502 since release 4271. Threshold: 2%.",
    labels={"service": "checkout-api", "region": "eu-west"},
)

FIRST = (
    MAIN,
    replace(
        MAIN,
        after=20,
        severity="critical",
        description="31% of the requests to checkout-api fail with 502 since release 4271. Threshold: 2%.",
    ),
)

_SEARCH = TimedAlert(30, "search-empty", "catalogue", "search", "Searches with umlauts find nothing", "warning")
_TLS = TimedAlert(75, "edge-tls", "edge", "platform", "TLS handshakes fail in eu-north", "warning")
_QUEUE = TimedAlert(170, "billing-queue", "billing", "payments", "Billing queue holds more than 5,000 jobs", "warning")

ROUND = (
    replace(_SEARCH, description="0 results for 214 queries with ä, ö or ü in the last ten minutes."),
    _TLS,
    replace(_SEARCH, after=110, firing=False),
    replace(_TLS, after=130, severity="critical"),
    _QUEUE,
    replace(_TLS, after=200, firing=False),
    replace(_QUEUE, after=260, firing=False),
)


STORM_ALERTS = 60
STORM_STEP_S = 0.2  # from one alert of a storm to the next
STORM_LASTS_S = 30.0  # each alert


def build_storm(name: str) -> tuple[TimedAlert, ...]:
    """The alerts of a storm of the demo, each of which fires and resolves. `name` is part of their keys."""
    fired = [
        TimedAlert(
            after=STORM_STEP_S * node,
            key=f"storm-{name}-{node}",
            project="checkout",
            team="payments",
            title=f"Node web-{node} is unreachable",
            severity="critical" if node % 12 == 5 else "warning",
            labels={"alertname": "NodeDown", "zone": "eu-west-1", "node": f"web-{node}"},
        )
        for node in range(1, STORM_ALERTS + 1)
    ]
    ended = [replace(one, after=one.after + STORM_LASTS_S, firing=False) for one in fired]
    return (*fired, *ended)


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

    def start_storm(self) -> None:
        """Sends many alerts at once, in a thread of their own."""
        moments = build_storm(secrets.token_hex(4))
        threading.Thread(target=lambda: self._play(moments), name="storm", daemon=True).start()

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
            accepted = self.post_alert(moment)
            if moment is MAIN and accepted:
                self._arrived(accepted[0])

    def post_alert(self, moment: TimedAlert) -> list[int]:
        """Posts one alert until the bot takes it. Returns the numbers of its incidents; none once it is stopped."""
        event = {
            "dedup_key": moment.key,
            "title": moment.title,
            "status": "firing" if moment.firing else "resolved",
            "project": moment.project,
            "team": moment.team,
            "environment": "production",
            "url": f"https://monitoring.acme.test/alerts/{moment.key}",
            "links": {
                "Runbook": f"https://runbooks.acme.test/{moment.project}",
                "Dashboard": f"https://dashboards.acme.test/{moment.project}",
            },
            "description": moment.description,
            "labels": moment.labels,
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
