"""`POST /intake/events`: this project's own format, for scripts and whatever else can post JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH
from bot.intake.items import MAX_KEY_LENGTH, Draft, Fields, ItemError, Parsed, shortened
from storage.values import Status

SEVERITIES = {"warning": Status.WARNING, "critical": Status.CRITICAL}


def parse(payload: Any, now: datetime) -> Parsed:
    """The items of a delivery: one object or a list of them."""
    items = payload if isinstance(payload, list) else [payload]
    parsed = Parsed([], [])
    if not items:
        parsed.errors.append(ItemError(None, "body", "holds no event"))
    for number, data in enumerate(items):
        if not isinstance(data, dict):
            parsed.errors.append(ItemError(number, "body", "should be an object"))
            continue
        fields = Fields(number, data, now)
        draft = _draft(fields)
        if fields.errors or draft is None:
            parsed.errors += fields.errors
        else:
            parsed.drafts.append(draft)
    return parsed


def _draft(fields: Fields) -> Draft | None:
    key = fields.text("dedup_key", required=True, longest=MAX_KEY_LENGTH)
    title = fields.text("title", required=True)
    firing = fields.choice("status", ("firing", "resolved")) != "resolved"
    severity = fields.choice("severity", SEVERITIES)
    started, ended = fields.time("started_at"), fields.time("ended_at")
    if started and ended and ended < started:
        fields.wrong("ended_at", "is before started_at")
    draft = Draft(
        item=fields.item,
        key=key or "",
        title=shortened(title or ""),
        firing=firing,
        status=SEVERITIES[severity] if severity else Status.OPEN,
        project=fields.text("project"),
        team=fields.text("team"),
        environment=fields.text("environment", longest=MAX_ENVIRONMENT_LENGTH),
        url=fields.url("url"),
        started=started,
        ended=ended,
    )
    return draft if key and title else None
