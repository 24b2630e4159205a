"""`POST /intake/alertmanager`: the webhook of Prometheus' Alertmanager, version 4.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

import structlog

from bot.intake.items import MAX_URL_LENGTH, Draft, Parsed
from bot.intake.labelled import Labelled, parse_group

log = structlog.get_logger(__name__)


def parse(payload: Any, now: datetime) -> Parsed:
    """The alerts of a notification."""
    if isinstance(payload, dict) and isinstance(left := payload.get("truncatedAlerts"), int) and left > 0:
        # They are not in the notification, so nobody can take them; max_alerts of the receiver is too low.
        log.warning("Alertmanager left alerts out", count=left, cause="max_alerts of its webhook_config")
    return parse_group(payload, now, _draft)


def _draft(alert: Labelled) -> Draft | None:
    status = alert.fields.choice("status", ("firing", "resolved"), required=True)
    generator = alert.data.get("generatorURL")
    links = alert.links(
        [
            ("Runbook", alert.annotations.get("runbook_url") or alert.annotations.get("runbook")),
            ("Silence", _silence_page(alert)),
        ]
    )
    source = alert.links([("Source", generator)])
    return alert.draft(
        firing=status == "firing",
        title=alert.summary() or alert.name,
        url=source[0][1] if source else None,
        links=links,
    )


def _silence_page(alert: Labelled) -> str | None:
    """Alertmanager's page that makes a silence for exactly this alert."""
    base = alert.group.get("externalURL")
    if not isinstance(base, str) or not alert.labels:
        return None
    matchers = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(alert.labels.items()))
    page = f"{base.rstrip('/')}/#/silences/new?filter={quote('{' + matchers + '}', safe='')}"
    return page if len(page) <= MAX_URL_LENGTH else None
