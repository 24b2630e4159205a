"""Values that queries about digests return and messages are rendered from. They use no database connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from storage.rows import ActivityEntry, Mentions
from storage.values import Status


@dataclass(frozen=True, slots=True)
class DigestRow:
    """A digest as stored."""

    id: int
    organization_id: int
    workspace_id: str
    channel_id: str
    owner_id: int
    owner_user_id: str | None
    owner: str  # the owner's name
    name: str | None  # the name in the organization file, if it comes from there
    cron: str
    zone: str
    filters: str
    skip_empty: bool
    picture: bool
    grace_minutes: int | None  # None: the default, see `bot.digests.grace`
    next_fire_at: datetime | None
    last_sent_at: datetime | None  # the latest scheduled time that was not missed
    date_paused: datetime | None
    pause_reason: str | None


@dataclass(frozen=True, slots=True)
class History:
    """What became of a digest's latest fires."""

    last_sent: datetime | None = None
    latest_state: str | None = None  # of the latest fire
    last_missed: datetime | None = None
    missed_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """The times at which a digest was missed since it was last sent."""

    first: datetime
    last: datetime
    reason: str | None  # of the last one


@dataclass(frozen=True, slots=True)
class Fire:
    """One publication of a digest."""

    id: int
    organization_id: int
    digest_id: int
    fire_at: datetime
    since: datetime
    by_hand: bool
    file_id: str | None  # Slack's file id of the picture
    picture_says: str | None  # the picture's contents as text
    missed: Missed | None = None  # before this fire


@dataclass(frozen=True, slots=True)
class OpenLine:
    """An open incident in a digest."""

    id: int
    identifier: int
    title: str
    status: Status
    environment: str | None
    date_started: datetime
    team: str | None  # name of the owning team; without one, of the only team of the projects
    projects: Sequence[str]  # names
    seen_by: Sequence[str]  # a few names, the most recent first
    seen_count: int
    latest: ActivityEntry | None  # the latest log entry
    owner: str | None = None  # name of the owner


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """Numbers of open incidents that are not silenced."""

    by_status: Mapping[Status, int] = field(default_factory=dict)
    unseen_by_status: Mapping[Status, int] = field(default_factory=dict)  # acknowledged by nobody
    oldest: datetime | None = None
    unowned: int = 0  # acknowledged, but owned by nobody
    silenced: int = 0  # not in the other numbers

    @property
    def total(self) -> int:
        """The number of open incidents."""
        return sum(self.by_status.values())

    @property
    def unseen(self) -> int:
        """The number of open incidents that nobody has acknowledged."""
        return sum(self.unseen_by_status.values())


@dataclass(frozen=True, slots=True)
class OpenPage:
    """One page of open incidents, the most severe first; within a severity, the newest first."""

    lines: Sequence[OpenLine]
    mentions: Mentions  # in the latest log entries


@dataclass(frozen=True, slots=True)
class IncidentName:
    """The number and title of an incident."""

    identifier: int
    title: str


@dataclass(frozen=True, slots=True)
class News:
    """What happened since a time."""

    since: datetime
    opened: int = 0
    resolved: int = 0
    to_acknowledge: timedelta | None = None  # median of the incidents first acknowledged since then
    to_resolve: timedelta | None = None  # median of the incidents resolved since then
    latest_opened: Sequence[IncidentName] = ()  # a few, newest first
    latest_resolved: Sequence[IncidentName] = ()


@dataclass(frozen=True, slots=True)
class DailyCounts:
    """Numbers of incidents on each of some days, oldest first. The last day has not ended yet."""

    days: Sequence[date]
    opened: Mapping[Status, Sequence[int]]  # on that day, by the severity with which they were opened
    open_at_end: Sequence[int]  # at the end of that day; on the last day, now


@dataclass(frozen=True, slots=True)
class DigestContent:
    """The contents of a digest."""

    digest: DigestRow
    counts: OpenCounts
    page: OpenPage
    number: int  # of the page, starting at 0
    pages: int
    news: News
    as_of: datetime
    next_fire_at: datetime | None
    missed: Missed | None = None
    silences_ending: int = 0  # today
