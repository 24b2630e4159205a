"""`POST /intake/sentry/ID`: the webhooks of Sentry's integration platform for metric alerts and issue alerts.

https://docs.sentry.io/integrations/integration-platform/webhooks/
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH
from bot.intake.models import (
    CLEANED,
    MAX_TEXT_LENGTH,
    CleanText,
    Environment,
    Item,
    ItemError,
    Key,
    LenientTime,
    ParsedAlert,
    ParseResult,
    Title,
    WebUrl,
    as_mapping,
    as_text,
    read_items,
    shorten,
    shorten_key,
)
from storage.values import Status

_METRIC_STATUS = {"critical": Status.CRITICAL, "warning": Status.WARNING, "resolved": Status.OPEN}
_LEVELS = {"fatal": Status.CRITICAL, "error": Status.WARNING, "warning": Status.WARNING}
# An issue that somebody has dealt with in Sentry.
_ISSUE_ENDS = frozenset({"resolved", "archived", "ignored"})
# The API URL of an event names its project.
_PROJECT_IN_URL = re.compile(r"/projects/[^/]+/([^/]+)/events/")
MAX_FACT_LENGTH = 500  # characters


def is_signature_valid(secret: str, body: bytes, signature: str) -> bool:
    """Whether a request was signed with the secret: the signature is the HMAC-SHA256 of its body, in hex."""
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape"))


def _facts(**facts: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, shorten(value, MAX_FACT_LENGTH)) for name, value in facts.items() if value)


# --- metric alerts -----------------------------------------------------------------------------------------


def _first_project(value: Any) -> str | None:
    return as_text(value[0]) if isinstance(value, list) and value else None


class AlertRule(Item):
    """The rule of a metric alert. Sentry numbers each firing anew; the rule is what fires again."""

    id: Key
    name: CleanText = None
    query: CleanText = None
    aggregate: CleanText = None
    environment: Environment = None


class MetricAlert(Item):
    """One firing of a metric alert."""

    alert_rule: AlertRule
    # Not date_started, which lies a window before and so may precede the last end.
    date_detected: LenientTime = None
    date_closed: LenientTime = None
    projects: Annotated[str | None, PlainValidator(_first_project, json_schema_input_type=list[str] | None)] = None


class MetricAlertData(Item):
    """The data of a metric alert."""

    metric_alert: MetricAlert
    description_title: CleanText = None
    description_text: CleanText = None
    web_url: WebUrl = None


class MetricAlertWebhook(Item):
    """Sentry-Hook-Resource: metric_alert."""

    action: Annotated[Literal["critical", "warning", "resolved"], CLEANED]
    data: MetricAlertData

    def parsed(self, number: int) -> ParsedAlert:
        """The alert in the common form."""
        data, alert, rule = self.data, self.data.metric_alert, self.data.metric_alert.alert_rule
        title = rule.name or data.description_title
        return ParsedAlert(
            item=number,
            key=shorten_key(f"metric:{rule.id}"),
            title=shorten(title) if title else None,
            firing=self.action != "resolved",
            status=_METRIC_STATUS[self.action],
            project=alert.projects,
            environment=rule.environment,
            url=data.web_url,
            started=alert.date_detected,
            ended=alert.date_closed if self.action == "resolved" else None,
            description=data.description_text or "",
            facts=_facts(Rule=rule.name, Query=rule.query, Measures=rule.aggregate),
        )


# --- issue alerts ------------------------------------------------------------------------------------------


def _level(value: Any) -> Status:
    return _LEVELS.get(as_text(value) or "", Status.OPEN)


def _environment_tag(tags: Any) -> str | None:
    for tag in tags if isinstance(tags, list) else []:
        if isinstance(tag, list) and len(tag) == 2 and tag[0] == "environment":
            return as_text(tag[1])
    return None


class IssueEvent(Item):
    """The event that set off an issue alert."""

    issue_id: Key
    title: Title = None
    level: Annotated[Status, PlainValidator(_level, json_schema_input_type=str | None)] = Field(
        Status.OPEN, json_schema_extra={"default": None}
    )
    culprit: CleanText = None
    environment: CleanText = None
    tags: Annotated[str | None, PlainValidator(_environment_tag, json_schema_input_type=list[list[str]] | None)] = None
    datetime: LenientTime = None
    url: CleanText = None
    web_url: WebUrl = None


class IssueAlertData(Item):
    """The data of an issue alert."""

    event: IssueEvent
    triggered_rule: CleanText = None


class IssueAlertWebhook(Item):
    """Sentry-Hook-Resource: event_alert."""

    action: Annotated[Literal["triggered"], CLEANED]
    data: IssueAlertData

    def parsed(self, number: int) -> ParsedAlert:
        """The alert in the common form."""
        event = self.data.event
        environment = event.environment or event.tags
        in_url = _PROJECT_IN_URL.search(event.url or "")
        return ParsedAlert(
            item=number,
            key=shorten_key(f"issue:{event.issue_id}"),
            title=event.title,
            firing=True,
            status=event.level,
            project=in_url[1] if in_url else None,
            environment=shorten(environment, MAX_ENVIRONMENT_LENGTH) if environment else None,
            url=event.web_url,
            started=event.datetime,
            facts=_facts(Rule=self.data.triggered_rule, Where=event.culprit),
        )


# --- issues ------------------------------------------------------------------------------------------------


def _slug(project: Any) -> str | None:
    slug = as_text(as_mapping(project).get("slug"))
    return shorten(slug, MAX_TEXT_LENGTH) if slug else None


class Issue(Item):
    """An issue."""

    id: Key
    title: Title = None
    project: Annotated[str | None, PlainValidator(_slug, json_schema_input_type=dict[str, Any] | None)] = None


class IssueData(Item):
    """The data of an issue's webhook."""

    issue: Issue


class IssueWebhook(Item):
    """Sentry-Hook-Resource: issue. Any other action is ignored: alert rules decide which issues begin an incident."""

    action: Annotated[Literal["resolved", "archived", "ignored"], CLEANED]
    data: IssueData

    def parsed(self, number: int) -> ParsedAlert:
        """The end of the issue's alert in the common form."""
        issue = self.data.issue
        return ParsedAlert(
            item=number,
            key=shorten_key(f"issue:{issue.id}"),
            title=issue.title,
            firing=False,
            status=Status.OPEN,
            project=issue.project,
        )


def parse(payload: Any, received: datetime, resource: str) -> ParseResult:
    """The alert in a webhook about a resource. Resources that are not alerts hold none."""
    if not isinstance(payload, dict):
        return ParseResult([], [ItemError(None, "body", "should be an object")])
    match resource:
        case "metric_alert":
            return read_items(MetricAlertWebhook, [payload], received, MetricAlertWebhook.parsed)
        case "event_alert":
            return read_items(IssueAlertWebhook, [payload], received, IssueAlertWebhook.parsed)
        case "issue" if as_text(payload.get("action")) in _ISSUE_ENDS:
            return read_items(IssueWebhook, [payload], received, IssueWebhook.parsed)
        case _:
            return ParseResult([], [])
