"""Values of calls: the rules of a team, the steps that are due, and what the log and messages say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from storage.values import Status

# Who a rule calls, besides a member by e-mail.
ON_CALL, TEAM, MANAGERS = "oncall", "team", "managers"


@dataclass(frozen=True, slots=True)
class CallRule:
    """Who is called for an incident of a severity, and when."""

    severity: Status
    who: str  # ON_CALL, TEAM, MANAGERS, or the e-mail of a member
    after_s: int
    repeat_s: int | None
    quiet: str | None  # "22:00-07:00"
    until_acknowledged: bool

    def to_json(self) -> dict[str, Any]:
        """The rule as it is stored."""
        return {
            "severity": int(self.severity),
            "who": self.who,
            "after_s": self.after_s,
            "repeat_s": self.repeat_s,
            "quiet": self.quiet,
            "until": "acknowledged" if self.until_acknowledged else "owned",
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The rule that was stored."""
        return cls(
            severity=Status(value["severity"]),
            who=value["who"],
            after_s=value["after_s"],
            repeat_s=value["repeat_s"],
            quiet=value["quiet"],
            until_acknowledged=value["until"] == "acknowledged",
        )


class CallOutcome(StrEnum):
    """What an entry of the log says about a call."""

    CALLED = "called"
    NOBODY = "nobody"  # nobody could be called
    DECLINED = "declined"  # somebody who was called answered "Not me"


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call in the log. The names are those at the time of the call."""

    outcome: CallOutcome
    who: str  # as in a rule; empty for DECLINED
    team: str  # name
    people: Sequence[tuple[int, str]] = ()  # who was called: member id and name
    blind: Sequence[tuple[int, str]] = ()  # who was not called because they cannot see the incident
    next_at_once: bool = False  # the next step comes at once

    def to_json(self) -> dict[str, Any]:
        """The record as it is stored."""
        return {
            "outcome": str(self.outcome),
            "who": self.who,
            "team": self.team,
            "people": [list(one) for one in self.people],
            "blind": [list(one) for one in self.blind],
            "next": self.next_at_once,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record that was stored."""
        return cls(
            CallOutcome(value["outcome"]),
            value["who"],
            value["team"],
            [(id_, name) for id_, name in value["people"]],
            [(id_, name) for id_, name in value["blind"]],
            value["next"],
        )


@dataclass(frozen=True, slots=True)
class CallState:
    """The calls of an incident, in an organization that makes calls."""

    due_at: datetime | None  # when the next call is due; None: none is
    who: str | None  # whom it calls, as in the rule
    has_steps: bool  # whether the rules have ever made a call due


@dataclass(frozen=True, slots=True)
class StepKey:
    """Identifies a step of an incident."""

    organization_id: int
    incident_id: int
    round: int
    step: int
    repetition: int


@dataclass(frozen=True, slots=True)
class DueStep:
    """A step that is due. Its row and the row of its incident are locked."""

    key: StepKey
    team_id: int
    team: str
    timezone: str | None
    severity: Status
    who: str
    repeat_s: int | None
    quiet: str | None
    until_acknowledged: bool
    since: datetime
    status: Status
    identifier: int
    title: str
    owner_id: int | None
    silenced_until: datetime | None  # None: no silence holds the incident
    incidents_on: bool
    workspace_id: str | None  # None: the organization has no workspace
    has_silences: bool  # its organization has silences in force


@dataclass(frozen=True, slots=True)
class Callee:
    """A member whom a step would call."""

    member_id: int
    name: str
    sees: bool  # whether they may see the incident


@dataclass(frozen=True, slots=True)
class CalledIncident:
    """An incident in a direct message about calls, with its present state."""

    incident_id: int
    identifier: int
    title: str
    status: Status
    environment: str | None
    date_started: datetime
    date_closed: datetime | None
    projects: Sequence[str]  # slugs of those that the reader sees
    description: str | None
    team: str  # name of the team whose rule calls
    who: str  # as in the rule
    owner: str | None  # name
    owned_since: datetime | None
    owned_by_reader: bool
    silenced: bool  # a silence holds it
    declined: bool  # the reader has answered "Not me"
    superseded: bool  # a later message calls the reader for it again


@dataclass(frozen=True, slots=True)
class OnCall:
    """A team, and who is on call for it."""

    team: str  # name
    slug: str
    usergroup: str | None  # None: the team has no user group of who is on call
    is_read: bool  # whether Slack has answered who is in it
    problem: str | None  # Slack's code of the error of the last reading
    people: Sequence[str]  # names of members
    strangers: Sequence[str]  # Slack ids of who is in the user group and no member


@dataclass(frozen=True, slots=True)
class TeamCalls:
    """A team, and the rules that say who is called for its incidents."""

    id: int
    slug: str
    name: str
    rules: Sequence[CallRule]
    in_file: bool  # the organization file has them
    has_oncall_usergroup: bool
    is_synced: bool
