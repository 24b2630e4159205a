"""Due posts as delivery reads them. Each kind has one class with the fields of that kind.

A new kind needs a member of `PostKind`, a class here, a case in `build_post`, and a case in `bot.delivery.rendering`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from storage.values import PostKind


def _sql_list(kinds: Iterable[PostKind]) -> str:
    return "(" + ", ".join(f"'{kind}'" for kind in kinds) + ")"


# Lists for SQL, after IN. Statements that must not change unknown kinds name the known kinds.
KNOWN_KINDS = _sql_list(PostKind)
ONE_TIME_KINDS = _sql_list(kind for kind in PostKind if kind.is_one_time)
LASTING_KINDS = _sql_list(kind for kind in PostKind if kind.is_lasting)
# The kinds that report the changes of an incident. They are sent in the order of the changes.
ORDERED_KINDS = _sql_list((PostKind.MIRROR, PostKind.AMENDMENT, PostKind.NOTIFICATION, PostKind.NEWEST, PostKind.OLDER))

# Columns that only some kinds have, then the fields of DuePost in their order.
POST_COLUMNS = """
  kind, incident_id, activity_id, card_id, key, message,
  id, organization_id, wanted_version, generation, EXTRACT(epoch
    FROM attempted_at)::float8, attempts, after_ts, searched_to, ts,
  drawn_hash, slot_at IS NOT NULL AND slot_at <= %(now)s, EXTRACT(epoch FROM %(now)s - date_added)::float8,
  EXTRACT(epoch FROM searchable_at)::float8, EXTRACT(epoch FROM %(now)s - refused_at)::float8,
  EXTRACT(epoch FROM due_at - %(now)s)::float8, urgency, traceparent
"""


@dataclass(frozen=True, slots=True)
class DuePost:
    """The state of delivery, which posts of every kind have. Times are in seconds."""

    id: int
    organization_id: int
    wanted_version: int
    generation: int
    begun_at: float | None  # when a posting with unknown outcome began, by Slack's clock
    attempts: int
    after_ts: str | None
    searched_to: str | None
    ts: str | None
    drawn_hash: str | None
    has_slot: bool
    waited_s: float  # since the post was requested
    searchable_at: float | None  # by Slack's clock: from when a search is reliable, if Slack sent a server error
    refused_s: float | None  # how long Slack has refused it with a temporary error
    due_in_s: float  # 0 or less: due now
    urgency: int
    traceparent: str | None  # of what requested it or its latest change, if that was traced


@dataclass(frozen=True, slots=True)
class CardPost(DuePost):
    """The card of an incident."""

    kind: ClassVar[PostKind] = PostKind.CARD
    incident_id: int


@dataclass(frozen=True, slots=True)
class StormPost(DuePost):
    """The message that stands for the cards of a storm's incidents. The row of `storm` names it."""

    kind: ClassVar[PostKind] = PostKind.STORM


@dataclass(frozen=True, slots=True)
class ThreadPost(DuePost):
    """A message about a log entry of the incident, in the thread of its card or of its storm's message."""

    incident_id: int
    activity_id: int
    card_id: int  # the post of the card or of the storm


@dataclass(frozen=True, slots=True)
class MirrorPost(ThreadPost):
    """A log entry, shown in a card's thread."""

    kind: ClassVar[PostKind] = PostKind.MIRROR


@dataclass(frozen=True, slots=True)
class AmendmentPost(ThreadPost):
    """A message that reports what happened elsewhere to a comment that was written in this thread."""

    kind: ClassVar[PostKind] = PostKind.AMENDMENT


@dataclass(frozen=True, slots=True)
class DirectPost(DuePost):
    """Log entries of an incident, for one person. The rows of `notification` name the entries."""

    incident_id: int


@dataclass(frozen=True, slots=True)
class NotificationPost(DirectPost):
    """A message that is not sent yet."""

    kind: ClassVar[PostKind] = PostKind.NOTIFICATION


@dataclass(frozen=True, slots=True)
class NewestPost(DirectPost):
    """The last message that the person got about the incident. It shows the present state."""

    kind: ClassVar[PostKind] = PostKind.NEWEST


@dataclass(frozen=True, slots=True)
class OlderPost(DirectPost):
    """A message that another one about the incident follows."""

    kind: ClassVar[PostKind] = PostKind.OLDER


@dataclass(frozen=True, slots=True)
class CallPost(DuePost):
    """Calls of one person for incidents. The rows of `call_recipient` name the incidents."""

    kind: ClassVar[PostKind] = PostKind.CALL


@dataclass(frozen=True, slots=True)
class SummaryPost(DuePost):
    """Log entries of many incidents, for one person. The rows of `notification` name the entries."""

    kind: ClassVar[PostKind] = PostKind.SUMMARY


@dataclass(frozen=True, slots=True)
class DigestPost(DuePost):
    """A report of a digest. It is rendered when it is sent."""

    kind: ClassVar[PostKind] = PostKind.DIGEST
    key: str  # identifies the fire of the digest


@dataclass(frozen=True, slots=True)
class NotePost(DuePost):
    """A message that is stored complete and sent unchanged."""

    kind: ClassVar[PostKind] = PostKind.NOTE
    key: str
    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HandoffPost(DuePost):
    """The offer of incidents, for the person who is to take them over."""

    kind: ClassVar[PostKind] = PostKind.HANDOFF
    key: str  # identifies the offer


@dataclass(frozen=True, slots=True)
class HandoffAnswerPost(DuePost):
    """What became of an offer, for the person who made it."""

    kind: ClassVar[PostKind] = PostKind.HANDOFF_ANSWER
    key: str  # identifies the offer, and when that was


@dataclass(frozen=True, slots=True)
class ReminderPost(DuePost):
    """Asks an owner whether they are still on their incidents."""

    kind: ClassVar[PostKind] = PostKind.REMINDER
    key: str  # the rows of `owner_reminder` with this key name the incidents


@dataclass(frozen=True, slots=True)
class PersonalDigestPost(DuePost):
    """The digest of one member."""

    kind: ClassVar[PostKind] = PostKind.PERSONAL_DIGEST
    key: str  # says since when it has news


@dataclass(frozen=True, slots=True)
class JoinRequestPost(DuePost):
    """Asks a manager whether somebody is let in."""

    kind: ClassVar[PostKind] = PostKind.JOIN_REQUEST
    key: str  # ends with the ids of the request and of the manager


@dataclass(frozen=True, slots=True)
class UnknownPost(DuePost):
    """A post that only a newer version can render: its kind is unknown, or it lacks a field that its kind needs."""

    kind: str


KnownPost = (
    CardPost
    | StormPost
    | MirrorPost
    | AmendmentPost
    | NotificationPost
    | NewestPost
    | OlderPost
    | CallPost
    | SummaryPost
    | DigestPost
    | NotePost
    | HandoffPost
    | HandoffAnswerPost
    | ReminderPost
    | PersonalDigestPost
    | JoinRequestPost
)
Post = KnownPost | UnknownPost


_STATE_FIELDS = tuple(field.name for field in fields(DuePost))


def build_post(row: Sequence[Any]) -> Post:
    """Builds the post from a row of POST_COLUMNS."""
    values: list[Any] = list(row)
    kind, incident_id, activity_id, card_id, key, message = values[:6]
    state = dict(zip(_STATE_FIELDS, values[6:], strict=True))
    in_thread = incident_id is not None and activity_id is not None and card_id is not None
    match kind:
        case PostKind.CARD if incident_id is not None:
            return CardPost(**state, incident_id=incident_id)
        case PostKind.SUMMARY:
            return SummaryPost(**state)
        case PostKind.STORM:
            return StormPost(**state)
        case PostKind.MIRROR if in_thread:
            return MirrorPost(**state, incident_id=incident_id, activity_id=activity_id, card_id=card_id)
        case PostKind.AMENDMENT if in_thread:
            return AmendmentPost(**state, incident_id=incident_id, activity_id=activity_id, card_id=card_id)
        case PostKind.NOTIFICATION if incident_id is not None:
            return NotificationPost(**state, incident_id=incident_id)
        case PostKind.NEWEST if incident_id is not None:
            return NewestPost(**state, incident_id=incident_id)
        case PostKind.OLDER if incident_id is not None:
            return OlderPost(**state, incident_id=incident_id)
        case PostKind.CALL:
            return CallPost(**state)
        case PostKind.DIGEST if key is not None:
            return DigestPost(**state, key=key)
        case PostKind.NOTE if key is not None and message is not None:
            return NotePost(**state, key=key, message=message)
        case PostKind.HANDOFF if key is not None:
            return HandoffPost(**state, key=key)
        case PostKind.HANDOFF_ANSWER if key is not None:
            return HandoffAnswerPost(**state, key=key)
        case PostKind.REMINDER if key is not None:
            return ReminderPost(**state, key=key)
        case PostKind.PERSONAL_DIGEST if key is not None:
            return PersonalDigestPost(**state, key=key)
        case PostKind.JOIN_REQUEST if key is not None:
            return JoinRequestPost(**state, key=key)
        case _:
            return UnknownPost(**state, kind=kind)
