"""Reads incidents as Sentry's API gives them, as a list in one JSON document.

Each has `identifier`, `projects` (slugs), `title`, `status`, `statusMethod`, `dateStarted`, `dateDetected`,
`dateCreated`, `dateClosed`, `activities` and `seenBy`. The numbers of status and activity are those of Tocsin.
https://github.com/getsentry/sentry/blob/master/src/sentry/incidents/models/incident.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from bot.incidents.markup import escape
from bot.transfer.importing import Line
from bot.transfer.records import EntryRecord, IncidentRecord, ProjectRecord, SeenRecord, Slug, Text
from storage.values import ActivityType, Status, StatusMethod

_KINDS = frozenset({1, 2, 3, 4})  # Sentry's kinds of activity


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


Number = Annotated[int, BeforeValidator(_number)]


class _Sentry(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="ignore", frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )


class SentryUser(_Sentry):
    name: str | None = None
    email: str | None = None


class SentryActivity(_Sentry):
    type: Number
    user: SentryUser | None = None
    value: Number | str | None = None
    previous_value: Number | str | None = None
    comment: Text | None = None
    date_created: AwareDatetime


class SentryIncident(_Sentry):
    identifier: Number = Field(ge=1, lt=2**62)
    projects: list[Slug] = Field(min_length=1)
    title: Text
    status: Annotated[Status, BeforeValidator(_number)]
    status_method: Annotated[StatusMethod, BeforeValidator(_number)] = StatusMethod.RULE_TRIGGERED
    date_started: AwareDatetime
    date_detected: AwareDatetime | None = None
    date_created: AwareDatetime
    date_closed: AwareDatetime | None = None
    activities: list[SentryActivity] | None = None
    seen_by: list[SentryUser] = []


SENTRY: TypeAdapter[list[SentryIncident]] = TypeAdapter(list[SentryIncident])


def convert(incidents: Sequence[SentryIncident], members: Mapping[str, int]) -> Iterator[Line]:
    """Yields the projects, then the incidents. `members` are the e-mails that the organization has.

    What others wrote keeps their name in its text. A line's number is the position in the list.
    """
    slugs = sorted({slug for one in incidents for slug in one.projects})
    for slug in slugs:
        yield Line(0, ProjectRecord(type="project", slug=slug, name=slug))
    for number, one in enumerate(incidents, 1):
        yield Line(number, _convert(one, members))


def _convert(found: SentryIncident, members: Mapping[str, int]) -> IncidentRecord:
    changes = [one for one in found.activities or () if one.type in _KINDS]
    before = [_status(one.previous_value) for one in changes if _status(one.value) is Status.CLOSED]
    return IncidentRecord(
        type="incident",
        identifier=found.identifier,
        title=found.title,
        status=found.status,
        status_method=found.status_method,
        status_before_closing=(before[-1] if before else Status.OPEN) if found.status is Status.CLOSED else None,
        source="sentry",
        date_started=found.date_started,
        date_detected=found.date_detected or found.date_started,
        date_added=found.date_created,
        date_closed=(found.date_closed or found.date_created) if found.status is Status.CLOSED else None,
        projects=found.projects,
        seen=[
            SeenRecord(member=email, first_seen=found.date_created, last_seen=found.date_created)
            for email in dict.fromkeys((one.email or "").lower() for one in found.seen_by)
            if email in members
        ],
        activity=sorted((_entry(one, members) for one in changes), key=lambda entry: entry.date_added),
    )


def _entry(found: SentryActivity, members: Mapping[str, int]) -> EntryRecord:
    email = (found.user.email or "").lower() if found.user else ""
    text = escape(found.comment) if found.comment else None
    if text and found.user and email not in members:
        text = f"{escape(found.user.name or email or 'Somebody')}: {text}"
    return EntryRecord(
        type=ActivityType(found.type),
        member=email if email in members else None,
        value=_status(found.value),
        previous_value=_status(found.previous_value),
        comment=text,
        date_added=found.date_created,
    )


def _status(value: int | str | None) -> Status | None:
    return Status(value) if isinstance(value, int) and value in list(Status) else None
