"""`POST /intake/events`: this project's own format, for scripts and whatever else can post JSON."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from bot.incidents.severities import SEVERITIES
from bot.intake.models import (
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
    as_text,
    as_url,
    read_items,
    shorten,
    text_of,
)
from storage.rows import DESCRIPTION
from storage.values import Status

MAX_LINKS = 10
MAX_LABELS = 30  # that are shown
# Characters.
MAX_NAME_LENGTH = 60
MAX_LABEL_LENGTH = 300
MAX_DESCRIPTION_LENGTH = 2000

Pairs = tuple[tuple[str, str], ...]


def _severity(value: Any) -> Status:
    return SEVERITIES.get((as_text(value) or "").lower(), Status.OPEN)


def _links(value: Any) -> Pairs | None:
    """Those links that can stand in Slack."""
    if not isinstance(value, dict):
        return None
    named = ((as_text(name), as_url(url)) for name, url in itertools.islice(value.items(), MAX_LINKS))
    return tuple((shorten(name, MAX_NAME_LENGTH), url) for name, url in named if name and url)


def _labels(value: Any) -> Pairs | None:
    if not isinstance(value, dict):
        return None
    named = ((as_text(name), as_text(text)) for name, text in itertools.islice(value.items(), MAX_LABELS))
    return tuple(
        (shorten(name, MAX_NAME_LENGTH), shorten(text, MAX_LABEL_LENGTH)) for name, text in named if name and text
    )


StatusWord = Literal["firing", "resolved"]
SeverityWord = Literal["warning", "critical"]
EventStatus = Annotated[
    StatusWord,
    BeforeValidator(lambda value: (as_text(value) or "firing").lower(), json_schema_input_type=StatusWord | None),
]
Severity = Annotated[Status, PlainValidator(_severity, json_schema_input_type=SeverityWord | None)]
Links = Annotated[Pairs | None, PlainValidator(_links, json_schema_input_type=dict[str, str] | None)]
Labels = Annotated[Pairs | None, PlainValidator(_labels, json_schema_input_type=dict[str, str] | None)]
Description = Annotated[str | None, text_of(MAX_DESCRIPTION_LENGTH)]


class Event(Item):
    """An alert."""

    dedup_key: Key = Field(description="Identifies the alert: the same each time it is sent. Unique in a project.")
    title: Title = Field(None, description="Default: the key. Shortened to 255 characters.")
    status: EventStatus = "firing"
    severity: Severity = Field(Status.OPEN, json_schema_extra={"default": None})
    environment: Environment = None
    project: CleanText = Field(
        None, description="Slug. Required if the token is for the whole organization, except when the alert ends."
    )
    team: CleanText = Field(None, description="Slug of the team that owns the incident.")
    url: WebUrl = Field(None, description="Where people can look at the alert; http or https.")
    description: Description = None
    links: Links = Field(None, description="Name to URL; shown.")
    labels: Labels = Field(None, description="Name to text; shown.")
    started_at: LenientTime = Field(None, description="With a time zone. Missing or impossible: now.")
    ended_at: LenientTime = Field(None, description="With a time zone. Missing or impossible: now.")

    def parsed(self, number: int) -> ParsedAlert:
        """The alert in the common form."""
        started, ended = self.started_at, self.ended_at
        labels = dict(self.labels or ())
        matched = None if self.labels is None else dict(labels)
        named_so = labels.pop(DESCRIPTION, None)  # a label may have the name under which descriptions are stored
        return ParsedAlert(
            item=number,
            key=self.dedup_key,
            title=self.title,
            firing=self.status == "firing",
            status=self.severity,
            project=self.project,
            team=self.team,
            environment=self.environment,
            url=self.url,
            started=started,
            ended=None if started and ended and ended < started else ended,
            links=self.links,
            description=self.description or named_so,
            facts=None if self.labels is None else tuple(labels.items()),
            labels=matched,
        )


def parse(payload: Any, received: datetime) -> ParseResult:
    """The items of a delivery: one object or a list of them."""
    items = payload if isinstance(payload, list) else [payload]
    if not items:
        return ParseResult([], [ItemError(None, "body", "holds no event")])
    return read_items(Event, items, received, Event.parsed)
