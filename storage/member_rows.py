"""Values of what concerns single members: offers to take over, reminders, their own digests and what they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.rows import ActivityEntry, Mentions
from storage.values import Role, Status

# The e-mail of members whom Slack gives none: nobody can have an address there (RFC 2606).
NO_EMAIL_DOMAIN = "slack.invalid"


# The Slack ids that the organization file gives a member: one for all workspaces, or one for each, by workspace.
SlackIds = str | Mapping[str, str] | None


def find_slack_id(ids: SlackIds, workspace_id: str) -> str | None:
    """The Slack id for a workspace; None where the e-mail counts."""
    return ids.get(workspace_id) if isinstance(ids, Mapping) else ids


@dataclass(frozen=True, slots=True)
class MemberDetails:
    """A member as managers see them."""

    id: int
    name: str
    email: str
    slack: SlackIds
    role: Role
    changed_in_slack: bool
    removed: bool
    teams: Mapping[str, str]  # slug to name

    @property
    def shown_email(self) -> str | None:
        """Their e-mail; None if they have none."""
        return None if self.email.endswith(f"@{NO_EMAIL_DOMAIN}") else self.email


@dataclass(frozen=True, slots=True)
class SlackChange:
    """What was changed about a member in Slack since the organization file was applied to them last."""

    added: bool = False  # or added again
    role: Role | None = None  # before; None: it is the same
    teams: Mapping[str, str | None] | None = None  # before, slug to name (None: it is gone); None: they are the same


@dataclass(frozen=True, slots=True)
class RemovedInSlack:
    """Who was removed in Slack since the organization file was applied last."""

    latest: Sequence[tuple[str, datetime]]  # name and time of some, the latest first
    count: int  # of all


@dataclass(frozen=True, slots=True)
class JoinRequestRow:
    """Somebody who is no member and asks to be let in."""

    organization_id: int
    id: int
    workspace_id: str
    user_id: str  # Slack's
    name: str
    date_added: datetime
    date_decided: datetime | None  # None: it is open
    admitted: bool | None
    decided_by: str | None  # name
    date_removed: datetime | None  # when they were removed, if they were a member before
    removed_in_slack: bool | None  # and not by the organization file; None: the audit log does not say it any more
    workspace: str | None  # name or id of the Slack user's, if the organization has others as well


class OfferState(StrEnum):
    """What became of an offer of one incident."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"  # by the one who asked
    LAPSED = "lapsed"  # nobody answered in time
    VOID = "void"  # the incident was resolved, or changed its owner


@dataclass(frozen=True, slots=True)
class HandoffHead:
    """Who offers what to whom."""

    organization_id: int
    id: int
    workspace_id: str
    giver_id: int
    giver: str  # name
    receiver_id: int
    receiver: str  # name
    note: str | None  # as the log stores comments
    shift: bool  # all that the giver owned
    post_id: int | None  # the message to the receiver
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ShownIncident:
    """An incident in a line of a message, with the last word about it."""

    identifier: int
    title: str
    status: Status
    date_started: datetime
    date_closed: datetime | None
    team: str | None
    environment: str | None
    owner: str | None  # name
    silenced_until: datetime | None
    last_comment: ActivityEntry | None


@dataclass(frozen=True, slots=True)
class HandoffItem:
    """An incident of an offer that the reader of the message may see."""

    incident: ShownIncident
    state: OfferState


@dataclass(frozen=True, slots=True)
class HandoffContent:
    """What a message about an offer shows to its reader."""

    head: HandoffHead
    items: Sequence[HandoffItem]  # those that are still offered first, the most severe first
    hidden: int  # how many others the reader may no longer see
    mentions: Mentions
    also_open: Sequence[ShownIncident] = ()  # some that nobody owns
    also_open_count: int = 0

    def list_in_state(self, state: OfferState) -> list[HandoffItem]:
        """Those of the incidents whose offer is in this state."""
        return [item for item in self.items if item.state is state]


@dataclass(frozen=True, slots=True)
class DueReminder:
    """An incident whose owner may have to be asked whether they are still on it."""

    organization_id: int
    incident_id: int
    owner_id: int | None
    workspace_id: str | None
    step: int  # 0: nobody was told; 1: the owner was; 2: the team was
    heard_at: datetime | None  # when the owner had been heard of last, at that step
    heard_now: datetime | None  # when the owner was heard of last
    after_s: int | None  # how long to wait; None: the team wants no reminders
    open: bool
    silenced: bool


@dataclass(frozen=True, slots=True)
class ReminderContent:
    """An incident in a message that asks its owner."""

    incident: ShownIncident
    heard_at: datetime | None  # when the present owner was heard of last
    is_asked: bool  # the reader still owns it, and has given no sign since they were asked
    is_readers: bool  # it is open, and the reader owns it
    handoff_id: int | None  # the offer of it that is open
    offered_to: str | None  # name


@dataclass(frozen=True, slots=True)
class PersonalDigest:
    """The digest of one member as stored."""

    organization_id: int
    member_id: int
    workspace_id: str
    cron: str
    zone: str
    next_fire_at: datetime | None  # None while it is paused
    since: datetime  # what changed after this is news
    date_paused: datetime | None


@dataclass(frozen=True, slots=True)
class PersonalMention:
    """A log entry that mentions the reader, and its incident."""

    identifier: int
    title: str
    status: int
    entry: ActivityEntry


@dataclass(frozen=True, slots=True)
class ChangedIncident:
    """An incident that the reader owns or follows, with how often others commented on it and changed it."""

    identifier: int
    title: str
    status: int
    comments: int
    changes: int  # of status
    owners: int  # changes of the owner


@dataclass(frozen=True, slots=True)
class PersonalDigestContent:
    """What a member's digest shows."""

    since: datetime
    owned: Sequence[ShownIncident]  # a few, the most severe first
    owned_count: int
    mentions_of_reader: Sequence[PersonalMention]  # a few, the newest first
    changed: Sequence[ChangedIncident]  # a few, the latest change first
    changed_count: int
    mentions: Mentions  # in the comments that are shown


@dataclass(frozen=True, slots=True)
class FollowedFilter:
    """What a member follows before it exists: new incidents that match."""

    id: int
    team: str | None  # slug
    project: str | None  # slug
    severity: Status | None


@dataclass(frozen=True, slots=True)
class TeamSync:
    """A team whose members are the people of a user group: how many it has, and how many of them are not in it."""

    organization_id: int
    team_id: int
    team: str
    members: int
    leaving: int
    in_group: int  # members of the organization who are in the user group
