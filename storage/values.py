"""The words of the domain that are stored as numbers or short texts.

They stand here, at the innermost room, because everything else needs them; what the words mean and who may
use them is decided in `bot/incidents/`. Names and numbers follow Sentry's incidents.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Status(IntEnum):
    """What an incident is at; everything but CLOSED counts as open."""

    OPEN = 1
    CLOSED = 2
    WARNING = 10
    CRITICAL = 20


class StatusMethod(IntEnum):
    """What set the present status."""

    MANUAL = 1  # a person
    RULE_UPDATED = 2  # the alert rule was changed or removed
    RULE_TRIGGERED = 3  # the alert itself


class ActivityType(IntEnum):
    """What an entry of an incident's log tells."""

    CREATED = 1
    STATUS_CHANGE = 2
    COMMENT = 3
    DETECTED = 4


class Role(StrEnum):
    """What a member may do in the organization, the least first."""

    MEMBER = "member"
    ADMIN = "admin"
    MANAGER = "manager"
    OWNER = "owner"


class Unmatched(StrEnum):
    """Why the e-mail of a Slack profile does not say which member somebody is."""

    UNCONFIRMED = "unconfirmed"  # Slack does not say that it is theirs; usual with single sign-on
    GUEST = "guest"  # a guest's e-mail is given by whoever invited them
    NO_EMAIL = "no_email"  # Slack shows none


# Who may manage digests for the projects they see.
ROLES_THAT_MANAGE_DIGESTS = frozenset({Role.ADMIN, Role.MANAGER, Role.OWNER})

# `incident_project.team_id` of an incident that no team owns. A NULL would not do: btree equality, which keeps
# the index in date order behind it, does not cover IS NULL.
NO_TEAM = 0


class Urgency(IntEnum):
    """Which of the posts that are due is sent first."""

    MENTION = 0  # somebody waits for somebody
    CARD = 1  # what a channel looks at; never behind what is said in its threads
    NEWS = 2  # threads, subscribers
    BULK = 3  # digests, notes


class PostKind(StrEnum):
    """What a post shows. A replica leaves a post of a kind that it does not know for a newer replica."""

    CARD = "card"  # an incident, in a channel that its projects name; changes with the incident
    MIRROR = "mirror"  # an entry of the log, in a card's thread where nobody wrote it; changes with the entry
    AMENDMENT = "amendment"  # in the thread where a comment was written: what became of it elsewhere
    NOTIFICATION = "notification"  # entries of one incident's log, for one person; sent once
    DIGEST = "digest"  # what a digest reports when it is due, in its channel; sent once
    NOTE = "note"  # a message that is sent once, as it was asked for

    @property
    def is_one_time(self) -> bool:
        """Whether it is sent once and never changes."""
        return self in (PostKind.NOTIFICATION, PostKind.DIGEST, PostKind.NOTE)
