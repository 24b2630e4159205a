"""Values that queries return and messages are rendered from. They use no database connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from storage.call_rows import CallRecord, CallState
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
    team: str | None  # name of the owning team
    seen_count: int  # number of people who acknowledged it
    seen_by_caller: bool
    owner: str | None = None  # name of the owner
    owned_by_caller: bool = False
    silenced_until: datetime | None = None  # None: no silence holds it


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list of incidents, newest start first: just after or just before this incident."""

    started: datetime
    incident_id: int
    before: bool = False  # True: the page ends just before this incident; False: it begins just after


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """One page of a list, with the cursors of the next (older) and previous (newer) page, if there are any."""

    lines: list[IncidentLine]
    older: Cursor | None
    newer: Cursor | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The latest acknowledgement of an incident by one person."""

    name: str
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Owner:
    """The member who owns an incident."""

    member_id: int
    name: str
    since: datetime
    offered_to: str | None = None  # name of who is to take it over


@dataclass(frozen=True, slots=True)
class Mentionable:
    """A person or a team, with its Slack id if known."""

    name: str
    slack_id: str | None  # "U…" for a person, "S…" for a team


@dataclass(frozen=True, slots=True)
class Mentions:
    """The people and teams that comments mention, by database id."""

    people: dict[int, Mentionable] = field(default_factory=dict)
    teams: dict[int, Mentionable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """An entry of an incident's log."""

    id: int
    type: ActivityType
    member_id: int | None  # None for an alert, and for a person whose row was deleted
    author: str | None
    value: int | None
    previous_value: int | None
    comment: str | None  # stored form: escaped mrkdwn with <person:ID> and <team:ID>
    date_added: datetime
    date_edited: datetime | None
    # The names of who owned the incident after and before a change of its owner.
    owner: str | None = None
    previous_owner: str | None = None
    call: CallRecord | None = None  # of an entry about a call


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """One page of a log, newest first."""

    entries: list[ActivityEntry]
    mentions: Mentions
    older: int | None  # the id before which the next page begins
    newer: int | None  # the id after which the previous page ends


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment in the form in which its author edits it."""

    id: int
    incident_id: int
    member_id: int | None
    text: str
    rich_text: dict[str, Any] | None
    date_edited: datetime | None
    mentions: Mentions


@dataclass(frozen=True, slots=True, order=True)
class AlertKey:
    """Identifies an alert. A key is unique within its project and source only."""

    source: str  # the alerting system
    project_id: int
    key: str

    @property
    def dedup_key(self) -> str:
        """The key in the format of versions before the migration "alerts01". Different alerts may have the same one."""
        return self.key if self.source == "events" else f"{self.source}:{self.project_id}:{self.key}"

    @property
    def own_dedup_key(self) -> str:
        """The key in that format if another alert already has `dedup_key`.

        It begins with a space. Keys that systems send never do, so it cannot collide with theirs.
        """
        return f" {self.source}:{self.project_id}:{self.key}"


# The name of the fact that is an alert's description. It is shown by itself.
DESCRIPTION = "Description"


@dataclass(frozen=True, slots=True)
class AlertText:
    """The contents of an alert that its incident shows."""

    title: str
    team_id: int | None
    environment: str | None
    url: str | None  # http(s), where the alert comes from
    links: tuple[tuple[str, str], ...]  # name and URL, besides `url`
    facts: tuple[tuple[str, str], ...]  # name and text
    labels: Mapping[str, str] = field(default_factory=dict)  # for silences to match


@dataclass(frozen=True, slots=True)
class NewIncident:
    """The values of a new incident."""

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
    dedup_key: str | None = None  # the same key as versions before "alerts01" store it
    links: Sequence[tuple[str, str]] = ()  # name and URL, besides `url`
    facts: Sequence[tuple[str, str]] = ()  # name and text
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncidentHead:
    """The values of an incident that a change to it needs. They are read while its row is locked."""

    id: int
    identifier: int
    title: str
    status: Status
    status_before_closing: Status | None
    date_started: datetime
    date_closed: datetime | None
    organization_id: int


@dataclass(frozen=True, slots=True)
class HoldingSilence:
    """The silence that holds an incident."""

    id: int
    ends: datetime
    maker: str  # name
    reason: str | None


@dataclass(frozen=True, slots=True)
class IncidentDetails:
    """An incident as `view` shows it to one caller. It names only projects that the caller may see."""

    id: int
    identifier: int
    title: str
    status: Status
    environment: str | None
    url: str | None
    source: str | None
    date_started: datetime
    date_closed: datetime | None
    team: str | None  # name of the owning team; without one, of the only team of the projects
    projects: list[str]  # names
    seen: list[Seen]  # most recent first, at most SEEN_SHOWN
    seen_count: int
    seen_by_caller: bool
    subscribed: bool
    latest: ActivityEntry | None
    mentions: Mentions
    links: list[tuple[str, str]]  # name and URL of the alert's other links
    facts: list[tuple[str, str]]  # name and text of the alert's other facts
    owner: Owner | None = None
    owned_by_caller: bool = False
    silence: HoldingSilence | None = None  # the one that holds it
    calls: CallState | None = None  # None: no team of the organization makes calls
    severity: Status = Status.OPEN  # of a resolved incident, the one that it had
    unassigned: bool = False  # no team owns it; `list team:unassigned` finds it


@dataclass(frozen=True, slots=True)
class NotificationEntry:
    """A log entry that a person is notified of."""

    entry: ActivityEntry
    mention: bool  # the person is notified because the entry mentions them


@dataclass(frozen=True, slots=True)
class NotificationContent:
    """The contents of a notification: one person, one incident, with the present state."""

    identifier: int
    incident: IncidentDetails | None  # None: the reader may no longer see it
    status_change: ActivityEntry | None  # the last one
    last_comment: ActivityEntry | None  # after the entries, if the reader was not notified of it
    entries: list[NotificationEntry]  # oldest first, without deleted ones
    mentions: Mentions
    notify: str  # the reader's notification setting: "all", "mentions" or "none"
    card: tuple[str, str] | None  # channel id and ts of a card in a channel of a project that the reader sees


@dataclass(frozen=True, slots=True)
class CardContent:
    """The contents of an incident's card: what the channel may show."""

    details: IncidentDetails  # its `projects` are only those that name the channel
    # The latest entry with a comment; of a resolved incident, the entry that records who resolved it.
    shown_entry: ActivityEntry | None
    mentions: Mentions


@dataclass(frozen=True, slots=True)
class IncidentName:
    """What names an incident wherever it is shown."""

    identifier: int
    title: str


@dataclass(frozen=True, slots=True)
class StormAlert:
    """An incident of a storm, to compare it with the others."""

    title: str
    labels: Mapping[str, str]  # and what else describes it
    own_labels: Mapping[str, str]  # only the labels, for silences


@dataclass(frozen=True, slots=True)
class StormContent:
    """The contents of a storm's message. Only the incidents that its channel may show are counted."""

    storm_id: int
    started: datetime  # when its first incident got a card
    last: datetime  # when the last one was added
    ended: bool
    cards: int  # the limit of the channel: more than `cards` within `within_s` seconds
    within_s: int
    split: bool
    split_by: str | None  # name
    total: int
    critical: int  # by the severity that they have, or had when they were resolved
    warning: int
    without_severity: int
    resolved: int
    silenced: int  # not resolved, and held by a silence: they do not count as open
    unowned: int  # open ones that nobody owns
    owner_count: int
    folded: int  # open ones without a card of their own
    folded_criticals: int  # of those, the critical ones
    owners: list[tuple[str, int]]  # the names of those who own the most, with how many
    criticals: list[IncidentName]  # the first critical ones without a card
    first: IncidentName
    alerts: list[StormAlert]  # some of them, to find what they have in common


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """An incident in a summary, with its present state."""

    identifier: int
    title: str
    status: Status


@dataclass(frozen=True, slots=True)
class SummaryContent:
    """The contents of a direct message about many incidents: what its reader follows and may see."""

    lines: list[SummaryLine]  # some of them, open ones first
    incidents: int
    changes: int


@dataclass(frozen=True, slots=True)
class ThreadContent:
    """A log entry as a card's thread shows it."""

    entry: ActivityEntry
    mentions: Mentions
    deleted: bool
    card_ts: str | None  # None: the card is not posted
    card_withheld: bool  # the incident was over before its card was posted
    reply_gone: bool  # the entry was a reply in that thread, and the reply was deleted
    channel_may_show: bool  # whether the channel may show the incident
    is_waiting: bool  # whether the incident is open, nobody owns it, and no silence holds it
    incident: IncidentName | None  # where the thread is a storm's, and so of several incidents


@dataclass(frozen=True, slots=True)
class PostedCard:
    """The card of an incident, posted in a channel."""

    organization_id: int
    post_id: int
    destination_id: int
    channel_id: str
    incident_id: int
    identifier: int
