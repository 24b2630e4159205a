"""`POST /intake/events`: this project's own format, for scripts and whatever else can post JSON."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH, MAX_TITLE_LENGTH
from bot.intake.models import Draft, Fields, ItemError, Parsed, as_text, as_url, shorten
from storage.values import Status

SEVERITIES = {"warning": Status.WARNING, "critical": Status.CRITICAL}
MAX_LINKS = 10
MAX_LABELS = 30  # that are shown
# Characters.
MAX_NAME_LENGTH = 60
MAX_LABEL_LENGTH = 300
MAX_DESCRIPTION_LENGTH = 2000


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
    key = fields.key("dedup_key")
    status = fields.choice("status", ("firing", "resolved"))
    started, ended = fields.time("started_at"), fields.time("ended_at")
    if started and ended and ended < started:
        ended = None
    if key is None or fields.errors:
        return None
    return Draft(
        item=fields.item,
        key=key,
        title=fields.text("title", longest=MAX_TITLE_LENGTH),
        firing=status != "resolved",
        status=SEVERITIES.get((fields.text("severity") or "").lower(), Status.OPEN),
        project=fields.text("project"),
        team=fields.text("team"),
        environment=fields.text("environment", longest=MAX_ENVIRONMENT_LENGTH),
        url=fields.url("url"),
        started=started,
        ended=ended,
        links=_links(fields.data.get("links")),
        facts=_facts(fields),
    )


def _links(value: Any) -> tuple[tuple[str, str], ...] | None:
    """Label to URL, as far as they can stand in Slack."""
    if not isinstance(value, dict):
        return None
    named = ((as_text(name), as_url(url)) for name, url in itertools.islice(value.items(), MAX_LINKS))
    return tuple((shorten(name, MAX_NAME_LENGTH), url) for name, url in named if name and url)


def _facts(fields: Fields) -> tuple[tuple[str, str], ...] | None:
    """The description and the labels."""
    description, labels = fields.text("description", longest=MAX_DESCRIPTION_LENGTH), fields.data.get("labels")
    if description is None and not isinstance(labels, dict):
        return None
    facts = [("Description", description)] if description else []
    if isinstance(labels, dict):
        named = ((as_text(name), as_text(value)) for name, value in itertools.islice(labels.items(), MAX_LABELS))
        facts += [
            (shorten(name, MAX_NAME_LENGTH), shorten(value, MAX_LABEL_LENGTH))
            for name, value in named
            if name and value
        ]
    return tuple(facts)
