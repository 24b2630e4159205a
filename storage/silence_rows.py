"""Values that the queries of silences return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.rows import IncidentHead


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """A silence in force."""

    organization_id: int
    id: int
    workspace_id: str | None  # None: it was made in Alertmanager
    member_id: int | None
    maker: str  # name
    matchers: Mapping[str, Any]
    reason: str | None
    ends: datetime
    identifier: int | None  # of the incident that it was made from; None: it was made for maintenance
    title: str | None
    project: str | None  # slug
    team: str | None  # name
    maker_sees: bool | None  # whether its maker still sees the incident, or what is in maintenance
    in_alertmanager: bool  # whether it stands there too
    holding: bool  # whether open incidents are still to be compared with it
    holds: int  # open incidents that the caller sees


@dataclass(frozen=True, slots=True)
class SilencedAlert:
    """What describes the alert of an incident."""

    source: str
    key: str
    project_id: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HeldIncident:
    """An incident that a silence held until it ended."""

    id: int
    is_open: bool
    has_card: bool
    seen: bool  # by who ended the silence


@dataclass(frozen=True, slots=True)
class MatchedIncident:
    """An open incident that was compared with a silence."""

    id: int
    new: bool  # it is held from now on
    before: bool  # it was held by this silence before


@dataclass(frozen=True, slots=True)
class Held:
    """What a silence holds since it was made."""

    incidents: int  # open ones
    more: bool = False  # whether others are still to be compared with it


@dataclass(frozen=True, slots=True)
class UnfinishedHold:
    """A silence in force that is still to be compared with open incidents."""

    organization_id: int
    id: int
    after: int  # with those whose ids are greater


@dataclass(frozen=True, slots=True)
class OtherSilence:
    """Another silence in force of the same alert."""

    id: int
    ends: datetime


@dataclass(frozen=True, slots=True)
class NewSilence:
    """A silence that was made."""

    id: int
    incident: IncidentHead
    ends: datetime
    held: Held
    longer: OtherSilence | None  # holds the incident, because it ends later


@dataclass(frozen=True, slots=True)
class HeldBack:
    """How much a silence held back."""

    incidents: int  # whose cards it held back
    still_open: int  # of these, those that are open and get their cards now

    def __add__(self, other: HeldBack) -> HeldBack:
        return HeldBack(self.incidents + other.incidents, self.still_open + other.still_open)


@dataclass(frozen=True, slots=True)
class UnfinishedEnd:
    """A silence that has ended and still holds incidents."""

    silence: SilenceRow
    after: int  # those whose ids are greater
    released: HeldBack  # what it held back of those that it no longer holds
    ended_by: int | None  # member; None: its time came
    by: str | None  # name of who ended it, unless that was its maker


@dataclass(frozen=True, slots=True)
class EndedSilence:
    """A silence that ended, with what it held back."""

    silence: SilenceRow
    held_back: HeldBack
    seen: HeldBack  # what of it the one who ended it sees
    others: Sequence[OtherSilence]  # in force, for the same alerts; the one that ends last before the others
    more: bool = False  # whether it still holds incidents, which the worker releases
    # Name of who ended it, if that was neither its maker nor its time, and the worker tells of it.
    by: str | None = None


@dataclass(frozen=True, slots=True)
class StartedMaintenance:
    """A maintenance that began."""

    id: int
    ends: datetime
    project: str | None  # slug
    team: str | None  # name
    environment: str | None
    held: Held


@dataclass(frozen=True, slots=True)
class StandingSilence:
    """A silence that stands in Alertmanager, or should, until its end has been followed on both sides."""

    organization_id: int
    id: int
    maker: str | None  # name of the member; None: it was made in Alertmanager
    matchers: Mapping[str, Any]
    reason: str | None
    ends: datetime
    in_force: bool
    maker_sees: bool  # whether its maker still sees its project, without which it holds nothing
    project: str | None  # slug
    alert_key: str | None  # of the alert that it was made for
    alertmanager_id: str | None
    alertmanager_keys: Sequence[str]  # of the alerts that were silenced by it there


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """What is stored about an alert of Alertmanager's in one project."""

    organization_id: int
    project_id: int
    project: str  # slug
    key: str
    fired: datetime | None  # when the latest firing began
    ended: bool  # whether its end was reported


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where an intake token puts the alerts of Alertmanager."""

    organization_id: int
    project: str | None  # slug; None: each alert names its project
