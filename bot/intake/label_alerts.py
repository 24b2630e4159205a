"""What Alertmanager's and Grafana's webhooks have in common: a group of alerts with labels and annotations."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH
from bot.intake.models import Draft, Fields, ItemError, Parsed, as_key, as_text, as_url, clean, shorten
from storage.values import Status

SEVERITIES = {"critical": Status.CRITICAL, "page": Status.CRITICAL, "warning": Status.WARNING}
# Labels that say how an alert is to be treated, and not which one it is.
_ROUTING = frozenset({"alertname", "severity", "team", "project", "environment", "env"})
MAX_LABELS = 200  # of one alert; Prometheus' own default is no limit, its practice a few dozen
MAX_VALUE_LENGTH = 1000  # of what is kept of one label
# Characters of a link among others; Slack takes 3,000 with its name.
MAX_LINK_LENGTH = 2900

Words = dict[str, str]


class LabelledAlert:
    """One alert of a group."""

    def __init__(self, item: int, data: dict[str, Any], group: dict[str, Any], now: datetime) -> None:
        self.fields = Fields(item, data, now)
        self.data = data
        self.group = group
        self.labels = _words(data, "labels")
        self.annotations = _words(data, "annotations")

    @property
    def severity(self) -> Status:
        """What the `severity` label says; OPEN for what it says otherwise, or not at all."""
        return SEVERITIES.get(self.labels.get("severity", "").lower(), Status.OPEN)

    @property
    def environment(self) -> str | None:
        """What the `environment` or `env` label says."""
        value = self.labels.get("environment") or self.labels.get("env")
        return shorten(value, MAX_ENVIRONMENT_LENGTH) if value else None

    def fingerprint(self) -> str | None:
        """What tells this alert from every other: its own fingerprint, or one made of its labels."""
        own = as_key(self.data.get("fingerprint"))
        if own is None:
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

    def facts(self, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        """The `description` annotation, and what else is shown."""
        description = self.annotations.get("description")
        return ((("Description", description),) if description else ()) + more

    def links(self, named: Iterable[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
        """Those of the links that can stand in Slack."""
        checked = ((name, as_url(url, MAX_LINK_LENGTH)) for name, url in named)
        return tuple((name, url) for name, url in checked if url)

    def draft(self, *, firing: bool, title: str | None, name: str, **more: Any) -> Draft | None:
        """The item, or None where it has mistakes."""
        key = self.fingerprint()
        started = self.fields.time("startsAt")
        ended = None if firing else self.fields.time("endsAt")
        if self.fields.errors or key is None:
            return None
        return Draft(
            item=self.fields.item,
            key=key,
            title=shorten(title) if title else None,
            name=shorten(name),
            firing=firing,
            status=self.severity,
            project=self.labels.get("project"),
            team=self.labels.get("team"),
            environment=self.environment,
            started=started,
            ended=ended,
            **more,
        )


def parse_group(payload: Any, now: datetime, one: Callable[[LabelledAlert], Draft | None]) -> Parsed:
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
        alert = LabelledAlert(number, data, payload, now)
        draft = one(alert)
        if alert.fields.errors or draft is None:
            parsed.errors += alert.fields.errors
        else:
            parsed.drafts.append(draft)
    return parsed


def _words(data: dict[str, Any], field: str) -> Words:
    """A mapping of names to texts, on one line each."""
    value = data.get(field)
    if not isinstance(value, dict):
        return {}
    texts = ((clean(name), as_text(text)) for name, text in itertools.islice(value.items(), MAX_LABELS))
    return {name: shorten(text, MAX_VALUE_LENGTH) for name, text in texts if name and text}
