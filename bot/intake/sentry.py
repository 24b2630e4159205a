"""`POST /intake/sentry/ID`: the webhooks of Sentry's integration platform for metric alerts and issue alerts.

https://docs.sentry.io/integrations/integration-platform/webhooks/
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import Any

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH
from bot.intake.items import Draft, Fields, ItemError, Parsed, is_web_url, shortened
from storage.values import Status

METRIC_ALERT = "metric_alert"
ISSUE_ALERT = "event_alert"
ISSUE = "issue"

_METRIC_STATUS = {"critical": Status.CRITICAL, "warning": Status.WARNING, "resolved": Status.OPEN}
_LEVELS = {"fatal": Status.CRITICAL, "error": Status.WARNING, "warning": Status.WARNING}
# An issue that somebody has dealt with in Sentry.
_ISSUE_ENDS = frozenset({"resolved", "archived", "ignored"})
# The API URL of an event names its project.
_PROJECT_IN_URL = re.compile(r"/projects/[^/]+/([^/]+)/events/")
MAX_FACT_LENGTH = 500  # characters


def signature_fits(secret: str, body: bytes, shown: str) -> bool:
    """Whether a request was signed with the secret: HMAC-SHA256 of its body, in hex."""
    right = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right.encode(), shown.encode("utf-8", "surrogateescape"))


def parse(payload: Any, now: datetime, resource: str) -> Parsed:
    """What a webhook about a resource says. Resources that are no alert have nothing in them to take."""
    parsed = Parsed([], [])
    if not isinstance(payload, dict):
        parsed.errors.append(ItemError(None, "body", "should be an object"))
    elif resource in _READERS:
        fields = Fields(0, payload, now)
        draft = _READERS[resource](fields)
        if fields.errors:
            parsed.errors += fields.errors
        elif draft is not None:
            parsed.drafts.append(draft)
    return parsed


def _metric_alert(payload: Fields) -> Draft | None:
    action = payload.choice("action", _METRIC_STATUS, required=True)
    data = payload.object("data")
    alert = data.object("metric_alert")
    rule = alert.object("alert_rule")
    # Sentry numbers each firing anew; the rule is what fires again.
    key = rule.identifier("id")
    title = rule.text("name") or data.text("description_title") or "Metric alert"
    # Not date_started, which lies a window before and so may precede the last end.
    started, ended = alert.time("date_detected"), alert.time("date_closed")
    facts = _facts(
        Rule=rule.text("name"),
        Query=rule.text("query"),
        Measures=rule.text("aggregate"),
        Details=data.text("description_text"),
    )
    environment = _environment(rule.text("environment"))
    if payload.errors or key is None or action is None:
        return None
    projects = alert.data.get("projects")
    return Draft(
        item=payload.item,
        key=f"metric:{key}",
        title=shortened(title),
        firing=action != "resolved",
        status=_METRIC_STATUS[action],
        project=_text(projects[0]) if isinstance(projects, list) and projects else None,
        environment=environment,
        url=_web_url(data.data.get("web_url")),
        started=started,
        ended=ended if action == "resolved" else None,
        facts=facts,
    )


def _issue_alert(payload: Fields) -> Draft | None:
    payload.choice("action", ("triggered",), required=True)
    data = payload.object("data")
    event = data.object("event")
    key = event.identifier("issue_id")
    title = event.text("title", required=True)
    started = event.time("datetime")
    facts = _facts(Rule=data.text("triggered_rule"), Where=event.text("culprit"))
    environment = _environment(event.text("environment") or _tag(event.data, "environment"))
    in_url = _PROJECT_IN_URL.search(_text(event.data.get("url")) or "")
    if payload.errors or key is None:
        return None
    return Draft(
        item=payload.item,
        key=f"issue:{key}",
        title=shortened(title or ""),
        firing=True,
        status=_LEVELS.get(_text(event.data.get("level")) or "", Status.OPEN),
        project=in_url[1] if in_url else None,
        environment=environment,
        url=_web_url(event.data.get("web_url")),
        started=started,
        facts=facts,
    )


def _issue(payload: Fields) -> Draft | None:
    """The end of an issue; its beginning is told by the alert rules that somebody chose."""
    if payload.text("action") not in _ISSUE_ENDS:
        return None
    issue = payload.object("data").object("issue")
    key = issue.identifier("id")
    title = issue.text("title")
    if payload.errors or key is None:
        return None
    project = issue.data.get("project")
    return Draft(
        item=payload.item,
        key=f"issue:{key}",
        title=shortened(title or "Issue"),
        firing=False,
        status=Status.OPEN,
        project=_text(project.get("slug")) if isinstance(project, dict) else None,
    )


_READERS = {METRIC_ALERT: _metric_alert, ISSUE_ALERT: _issue_alert, ISSUE: _issue}


def _facts(**facts: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, shortened(value, MAX_FACT_LENGTH)) for name, value in facts.items() if value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _environment(value: str | None) -> str | None:
    return shortened(value, MAX_ENVIRONMENT_LENGTH) if value else None


def _web_url(value: Any) -> str | None:
    return value if isinstance(value, str) and is_web_url(value) else None


def _tag(event: dict[str, Any], name: str) -> str | None:
    tags = event.get("tags")
    for tag in tags if isinstance(tags, list) else []:
        if isinstance(tag, list) and len(tag) == 2 and tag[0] == name and isinstance(tag[1], str):
            return tag[1]
    return None
