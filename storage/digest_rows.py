"""What queries about digests give back and messages are drawn from: plain values, no connection behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

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
    owner: str  # the name
    name: str | None  # in the organization file
    cron: str
    zone: str
    filters: str
    skip_empty: bool
    picture: bool
    grace_minutes: int
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    date_paused: datetime | None
    pause_reason: str | None


@dataclass(frozen=True, slots=True)
class LastFire:
    """What became of the latest time that a digest was told."""

    fire_at: datetime
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Fire:
    """One time that a digest is told."""

    id: int
    digest_id: int
    fire_at: datetime
    since: datetime
    by_hand: bool
    file_id: str | None  # the picture, as Slack knows it
    picture_says: str | None  # the same in words


@dataclass(frozen=True, slots=True)
class OpenLine:
    """An open incident in a digest."""

    id: int
    identifier: int
    title: str
    status: Status
    environment: str | None
    date_started: datetime
    team: str | None  # name of the owning team
    seen_by: Sequence[str]  # names, most recent first, a few
    seen_count: int
    latest: ActivityEntry | None  # the last word


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """Everything that is open, in numbers."""

    by_status: Mapping[Status, int] = field(default_factory=dict)
    by_team: Mapping[str | None, int] = field(default_factory=dict)  # by name of the team
    unseen: int = 0  # by anybody
    oldest: datetime | None = None

    @property
    def total(self) -> int:
        """How many are open."""
        return sum(self.by_status.values())


@dataclass(frozen=True, slots=True)
class OpenPage:
    """Some of the open incidents, by team; the unacknowledged first, then the oldest."""

    lines: Sequence[OpenLine]
    mentions: Mentions  # in the last words


@dataclass(frozen=True, slots=True)
class IncidentName:
    """An incident that is only named."""

    identifier: int
    title: str


@dataclass(frozen=True, slots=True)
class News:
    """What happened since a moment."""

    since: datetime
    opened: int = 0
    resolved: int = 0
    to_acknowledge: timedelta | None = None  # the median, of those first seen since then
    to_resolve: timedelta | None = None  # the median, of those resolved since then
    latest_opened: Sequence[IncidentName] = ()  # a few, newest first
    latest_resolved: Sequence[IncidentName] = ()


@dataclass(frozen=True, slots=True)
class OpenSeries:
    """How many were open at some moments, by the severity that they have now or had when they were resolved."""

    moments: Sequence[datetime]
    counts: Mapping[Status, Sequence[int]]


@dataclass(frozen=True, slots=True)
class DigestContent:
    """What a digest says."""

    digest: DigestRow
    counts: OpenCounts
    page: OpenPage
    number: int  # of the page, from 0
    pages: int
    news: News
    as_of: datetime
    next_fire_at: datetime | None
