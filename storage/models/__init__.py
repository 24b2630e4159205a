"""The tables, with their columns, constraints and indexes. Queries are in `storage.queries`.

Every date is `timestamptz`. A unique constraint, not code, ensures that a thing cannot happen twice.
"""

from storage.models.audit import AuditEntry
from storage.models.base import Base
from storage.models.calls import CallRecipient, CallStep, Usergroup, UsergroupUser
from storage.models.delivery import Destination, MethodPace, Notification, Outbox, Post, ThreadReply
from storage.models.digests import Digest, DigestFire
from storage.models.followed_filters import FollowedFilter
from storage.models.handoffs import Handoff, HandoffItem
from storage.models.incidents import (
    CommentMention,
    Incident,
    IncidentActivity,
    IncidentProject,
    IncidentSeen,
    IncidentSubscription,
)
from storage.models.installations import Installation, InstallationWorkspace, OAuthState, WorkspaceRequest
from storage.models.intake import AlertMemory, IntakeToken
from storage.models.join_requests import JoinRequest
from storage.models.moves import OrganizationMove
from storage.models.organizations import (
    Member,
    MemberSlackUser,
    MemberTeam,
    Organization,
    Project,
    ProjectChannel,
    ProjectTeam,
    SlackPerson,
    Team,
    Workspace,
)
from storage.models.personal_digests import PersonalDigest
from storage.models.reminders import OwnerReminder
from storage.models.replicas import ProcessLease, Replica
from storage.models.requests import FormText, HandledRequest
from storage.models.silences import Silence
from storage.models.storms import Storm, StormIncident

__all__ = [
    "AlertMemory",
    "AuditEntry",
    "Base",
    "CallRecipient",
    "CallStep",
    "CommentMention",
    "Destination",
    "Digest",
    "DigestFire",
    "FollowedFilter",
    "FormText",
    "HandledRequest",
    "Handoff",
    "HandoffItem",
    "Incident",
    "IncidentActivity",
    "IncidentProject",
    "IncidentSeen",
    "IncidentSubscription",
    "Installation",
    "InstallationWorkspace",
    "IntakeToken",
    "JoinRequest",
    "Member",
    "MemberSlackUser",
    "MemberTeam",
    "MethodPace",
    "Notification",
    "OAuthState",
    "Organization",
    "OrganizationMove",
    "Outbox",
    "OwnerReminder",
    "PersonalDigest",
    "Post",
    "ProcessLease",
    "Project",
    "ProjectChannel",
    "ProjectTeam",
    "Replica",
    "Silence",
    "SlackPerson",
    "Storm",
    "StormIncident",
    "Team",
    "ThreadReply",
    "Usergroup",
    "UsergroupUser",
    "Workspace",
    "WorkspaceRequest",
]
