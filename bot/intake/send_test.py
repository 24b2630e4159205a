"""A realistic test alert of each source: one command shows that alerts arrive and become incidents."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.intake.tokens import Source

TIMEOUT_S = 10
# Go's zero time: the alert has not ended.
_NOT_YET = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the intake answered."""

    status: int  # of HTTP; 0 if nothing answered
    accepted: list[int]  # numbers of incidents
    errors: list[str]  # one line each


def build_payload(source: Source, now: datetime, *, resolved: bool, project: str | None) -> Any:
    """The test alert of a source; with `resolved` its end. `project` is needed if the token names none."""
    moment = now.isoformat()
    labels = {"alertname": "TocsinTest", "instance": "test.example:9100", "severity": "warning"}
    if project:
        labels["project"] = project
    alert = {
        "status": "resolved" if resolved else "firing",
        "labels": labels,
        "annotations": {
            "summary": "Test alert: the disk of test.example is nearly full",
            "runbook_url": "https://runbooks.example/disk",
        },
        "startsAt": moment,
        "endsAt": moment if resolved else _NOT_YET,
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=node_filesystem_avail_bytes",
        "fingerprint": "70c51e57e5700001",
    }
    if resolved:
        del alert["startsAt"]
    group = {
        "receiver": "tocsin",
        "status": alert["status"],
        "alerts": [alert],
        "groupLabels": {"alertname": "TocsinTest"},
        "commonLabels": labels,
        "commonAnnotations": alert["annotations"],
        "externalURL": "http://alertmanager.example:9093",
        "groupKey": '{}:{alertname="TocsinTest"}',
        "truncatedAlerts": 0,
    }
    match source:
        case Source.EVENTS:
            return {
                "dedup_key": "tocsin-test",
                "title": "Test alert: the disk of test.example is nearly full",
                "status": alert["status"],
                "severity": "warning",
                "environment": "test",
                "url": "https://monitor.example/test",
                **({"project": project} if project else {}),
            }
        case Source.ALERTMANAGER:
            return {**group, "version": "4"}
        case Source.GRAFANA:
            grafana_alert = {
                **alert,
                "silenceURL": "http://grafana.example:3000/alerting/silence/new",
                "dashboardURL": "http://grafana.example:3000/d/disk",
                "panelURL": "http://grafana.example:3000/d/disk?viewPanel=1",
                "values": {"A": 91.5},
            }
            return {
                **group,
                "alerts": [grafana_alert],
                "version": "1",
                "orgId": 1,
                "state": "ok" if resolved else "alerting",
            }
        case Source.SENTRY:
            return {
                "action": "resolved" if resolved else "warning",
                "actor": {"id": "sentry", "name": "Sentry", "type": "application"},
                "data": {
                    "description_title": "Test alert: too many errors",
                    "description_text": "1000 events in the last 10 minutes",
                    "metric_alert": {
                        "id": "1",
                        "alert_rule": {
                            "id": "tocsin-test",
                            "name": "Test alert: too many errors",
                            "aggregate": "count()",
                            "query": "level:error",
                            "environment": "test",
                        },
                        "date_detected": None if resolved else moment,
                        "date_closed": moment if resolved else None,
                        "projects": [project] if project else [],
                    },
                    "web_url": "https://sentry.example/organizations/test/alerts/1/",
                },
                "installation": {"uuid": "00000000-0000-0000-0000-000000000000"},
            }


def send(url: str, body: Any, *, token: str | None = None, secret: str | None = None) -> Answer:
    """Posts a payload with a token, or signed with a secret as Sentry does."""
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if secret:
        headers["Sentry-Hook-Resource"] = "metric_alert"
        headers["Sentry-Hook-Signature"] = hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
    request = urllib.request.Request(url, data=data, headers=headers, method="POST")
    try:
        # Without a proxy: the test is of this bot at this address.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return _answer(response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.read())
    except OSError as error:
        reason = getattr(error, "reason", error)
        return Answer(0, [], [f"nothing answers at {url}: {reason}"])


def _answer(status: int, body: bytes) -> Answer:
    try:
        answer = json.loads(body)
        errors = [f"{error['field']} {error['message']}" for error in answer["errors"]]
        return Answer(status, list(answer["accepted"]), errors)
    except (ValueError, KeyError, TypeError):
        return Answer(status, [], [f"it is not this bot that answers there: HTTP {status}"])
