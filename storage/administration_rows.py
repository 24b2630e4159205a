"""Values of what managers see of their organization: how much there is of each kind, teams, projects and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of what managers administer."""

    members: int
    members_changed_in_slack: int
    teams: int
    teams_synced: int  # whose members are read from a user group
    projects: int
    channels: int
    teams_with_calls: int
    teams_with_calls_of_slack: int  # set in Slack, not by the organization file
    digests: int
    digests_paused: int
    silences: int
    tokens: int
    token_last_used: datetime | None


@dataclass(frozen=True, slots=True)
class Usergroup:
    """A user group of Slack as a team names it."""

    id: str  # "S…"
    problem: str | None  # why it could not be read


@dataclass(frozen=True, slots=True)
class TeamOverview:
    """A team with its members and user groups."""

    slug: str
    name: str
    members: int
    usergroup: Usergroup | None
    synced: bool  # the people of `usergroup` are its members
    on_call: Usergroup | None


@dataclass(frozen=True, slots=True)
class ProjectOverview:
    """A project with its teams and channels."""

    slug: str
    name: str
    teams: Sequence[str]  # names
    channels: Sequence[str]  # Slack's ids


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An intake token, without the secret."""

    id: int
    organization: str  # slug
    project: str | None  # slug; None: each alert names its project
    source: str
    date_added: datetime
    last_used: datetime | None
    date_revoked: datetime | None
    last_refused: datetime | None  # None: the last delivery was accepted
    last_refusal: str | None
