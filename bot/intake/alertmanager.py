"""`POST /intake/alertmanager`: the webhook of Prometheus' Alertmanager, version 4.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

import structlog

from bot.intake.label_alerts import MAX_LINK_LENGTH, LabelledAlert, parse_group
from bot.intake.models import Draft, Parsed, as_url

log = structlog.get_logger(__name__)


def parse(payload: Any, now: datetime) -> Parsed:
    """The alerts of a notification."""
    if isinstance(payload, dict) and isinstance(left := payload.get("truncatedAlerts"), int) and left > 0:
        # They are not in the notification, so nobody can take them; max_alerts of the receiver is too low.
        log.warning("Alertmanager left alerts out", count=left, cause="max_alerts of its webhook_config")
    return parse_group(payload, now, _draft)


def _draft(alert: LabelledAlert) -> Draft | None:
    status = alert.fields.choice("status", ("firing", "resolved"), required=True)
    return alert.draft(
        firing=status == "firing",
        title=alert.summary(),
        name=alert.name,
        url=as_url(alert.data.get("generatorURL")),
        links=alert.links(
            [
                ("Runbook", alert.annotations.get("runbook_url") or alert.annotations.get("runbook")),
                ("Silence", _silence_page(alert)),
            ]
        ),
        facts=alert.facts(),
    )


# A classic label name, which needs no quotes; since version 0.27 names may hold anything.
_IDENTIFIER = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def _silence_page(alert: LabelledAlert) -> str | None:
    """Alertmanager's page that makes a silence for exactly this alert; None where no link can say it.

    The labels are written as they came, not as they are shown: one blank less and the silence would match nothing.
    """
    base, labels = alert.group.get("externalURL"), alert.data.get("labels")
    if not isinstance(base, str) or not isinstance(labels, dict) or not labels:
        return None
    if not all(isinstance(value, str) for value in labels.values()):
        return None
    matchers = (f"{_label_name(name)}={_quoted(value)}" for name, value in sorted(labels.items()))
    try:
        page = f"{base.rstrip('/')}/#/silences/new?filter={quote('{' + ','.join(matchers) + '}', safe='')}"
    except UnicodeEncodeError:  # half a surrogate pair
        return None
    return page if len(page) <= MAX_LINK_LENGTH else None


def _label_name(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    # The three escapes that every version of Alertmanager's parser knows; all else stands for itself in all of them.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
