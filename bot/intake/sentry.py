"""`POST /intake/sentry/ID`: the webhooks of Sentry's integration platform for metric alerts and issue alerts.

https://docs.sentry.io/integrations/integration-platform/webhooks/
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import Any

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH, MAX_TITLE_LENGTH
from bot.intake.models import Draft, Fields, ItemError, Parsed, as_text, shorten
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
    data = payload.object("data", required=True)
    alert = data.object("metric_alert", required=True)
    rule = alert.object("alert_rule", required=True)
    # Sentry numbers each firing anew; the rule is what fires again.
    key = rule.key("id")
    title = rule.text("name") or data.text("description_title")
    # Not date_started, which lies a window before and so may precede the last end.
    started, ended = alert.time("date_detected"), alert.time("date_closed")
    facts = _facts(
        Rule=rule.text("name"),
        Query=rule.text("query"),
        Measures=rule.text("aggregate"),
        Details=data.text("description_text"),
    )
    environment = rule.text("environment", longest=MAX_ENVIRONMENT_LENGTH)
    if payload.errors or key is None or action is None:
        return None
    projects = alert.data.get("projects")
    return Draft(
        item=payload.item,
        key=f"metric:{key}",
        title=shorten(title) if title else None,
        firing=action != "resolved",
        status=_METRIC_STATUS[action],
        project=as_text(projects[0]) if isinstance(projects, list) and projects else None,
        environment=environment,
        url=data.url("web_url"),
        started=started,
        ended=ended if action == "resolved" else None,
        facts=facts,
    )


def _issue_alert(payload: Fields) -> Draft | None:
    payload.choice("action", ("triggered",), required=True)
    data = payload.object("data", required=True)
    event = data.object("event", required=True)
    key = event.key("issue_id")
    started = event.time("datetime")
    facts = _facts(Rule=data.text("triggered_rule"), Where=event.text("culprit"))
    environment = event.text("environment") or _tag(event.data, "environment")
    in_url = _PROJECT_IN_URL.search(event.text("url") or "")
    if payload.errors or key is None:
        return None
    return Draft(
        item=payload.item,
        key=f"issue:{key}",
        title=event.text("title", longest=MAX_TITLE_LENGTH),
        firing=True,
        status=_LEVELS.get(event.text("level") or "", Status.OPEN),
        project=in_url[1] if in_url else None,
        environment=shorten(environment, MAX_ENVIRONMENT_LENGTH) if environment else None,
        url=event.url("web_url"),
        started=started,
        facts=facts,
    )


def _issue(payload: Fields) -> Draft | None:
    """The end of an issue; its beginning is told by the alert rules that somebody chose."""
    if payload.text("action") not in _ISSUE_ENDS:
        return None
    issue = payload.object("data", required=True).object("issue", required=True)
    key = issue.key("id")
    if payload.errors or key is None:
        return None
    return Draft(
        item=payload.item,
        key=f"issue:{key}",
        title=issue.text("title", longest=MAX_TITLE_LENGTH),
        firing=False,
        status=Status.OPEN,
        project=issue.object("project").text("slug"),
    )


_READERS = {METRIC_ALERT: _metric_alert, ISSUE_ALERT: _issue_alert, ISSUE: _issue}


def _facts(**facts: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, shorten(value, MAX_FACT_LENGTH)) for name, value in facts.items() if value)


def _tag(event: dict[str, Any], name: str) -> str | None:
    tags = event.get("tags")
    for tag in tags if isinstance(tags, list) else []:
        if isinstance(tag, list) and len(tag) == 2 and tag[0] == name:
            return as_text(tag[1])
    return None
