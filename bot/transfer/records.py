"""What the lines of an export hold. A line that does not fit is reported with its number and field."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)

from bot.digests.schedule import parse_cron
from bot.digests.zones import parse_zone
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import parse_query
from storage.call_rows import CallOutcome, CallRecord
from storage.values import ActivityType, Role, Status, StatusMethod

VERSION = 1

Text = Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
Email = Annotated[
    str, StringConstraints(to_lower=True, min_length=3, max_length=254, pattern=r"^[^\s\x00]+@[^\s\x00]+$")
]


def _parse_zone(name: str) -> str:
    try:
        return parse_zone(name, "").key
    except InvalidInput as mistake:
        raise ValueError(mistake.sentence) from None


def _parse_cron(cron: str) -> str:
    try:
        parse_cron(cron)
    except InvalidInput as mistake:
        raise ValueError(mistake.sentence) from None
    return cron


def _parse_filters(words: str) -> str:
    try:
        parse_query(words)
    except InvalidInput as mistake:
        raise ValueError(mistake.sentence) from None
    return words


ZoneName = Annotated[str, AfterValidator(_parse_zone)]
Cron = Annotated[Name, AfterValidator(_parse_cron)]
Filters = Annotated[Text, AfterValidator(_parse_filters)]


class _Record(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Header(_Record):
    type: Literal["tocsin-export"]
    version: Literal[1]
    organization: Slug


class OrganizationRecord(_Record):
    type: Literal["organization"]
    slug: Slug
    name: Name
    open_membership: bool = False
    incidents: bool = True
    shared_channels: bool = False
    acknowledge_reaction: Name = "eyes"
    resolve_reaction: Name = "white_check_mark"
    retention_closed_incidents_s: int | None = Field(default=None, ge=86400, lt=2**33)
    retention_audit_s: int | None = Field(default=None, ge=86400, lt=2**33)
    legal_hold: bool = False
    last_identifier: int = Field(default=0, ge=0, lt=2**62)
    workspaces: list[Name] = []
    connected_in_slack: list[Name] = []  # those of the workspaces that no organization file has named since


class CallRuleRecord(_Record):
    severity: Status
    who: Name
    after_s: int = Field(ge=0, lt=2**31)
    repeat_s: int | None = Field(default=None, ge=60, lt=2**31)
    quiet: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] | None = None
    until: Literal["owned", "acknowledged"] = "owned"


class TeamRecord(_Record):
    type: Literal["team"]
    slug: Slug
    name: Name
    slack_usergroup: Name | None = None
    sync_members: bool = False
    oncall_usergroup: Name | None = None
    oncall_channel: Name | None = None
    timezone: ZoneName | None = None
    remind_owner_s: int | None = Field(default=None, ge=60, lt=2**31)
    calls: list[CallRuleRecord] | None = None
    form_calls: list[CallRuleRecord] | None = None


class ProjectRecord(_Record):
    type: Literal["project"]
    slug: Slug
    name: Name
    quiet_minutes: int = Field(default=5, ge=0, le=1440)
    storm_cards: int = Field(default=5, ge=1, le=1000)
    storm_within_s: int = Field(default=60, ge=1, lt=2**31)
    teams: list[Slug] = []
    channels: list[Name] = []


class MemberRecord(_Record):
    type: Literal["member"]
    email: Email
    name: Name
    slack_user_id: Name | None = None
    slack_user_ids: dict[Name, Name] = {}  # by workspace
    role: Role = Role.MEMBER
    superuser: bool = False
    changed_in_slack: bool = False
    notify: Literal["all", "mentions", "none"] = "all"
    date_added: AwareDatetime
    date_removed: AwareDatetime | None = None
    date_erased: AwareDatetime | None = None
    teams: list[Slug] = []


class DigestRecord(_Record):
    type: Literal["digest"]
    name: Name | None = None  # in the organization file
    workspace: Name
    channel: Name
    owner: Email
    owner_user_id: Name | None = None
    cron: Cron
    zone: ZoneName
    filters: Filters = ""
    skip_empty: bool = False
    picture: bool = True
    grace_minutes: int | None = Field(default=None, ge=0, le=1440)  # None: the default
    last_sent: AwareDatetime | None = None
    date_paused: AwareDatetime | None = None
    pause_reason: Text | None = None
    date_added: AwareDatetime


class PersonalDigestRecord(_Record):
    type: Literal["personal_digest"]
    member: Email
    workspace: Name
    cron: Cron
    zone: ZoneName
    since: AwareDatetime
    date_paused: AwareDatetime | None = None
    date_added: AwareDatetime


class FollowedFilterRecord(_Record):
    type: Literal["followed_filter"]
    member: Email
    team: Slug | None = None
    project: Slug | None = None
    severity: Status | None = None
    date_added: AwareDatetime

    @model_validator(mode="after")
    def _check_condition(self) -> Self:
        if self.team is None and self.project is None and self.severity is None:
            raise ValueError("needs a team, a project or a severity")
        return self


class SilenceMatchers(_Record):
    """What an alert must have. A condition that is not known would widen the silence if it were left out."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    source: Text | None = None
    key: Text | None = None
    labels: dict[Text, Text] | None = None
    environment: Text | None = None
    team: Slug | None = None  # given as None: one that has been removed


class SilenceRecord(_Record):
    type: Literal["silence"]
    number: int = Field(ge=1, lt=2**62)  # in this file
    workspace: Name | None = None
    project: Slug | None = None
    member: Email | None = None
    made_by: Text | None = None  # in Alertmanager
    matchers: SilenceMatchers
    reason: Text | None = None
    starts: AwareDatetime
    ends: AwareDatetime
    date_ended: AwareDatetime | None = None
    ended_by: Email | None = None
    alertmanager_id: Text | None = None
    alertmanager_keys: list[Text] = []
    alertmanager_done: bool = False
    released: int = Field(default=0, ge=0, lt=2**62)
    released_open: int = Field(default=0, ge=0, lt=2**62)

    @model_validator(mode="after")
    def _check_times_and_maker(self) -> Self:
        if self.ends <= self.starts:
            raise ValueError("ends before it starts")
        if self.member is None and self.made_by is None:
            raise ValueError("nobody made it")
        return self


class SeenRecord(_Record):
    member: Email
    first_seen: AwareDatetime
    last_seen: AwareDatetime


class FollowerRecord(_Record):
    member: Email
    date_added: AwareDatetime


class CallEntryRecord(_Record):
    outcome: CallOutcome
    who: Text = ""
    team: Text = ""
    # The ids are those of another database.
    people: list[tuple[int, Text]] = []
    blind: list[tuple[int, Text]] = []
    next: bool = False

    def to_json(self) -> dict[str, Any]:
        """The call as it is stored, with the names of its people alone."""
        people, blind = ([(0, name) for _, name in named] for named in (self.people, self.blind))
        return CallRecord(self.outcome, self.who, self.team, people, blind, self.next).to_json()


class EntryRecord(_Record):
    type: ActivityType
    member: Email | None = None
    value: int | None = None
    previous_value: int | None = None
    comment: Text | None = None
    rich_text: dict[str, Any] | None = None
    date_added: AwareDatetime
    date_edited: AwareDatetime | None = None
    owner: Email | None = None
    previous_owner: Email | None = None
    call: CallEntryRecord | None = None


class AlertRecord(_Record):
    """What was heard of an alert: what is told again changes nothing."""

    status: Status | None = None
    fired: AwareDatetime | None = None
    resolved: AwareDatetime | None = None
    resolved_received: AwareDatetime | None = None
    resolved_started: AwareDatetime | None = None
    heard: AwareDatetime


class IncidentRecord(_Record):
    type: Literal["incident"]
    identifier: int = Field(ge=1, lt=2**62)
    title: Text
    status: Status
    status_method: StatusMethod
    status_before_closing: Status | None = None
    team: Slug | None = None
    environment: Text | None = None
    url: Text | None = None
    source: Text | None = None
    alert_project: Slug | None = None
    alert_key: Text | None = None
    details: dict[str, Any] | None = None
    date_started: AwareDatetime
    date_detected: AwareDatetime
    date_added: AwareDatetime
    date_closed: AwareDatetime | None = None
    owner: Email | None = None
    owned_since: AwareDatetime | None = None
    legal_hold: bool = False
    silence: int | None = None  # the number of the one that matched it last
    silences: list[int] = []  # the numbers of those that were made from it
    alert: AlertRecord | None = None
    projects: list[Slug]  # none after `apply --prune` has removed them
    seen: list[SeenRecord] = []
    followers: list[FollowerRecord] = []
    activity: list[EntryRecord] = []

    @property
    def key(self) -> tuple[datetime, datetime, str]:
        """By which an incident is known again, whatever its number is here."""
        return self.date_started, self.date_added, self.title

    @property
    def people(self) -> set[str]:
        """The e-mails of all members whom it names."""
        named = {self.owner, *(one.member for one in self.seen), *(one.member for one in self.followers)}
        for entry in self.activity:
            named |= {entry.member, entry.owner, entry.previous_owner}
        return {email for email in named if email is not None}


class AuditRecord(_Record):
    type: Literal["audit"]
    date_added: AwareDatetime
    origin: Name
    workspace_id: Name | None = None
    member: Email | None = None
    actor: Name | None = None
    action: Name
    subject: Text | None = None
    subject_member: Email | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


Setup = OrganizationRecord | TeamRecord | ProjectRecord | MemberRecord
# What members have set up in Slack.
Choice = DigestRecord | PersonalDigestRecord | FollowedFilterRecord | SilenceRecord
Record = Annotated[Setup | Choice | IncidentRecord | AuditRecord, Field(discriminator="type")]
RECORD: TypeAdapter[Setup | Choice | IncidentRecord | AuditRecord] = TypeAdapter(Record)
