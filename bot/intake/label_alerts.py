"""What Alertmanager's and Grafana's webhooks have in common: a group of alerts with labels and annotations."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, PlainValidator, ValidationError, ValidationInfo, field_validator

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH
from bot.incidents.severities import SEVERITIES
from bot.intake.models import (
    CLEANED,
    MAX_LINK_LENGTH,
    Item,
    LenientTime,
    ParsedAlert,
    ParseResult,
    WebUrl,
    as_key,
    as_mapping,
    as_text,
    as_url,
    clean_text,
    get_errors,
    mistake,
    read_items,
    shorten,
)
from storage.values import Status

_SEVERITIES = {**SEVERITIES, "page": Status.CRITICAL}
# Labels that say how to handle an alert, not which one it is.
_ROUTING = frozenset({"alertname", "severity", "team", "project", "environment", "env"})
MAX_LABELS = 200  # of one alert; Prometheus has no limit by default, and a few dozen are usual
MAX_VALUE_LENGTH = 1000  # characters of one label


def _texts(value: Any) -> dict[str, str]:
    """Names and texts, each on one line."""
    pairs = itertools.islice(as_mapping(value).items(), MAX_LABELS)
    texts = ((clean_text(name), as_text(text)) for name, text in pairs)
    return {name: shorten(text, MAX_VALUE_LENGTH) for name, text in texts if name and text}


Texts = Annotated[dict[str, str], PlainValidator(_texts, json_schema_input_type=dict[str, str] | None)]


class LabelAlert(Item):
    """One alert of a group."""

    status: Annotated[Literal["firing", "resolved"], CLEANED]
    fingerprint: Annotated[str | None, PlainValidator(as_key, json_schema_input_type=str | None)] = Field(
        None, description="Identifies the alert. Required if there are no labels."
    )
    labels: Texts = Field(
        {}, validate_default=True, description="severity, project, team and environment or env are read."
    )
    annotations: Texts = Field({}, description="summary is the title; description and runbook_url are shown.")
    starts_at: LenientTime = Field(None, alias="startsAt")
    ends_at: LenientTime = Field(None, alias="endsAt")
    generator_url: WebUrl = Field(None, alias="generatorURL")

    @field_validator("labels")
    @classmethod
    def _require_identity(cls, labels: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if not labels and info.data["fingerprint"] is None:
            raise mistake("is missing, and so is fingerprint")
        return labels

    def build(
        self,
        number: int,
        group: AlertGroup,
        *,
        title: str | None,
        prefix: str = "",
        links: Iterable[tuple[str, str | None]],
        facts: Iterable[tuple[str, str]] = (),
    ) -> ParsedAlert:
        """The alert in the common form. `prefix` stands before its title; `links` and `facts` are the source's own."""
        firing, environment = self.status == "firing", self.labels.get("environment") or self.labels.get("env")
        return ParsedAlert(
            item=number,
            key=self.fingerprint or self._fingerprint_of_labels(),
            title=shorten(prefix + title) if title else None,
            name=shorten(prefix + self._name(group)),
            firing=firing,
            status=_SEVERITIES.get(self.labels.get("severity", "").lower(), Status.OPEN),
            project=self.labels.get("project"),
            team=self.labels.get("team"),
            environment=shorten(environment, MAX_ENVIRONMENT_LENGTH) if environment else None,
            url=self.generator_url,
            started=self.starts_at,
            ended=None if firing else self.ends_at,
            links=tuple((name, url) for name, url in links if url),
            description=self.annotations.get("description", ""),
            facts=tuple(facts),
            labels=self.labels,
        )

    def _fingerprint_of_labels(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.labels.items())).encode()).hexdigest()[:16]

    def _name(self, group: AlertGroup) -> str:
        """The alert's name, then the labels that distinguish it from the others of its group."""
        own = {k: v for k, v in self.labels.items() if k not in _ROUTING}
        apart = {k: v for k, v in own.items() if group.common_labels.get(k) != v} or own
        name = self.labels.get("alertname") or "Alert"
        return f"{name} ({', '.join(f'{k}={v}' for k, v in sorted(apart.items()))})" if apart else name

    @property
    def runbook(self) -> str | None:
        """The URL of the runbook, if the annotations have a good one."""
        return as_url(self.annotations.get("runbook_url") or self.annotations.get("runbook"), MAX_LINK_LENGTH)


def read_list(value: Any) -> list[Any]:
    """The alerts of a group, not validated yet: an invalid one does not affect the others."""
    if not isinstance(value, list) or not value:
        raise mistake("should be a list of alerts")
    return value


class AlertGroup(Item):
    """Alerts that were sent together."""

    common_labels: Annotated[
        dict[str, Any], PlainValidator(as_mapping, json_schema_input_type=dict[str, str] | None)
    ] = Field({}, alias="commonLabels")
    alerts: Annotated[list[Any], PlainValidator(read_list)]


AlertT = TypeVar("AlertT", bound=LabelAlert)
GroupT = TypeVar("GroupT", bound=AlertGroup)


def parse_group(
    group_model: type[GroupT],
    alert_model: type[AlertT],
    payload: Any,
    received: datetime,
    build: Callable[[AlertT, int, GroupT], ParsedAlert],
) -> ParseResult:
    """The alerts of a notification."""
    try:
        group = group_model.model_validate(payload, context=received)
    except ValidationError as error:
        return ParseResult([], get_errors(error, None))
    return read_items(
        alert_model, group.alerts, received, lambda alert, number: build(alert, number, group), field="alerts"
    )
