"""What queries give back and messages are drawn from: plain values, no connection behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from storage.values import ActivityType, Status, StatusMethod


class IncidentLine(NamedTuple):
    """An incident as a list shows it."""

    id: int
    identifier: int
    title: str
    status: Status
    environment: str | None
    date_started: datetime
    date_closed: datetime | None
    team: str | None  # slug of the owning team
    seen_count: int  # by how many people
    seen_by_caller: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list of incidents, newest start first: just behind (`after`) or before this incident."""

    started: datetime
    incident_id: int
    before: bool = False  # True: the page that ends just before this place


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """One page of a list, with the places from which the next and the previous one begin, if there are any."""

    lines: list[IncidentLine]
    older: Cursor | None
    newer: Cursor | None


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody's last acknowledgement of an incident."""

    name: str
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Mentionable:
    """A person or a team of the database, and what Slack calls it, where that is known."""

    name: str
    slack_id: str | None  # "U…" of a person, "S…" of a team


@dataclass(frozen=True, slots=True)
class Mentions:
    """Everybody that some comments mention, by id of the database."""

    people: dict[int, Mentionable] = field(default_factory=dict)
    teams: dict[int, Mentionable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """An entry of an incident's log."""

    id: int
    type: ActivityType
    member_id: int | None  # None: nobody in person (an alert, or somebody who is no longer known)
    author: str | None
    value: int | None
    previous_value: int | None
    comment: str | None  # stored form: escaped mrkdwn with <person:ID> and <team:ID>
    date_added: datetime
    date_edited: datetime | None


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """One page of a log, newest first."""

    entries: list[ActivityEntry]
    mentions: Mentions
    older: int | None  # the id before which the next page begins
    newer: int | None  # the id after which the previous page ends


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, as its author gets it back to edit."""

    id: int
    incident_id: int
    member_id: int | None
    text: str
    rich_text: dict[str, Any] | None
    date_edited: datetime | None
    mentions: Mentions


@dataclass(frozen=True, slots=True, order=True)
class AlertKey:
    """Which alert it is. Keys are of one project and source: two projects may use the same."""

    source: str  # which alerting system
    project_id: int
    key: str

    @property
    def dedup_key(self) -> str:
        """How versions before the migration "alerts01" write it: unique in the organization, unless two are alike."""
        return self.key if self.source == "events" else f"{self.source}:{self.project_id}:{self.key}"

    @property
    def own_dedup_key(self) -> str:
        """The same where another alert has `dedup_key`; what is sent never begins with a blank, so nobody has this."""
        return f" {self.source}:{self.project_id}:{self.key}"


@dataclass(frozen=True, slots=True)
class AlertText:
    """What an incident shows of what its alert said."""

    title: str
    team_id: int | None
    environment: str | None
    url: str | None  # http(s), where the alert comes from
    links: tuple[tuple[str, str], ...]  # name and URL, besides `url`
    facts: tuple[tuple[str, str], ...]  # name and text


@dataclass(frozen=True, slots=True)
class NewIncident:
    """What an incident is opened with."""

    project_ids: Sequence[int]  # at least one
    title: str
    status: Status
    method: StatusMethod
    date_started: datetime
    date_detected: datetime
    team_id: int | None = None
    environment: str | None = None
    url: str | None = None  # http(s), where the alert comes from
    source: str | None = None
    alert_key: AlertKey | None = None
    dedup_key: str | None = None  # the same as the version before knows it
    links: Sequence[tuple[str, str]] = ()  # name and URL, besides `url`
    facts: Sequence[tuple[str, str]] = ()  # name and text


@dataclass(frozen=True, slots=True)
class IncidentHead:
    """What a change to an incident needs to know of it; read under the lock of its row."""

    id: int
    identifier: int
    title: str
    status: Status
    status_before_closing: Status | None
    date_started: datetime
    date_closed: datetime | None


@dataclass(frozen=True, slots=True)
class IncidentDetails:
    """An incident as `view` shows it to one caller: only the projects that they see are named."""

    id: int
    identifier: int
    title: str
    status: Status
    environment: str | None
    url: str | None
    source: str | None
    date_started: datetime
    date_closed: datetime | None
    team: str | None  # name of the owning team
    projects: list[str]  # slugs
    seen: list[Seen]  # most recent first, at most SEEN_SHOWN
    seen_count: int
    seen_by_caller: bool
    subscribed: bool
    latest: ActivityEntry | None
    mentions: Mentions
    links: list[tuple[str, str]]  # name and URL of what else its alert pointed to
    facts: list[tuple[str, str]]  # name and text of what else its alert said


@dataclass(frozen=True, slots=True)
class NotificationEntry:
    """An entry of the log that somebody is told of."""

    entry: ActivityEntry
    mention: bool  # it is told because it mentions them


@dataclass(frozen=True, slots=True)
class NotificationContent:
    """What a message to one person about one incident is drawn from, as things are when it is sent."""

    incident: IncidentHead
    entries: list[NotificationEntry]  # oldest first; without those that were deleted meanwhile
    mentions: Mentions
    sees: bool  # whether the reader may still see the incident
    subscribed: bool
    notify: str  # what the reader wants to be told of
    card: tuple[str, str] | None  # channel and ts of a card of a project that the reader sees


@dataclass(frozen=True, slots=True)
class CardContent:
    """What a channel may know of an incident."""

    details: IncidentDetails  # its projects: those that name the channel
    said: ActivityEntry | None  # the latest entry with a comment
    mentions: Mentions


@dataclass(frozen=True, slots=True)
class ThreadContent:
    """An entry of the log as a card's thread shows it."""

    entry: ActivityEntry
    mentions: Mentions
    deleted: bool
    card_ts: str | None  # None: the card does not stand yet
    reply_gone: bool  # it began as a reply in that thread, which its author has deleted
    shown_here: bool  # whether the channel may know of the incident


@dataclass(frozen=True, slots=True)
class PostedCard:
    """The card of an incident, posted in a channel."""

    post_id: int
    destination_id: int
    channel_id: str
    incident_id: int
    identifier: int
