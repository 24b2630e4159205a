"""What Alertmanager's and Grafana's webhooks have in common: a group of alerts with labels and annotations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH
from bot.intake.items import Draft, Fields, ItemError, Parsed, is_web_url, shortened
from storage.values import Status

SEVERITIES = {"critical": Status.CRITICAL, "page": Status.CRITICAL, "warning": Status.WARNING}
# Labels that say how an alert is to be treated, and not which one it is.
_ROUTING = frozenset({"alertname", "severity", "team", "project", "environment", "env"})
MAX_LABELS = 200  # of one alert; Prometheus' own default is no limit, its practice a few dozen
MAX_VALUE_LENGTH = 1000  # of what is kept of one label
# Go's zero time, which both write for "not yet".
_ZERO_YEAR = "0001-"

Words = dict[str, str]


class Labelled:
    """One alert of a group, read leniently where a label is odd and strictly where the alert could not be told."""

    def __init__(self, item: int, data: dict[str, Any], group: dict[str, Any], now: datetime) -> None:
        self.fields = Fields(item, data, now)
        self.data = data
        self.group = group
        self.labels = _words(self.fields, data, "labels")
        self.annotations = _words(self.fields, data, "annotations")

    @property
    def severity(self) -> Status:
        """What the `severity` label says; OPEN for what it says otherwise, or not at all."""
        return SEVERITIES.get(self.labels.get("severity", "").lower(), Status.OPEN)

    @property
    def environment(self) -> str | None:
        """What the `environment` or `env` label says."""
        value = self.labels.get("environment") or self.labels.get("env")
        return shortened(value, MAX_ENVIRONMENT_LENGTH) if value else None

    def fingerprint(self) -> str | None:
        """What tells this alert from every other: its own fingerprint, or one made of its labels."""
        own = self.fields.text("fingerprint", longest=100)
        if own is None and not self.fields.errors:
            if not self.labels:
                self.fields.wrong("labels", "is missing, and so is fingerprint")
                return None
            own = hashlib.sha256(json.dumps(sorted(self.labels.items())).encode()).hexdigest()[:16]
        return own

    @property
    def name(self) -> str:
        """The alert's name and, behind it, the labels that tell it from the others of its group."""
        common = self.group.get("commonLabels")
        common = common if isinstance(common, dict) else {}
        own = {k: v for k, v in self.labels.items() if k not in _ROUTING}
        apart = {k: v for k, v in own.items() if common.get(k) != v} or own
        name = self.labels.get("alertname") or "Alert"
        return f"{name} ({', '.join(f'{k}={v}' for k, v in sorted(apart.items()))})" if apart else name

    def summary(self) -> str | None:
        """The `summary` annotation on one line."""
        return " ".join(self.annotations.get("summary", "").split()) or None

    def time(self, field: str) -> datetime | None:
        """A time; None where Go's zero time stands for none."""
        value = self.data.get(field)
        if isinstance(value, str) and value.startswith(_ZERO_YEAR):
            return None
        return self.fields.time(field)

    def links(self, named: Iterable[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
        """Those of the links that can stand in Slack."""
        return tuple((name, url) for name, url in named if isinstance(url, str) and is_web_url(url))

    def draft(self, *, firing: bool, title: str, **more: Any) -> Draft | None:
        """The item, or None where it has mistakes."""
        key = self.fingerprint()
        started = self.time("startsAt")
        ended = None if firing else self.time("endsAt")
        if self.fields.errors or key is None:
            return None
        return Draft(
            item=self.fields.item,
            key=key,
            title=shortened(title),
            firing=firing,
            status=self.severity,
            project=self.labels.get("project"),
            team=self.labels.get("team"),
            environment=self.environment,
            started=started,
            ended=ended,
            **more,
        )


def parse_group(payload: Any, now: datetime, one: Callable[[Labelled], Draft | None]) -> Parsed:
    """The alerts of a group, each read by `one`."""
    parsed = Parsed([], [])
    if not isinstance(payload, dict):
        parsed.errors.append(ItemError(None, "body", "should be an object"))
        return parsed
    alerts = payload.get("alerts")
    if not isinstance(alerts, list) or not alerts:
        parsed.errors.append(ItemError(None, "alerts", "should be a list of alerts"))
        return parsed
    for number, data in enumerate(alerts):
        if not isinstance(data, dict):
            parsed.errors.append(ItemError(number, "alerts", "should be an object"))
            continue
        alert = Labelled(number, data, payload, now)
        draft = None if alert.fields.errors else one(alert)
        if alert.fields.errors or draft is None:
            parsed.errors += alert.fields.errors
        else:
            parsed.drafts.append(draft)
    return parsed


def _words(fields: Fields, data: dict[str, Any], field: str) -> Words:
    """A mapping of names to texts, on one line each."""
    value = data.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        fields.wrong(field, "should be an object")
        return {}
    if len(value) > MAX_LABELS:
        fields.wrong(field, f"has more than {MAX_LABELS} entries")
        return {}
    inner = fields.part(field, value)
    words = {name: inner.text(name) for name in value}
    return {name: shortened(text, MAX_VALUE_LENGTH) for name, text in words.items() if text}
