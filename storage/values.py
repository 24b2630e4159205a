"""Domain values that are stored as numbers or short texts.

They are defined in the innermost package because every other package needs them. The rules for their use are in
`bot/incidents/`. Names and numbers follow Sentry's incidents.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum


class Status(IntEnum):
    """The status of an incident. Every status except CLOSED counts as open."""

    OPEN = 1
    CLOSED = 2
    WARNING = 10
    CRITICAL = 20


class StatusMethod(IntEnum):
    """What set the current status."""

    MANUAL = 1  # a person
    RULE_UPDATED = 2  # the alert rule was changed or removed
    RULE_TRIGGERED = 3  # the alert itself


FIRST_OWN_TYPE = 100  # of activity; below are Sentry's


class ActivityType(IntEnum):
    """What an entry of an incident's log records."""

    CREATED = 1
    STATUS_CHANGE = 2
    COMMENT = 3
    DETECTED = 4
    # Those of our own start at FIRST_OWN_TYPE; 103 and 104 are reserved for merges and pins.
    OWNER = 100
    CALL = 101
    SILENCE = 102  # `value` is a SilenceStep
    ACKNOWLEDGED = 105
    UNHEARD = 107  # nothing was heard from the owner; `value` is for how many minutes
    HANDOFF = 106  # `value` is a HandoffStep; who owns it after and before, if it is accepted


# `value` of an OWNER entry: the owner before had offered it, and is told who took it over by another message.
BY_HANDOFF = 1


class SilenceStep(IntEnum):
    """What an entry of the log about a silence records. An earlier version reads CHANGED as BEGAN."""

    ENDED = 0
    BEGAN = 1
    CHANGED = 2  # another silence holds the incident from now on, so it lasts longer or less long


class HandoffStep(IntEnum):
    """What an entry of the log about an offer to take over an incident records."""

    OFFERED = 1
    DECLINED = 2
    WITHDRAWN = 3
    LAPSED = 4


class Role(StrEnum):
    """A member's role in the organization, from the fewest permissions to the most."""

    MEMBER = "member"
    ADMIN = "admin"
    MANAGER = "manager"
    OWNER = "owner"


class Unmatched(StrEnum):
    """Why the e-mail of a Slack profile does not identify a member."""

    UNCONFIRMED = "unconfirmed"  # Slack does not report the e-mail as confirmed; usual with single sign-on
    GUEST = "guest"  # the person who invites a guest chooses the guest's e-mail
    NO_EMAIL = "no_email"  # Slack reports no e-mail


# Who may manage digests for the projects they see.
ROLES_THAT_MANAGE_DIGESTS = frozenset({Role.ADMIN, Role.MANAGER, Role.OWNER})

# `incident_project.team_id` of an incident without a team. It is not NULL, because the index returns rows in date
# order only after an equality condition, and IS NULL is not one.
NO_TEAM = 0


class Work(IntFlag):
    """What may wait to be done in the background. Each is one worker's; a value may name several.

    Processes of different versions tell each other these numbers, so a number keeps its meaning.
    """

    CHANGES = 1  # changes that people made wait to be expanded
    ALERTS = 2  # the same for changes that alerts made, and for what people changed in many incidents at once
    POSTS = 4  # messages are due
    STORMS = 8  # storms are to end
    CALLS = 16  # steps of calls are due
    USERGROUPS = 32  # user groups are to be read from Slack
    SILENCES = 64  # silences are to end, or to hold or release more incidents
    OFFERS = 128  # offers to take over incidents lapse
    REMINDERS = 256  # owners are to be asked
    PERSONAL_DIGESTS = 512  # personal digests are due
    DIGESTS = 1024  # digests are due
    FIRES = 2048  # digests that are due wait to be published
    POSTED = 4096  # messages of digests were sent, or will not be
    HOMES = 8192  # Homes are to be published anew


NO_WORK = Work(0)
ALL_WORK = ~NO_WORK


class Urgency(IntEnum):
    """The order in which due posts are sent; the lowest number first."""

    URGENT = 0  # what people do, mentions
    CHANGE = 1  # new cards of critical incidents, storm messages, and what alerts change on cards that are posted
    NEWS = 2  # other new cards, and messages to subscribers
    BULK = 3  # digests and notes, and what alerts change, in threads


class PostKind(StrEnum):
    """What a post shows. A replica leaves posts of an unknown kind to a newer replica."""

    CARD = "card"  # an incident, in a channel that its projects name; updated with the incident
    STORM = "storm"  # many new incidents, in a channel that gets it instead of their cards; updated with them
    MIRROR = "mirror"  # a log entry in a card's thread, if written elsewhere; updated with the entry
    AMENDMENT = "amendment"  # in the thread of a comment: what happened to the comment elsewhere
    NOTIFICATION = "notification"  # log entries of one incident, for one person; until it is sent
    NEWEST = "newest"  # a sent notification, the last one to that person about the incident; updated with the incident
    OLDER = "older"  # a sent notification that another one follows: one line
    CALL = "call"  # incidents for which a person is called, in a direct message; updated with the incidents
    SUMMARY = "summary"  # log entries of many incidents, for one person; updated while more arrive
    DIGEST = "digest"  # the report of a digest, in its channel; sent once
    NOTE = "note"  # a message that is stored complete; sent once
    HANDOFF = "handoff"  # the offer of incidents to the person who is to take them over; updated with the offer
    HANDOFF_ANSWER = "handoff_answer"  # what the person answered, for the one who asked; sent once

    PERSONAL_DIGEST = "personal_digest"  # the digest of one member; sent once
    JOIN_REQUEST = "join_request"  # asks a manager whether somebody is let in; updated when one decides
    REMINDER = "reminder"  # asks an owner whether they are still on their incidents; updated with them

    @property
    def is_one_time(self) -> bool:
        """Whether posts of this kind are sent once and never updated."""
        return self in (
            PostKind.DIGEST,
            PostKind.NOTE,
            PostKind.HANDOFF_ANSWER,
            PostKind.PERSONAL_DIGEST,
        )

    @property
    def is_lasting(self) -> bool:
        """Whether posts of this kind are kept for as long as their incident."""
        return self in (PostKind.CARD, PostKind.STORM, PostKind.MIRROR, PostKind.AMENDMENT)
